//! Mutations: each takes one of our own claims away, and the auditor must notice. A mutation
//! changes a model around the services, or a wrapper of a processor, never a service.

use auditor::Law;
use contracts::{
    OrderId, Sku, TransitionKind,
    inventory::{InventoryCommand, OrderValidation, Outcome},
    topics::{INVENTORY_COMMANDS, ORDER_VALIDATIONS, ORDERS, TopicSpec},
};
use std::collections::BTreeMap;
use streams::{Codec, Failure, Processor, Record, Source, Tx};

macro_rules! mutations {
    ($($mutation:ident, $name:literal, $law:ident, $statement:literal;)+) => {
        /// What is broken on purpose.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutation {
            $(#[doc = $statement] $mutation,)+
        }

        impl Mutation {
            /// All of them.
            pub const ALL: &[Mutation] = &[$(Mutation::$mutation),+];

            /// Its name on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Mutation::$mutation => $name,)+
                }
            }

            /// What it takes away.
            pub fn statement(self) -> &'static str {
                match self {
                    $(Mutation::$mutation => $statement,)+
                }
            }

            /// The law that notices it, among others.
            pub fn noticed_by(self) -> Law {
                match self {
                    $(Mutation::$mutation => Law::$law,)+
                }
            }
        }
    };
}

mutations! {
    NoTransactions, "no-transactions", Level, "Records are sent one by one, without a transaction.";
    OffsetsApart, "offsets-apart", Restocks,
        "Offsets are committed before the transaction, not in it.";
    ReadUncommitted, "read-uncommitted", Latest,
        "Readers see records of transactions that are open or aborted.";
    NoFencing, "no-fencing", Versions,
        "A replaced instance goes on writing: no epochs, no generations.";
    NoRewind, "no-rewind", MailMatches, "A consumer does not rewind after an abort.";
    KeepStore, "keep-store", Latest, "An instance keeps its store after a fatal error.";
    ForgetRevocation, "forget-revocation", Versions,
        "An instance works on partitions that it has lost.";
    CommitFenced, "commit-fenced", Restocks, "An instance commits although its generation is over.";
    ReuseProducer, "reuse-producer", Reserved,
        "A producer keeps its epoch after a commit that was sent twice.";
    StateBeforeCommit, "state-before-commit", Answers, "The local store changes before the commit.";
    ShortRestore, "short-restore", Versions,
        "A service's own log is restored to the committed offset, not to its end.";
    CountedAnswers, "counted-answers", Checks,
        "Orders counts the answers to its checks, whatever they say, instead of matching a set.";
    ReleaseAny, "release-any", Fate, "Release gives back what another order holds.";
    NoBankKey, "no-bank-key", OneCapture, "The bank is called without an idempotency key.";
    RelayLoses, "relay-loses", Deadline, "The relay writes its position down before it sends.";
    NoViewGuard, "no-view-guard", ViewOrders, "The view overwrites rows whatever their version.";
}

impl std::fmt::Display for Mutation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Mutation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|mutation| mutation.name() == text).copied();
        known.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|mutation| mutation.name()).collect();
            format!("there is no mutation `{text}`; there are {}", names.join(", "))
        })
    }
}

/// Puts another record in the place of one that is read.
type Swap = Box<dyn FnMut(&Record) -> Option<Record> + Send>;

/// A processor, and perhaps a mutation that changes what it reads.
pub(crate) struct Meddled<P> {
    inner: P,
    swap: Option<Swap>,
}

impl<P> Meddled<P> {
    /// `inner`, left alone.
    pub(crate) fn not(inner: P) -> Self {
        Self { inner, swap: None }
    }

    /// `inner`, which reads what `swap` makes of its records.
    pub(crate) fn by(inner: P, swap: Swap) -> Self {
        Self { inner, swap: Some(swap) }
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
}

/// [`Mutation::CountedAnswers`]: the n-th answer acknowledges the n-th check, whatever it says and
/// whichever check it is for.
pub(crate) fn count_answers(codec: Codec) -> Swap {
    let mut required: BTreeMap<OrderId, Vec<String>> = BTreeMap::new();
    let mut counted: BTreeMap<OrderId, usize> = BTreeMap::new();
    Box::new(move |record| {
        let value = record.value.as_deref()?;
        if record.is_on(&ORDERS) {
            let order = codec.decode(&ORDERS, value).ok()?;
            if order.transition == TransitionKind::OrderRequested {
                required.insert(order.order_id, order.required_checks);
            }
            return None;
        }
        if !record.is_on(&ORDER_VALIDATIONS) {
            return None;
        }
        let answer = codec.decode(&ORDER_VALIDATIONS, value).ok()?;
        let checks = required.get(&answer.order_id)?;
        let number = counted.entry(answer.order_id).or_insert(0);
        let check = checks.get(*number)?.clone();
        *number += 1;
        let acknowledged = OrderValidation { check, outcome: Outcome::Passed, ..answer };
        let value = codec.encode(&ORDER_VALIDATIONS.spec, &acknowledged).ok()?;
        Some(Record { value: Some(value), ..record.clone() })
    })
}

/// [`Mutation::ReleaseAny`]: a Release is for the order that asked for the product last.
pub(crate) fn release_any(codec: Codec) -> Swap {
    let mut last: BTreeMap<Sku, OrderId> = BTreeMap::new();
    Box::new(move |record| {
        if !record.is_on(&INVENTORY_COMMANDS) {
            return None;
        }
        let command = codec.decode(&INVENTORY_COMMANDS, record.value.as_deref()?).ok()?;
        match command {
            InventoryCommand::Reserve(reserve) => {
                last.insert(reserve.sku, reserve.order_id);
                None
            }
            InventoryCommand::Release(mut release) => {
                release.order_id = *last.get(&release.sku)?;
                let any = InventoryCommand::Release(release);
                let value = codec.encode(&INVENTORY_COMMANDS.spec, &any).ok()?;
                Some(Record { value: Some(value), ..record.clone() })
            }
            InventoryCommand::Commit(_) | InventoryCommand::Restock(_) => None,
        }
    })
}
