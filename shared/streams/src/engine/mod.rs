//! [`Engine`]: the runtime of a processor as a state machine without IO. A driver
//! reports events and performs one [`Effect`] after the other; every rule about errors is here and
//! only here.
//!
//! The steps of a batch: poll, restore assigned partitions, decide, begin, send, send offsets,
//! commit, apply to the store. After any failure, the store has only committed changes:
//!
//! | failure | what follows |
//! |---|---|
//! | retriable | the same call again, for [`CALL_TIMEOUT`](crate::limits::CALL_TIMEOUT) in all; then as the next row |
//! | abortable, or the processor says again | abort, forget the batch, rewind, back off |
//! | fatal for the clients: fenced, broken, an unknown outcome | new clients; the restore continues from the store's positions |
//! | fatal for the state: it does not decode, does not add up, cannot be written | the same, and the partition's state is forgotten and read back from the log |
//! | final | stop |
//!
//! **A doubtful EndTxn.** The protocol lets a copy of an EndTxn request that was delayed decide the
//! *next* transaction of the producer (KAFKA-17754; Kafka's own answer, KIP-890, needs EndTxn v5,
//! which librdkafka does not send). So a producer whose EndTxn may have been sent more than once
//! gets a new epoch before anything else happens: what is still on its way is then refused. And
//! what was committed in doubt is read back before the store takes it.

mod batch;
mod effect;
mod failures;
mod linger;
mod make_up;
mod restore;
#[cfg(test)]
mod tests;

pub use batch::{Decided, first_offsets, next_offsets};
pub use effect::{Apply, Class, Effect, Event, Offsets, Polled};

use crate::{
    Codec, Passed, Processor, Timestamp, UpTo,
    store::{Positions, Store, Writes},
};
use batch::Failed;
use linger::Held;
use make_up::MakeUp;
use restore::{Restore, Step};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A partition whose state is restored.
#[derive(Debug, Default)]
struct Task {
    /// The positions of the state.
    positions: Positions,
    /// The group's positions on the partition's inputs.
    committed: Offsets,
}

/// A batch on its way.
#[derive(Debug, Default)]
struct Batch {
    polled: Polled,
    decided: Decided,
    /// What is committed with it.
    offsets: Offsets,
    /// Where it comes again from, if it was held: the first offsets of the batches before it.
    first: Offsets,
    delivered: Offsets,
    is_transaction: bool,
    /// It is a stand-in's: no group has its offsets.
    made_up: bool,
    /// Its commit or abort was asked for more than once.
    doubtful: bool,
}

/// What the engine waits for.
#[derive(Debug)]
enum Phase {
    Idle,
    Connecting,
    Polling,
    Restoring(Restore),
    /// Asking how far a stand-in goes.
    Asking,
    /// Reading a stand-in.
    MakingUp,
    /// A new epoch, and then the transaction begins.
    Renewing,
    Beginning,
    Sending,
    SendingOffsets,
    Committing,
    /// A new epoch after a commit in doubt.
    Doubting,
    /// Reading back what was committed in doubt.
    Verifying(Vec<((String, i32), i64)>),
    Applying(VecDeque<Apply>),
    Aborting {
        cause: String,
    },
    Seeking {
        cause: String,
    },
    /// What was polled while something is to be made up for comes again.
    SettingBack,
    /// The state of these partitions is being forgotten.
    Clearing {
        left: Vec<i32>,
        cause: String,
    },
    Disconnecting {
        cause: String,
    },
    Waiting,
    Stopped,
}

/// Runs one [`Processor`]. See the module.
pub struct Engine<P> {
    processor: P,
    codec: Codec,
    /// The consumer group, for spans.
    group: &'static str,
    phase: Phase,
    connected: bool,
    tasks: BTreeMap<i32, Task>,
    unrestored: BTreeSet<i32>,
    batch: Batch,
    /// Batches whose transaction has not begun.
    held: Option<Held>,
    /// Addresses of records that an operator has put aside.
    passed: Passed,
    /// What was deleted before it was read, and is made up for.
    lost: VecDeque<MakeUp>,
    /// Poll before more is made up for.
    look_first: bool,
    remarks: Vec<String>,
    /// The producer needs a new epoch before it begins again.
    renew: bool,
    /// Since when the same call is tried.
    trying_since: Option<Timestamp>,
    /// The last batch was not handled, and has not come again.
    batch_failed: bool,
    trouble: Option<String>,
}

