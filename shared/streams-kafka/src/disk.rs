//! [`DiskStore`]: a store in a fjall database, one keyspace per partition.
//!
//! It is a cache, so no damage needs an operator: it renames or wipes a store that cannot be used,
//! and a restore fills a new one from the log.

mod folder;

use anyhow::{Context, bail};
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use folder::{Folder, guarded};
use std::{
    collections::HashMap,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};
use streams::{
    Processor,
    store::{Entries, Layout, LayoutError, OWN_PREFIX, Positions, Store, Writes},
};

/// How the store writes its own keys, and that values are postcard's. What the tables hold is in
/// their [`Layout`].
const FORMAT: &str = "store 3, postcard 1";

const MEMTABLE_BYTES: u64 = 2 * 1024 * 1024;

/// State on disk. Written to the operating system at each commit, not to the platter: after a
/// power failure it may lack its tail, which the log then fills in.
///
/// It opens itself when it is first used. One with another [`Layout`] or format is wiped; one that
/// does not open is renamed to `<folder>.broken-<time>`, and the latest one is kept. While a disk
/// is full, or the folder cannot be changed, every call is an error that says so.
pub struct DiskStore {
    folder: Folder,
    state: Mutex<State>,
}

enum State {
    Closed,
    /// It failed: whatever is there is of no use.
    Lost,
    Open(Opened),
}

struct Opened {
    database: Database,
    keyspaces: HashMap<i32, Keyspace>,
}

impl Opened {
    fn keyspace(&mut self, partition: i32) -> fjall::Result<Keyspace> {
        if let Some(keyspace) = self.keyspaces.get(&partition) {
            return Ok(keyspace.clone());
        }
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let keyspace = self.database.keyspace(&format!("partition-{partition}"), options)?;
        self.keyspaces.insert(partition, keyspace.clone());
        Ok(keyspace)
    }
}

impl DiskStore {
    /// The store of the processor `P` in `folder`.
    ///
    /// # Errors
    /// When its layout is unknown: a mistake of the processor.
    pub fn of<P: Processor>(folder: &Path) -> Result<Self, LayoutError> {
        Ok(Self::new(folder, &P::layout()?))
    }

    /// The store with `layout` in `folder`, which is made if it is not there.
    pub fn new(folder: &Path, layout: &Layout) -> Self {
        let format = format!("{FORMAT}\n{layout}");
        Self { folder: Folder::new(folder, format), state: Mutex::new(State::Closed) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Do `call` with the database, which is opened if it is not.
    fn with<T>(&self, call: impl FnOnce(&mut Opened) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut state = self.lock();
        let database = match &mut *state {
            State::Open(opened) => return call(opened),
            State::Closed => self.folder.open()?,
            State::Lost => self.folder.renew()?,
        };
        let mut opened = Opened { database, keyspaces: HashMap::new() };
        let done = call(&mut opened);
        *state = State::Open(opened);
        done
    }

    /// The same with the keyspace of `partition`.
    fn with_keyspace<T>(
        &self,
        partition: i32,
        call: impl FnOnce(&Database, &Keyspace) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.with(|opened| {
            let done = guarded(|| {
                let keyspace = opened.keyspace(partition)?;
                Ok(call(&opened.database, &keyspace))
            });
            let failed = || format!("the state store in {} has failed", self.folder.display());
            done.and_then(|done| done).with_context(failed)
        })
    }
}

impl Store for DiskStore {
    fn open(&self) -> anyhow::Result<()> {
        self.with(|_| Ok(()))
    }

    fn get(&self, partition: i32, key: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
        self.with_keyspace(partition, |_, keyspace| {
            Ok(keyspace.get(key)?.map(|value| value.to_vec()))
        })
    }

    fn range(
        &self,
        partition: i32,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> anyhow::Result<Entries> {
        self.with_keyspace(partition, |_, keyspace| {
            let mut entries = Vec::new();
            for guard in keyspace.range(from.to_vec()..to.to_vec()).take(limit) {
                let (key, value) = guard.into_inner()?;
                entries.push((key.to_vec(), value.to_vec()));
            }
            Ok(entries)
        })
    }

    fn apply(&self, partition: i32, writes: Writes, positions: &Positions) -> anyhow::Result<()> {
        self.with_keyspace(partition, |database, keyspace| {
            let mut batch = database.batch();
            for (key, value) in writes {
                match value {
                    Some(value) => batch.insert(keyspace, key, value),
                    None => batch.remove(keyspace, key),
                }
            }
            for (topic, position) in positions {
                let mut key = vec![OWN_PREFIX];
                key.extend_from_slice(topic.as_bytes());
                batch.insert(keyspace, key, position.to_be_bytes());
            }
            Ok(batch.commit()?)
        })
    }

    fn positions(&self, partition: i32) -> anyhow::Result<Positions> {
        self.with_keyspace(partition, |_, keyspace| {
            let mut positions = Positions::new();
            for guard in keyspace.prefix([OWN_PREFIX]) {
                let (key, value) = guard.into_inner()?;
                let topic = String::from_utf8_lossy(&key[1..]).into_owned();
                let bytes: [u8; 8] = value.as_ref().try_into().context("a position has 8 bytes")?;
                positions.insert(topic, i64::from_be_bytes(bytes));
            }
            Ok(positions)
        })
    }

    fn clear(&self, partition: i32) -> anyhow::Result<()> {
        let cleared = self.with_keyspace(partition, |_, keyspace| Ok(keyspace.clear()?));
        let Err(cause) = cleared else { return Ok(()) };
        let mut state = self.lock();
        if let State::Open(_) = *state {
            // After a write that failed, such as on a full disk, a database takes no other one. It
            // frees its files at once, as they may be what fills the disk.
            let lost = std::mem::replace(&mut *state, State::Lost);
            guarded(|| {
                drop(lost);
                Ok(())
            })?;
        }
        bail!("the state store is made again: {cause:#}")
    }
}

#[cfg(test)]
mod tests;
