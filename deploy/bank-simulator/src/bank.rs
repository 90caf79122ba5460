//! The shell around the ledger: one lock, one journal, one set of faults.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use service_kit::Readiness;

use crate::{
    faults::{Faults, Interference, Interferer},
    journal::Journal,
    ledger::{Answer, Fact, Ledger, Millis, Request, decide},
};

/// The bank of this process.
#[derive(Debug)]
pub struct Bank {
    books: Mutex<Books>,
    interferer: Mutex<Interferer>,
    journal_check: Readiness,
}

#[derive(Debug)]
struct Books {
    ledger: Ledger,
    journal: Journal,
}

impl Bank {
    /// Opens the journal in `folder` and remembers everything that is in it.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open(folder: &Path, journal_check: Readiness) -> anyhow::Result<Self> {
        let (journal, ledger) = Journal::open(folder)?;
        journal_check.up();
        let books = Mutex::new(Books { ledger, journal });
        Ok(Self { books, interferer: Mutex::default(), journal_check })
    }

    /// Decides on a request and remembers what follows, before the answer is returned.
    ///
    /// # Errors
    /// Fails, and books nothing, if the journal cannot be written.
    pub fn book(&self, key: &str, request: Request) -> anyhow::Result<Answer> {
        let rules = lock(&self.interferer).faults().rules();
        let mut books = lock(&self.books);
        let (answer, change) = decide(&books.ledger, &rules, key, request);
        if let Some(change) = change {
            let fact = Fact { at: now(), key: key.to_owned(), change };
            self.remember(&mut books, fact)?;
        }
        Ok(answer)
    }

    fn remember(&self, books: &mut Books, fact: Fact) -> anyhow::Result<()> {
        if let Err(error) = books.journal.append(&fact) {
            self.journal_check.down(format!("{error:#}"));
            return Err(error);
        }
        self.journal_check.up();
        let applied = books.ledger.apply(fact);
        applied.map_err(|_| anyhow::anyhow!("the bank decided on something that cannot follow"))
    }

    /// Looks at the ledger.
    pub fn read<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&lock(&self.books).ledger)
    }

    /// The faults that are switched on.
    pub fn faults(&self) -> Faults {
        lock(&self.interferer).faults().clone()
    }

    /// Replaces the faults; they have been checked before.
    pub fn set_faults(&self, faults: Faults) {
        *lock(&self.interferer) = Interferer::new(faults);
    }

    /// What is to happen to the next request.
    pub fn interfere(&self) -> Interference {
        lock(&self.interferer).draw()
    }
}

/// Both locks guard values that are never left half changed, so a poisoned one is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> Millis {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since_epoch.as_millis()).unwrap_or(Millis::MAX)
}
