//! The service as a whole, without Kafka: its processor over a log in memory, and its HTTP edge
//! over a command log in memory.

#![cfg(feature = "service")]
// Says to clippy what is plain here: everything below is test code.
#![cfg(test)]

mod arrival;
mod callers;
mod cancel_order;
mod deadline;
mod document;
mod edge;
mod fixtures;
mod metrics;
mod next_step;
mod order_validation;
mod overload;
mod parts;
mod place_order;
mod poison;
mod restore;
mod shop;
mod twice;
mod waiting;
