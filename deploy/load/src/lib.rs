//! Load on a running shop, and chaos under load.
//!
//! - [`Load`] places orders at a steady rate, whatever the shop does meanwhile.
//! - [`mix`]: what each customer does, a pure function of seed and number.
//! - [`journal`]: what became of it, and when. [`report`]: the same in figures.
//! - [`usage`]: processor time and memory that it took.
//! - [`chaos`] breaks the shop meanwhile, and measures how it recovers.

pub mod chaos;
mod generator;
pub mod journal;
pub mod mix;
pub mod report;
pub mod usage;

pub use generator::{Load, Settings, watch};