impl<P: Processor> Engine<P> {
    /// An engine that has not started: its first event is [`Event::Proceed`].
    pub fn new(processor: P, codec: Codec) -> Self {
        Self {
            processor,
            codec,
            group: "",
            phase: Phase::Idle,
            connected: false,
            tasks: BTreeMap::new(),
            unrestored: BTreeSet::new(),
            batch: Batch::default(),
            held: None,
            passed: Passed::default(),
            lost: VecDeque::new(),
            look_first: false,
            remarks: Vec::new(),
            renew: false,
            trying_since: None,
            batch_failed: false,
            trouble: None,
        }
    }

    /// The same as a member of this consumer group, which its spans name.
    pub fn named(self, group: &'static str) -> Self {
        Self { group, ..self }
    }

    /// The processor.
    pub fn processor(&self) -> &P {
        &self.processor
    }

    /// The processor, for a test that looks behind the engine's back.
    pub fn processor_mut(&mut self) -> &mut P {
        &mut self.processor
    }

    /// The codec.
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    /// The partition numbers that are restored and at work.
    pub fn partitions(&self) -> impl Iterator<Item = i32> + '_ {
        self.tasks.keys().copied()
    }

    /// Why nothing goes on, from the first failure to the next success.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// What an operator should know although all goes on: the records that were deleted before they
    /// were read, since the engine began.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// From now on nothing comes of these records ([`Passed::extend`]), also in a restore: an
    /// operator has passed them by, as they stop everything behind them.
    pub fn pass_by(&mut self, records: impl IntoIterator<Item = (String, String)>) {
        self.passed.extend(records);
    }

    /// What the batch at hand has come to, until it is sent.
    pub fn decided(&self) -> &Decided {
        &self.batch.decided
    }

    /// What to do after `event`, which happened at `now`. The engine reads `store`; it is the
    /// driver that writes to it.
    ///
    /// # Panics
    /// When the event is no answer to the last effect: a bug of the driver.
    pub fn next(&mut self, event: Event, now: Timestamp, store: &dyn Store) -> Effect {
        if let Event::Failed(class, error) = event {
            return self.failed(class, error, now);
        }
        self.trying_since = None;
        match (std::mem::replace(&mut self.phase, Phase::Idle), event) {
            (Phase::Idle | Phase::Waiting, Event::Proceed) => self.proceed(),
            (Phase::Connecting, Event::Connected) => {
                (self.connected, self.renew, self.batch_failed) = (true, false, false);
                self.poll()
            }
            (Phase::Polling, Event::Polled(polled)) => self.polled(polled, now, store),
            (Phase::Restoring(restore), event) => self.restoring(restore, event, now, store),
            (Phase::Asking, Event::End(end)) => self.stand_in_ends(end),
            (Phase::MakingUp, Event::Read { records, next }) => {
                self.make_up(records, next, now, store)
            }
            (Phase::Renewing, Event::Renewed) => {
                self.renew = false;
                self.ask(Phase::Beginning, Effect::Begin)
            }
            (Phase::Beginning, Event::Begun) => {
                let outgoing = std::mem::take(&mut self.batch.decided.outgoing);
                self.ask(Phase::Sending, Effect::Send(outgoing))
            }
            (Phase::Sending, Event::Delivered(delivered)) => {
                self.batch.delivered = delivered;
                let offsets = self.batch.offsets.clone();
                self.ask(Phase::SendingOffsets, Effect::SendOffsets(offsets))
            }
            (Phase::SendingOffsets, Event::OffsetsAccepted) => {
                self.ask(Phase::Committing, Effect::Commit)
            }
            (Phase::Committing, Event::Committed { doubtful }) => self.committed(doubtful),
            (Phase::Doubting, Event::Renewed) => {
                self.renew = false;
                let delivered = self.batch.delivered.clone();
                self.verify(delivered.into_iter().collect())
            }
            (Phase::Verifying(left), Event::Read { records, .. }) => self.read_back(left, &records),
            (Phase::Applying(left), Event::Applied) => self.apply(left),
            (Phase::Aborting { cause }, Event::Aborted { doubtful }) => {
                self.renew |= doubtful || self.batch.doubtful;
                self.rewind(cause)
            }
            (Phase::Seeking { cause }, Event::Sought) => self.back_off(cause),
            (Phase::SettingBack, Event::Sought) => self.poll(),
            (Phase::Clearing { left, cause }, Event::Cleared) => self.clear(left, cause),
            (Phase::Disconnecting { cause }, Event::Disconnected) => self.back_off(cause),
            (phase, event) => unreachable!("{event:?} is no answer in {phase:?}"),
        }
    }

    fn ask(&mut self, phase: Phase, effect: Effect) -> Effect {
        self.phase = phase;
        effect
    }

    fn proceed(&mut self) -> Effect {
        if self.connected { self.poll() } else { self.ask(Phase::Connecting, Effect::Connect) }
    }

    fn poll(&mut self) -> Effect {
        self.batch = Batch::default();
        if !self.look_first
            && let Some(effect) = self.make_up_next()
        {
            return effect;
        }
        self.ask(Phase::Polling, Effect::Poll)
    }

    fn polled(&mut self, polled: Polled, now: Timestamp, store: &dyn Store) -> Effect {
        let kept = |partition: &i32| {
            polled.owned.contains(partition) && !polled.assigned.contains(partition)
        };
        if !self.tasks.keys().all(kept) {
            // What failed may be another instance's now, and what is held comes again.
            (self.batch_failed, self.held) = (false, None);
        }
        self.tasks.retain(|partition, _| kept(partition));
        // Where it is assigned again, a restore finds the same gap, unless it was made up for.
        self.lost.retain(|lost| kept(&lost.partition()));
        self.look_first = false;
        self.unrestored.clone_from(&polled.assigned);
        self.batch = Batch { polled, ..Batch::default() };
        self.restore_next(now, store)
    }

    /// Restore the next partition that was assigned; after the last one the batch is decided on.
    fn restore_next(&mut self, now: Timestamp, store: &dyn Store) -> Effect {
        match self.unrestored.first() {
            Some(partition) => {
                let (restore, effect) = Restore::begin(*partition);
                self.ask(Phase::Restoring(restore), effect)
            }
            None if self.lost.is_empty() => self.decide(now, store),
            None => self.make_up_first(),
        }
    }

    fn restoring(
        &mut self,
        mut restore: Restore,
        event: Event,
        now: Timestamp,
        store: &dyn Store,
    ) -> Effect {
        let partition = restore.partition;
        match restore.next(event, &mut self.processor, &self.codec, store, (now, &self.passed)) {
            Ok(Step::Do(effect)) => self.ask(Phase::Restoring(restore), effect),
            Ok(Step::Restored { positions, committed, starts }) => {
                self.unrestored.remove(&partition);
                self.overtaken(&committed, &starts);
                self.tasks.insert(partition, Task { positions, committed });
                self.restore_next(now, store)
            }
            Err(Failed { failure, .. }) => self.undecided(partition, failure),
        }
    }

    fn decide(&mut self, now: Timestamp, store: &dyn Store) -> Effect {
        let polled = &mut self.batch.polled;
        if polled.records.is_empty() {
            if let Some(outage) = polled.outage.take() {
                return self.back_off(outage);
            }
            if !polled.tick {
                return self.idle(now);
            }
        }
        let home = self.home();
        let (processor, polled) = (&mut self.processor, &self.batch.polled);
        let ticked: Vec<i32> =
            if polled.tick { self.tasks.keys().copied().collect() } else { Vec::new() };
        let at = (now, &self.passed, self.group);
        match batch::decide(processor, store, &self.codec, at, polled, (home, &ticked)) {
            Ok(decided) => {
                self.batch.decided = decided;
                self.decided_on(now)
            }
            Err(Failed { partition, failure }) => self.undecided(partition, failure),
        }
    }

    fn decided_on(&mut self, now: Timestamp) -> Effect {
        let (batch, decided) = (&self.batch.polled.records, &self.batch.decided);
        if batch.is_empty() && decided.is_empty() {
            return self.idle(now);
        }
        if !self.batch.made_up {
            self.batch.offsets = next_offsets(batch);
        }
        if self.lingers(now) { self.handled() } else { self.begin() }
    }

    /// The first step towards the commit of the batch.
    fn begin(&mut self) -> Effect {
        if self.batch.decided.outgoing.is_empty() {
            // A transaction costs the broker some 2 ms whatever its size; offsets alone need none.
            let offsets = self.batch.offsets.clone();
            return match offsets.is_empty() {
                true => self.committed(false),
                false => self.ask(Phase::Committing, Effect::CommitOffsets(offsets)),
            };
        }
        if self.batch.offsets.is_empty() {
            // With the offsets Kafka checks that we are still a member (KIP-447). What time alone
            // has caused has none of its own: it goes with those that are committed, or an instance
            // that was replaced while it slept could still end an order for a partition that it has
            // lost.
            let committed = self.tasks.values().flat_map(|task| task.committed.clone());
            self.batch.offsets = committed.collect();
        }
        self.batch.is_transaction = true;
        match self.renew {
            true => self.ask(Phase::Renewing, Effect::Renew),
            false => self.ask(Phase::Beginning, Effect::Begin),
        }
    }

    fn committed(&mut self, doubtful: bool) -> Effect {
        if doubtful || self.batch.doubtful {
            return self.ask(Phase::Doubting, Effect::Renew);
        }
        let left = self.changes();
        self.apply(left)
    }

    /// What the store must take, now that the batch is committed.
    fn changes(&mut self) -> VecDeque<Apply> {
        let Batch { polled, decided, offsets, delivered, made_up, .. } = &mut self.batch;
        for ((topic, partition), next) in offsets.iter() {
            if let Some(task) = self.tasks.get_mut(partition) {
                task.committed.insert((topic.clone(), *partition), *next);
            }
        }
        let sources = self.processor.sources();
        if sources.is_empty() {
            return VecDeque::new();
        }
        let inputs: Vec<_> = self.processor.inputs().iter().map(|topic| topic.name).collect();
        // Of our own output, what is not read back as an input is in the state already.
        let is_changelog = |topic: &str| {
            let mut ends = sources.iter().filter(|source| source.up_to == UpTo::End);
            !inputs.contains(&topic) && ends.any(|source| source.topic.name == topic)
        };
        let changelog = delivered.iter().filter(|((topic, _), _)| is_changelog(topic));
        let changelog = changelog.map(|(place, last)| (place.clone(), last + 1));
        let mut writes: BTreeMap<i32, Writes> = std::mem::take(&mut decided.writes);
        let has_read = !polled.records.is_empty() && !*made_up;
        let read = if has_read { offsets.clone() } else { Offsets::new() };
        for ((topic, partition), next) in read.into_iter().chain(changelog) {
            // A record beyond the partitions of its topic belongs to no state.
            let Some(Task { positions, .. }) = self.tasks.get_mut(&partition) else { continue };
            let position = positions.entry(topic).or_insert(next);
            *position = (*position).max(next);
            writes.entry(partition).or_default();
        }
        let apply = |(partition, writes)| {
            let positions = self.tasks.entry(partition).or_default().positions.clone();
            Apply { partition, writes, positions }
        };
        writes.into_iter().map(apply).collect()
    }

    fn apply(&mut self, mut left: VecDeque<Apply>) -> Effect {
        match left.pop_front() {
            Some(apply) => self.ask(Phase::Applying(left), Effect::Apply(apply)),
            None => self.succeeded(),
        }
    }

    fn succeeded(&mut self) -> Effect {
        (self.batch_failed, self.trouble) = (false, None);
        self.processor.committed();
        self.made_up();
        self.handled()
    }

    fn handled(&mut self) -> Effect {
        self.tell_caught_up();
        self.poll()
    }

    /// There was nothing to do. A failed batch may take some polls to come again, so this alone
    /// does not mean that all is well.
    fn idle(&mut self, now: Timestamp) -> Effect {
        if self.has_lingered(now) {
            return self.begin();
        }
        self.made_up();
        if !self.batch_failed {
            self.trouble = None;
            self.tell_caught_up();
        }
        self.poll()
    }

    fn tell_caught_up(&mut self) {
        for (partition, at) in &self.batch.polled.caught_up {
            if self.tasks.contains_key(partition) {
                self.processor.caught_up(*partition, *at);
            }
        }
    }
}
