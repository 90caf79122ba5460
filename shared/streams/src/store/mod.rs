//! The state of a processor: bytes by key, per partition, with the positions of their inputs.
//!
//! A store is a cache: the fold of a log up to its positions, written in one batch with them. So it
//! never has half of a transaction. Delete it, and a restore rebuilds it.

mod layout;
mod memory;

pub use layout::{Layout, LayoutError};
pub use memory::MemoryStore;

use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, marker::PhantomData};

/// Next offset per topic, for one partition number.
pub type Positions = BTreeMap<String, i64>;

/// Changes to one partition: a key's new value, or none to remove it.
pub type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Keys with their values.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Keys of a store's own begin with this byte; those of no [`Table`] may.
pub const OWN_PREFIX: u8 = 0;

/// Where state is kept.
pub trait Store: Send {
    /// Make the store usable, if it is not. A driver asks for it before it takes partitions over,
    /// so that an instance without a store leaves them to others.
    ///
    /// # Errors
    /// What is in the way, with the way out. It may be gone at the next call.
    fn open(&self) -> anyhow::Result<()> {
        Ok(())
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// When the disk fails.
    fn get(&self, partition: i32, key: &[u8]) -> anyhow::Result<Option<Vec<u8>>>;

    /// The entries from `from` (included) to `to` (excluded), in order of their keys, `limit` at
    /// most.
    ///
    /// # Errors
    /// When the disk fails.
    fn range(
        &self,
        partition: i32,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> anyhow::Result<Entries>;

    /// Apply `writes` and `positions` in one batch: all of it or nothing survives a crash.
    ///
    /// # Errors
    /// When the disk fails.
    fn apply(&self, partition: i32, writes: Writes, positions: &Positions) -> anyhow::Result<()>;

    /// The positions that the state of `partition` includes.
    ///
    /// # Errors
    /// When the disk fails.
    fn positions(&self, partition: i32) -> anyhow::Result<Positions>;

    /// Forget `partition`.
    ///
    /// # Errors
    /// When the disk fails. The state of every partition is lost then: all must be restored.
    fn clear(&self, partition: i32) -> anyhow::Result<()>;
}

/// A named part of a store with typed values. Keys are bytes, so that their order is plain.
pub struct Table<V> {
    prefix: u8,
    value: PhantomData<fn() -> V>,
}

impl<V: Serialize + DeserializeOwned> Table<V> {
    /// The table behind `prefix`, which no other table of the processor may have. It must be listed
    /// in the store's [`Layout`].
    pub const fn new(prefix: u8) -> Self {
        Self { prefix, value: PhantomData }
    }

    pub(crate) fn key(&self, key: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(key.len() + 1);
        bytes.push(self.prefix);
        bytes.extend_from_slice(key);
        bytes
    }

    /// The bytes of `value`. They are written into `buffer` first, which has room from the values
    /// before, so that the answer is one allocation.
    pub(crate) fn encode(value: &V, buffer: &mut Vec<u8>) -> anyhow::Result<Vec<u8>> {
        buffer.clear();
        *buffer = postcard::to_extend(value, std::mem::take(buffer))?;
        Ok(buffer.clone())
    }

    pub(crate) fn decode(bytes: &[u8]) -> anyhow::Result<V> {
        Ok(postcard::from_bytes(bytes)?)
    }
}
