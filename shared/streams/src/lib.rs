//! A runtime for event-driven services on Kafka, without Kafka: services as pure code over typed
//! topics, and the engine that makes transactions of their work.
//!
//! A service writes a [`Processor`]: reactions to [`Record`]s, whose effects gather in a [`Tx`]. A
//! driver reads batches, lets the processor decide, and commits records, offsets and state changes
//! in one Kafka transaction (exactly-once semantics, KIP-98 and KIP-447). The driver on a real
//! Kafka is the crate `streams-kafka`, the one on a simulated Kafka `streams-sim`; the tests have
//! theirs.
//!
//! Nothing here does IO, knows a topic of its own, or depends on a Kafka client.

pub mod avro;
pub mod clock;
pub mod cluster;
mod codec;
pub mod engine;
pub mod failpoint;
mod failure;
pub mod fenced;
mod identity;
pub mod limits;
pub mod lineage;
pub mod meter;
mod outage;
pub mod partition;
mod passed;
mod processor;
pub mod record;
pub mod refusals;
mod registry;
pub mod store;
pub mod story;
mod table;
pub mod time;
pub mod topic;
pub mod tracer;
pub mod tx;

pub use cluster::Cluster;
pub use codec::Codec;
pub use engine::{Effect, Engine, Event};
pub use failure::Failure;
pub use identity::{Owns, Service};
pub use meter::Meters;
pub use outage::{Backoff, Outage};
pub use passed::Passed;
pub use processor::{Extent, Processor, Source, StandIn, UpTo};
pub use record::{Headers, Record};
pub use registry::{MemoryRegistry, RegistryError, SchemaRegistry, is_same_schema};
pub use store::{MemoryStore, Store, Table};
pub use table::{GlobalTable, Row, TableWriter};
pub use time::Timestamp;
pub use tx::{Fact, Outgoing, Tx};
