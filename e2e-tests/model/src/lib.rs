//! The choreography as a model for [stateright]: two orders for the last piece, and *every* way in
//! which it can come to them.
//!
//! The decisions are the services' own, `decide` and `evolve` of orders, inventory and payments.
//! What is between them is modelled here: topics that keep the order of each key, offsets that are
//! committed with what they caused, restarts that fold the log, an outbox relay that repeats
//! itself, and a bank that loses requests and answers ([`world`]).
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
pub mod inventory;
pub mod known;
pub mod laws;
pub mod orders;
pub mod payments;
pub mod shop;
pub mod world;

pub use shop::{Action, Bounds, Broken, Fault, Shop};
pub use world::World;
