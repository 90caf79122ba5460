//! The stream runtime of the shop: the transactional loop, the state store, the codec, dead
//! letters. The only crate that knows rdkafka.
//!
//! A service writes a [`Processor`]: pure reactions to [`Record`]s, whose effects gather in a
//! [`Tx`]. The loop reads a batch, lets the processor decide, and commits records, offsets and
//! state changes in one Kafka transaction (exactly-once semantics, KIP-98 and KIP-447).

mod codec;
pub mod failpoint;
mod failure;
mod kafka;
pub mod lineage;
mod processor;
pub mod record;
mod registry;
pub mod restore;
pub mod store;
pub mod turn;
pub mod tx;

pub use codec::{Codec, VALUE_BYTES_MAX};
pub use failure::Failure;
pub use kafka::{
    GlobalTable, Ledger, LoopHandle, LoopSettings, LoopStatus, SendError, Sender, Step,
    TransactionalLoop, admin, dlq, read_topic, spawn_ledger, spawn_loop, spawn_tail,
};
pub use processor::{Processor, Source, UpTo};
pub use record::{Headers, Record};
pub use registry::{HttpRegistry, MemoryRegistry, RegistryError, SchemaRegistry};
pub use store::{DiskStore, MemoryStore, Store, Table};
pub use tx::{Fact, Outgoing, Tx};
