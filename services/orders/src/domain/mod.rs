//! The decisions of orders: pure functions over [`Entry`], with time and the catalog as arguments.
//!
//! Each input has a file with its `decide` (its meaning now) and its `evolve` (the state after it).
//! After any input, [`next_step::decide`] looks at the whole state and proposes a transition if one
//! is due. So the order of arrival does not matter.

pub mod cancel_order;
pub mod entry;
pub mod next_step;
pub mod order_transition;
pub mod order_validation;
pub mod place_order;
pub mod unclaimed;

pub use entry::{CheckOutcome, Entry};
