//! [`DiskStore`]: a store in a fjall database, one keyspace per partition.

use anyhow::Context;
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};
use streams::store::{Entries, Positions, Store, Writes};

/// Raise it when the layout of any stored value changes: older stores are then rebuilt.
const FORMAT: u32 = 3;
const FORMAT_FILE: &str = "format";

/// Keys of the store's own begin with this byte; a [`streams::Table`] must not.
const POSITION_PREFIX: u8 = 0;

const CACHE_BYTES: u64 = 2 * 1024 * 1024;
const MEMTABLE_BYTES: u64 = 2 * 1024 * 1024;
const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// State on disk. Written to the operating system at each commit, not to the platter: after a
/// power failure it may lack its tail, which the log then fills in.
pub struct DiskStore {
    database: Database,
    keyspaces: Mutex<HashMap<i32, Keyspace>>,
}

impl DiskStore {
    /// Open the store in `folder`, made if it is not there. What another format has left is wiped.
    ///
    /// # Errors
    /// When the folder cannot be used, or another process has it open.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("cannot open the state store in {}", folder.display());
        let marker = folder.join(FORMAT_FILE);
        let current = fs::read_to_string(&marker).is_ok_and(|text| text == FORMAT.to_string());
        if !current {
            if folder.exists() {
                fs::remove_dir_all(folder).with_context(cannot)?;
            }
            fs::create_dir_all(folder).with_context(cannot)?;
        }
        let database = Self::database(&folder.join("data")).with_context(cannot)?;
        fs::write(&marker, FORMAT.to_string()).with_context(cannot)?;
        Ok(Self { database, keyspaces: Mutex::default() })
    }

    fn database(path: &PathBuf) -> fjall::Result<Database> {
        Database::builder(path)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .worker_threads(1)
            .open()
    }

    fn keyspace(&self, partition: i32) -> anyhow::Result<Keyspace> {
        let mut keyspaces = self.keyspaces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keyspace) = keyspaces.get(&partition) {
            return Ok(keyspace.clone());
        }
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let keyspace = self.database.keyspace(&format!("partition-{partition}"), options)?;
        keyspaces.insert(partition, keyspace.clone());
        Ok(keyspace)
    }
}

impl Store for DiskStore {
    fn get(&self, partition: i32, key: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(self.keyspace(partition)?.get(key)?.map(|value| value.to_vec()))
    }

    fn range(
        &self,
        partition: i32,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> anyhow::Result<Entries> {
        let keyspace = self.keyspace(partition)?;
        let mut entries = Vec::new();
        for guard in keyspace.range(from.to_vec()..to.to_vec()).take(limit) {
            let (key, value) = guard.into_inner()?;
            entries.push((key.to_vec(), value.to_vec()));
        }
        Ok(entries)
    }

    fn apply(&self, partition: i32, writes: Writes, positions: &Positions) -> anyhow::Result<()> {
        let keyspace = self.keyspace(partition)?;
        let mut batch = self.database.batch();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(&keyspace, key, value),
                None => batch.remove(&keyspace, key),
            }
        }
        for (topic, position) in positions {
            let mut key = vec![POSITION_PREFIX];
            key.extend_from_slice(topic.as_bytes());
            batch.insert(&keyspace, key, position.to_be_bytes());
        }
        Ok(batch.commit()?)
    }

    fn positions(&self, partition: i32) -> anyhow::Result<Positions> {
        let mut positions = Positions::new();
        for guard in self.keyspace(partition)?.prefix([POSITION_PREFIX]) {
            let (key, value) = guard.into_inner()?;
            let topic = String::from_utf8_lossy(&key[1..]).into_owned();
            let bytes: [u8; 8] = value.as_ref().try_into().context("a position has 8 bytes")?;
            positions.insert(topic, i64::from_be_bytes(bytes));
        }
        Ok(positions)
    }

    fn clear(&self, partition: i32) -> anyhow::Result<()> {
        Ok(self.keyspace(partition)?.clear()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_and_positions_survive_together_and_are_cleared_together() {
        let folder = std::env::temp_dir().join(format!("streams-store-{}", uuid::Uuid::now_v7()));
        let positions = Positions::from([("orders".to_owned(), 7)]);
        {
            let store = DiskStore::open(&folder).unwrap();
            let writes = Writes::from([(b"oa".to_vec(), Some(b"1".to_vec()))]);
            store.apply(2, writes, &positions).unwrap();
            store.apply(2, Writes::from([(b"ob".to_vec(), None)]), &positions).unwrap();
        }
        {
            let store = DiskStore::open(&folder).unwrap();
            assert_eq!(store.get(2, b"oa").unwrap(), Some(b"1".to_vec()));
            assert_eq!(store.range(2, b"o", b"p", 9).unwrap().len(), 1);
            assert_eq!(store.positions(2).unwrap(), positions);
            assert!(store.positions(1).unwrap().is_empty());
            store.clear(2).unwrap();
            assert!(store.positions(2).unwrap().is_empty());
        }
        fs::write(folder.join(FORMAT_FILE), "0").unwrap();
        assert!(DiskStore::open(&folder).unwrap().positions(2).unwrap().is_empty());
        fs::remove_dir_all(&folder).unwrap();
    }
}
