//! Payments: charges validated orders, gives money back, and keeps the books.
//!
//! Consumes: `orders`. Produces: PaymentReceived, PaymentDeclined and PaymentRefunded on `orders`,
//! and `payments.dlq`, all by way of its outbox. Owns: the baton of validated orders and of due
//! refunds, the payments, the ledger. Pattern: database + outbox + change data capture, with a
//! scheduler-agent-supervisor for the calls to the bank. Guarantees: an order has at most one
//! capture and exactly one outcome by its deadline, and the shop keeps no money of a declined
//! order. Fails how: payments waits for Postgres, Kafka, the registry and the bank, and loses
//! nothing meanwhile.
//!
//! Without the feature `service` there is no IO in it: what is decided, over a database that is a
//! trait ([`database::PaymentsDb`]).

pub mod changes;
pub mod database;
pub mod domain;
pub mod inputs;
pub mod memory;
pub mod outbox;
pub mod processor;
pub mod supervisor;
pub mod topology;

#[cfg(feature = "service")]
pub mod adapters;
#[cfg(feature = "service")]
pub mod config;
#[cfg(feature = "service")]
pub mod gauges;
#[cfg(feature = "service")]
pub mod http;
#[cfg(feature = "service")]
pub mod service;
#[cfg(feature = "service")]
pub mod worker;
