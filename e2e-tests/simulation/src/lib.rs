//! The whole shop in one thread. The real processors of the services run over models of Kafka, of
//! their databases, of the bank and of the mail server; a seed decides who moves next and what goes
//! wrong ([`streams_sim`]); at the end the [`auditor`] looks at everything that can be seen from
//! outside.
//!
//! The same seed gives the same run, to the byte. What is real and what is a model, and what that
//! leaves out, is in README.md.

pub mod cli;
mod effects;
mod evidence;
mod failure;
pub mod faults;
pub mod live;
pub mod mutation;
mod outside;
mod page;
mod payments;
pub mod press;
mod process;
mod read;
mod shop;
mod view;
mod world;

pub use world::{Outcome, replay, run};
