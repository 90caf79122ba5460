//! The bank's memory: one file, one JSON line per fact, only ever appended to.
//!
//! A line is with the operating system before the answer is given, so it survives `kill -9`. It
//! is not forced to the disk: a simulator may forget its last moments when the machine loses power.

use std::{
    fs::{File, OpenOptions, TryLockError, create_dir_all},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use crate::ledger::{Fact, Ledger};

/// An open journal. No other process can open the same one meanwhile.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    /// The length of the file up to the last whole line, in bytes.
    length: u64,
}

impl Journal {
    /// Opens the journal in `folder`, or starts one, and folds it into a ledger. A last line that
    /// was cut short by a crash was never answered, so it is dropped.
    ///
    /// # Errors
    /// Fails if the file cannot be used, is used by another process, or holds a line that is not a
    /// fact or cannot follow from those before it.
    pub fn open(folder: &Path) -> anyhow::Result<(Self, Ledger)> {
        let path = folder.join("journal.jsonl");
        create_dir_all(folder)
            .and_then(|()| OpenOptions::new().create(true).read(true).append(true).open(&path))
            .and_then(|file| {
                file.try_lock().map_err(|error| match error {
                    TryLockError::WouldBlock => std::io::Error::other("another bank uses it"),
                    TryLockError::Error(error) => error,
                })?;
                Ok(file)
            })
            .with_context(|| {
                format!("cannot use the journal {}; check BANK_DATA_DIR", path.display())
            })
            .and_then(|file| Self { file, path, length: 0 }.replay())
    }

    fn replay(mut self) -> anyhow::Result<(Self, Ledger)> {
        let mut ledger = Ledger::default();
        let mut reader = BufReader::new(&self.file);
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            reader.read_until(b'\n', &mut line).context("cannot read the journal")?;
            if line.last() != Some(&b'\n') {
                break;
            }
            let place = || format!("{}, line {number}", self.path.display());
            let fact: Fact = serde_json::from_slice(&line).with_context(place)?;
            if ledger.apply(fact).is_err() {
                bail!("{}: this cannot follow from the lines before", place());
            }
            self.length += line.len() as u64;
        }
        if !line.is_empty() {
            tracing::warn!("the last line of {} was cut short; dropped", self.path.display());
            self.cut()?;
        }
        Ok((self, ledger))
    }

    /// Appends a fact. After an error the journal is as it was.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn append(&mut self, fact: &Fact) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(fact).context("a fact is not JSON")?;
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line) {
            self.cut()?;
            return Err(error).with_context(|| format!("cannot write {}", self.path.display()));
        }
        self.length += line.len() as u64;
        Ok(())
    }

    /// Cuts off what comes after the last whole line.
    fn cut(&mut self) -> anyhow::Result<()> {
        // The file is open for appending, so the next write lands at the new end.
        let cut = self.file.set_len(self.length);
        cut.with_context(|| format!("cannot repair {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Change;

    fn barred(key: &str) -> Fact {
        Fact { at: 7, key: key.to_owned(), change: Change::Barred }
    }

    #[test]
    fn a_torn_last_line_is_dropped_and_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path()).unwrap();
        journal.append(&barred("o-1")).unwrap();
        journal.file.write_all(b"{\"at\":8,\"ke").unwrap();
        drop(journal);

        let (mut journal, ledger) = Journal::open(folder.path()).unwrap();
        assert!(ledger.charge("o-1").is_some());
        journal.append(&barred("o-2")).unwrap();
        drop(journal);

        let (_, ledger) = Journal::open(folder.path()).unwrap();
        assert!(ledger.charge("o-1").is_some() && ledger.charge("o-2").is_some());
    }

    #[test]
    fn a_line_that_is_no_fact_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path()).unwrap();
        journal.append(&barred("o-1")).unwrap();
        journal.append(&barred("o-1")).unwrap();
        drop(journal);
        let error = format!("{:#}", Journal::open(folder.path()).unwrap_err());
        assert!(error.contains("journal.jsonl, line 2"), "{error}");
    }

    #[test]
    fn two_banks_cannot_share_a_journal() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Journal::open(folder.path()).unwrap();
        let error = format!("{:#}", Journal::open(folder.path()).unwrap_err());
        assert!(error.contains("BANK_DATA_DIR") && error.contains("another bank"), "{error}");
    }
}
