//! Mutations: each takes one of our own claims away, and a check must notice. A mutation changes
//! the driver, the model, or what a wrapped processor reads; never the engine.

use std::fmt;
use streams::{Failure, Processor, Record, Source, Tx, topic::TopicSpec};

/// What is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mutation {
    /// Its name on a command line.
    pub name: &'static str,
    /// What it takes away.
    pub statement: &'static str,
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Declares mutations as constants, and `ALL` of them: `NAME, "name", "What it takes away.";`.
#[macro_export]
macro_rules! mutations {
    ($($mutation:ident, $name:literal, $statement:literal;)+) => {
        $(
            #[doc = $statement]
            pub const $mutation: $crate::Mutation =
                $crate::Mutation { name: $name, statement: $statement };
        )+

        /// Every mutation that is declared here.
        pub const ALL: &[$crate::Mutation] = &[$($mutation),+];
    };
}

crate::mutations! {
    NO_TRANSACTIONS, "no-transactions", "Records are sent one by one, without a transaction.";
    OFFSETS_APART, "offsets-apart", "Offsets are committed before the transaction, not in it.";
    READ_UNCOMMITTED, "read-uncommitted",
        "Readers see records of transactions that are open or aborted.";
    NO_FENCING, "no-fencing", "A replaced instance goes on writing: no epochs, no generations.";
    NO_REWIND, "no-rewind", "A consumer does not rewind after an abort.";
    KEEP_STORE, "keep-store", "An instance keeps its store after a fatal error.";
    FORGET_REVOCATION, "forget-revocation", "An instance works on partitions that it has lost.";
    COMMIT_FENCED, "commit-fenced", "An instance commits although its generation is over.";
    REUSE_PRODUCER, "reuse-producer",
        "A producer keeps its epoch after a commit that was sent twice.";
    STATE_BEFORE_COMMIT, "state-before-commit", "The local store changes before the commit.";
    SHORT_RESTORE, "short-restore",
        "A service's own log is restored to the committed offset, not to its end.";
    OWN_CLOCK, "own-clock", "A process goes by the clock of its host, not by that of the log.";
}

/// Puts another record in the place of one that is read.
pub type Swap = Box<dyn FnMut(&Record) -> Option<Record> + Send>;

/// A processor, and perhaps a mutation that changes what it reads.
pub struct Meddled<P> {
    inner: P,
    swap: Option<Swap>,
}

impl<P> Meddled<P> {
    /// `inner`, which reads what `swap` makes of its records; left alone without one.
    pub fn new(inner: P, swap: Option<Swap>) -> Self {
        Self { inner, swap }
    }

    fn swapped(&mut self, record: &Record) -> Option<Record> {
        self.swap.as_mut().and_then(|swap| swap(record))
    }
}

impl<P: Processor> Processor for Meddled<P> {
    type Identity = P::Identity;

    fn inputs(&self) -> Vec<&'static TopicSpec> {
        self.inner.inputs()
    }

    fn outputs(&self) -> Vec<&'static TopicSpec> {
        self.inner.outputs()
    }

    fn sources(&self) -> Vec<Source> {
        self.inner.sources()
    }

    fn process(&mut self, record: &Record, tx: &mut Tx<'_, P::Identity>) -> Result<(), Failure> {
        match self.swapped(record) {
            Some(swapped) => self.inner.process(&swapped, tx),
            None => self.inner.process(record, tx),
        }
    }

    fn tick(&mut self, tx: &mut Tx<'_, P::Identity>) -> Result<(), Failure> {
        self.inner.tick(tx)
    }

    fn flush(&mut self, tx: &mut Tx<'_, P::Identity>) -> Result<(), Failure> {
        self.inner.flush(tx)
    }

    fn reset(&mut self) {
        self.inner.reset();
    }

    fn committed(&mut self) {
        self.inner.committed();
    }
}
