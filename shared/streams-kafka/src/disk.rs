//! [`DiskStore`]: a store in a fjall database, one keyspace per partition.
//!
//! It is a cache, so no damage needs an operator: it renames or wipes an unreadable store, and a
//! restore fills a new one from the log.

use anyhow::{Context, bail};
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};
use streams::{
    Processor, Timestamp,
    store::{Entries, Layout, OWN_PREFIX, Positions, Store, Writes},
};
use tracing::{info, warn};

/// How the store writes its own keys, and that values are postcard's. What the tables hold is in
/// their [`Layout`].
const FORMAT: &str = "store 3, postcard 1";
const FORMAT_FILE: &str = "format";
const DATA_FOLDER: &str = "data";
/// A store that could not be opened becomes `<folder>.broken-<time>`, next to the new one.
const BROKEN: &str = ".broken-";

const CACHE_BYTES: u64 = 2 * 1024 * 1024;
const MEMTABLE_BYTES: u64 = 2 * 1024 * 1024;
const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// State on disk. Written to the operating system at each commit, not to the platter: after a
/// power failure it may lack its tail, which the log then fills in.
pub struct DiskStore {
    folder: PathBuf,
    format: String,
    /// None from a failure to the next attempt to make it again.
    opened: Mutex<Option<Opened>>,
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
    /// Open the store of the processor `P`: [`DiskStore::open`] with its layout.
    ///
    /// # Errors
    /// As there, and when the layout is unknown.
    pub fn of<P: Processor>(folder: &Path) -> anyhow::Result<Self> {
        Self::open(folder, &P::layout()?)
    }

    /// Open the store in `folder`, made if it is not there. One with another `layout` or format is
    /// wiped. One that does not open is renamed to `<folder>.broken-<time>`; the latest one
    /// is kept.
    ///
    /// # Errors
    /// When another process has it open, or no store can be made there.
    pub fn open(folder: &Path, layout: &Layout) -> anyhow::Result<Self> {
        let format = format!("{FORMAT}\n{layout}");
        let database = Self::current(folder, &format)
            .and_then(|current| current.map_or_else(|| fresh(folder, &format), Ok))
            .with_context(|| format!("cannot open the state store in {}", folder.display()))?;
        let opened = Opened { database, keyspaces: HashMap::new() };
        Ok(Self { folder: folder.to_owned(), format, opened: Mutex::new(Some(opened)) })
    }

    /// The database that is there, if it is of use.
    fn current(folder: &Path, format: &str) -> anyhow::Result<Option<Database>> {
        let unusable = match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(true) => return Ok(None),
            Err(error) => error.to_string(),
            Ok(false) if !folder.join(DATA_FOLDER).exists() => "something else is in there".into(),
            Ok(false) => match database(&folder.join(DATA_FOLDER)) {
                Err(fjall::Error::Locked) => bail!("another process has it open"),
                Err(error) => error.to_string(),
                Ok(database) => {
                    let marker = fs::read_to_string(folder.join(FORMAT_FILE));
                    if marker.is_ok_and(|marker| marker == format) {
                        return Ok(Some(database));
                    }
                    info!(folder = %folder.display(), "the state has another layout: rebuilding");
                    return Ok(None);
                }
            },
        };
        put_aside(folder, &unusable)?;
        Ok(None)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Opened>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keyspace(&self, partition: i32) -> anyhow::Result<Keyspace> {
        let mut opened = self.lock();
        let opened = opened.as_mut().context("the state store could not be made again yet")?;
        Ok(opened.keyspace(partition)?)
    }

    /// Throw the database away, and make another.
    fn renew(&self) -> anyhow::Result<()> {
        let mut opened = self.lock();
        // The old one frees its files first: the disk may be full.
        *opened = None;
        let database = fresh(&self.folder, &self.format)?;
        *opened = Some(Opened { database, keyspaces: HashMap::new() });
        Ok(())
    }
}

fn database(path: &Path) -> fjall::Result<Database> {
    Database::builder(path)
        .cache_size(CACHE_BYTES)
        .max_journaling_size(JOURNAL_BYTES_MAX)
        .worker_threads(1)
        .open()
}

/// An empty database in `folder`, whatever is there now.
fn fresh(folder: &Path, format: &str) -> anyhow::Result<Database> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(folder)?,
    }
    let database = database(&folder.join(DATA_FOLDER))?;
    // Last: a folder without it is not taken for a store.
    fs::write(folder.join(FORMAT_FILE), format)?;
    Ok(database)
}

/// Rename `folder`, so that a person can look at it. It replaces an earlier renamed folder.
fn put_aside(folder: &Path, cause: &str) -> anyhow::Result<()> {
    let name = folder.file_name().context("a store needs a folder of its own")?;
    let stem = format!("{}{BROKEN}", name.to_string_lossy());
    for entry in fs::read_dir(folder.parent().context("it has a name, so it has a parent")?)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&stem) {
            let old = entry.path();
            if old.is_dir() { fs::remove_dir_all(old)? } else { fs::remove_file(old)? }
        }
    }
    let time = Timestamp::now().rfc3339().replace(':', "-");
    let aside = folder.with_file_name(format!("{stem}{time}"));
    fs::rename(folder, &aside)?;
    warn!(
        aside = %aside.display(),
        "the state store cannot be opened: {cause}; it is put aside and read back from the log"
    );
    Ok(())
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
        let opened = self.lock();
        let opened = opened.as_ref().expect("it has just given a keyspace");
        let mut batch = opened.database.batch();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(&keyspace, key, value),
                None => batch.remove(&keyspace, key),
            }
        }
        for (topic, position) in positions {
            let mut key = vec![OWN_PREFIX];
            key.extend_from_slice(topic.as_bytes());
            batch.insert(&keyspace, key, position.to_be_bytes());
        }
        Ok(batch.commit()?)
    }

    fn positions(&self, partition: i32) -> anyhow::Result<Positions> {
        let mut positions = Positions::new();
        for guard in self.keyspace(partition)?.prefix([OWN_PREFIX]) {
            let (key, value) = guard.into_inner()?;
            let topic = String::from_utf8_lossy(&key[1..]).into_owned();
            let bytes: [u8; 8] = value.as_ref().try_into().context("a position has 8 bytes")?;
            positions.insert(topic, i64::from_be_bytes(bytes));
        }
        Ok(positions)
    }

    fn clear(&self, partition: i32) -> anyhow::Result<()> {
        let Err(cause) = self.keyspace(partition).and_then(|keyspace| Ok(keyspace.clear()?)) else {
            return Ok(());
        };
        // After a write that failed, such as on a full disk, a database takes no other one.
        self.renew().with_context(|| format!("the state store is lost: {cause:#}"))?;
        bail!("the state store was lost, and is made again: {cause:#}")
    }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
