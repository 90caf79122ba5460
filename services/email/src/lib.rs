//! Email mails the customer when an order is settled and the view shows it.
//!
//! Consumes: `order-views`, so that a mail never announces what its reader cannot see yet.
//! Produces: mails; `emails`, with each mail that the mail server has accepted; `emails.waiting`,
//! with each mail that waits for another attempt.
//! Owns: the kinds of mail that each order has had, and the mails that wait.
//! Guarantees: one mail per settled order and kind; a mail can arrive twice only if
//! the process ends, or the server's answer is lost, between the server's accept and our commit,
//! and then under the same Message-ID.
//! Fails how: without Kafka or mail server it waits and continues; a mail that the server does not
//! take for now waits alone; one that the server refuses for good, or too often, goes to
//! `email.dlq` with the server's words.
//!
//! Without the feature `service` there is no IO in it: what is decided and written, over a mailer
//! that is a trait ([`Mailer`]).

pub mod adapters;
pub mod domain;
mod inputs;
pub mod mailer;
#[cfg(feature = "service")]
pub mod measured;
pub mod processor;
pub mod topology;

#[cfg(feature = "service")]
pub mod config;
#[cfg(feature = "service")]
pub mod http;
#[cfg(feature = "service")]
pub mod service;

pub use mailer::{DeliveryError, Mailer};
pub use processor::EmailProcessor;
