//! The messages that each service may send, as types.
//!
//! A service's producer and its outbox are generic over the service's identity `S` and take only
//! what `S` [`Owns`]. The list in [`crate::services`] is the single-writer rule. Traits and types
//! are of other crates for a service, so Rust's orphan rule seals the list: no service can add a
//! line to it.
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
//! send::<Orders>(); // a bare order is not a transition: no service may send it
//! ```
//!
//! ```compile_fail,E0117
//! use contracts::{owns::{Owns, View}, inventory::StockLevel};
//! impl Owns<StockLevel> for View {} // sealed
//! ```

pub use crate::identities::*;
pub use streams::{Owns, Service};

/// Makes of a list of services and records what each may send. The list is in [`crate::services`].
macro_rules! owns {
    ($($service:ident: $($fact:ty),+;)+) => {
        $(
            $(impl Owns<$fact> for $crate::identities::$service {})+

            // Any service may ask; only the owner of the answer decides.
            impl Owns<OrderCommand> for $crate::identities::$service {}
            impl Owns<InventoryCommand> for $crate::identities::$service {}
        )+
    };
}

pub(crate) use owns;
