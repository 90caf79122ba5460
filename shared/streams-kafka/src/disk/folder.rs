//! [`Folder`]: the folder of a store. It opens what is there, or puts it aside and begins again.
//!
//! What is in it is a cache, so no content may keep a processor from its work: whatever cannot be
//! opened is renamed, and one such copy is kept. Only what the process cannot change is an error,
//! such as a full disk or a folder of another user; the caller then waits and comes again.

use anyhow::{Context, bail, ensure};
use fjall::Database;
use std::{
    any::Any,
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Display, Path, PathBuf},
};
use streams::Timestamp;
use tracing::{info, warn};

pub(super) const FORMAT_FILE: &str = "format";
pub(super) const DATA_FOLDER: &str = "data";
/// How often in a row the process has begun to open the store. It is there only meanwhile.
pub(super) const ATTEMPTS_FILE: &str = "opening";
/// What could not be opened becomes `<name>.broken-<time>`, next to the new one.
const BROKEN: &str = ".broken-";

/// A process that died so often while it opened the store will die again. Once may be a kill.
const ATTEMPTS_MAX: u32 = 2;

/// A store takes at least as much before it is used, so that it does not begin on a full disk, only
/// to fail at the next record: what a table in memory comes to.
const ROOM_BYTES: usize = 2 * 1024 * 1024;
const ROOM_FILE: &str = "room";

const CACHE_BYTES: u64 = 2 * 1024 * 1024;
const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// `EMFILE`, `ENFILE`: no more files can be opened.
const TOO_MANY_FILES: [i32; 2] = [24, 23];

pub(super) struct Folder {
    path: PathBuf,
    /// What the file `format` must say.
    format: String,
}

impl Folder {
    pub(super) fn new(path: &Path, format: String) -> Self {
        Self { path: path.to_owned(), format }
    }

    pub(super) fn display(&self) -> Display<'_> {
        self.path.display()
    }

    /// The database that is there, or an empty one.
    ///
    /// # Errors
    /// When another process has it open, or no database can be made there: with the way out.
    pub(super) fn open(&self) -> anyhow::Result<Database> {
        self.current()
            .and_then(|current| current.map_or_else(|| self.fresh(), Ok))
            .map_err(|e| self.explain(e))
    }

    /// An empty database, whatever is there now.
    ///
    /// # Errors
    /// When none can be made there: with the way out.
    pub(super) fn renew(&self) -> anyhow::Result<Database> {
        self.fresh().map_err(|error| self.explain(error))
    }

    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let place = self.display();
        let way_out = if is_locked(&error) {
            "end that process, or give this one another INSTANCE or STATE_DIR"
        } else if is_full(&error) {
            "make room on its disk"
        } else {
            "make it a folder that this process may write to, or set another STATE_DIR"
        };
        error.context(format!("the state store in {place} cannot be used; {way_out}"))
    }

    /// The database that is there, if it is of use.
    fn current(&self) -> anyhow::Result<Option<Database>> {
        if fs::symlink_metadata(&self.path).is_err_and(|error| is_absent(&error)) {
            return Ok(None);
        }
        let found = self.is_store().and_then(|is_store| match is_store {
            true => self.attempt().map(Some),
            false => Ok(None),
        });
        match found {
            Ok(Some(database)) => self.with_our_format(database),
            Ok(None) => Ok(None),
            Err(error) if is_locked(&error) || is_of_the_system(&error) => Err(error),
            Err(error) => {
                put_aside(&self.path, &error)?;
                Ok(None)
            }
        }
    }

    /// Whether there is a store; false if there is nothing.
    ///
    /// # Errors
    /// When there is something else.
    fn is_store(&self) -> anyhow::Result<bool> {
        if fs::read_dir(&self.path)?.next().is_none() {
            return Ok(false);
        }
        ensure!(self.data().exists(), "something else is in there");
        check_layout(&self.path, &mut Vec::new())?;
        Ok(true)
    }

    /// Open it, unless the process has died of that before.
    fn attempt(&self) -> anyhow::Result<Database> {
        self.has_room()?;
        let file = self.path.join(ATTEMPTS_FILE);
        let before = fs::read_to_string(&file).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        ensure!(before < ATTEMPTS_MAX, "the process ended {before} times while it opened it");
        fs::write(&file, (before + 1).to_string())?;
        let opened = database(&self.data());
        // Whatever came of it, the process has not died of it.
        fs::remove_file(&file)?;
        opened
    }

    fn with_our_format(&self, database: Database) -> anyhow::Result<Option<Database>> {
        let format = fs::read_to_string(self.path.join(FORMAT_FILE));
        if format.is_ok_and(|format| format == self.format) {
            return Ok(Some(database));
        }
        info!(folder = %self.path.display(), "the state has another layout: rebuilding");
        Ok(None)
    }

    fn fresh(&self) -> anyhow::Result<Database> {
        let parent = self.path.parent().context("a store needs a folder of its own")?;
        if fs::symlink_metadata(parent).is_ok_and(|_| !parent.is_dir()) {
            put_aside(parent, &anyhow::anyhow!("it is no folder"))?;
        }
        if fs::symlink_metadata(&self.path).is_ok()
            && let Err(error) = empty(&self.path)
        {
            put_aside(&self.path, &error)?;
        }
        fs::create_dir_all(&self.path)?;
        self.has_room()?;
        let database = database(&self.data())?;
        // Last: a folder without it is not taken for a store.
        fs::write(self.path.join(FORMAT_FILE), &self.format)?;
        Ok(database)
    }

    fn has_room(&self) -> io::Result<()> {
        let file = self.path.join(ROOM_FILE);
        let written = fs::write(&file, vec![0; ROOM_BYTES]);
        // Also if it was not written whole: it must not be what fills the disk.
        let removed = fs::remove_file(&file);
        written.and(removed)
    }

    fn data(&self) -> PathBuf {
        self.path.join(DATA_FOLDER)
    }
}

