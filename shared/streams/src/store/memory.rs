//! [`MemoryStore`]: a store for the simulation and for tests. It ends with the process.

use super::{Entries, Positions, Store, Writes};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Default)]
struct Partition {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    positions: Positions,
}

/// State in memory. Clones share it, as two runs of a process share a disk.
#[derive(Clone, Default)]
pub struct MemoryStore {
    partitions: Arc<Mutex<HashMap<i32, Partition>>>,
}

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Partition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn get(&self, partition: i32, key: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(self.lock().get(&partition).and_then(|state| state.entries.get(key).cloned()))
    }

    fn range(
        &self,
        partition: i32,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> anyhow::Result<Entries> {
        let partitions = self.lock();
        let Some(state) = partitions.get(&partition) else { return Ok(Vec::new()) };
        let range = state.entries.range(from.to_vec()..to.to_vec());
        Ok(range.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn apply(&self, partition: i32, writes: Writes, positions: &Positions) -> anyhow::Result<()> {
        let mut partitions = self.lock();
        let state = partitions.entry(partition).or_default();
        for (key, value) in writes {
            match value {
                Some(value) => state.entries.insert(key, value),
                None => state.entries.remove(&key),
            };
        }
        state.positions.extend(positions.clone());
        Ok(())
    }

    fn positions(&self, partition: i32) -> anyhow::Result<Positions> {
        Ok(self.lock().get(&partition).map(|state| state.positions.clone()).unwrap_or_default())
    }

    fn clear(&self, partition: i32) -> anyhow::Result<()> {
        self.lock().remove(&partition);
        Ok(())
    }
}
