//! What orders decides: pure functions over [`Entry`], with time and the catalog as arguments.
//!
//! Each input has a file with its `decide` (what does it mean now?) and its `evolve` (what do we
//! know after it?). After any input [`next_step::decide`] looks at what is known by then and
//! proposes a transition if one is due, so the order in which inputs arrive does not matter.

pub mod cancel_order;
pub mod entry;
pub mod next_step;
pub mod order_transition;
pub mod order_validation;
pub mod place_order;
pub mod unclaimed;

pub use entry::{CheckOutcome, Entry};
