//! `./shop bench`: what a shop does on this machine, next to what the machine can do.
//!
//! Absolute figures depend on the machine and on the day. So each run measures the limits as well,
//! on the same Kafka and Postgres: [`limits`]. What is compared between two runs is the ratio.
//!
//! - [`Ground`]: the shop that is measured, fresh and warm.
//! - [`steady`]: CPU and latencies at rates that it holds, and the highest of them.
//! - [`burst`]: how fast it works off what is on the log.
//! - [`overload`]: twice what it holds.
//! - [`restart`]: how soon it is back.
//! - [`rebuild`]: how fast its lean views come back from the log.
//! - [`telemetry`]: what traces, metrics and logs for collectors cost.
//! - [`map`]: what those who look at the living map cost.
//! - [`scale`]: what partitions, instances, products and open orders cost.
//! - [`Run`]: the figures of a run, one line of JSON, and their comparison.
//! - [`report`]: what the pages show of the runs in `docs/bench.jsonl`.

pub mod burst;
mod ground;
pub mod limits;
mod machine;
pub mod map;
pub mod overload;
mod paired;
pub mod rebuild;
pub mod report;
pub mod restart;
mod run;
pub mod scale;
pub mod steady;
pub mod telemetry;

pub use ground::Ground;
pub use machine::Machine;
pub use paired::Paired;
pub use run::{Figures, Run};
pub use steady::whole;