fn database(path: &Path) -> anyhow::Result<Database> {
    guarded(|| {
        Database::builder(path)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .worker_threads(1)
            .open()
    })
}

/// The result of `call`, also if it panics: the database may do so over damaged files.
pub(super) fn guarded<T>(call: impl FnOnce() -> fjall::Result<T>) -> anyhow::Result<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => Ok(result?),
        Err(panic) => bail!("the database has panicked: {}", message(&*panic)),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

/// Whether files and folders are where the database has them. For others it ends the process, in a
/// way that no caller can prevent; a pipe it would read from for ever.
fn check_layout(folder: &Path, below: &mut Vec<String>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_file() {
            continue;
        }
        below.push(entry.file_name().to_string_lossy().into_owned());
        let is_known = match &below.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [DATA_FOLDER] | [DATA_FOLDER, "keyspaces"] => true,
            [DATA_FOLDER, "keyspaces", number] | [DATA_FOLDER, "keyspaces", number, "tables"] => {
                number.parse::<u64>().is_ok()
            }
            _ => false,
        };
        ensure!(kind.is_dir() && is_known, "{} is no part of a store", path.display());
        check_layout(&path, below)?;
        below.pop();
    }
    Ok(())
}

/// Removes what is in `folder`. It may be a place where a disk is mounted, so it stays.
fn empty(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        remove(&entry?)?;
    }
    Ok(())
}

fn remove(entry: &fs::DirEntry) -> io::Result<()> {
    let path = entry.path();
    if entry.file_type()?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

/// Rename `path`, so that a person can look at it. It replaces an earlier renamed one.
fn put_aside(path: &Path, cause: &anyhow::Error) -> anyhow::Result<()> {
    let name = path.file_name().context("a store needs a folder of its own")?;
    let stem = format!("{}{BROKEN}", name.to_string_lossy());
    for entry in fs::read_dir(path.parent().context("it has a name, so it has a parent")?)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&stem)
            && let Err(error) = remove(&entry)
        {
            // Of another user, perhaps. It is in the way of nothing.
            warn!("{} cannot be removed: {error}", entry.path().display());
        }
    }
    let time = Timestamp::now().rfc3339().replace(':', "-");
    let aside = path.with_file_name(format!("{stem}{time}"));
    fs::rename(path, &aside).with_context(|| format!("it cannot be renamed: {cause:#}"))?;
    warn!(
        aside = %aside.display(),
        "the state store cannot be opened: {cause:#}; it is put aside and read back from the log"
    );
    Ok(())
}

/// Also where a file is in the place of the folder above.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn io_error(error: &anyhow::Error) -> Option<&io::Error> {
    error.chain().find_map(|cause| cause.downcast_ref::<io::Error>())
}

fn is_full(error: &anyhow::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let kind = io_error(error).map(io::Error::kind);
    matches!(kind, Some(StorageFull | QuotaExceeded | FileTooLarge))
}

/// It says nothing about the store, which may be as good as ever when it is gone.
fn is_of_the_system(error: &anyhow::Error) -> bool {
    use io::ErrorKind::{OutOfMemory, ReadOnlyFilesystem};
    let of_the_system = |error: &io::Error| {
        matches!(error.kind(), OutOfMemory | ReadOnlyFilesystem)
            || error.raw_os_error().is_some_and(|code| TOO_MANY_FILES.contains(&code))
    };
    is_full(error) || io_error(error).is_some_and(of_the_system)
}

fn is_locked(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(fjall::Error::Locked))
}
