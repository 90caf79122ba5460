//! The vocabulary of the shop: ids and [`Money`], the commands and events of `schemas/`, the
//! [`baton`] table and the typed [`topics`] registry.
//!
//! This crate does no IO and knows no Kafka. It has the contracts between the services and nothing
//! else: the rules of a single service are in that service.

pub mod acls;
pub mod avro;
pub mod baton;
pub mod catalog;
pub mod email;
pub mod failpoints;
pub mod fraud;
pub mod ids;
pub mod inventory;
pub mod limits;
pub mod metrics;
pub mod money;
mod names;
pub mod order;
pub mod orders;
pub mod owns;
mod reason;
pub mod services;
pub mod story;
mod text;
pub mod topics;
pub mod transitions;
pub mod values;
pub mod view;

pub use baton::{Status, TransitionKind};
pub use ids::{CommandId, CustomerId, OrderId, Sku};
pub use money::Money;
pub use order::{Customer, Order, OrderLine, Payment, PaymentStatus};
pub use reason::Reason;
pub use streams::{Owns, Service, Timestamp, partition};
pub use transitions::{Next, Transition};
pub use values::{Currency, EmailAddress, Name, Price, Prose};

names::services! {
    /// Takes commands and decides what is not about money.
    Orders = "orders";
    /// Charges and refunds.
    Payments = "payments";
    /// Reserves, releases and commits stock.
    Inventory = "inventory";
    /// Mails the customer.
    Email = "email";
    /// Answers questions.
    View = "view";
    /// Declines the orders of customers with too much open value.
    Fraud = "fraud";
}
