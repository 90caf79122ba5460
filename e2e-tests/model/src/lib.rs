//! The choreography as a model for [stateright]: two orders for the last piece, and *every* way in
//! which it can come to them.
//!
//! The services' own code takes each step: the processors of orders and inventory in the runtime's
//! engine ([`loops`]), the intake and the supervisor of payments over tables in memory
//! ([`payments`]), the ledger of the bank simulator ([`bank`]). The model has what is between them
//! ([`steps`]): topics that keep the order of each key, offsets that a service commits with its
//! output, an outbox relay that repeats rows, and a line to the bank that loses requests and
//! answers.
//!
//! Each step handles one record, in one transaction. A larger batch is several such steps whose
//! records are seen later, and everything here may be seen as late as one likes; so batches add no
//! behaviour. A crash before a commit leaves the last committed state, which is a state of this
//! model. A crash after it shows where a service's state is not in the transaction: the store of
//! orders ([`Fault::Restart`]), and what payments had asked of the bank ([`Fault::Call`]).
//!
//! **Eventually** is checked without the checker's own `eventually`, which can miss a
//! counterexample where two paths join: every step uses something up ([`world::World::progress`]),
//! so no path is endless, and every final state must have settled orders ([`laws`]).

pub mod bank;
pub mod known;
pub mod laws;
pub mod loops;
pub mod message;
pub mod payments;
pub mod shop;
pub mod steps;
pub mod story;
pub mod world;

pub use shop::{Action, Bounds, Broken, Fault, Shop};
pub use world::World;
