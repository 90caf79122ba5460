//! A simulation of [`streams`]: the real engine on a model of Kafka, in one thread. A seed decides
//! who moves next and what goes wrong; at the end the faults stop, and the caller looks at what the
//! logs say.
//!
//! A program brings its topics ([`Program`]), and a [`World`] that starts its processes and sends
//! their input. A [`Stage`] runs a processor, a [`FencedStage`] a consumer with its own offsets.
//! The same seed gives the same run, to the byte. `tests/meters.rs` simulates a whole service.

pub mod faults;
mod fenced;
mod kafka;
pub mod mutation;
mod outside;
mod process;
mod run;
pub mod seeds;
mod shrink;
mod sim;
mod stage;
pub mod stranger;
mod trace;

pub use faults::{Fault, Mercy};
pub use fenced::{Fenced, FencedStage};
pub use kafka::{Kafka, takes};
pub use mutation::Mutation;
pub use outside::{About, OUTSIDE, Outside};
pub use process::{Actor, Condition, Progress};
pub use run::{Ran, Run, World, run};
pub use shrink::{Shrunk, shrink};
pub use sim::{Program, START, Scenario, Sim, Words};
pub use stage::Stage;
pub use trace::{Event, Trace};
