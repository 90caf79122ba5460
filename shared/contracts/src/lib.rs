//! The vocabulary of the shop: ids and [`Money`], the commands and events of `schemas/`, the
//! [`baton`] table and the typed [`topics`] registry.
//!
//! This crate does no IO and knows no Kafka. Everything that the services agree on is here, and
//! nothing else: what one service alone decides lives in that service.

pub mod avro;
pub mod baton;
pub mod catalog;
pub mod choreography;
pub mod email;
pub mod failpoints;
pub mod fraud;
pub mod ids;
pub mod inventory;
pub mod money;
pub mod order;
pub mod orders;
pub mod owns;
pub mod services;
pub mod topics;
pub mod transitions;
pub mod view;

pub use baton::{Status, TransitionKind};
pub use ids::{CommandId, CustomerId, OrderId, Sku};
pub use money::Money;
pub use order::{Customer, Order, OrderLine, Payment, PaymentStatus, Reason};
pub use services::ServiceName;
pub use streams::{Owns, Service, Timestamp, partition};
pub use transitions::{Next, Transition};
