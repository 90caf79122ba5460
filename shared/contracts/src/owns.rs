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

pub use crate::services::identities::*;
pub use streams::{Owns, Service};

/// Makes of a list of services their names, their identities, what each owns, and their dead
/// letters. The list is in [`crate::services`].
macro_rules! services {
    ($($(#[$doc:meta])* $service:ident = $name:literal owns $($fact:ty),+;)+) => {
        /// The services of the shop, as data.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ServiceName {
            $($(#[$doc])* $service,)+
        }

        impl ServiceName {
            /// Every service.
            pub const ALL: [ServiceName; [$($name),+].len()] = [$(ServiceName::$service),+];

            /// The name of binary, consumer group and `ce_source`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(ServiceName::$service => $name,)+
                }
            }
        }

        impl std::fmt::Display for ServiceName {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for ServiceName {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let known = Self::ALL.into_iter().find(|service| service.as_str() == text);
                known.ok_or_else(|| {
                    let all = Self::ALL.map(Self::as_str).join(", ");
                    format!("`{text}` is no service; there are {all}")
                })
            }
        }

        /// Where each service puts what it cannot handle, in the order of [`ServiceName::ALL`].
        pub(crate) static DEAD_LETTERS: [TopicSpec; ServiceName::ALL.len()] = [
            $(streams::topic::dead_letters(
                concat!($name, ".dlq"),
                $name,
                crate::topics::PARTITIONS,
            )),+
        ];

        /// The identities of the services, as types.
        pub mod identities {
            $(
                $(#[$doc])*
                #[derive(Debug, Clone, Copy)]
                pub struct $service;

                impl streams::Service for $service {
                    const NAME: &'static str = $name;
                    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

                    fn dead_letters() -> &'static streams::topic::TopicSpec {
                        crate::topics::dlq(super::ServiceName::$service)
                    }
                }
            )+
        }

        $(
            $(impl streams::Owns<$fact> for identities::$service {})+

            // Any service may ask; only the owner of the answer decides.
            impl streams::Owns<OrderCommand> for identities::$service {}
            impl streams::Owns<InventoryCommand> for identities::$service {}
        )+
    };
}

pub(crate) use services;
