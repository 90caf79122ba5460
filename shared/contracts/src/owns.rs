//! Who may send what, as types.
//!
//! A service's producer and its outbox are generic over the service's identity `S` and take only
//! what `S` [`Owns`]. The impls below are the single-writer rule. Traits and types are of other crates
//! for a service, so Rust's orphan rule seals the table: no service can add a line to it.
//!
//! ```compile_fail,E0277
//! use contracts::{owns::{Orders, Owns}, transitions::PaymentReceived, Next};
//! fn send<S: Owns<Next<PaymentReceived>>>() {}
//! send::<Orders>(); // only payments may say that money has arrived
//! ```
//!
//! ```compile_fail,E0277
//! use contracts::{owns::{Owns, View}, inventory::StockLevel};
//! fn send<S: Owns<StockLevel>>() {}
//! send::<View>(); // the view shows stock, inventory writes it
//! ```
//!
//! ```compile_fail,E0277
//! use contracts::{owns::{Orders, Owns}, Order};
//! fn send<S: Owns<Order>>() {}
//! send::<Orders>(); // a bare order is not a transition: nobody may send it
//! ```
//!
//! ```compile_fail,E0117
//! use contracts::{owns::{Owns, View}, inventory::StockLevel};
//! impl Owns<StockLevel> for View {} // sealed
//! ```

use crate::{
    email::EmailSent,
    inventory::{InventoryCommand, OrderValidation, StockEntry, StockLevel},
    order::LatestOrder,
    orders::{CommandRefused, OrderCommand},
    topics::{self, TopicSpec},
    transitions::{
        Next, OrderCancelled, OrderConfirmed, OrderRejected, OrderRequested, OrderValidated,
        PaymentDeclined, PaymentReceived, PaymentRefunded,
    },
    view::ViewUpdated,
};
use std::{fmt, str::FromStr};
pub use streams::{Owns, Service};

/// The services of the shop, as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceName {
    /// Takes commands and decides what is not about money.
    Orders,
    /// Charges and refunds.
    Payments,
    /// Reserves, releases and commits stock.
    Inventory,
    /// Mails the customer.
    Email,
    /// Answers questions.
    View,
}

impl ServiceName {
    /// Every service.
    pub const ALL: [ServiceName; 5] = [
        ServiceName::Orders,
        ServiceName::Payments,
        ServiceName::Inventory,
        ServiceName::Email,
        ServiceName::View,
    ];

    /// The name of binary, consumer group and `ce_source`.
    pub const fn as_str(self) -> &'static str {
        match self {
            ServiceName::Orders => "orders",
            ServiceName::Payments => "payments",
            ServiceName::Inventory => "inventory",
            ServiceName::Email => "email",
            ServiceName::View => "view",
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ServiceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|service| service.as_str() == text);
        known.ok_or_else(|| {
            format!("`{text}` is no service; there are {}", Self::ALL.map(Self::as_str).join(", "))
        })
    }
}

macro_rules! services {
    ($($(#[$doc:meta])* $service:ident owns $($fact:ty),+;)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub struct $service;

            impl Service for $service {
                const NAME: &'static str = ServiceName::$service.as_str();
                const VERSION: &'static str = env!("CARGO_PKG_VERSION");

                fn dead_letters() -> &'static TopicSpec {
                    topics::dlq(ServiceName::$service)
                }
            }

            $(impl Owns<$fact> for $service {})+

            // Anyone may ask; only the owner of the answer decides.
            impl Owns<OrderCommand> for $service {}
            impl Owns<InventoryCommand> for $service {}
        )+
    };
}

services! {
    /// The identity of orders.
    Orders owns Next<OrderRequested>, Next<OrderValidated>, Next<OrderRejected>,
        Next<OrderCancelled>, Next<OrderConfirmed>, LatestOrder, CommandRefused;
    /// The identity of payments.
    Payments owns Next<PaymentReceived>, Next<PaymentDeclined>, Next<PaymentRefunded>;
    /// The identity of inventory.
    Inventory owns OrderValidation, StockLevel, StockEntry;
    /// The identity of email.
    Email owns EmailSent;
    /// The identity of the view.
    View owns ViewUpdated;
}
