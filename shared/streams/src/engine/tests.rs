//! The table of failures, row by row: what the engine asks for after each of them.

use super::*;
use crate::{
    Extent, Failure, MemoryRegistry, MemoryStore, Outgoing, Owns, Record, Service, Source, StandIn,
    Store, Table, Tx,
    store::{Layout, LayoutError},
    topic::{PartitionCount, Topic, TopicSpec, dead_letters},
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Word {
    text: String,
}

crate::avro_record!(
    Word,
    "words/Word.avsc",
    r#"{"type":"record","name":"Word","fields":[{"name":"text","type":"string"}]}"#
);

static WORDS: Topic<String, Word> = Topic::new("words", "Word", PartitionCount::Fixed(1));
static LOUD: Topic<String, Word> = Topic::new("loud", "Word", PartitionCount::Fixed(1));
static PAPERS: Topic<String, Word> = Topic::new("papers", "Word", PartitionCount::Fixed(2));
static LETTERS: TopicSpec = dead_letters("loud.dlq", "loud", PartitionCount::Fixed(1));
static COUNTS: Table<u32> = Table::new(1);

struct Loud;

impl Service for Loud {
    const NAME: &'static str = "loud";
    const VERSION: &'static str = "1.0.0";

    fn dead_letters() -> &'static TopicSpec {
        &LETTERS
    }
}

impl Owns<Word> for Loud {}

/// Counts words, and says each again; what it says is its changelog.
impl Processor for Loud {
    type Identity = Loud;

    fn inputs(&self) -> Vec<&'static TopicSpec> {
        vec![&WORDS.spec]
    }

    fn outputs(&self) -> Vec<&'static TopicSpec> {
        vec![&LOUD.spec]
    }

    fn sources(&self) -> Vec<Source> {
        vec![Source { topic: &LOUD.spec, up_to: UpTo::End }]
    }

    fn layout() -> Result<Layout, LayoutError> {
        Layout::default().table(&COUNTS)
    }

    fn stand_in(&self, topic: &str) -> Option<StandIn> {
        (topic == WORDS.name()).then_some(StandIn { topic: &PAPERS.spec, extent: Extent::Whole })
    }

    fn process(&mut self, record: &Record, tx: &mut Tx<'_, Loud>) -> Result<(), Failure> {
        let key: String = record.key_as()?;
        if key == "later" {
            return Err(Failure::retriable(anyhow::anyhow!("not yet")));
        }
        let count = tx.get(&COUNTS, key.as_bytes())?.unwrap_or(0) + 1;
        tx.put(&COUNTS, key.as_bytes(), &count)?;
        tx.send(&LOUD, &key, &Word { text: key.to_uppercase() })
    }
}

const NOW: Timestamp = Timestamp(1_700_000_000_000);

struct Bench {
    engine: Engine<Loud>,
    store: MemoryStore,
    now: Timestamp,
}

fn word(key: &str, offset: i64) -> Record {
    Record {
        topic: WORDS.name().into(),
        partition: 0,
        offset,
        timestamp_ms: NOW.millis(),
        key: Some(key.as_bytes().to_vec()),
        value: Some(Vec::new()),
        headers: crate::Headers::default(),
    }
}

impl Bench {
    /// Connected, with partition 0 assigned and restored from nothing.
    fn new() -> Self {
        let mut bench = Self::restoring([]);
        assert!(matches!(bench.tell(Event::End(0)), Effect::Poll));
        bench
    }

    /// Connected, with partition 0 assigned; an operator has `passed` these records by. The engine
    /// waits for the end of the log to restore from.
    fn restoring(passed: impl IntoIterator<Item = Record>) -> Self {
        let codec = Codec::new(Arc::new(MemoryRegistry::default()));
        let (engine, store) = (Engine::new(Loud, codec), MemoryStore::default());
        let mut bench = Self { engine, store, now: NOW };
        bench.engine.pass_by(passed.into_iter().map(|it| (it.address(), it.digest())));
        assert!(matches!(bench.tell(Event::Proceed), Effect::Connect));
        assert!(matches!(bench.tell(Event::Connected), Effect::Poll));
        let assigned = Polled { owned: [0].into(), assigned: [0].into(), ..Polled::default() };
        assert!(matches!(bench.tell(Event::Polled(assigned)), Effect::FetchOffsets { .. }));
        let offsets = Offsets::from([((WORDS.name().to_owned(), 0), 0)]);
        assert!(matches!(bench.tell(Event::Offsets(offsets)), Effect::FetchEnd { .. }));
        bench
    }

    fn tell(&mut self, event: Event) -> Effect {
        let effect = self.engine.next(event, self.now, &self.store);
        if let Effect::Apply(Apply { partition, writes, positions }) = &effect {
            self.store.apply(*partition, writes.clone(), positions).unwrap();
        }
        effect
    }

    fn poll(&mut self, records: Vec<Record>) -> Effect {
        let polled = Polled { owned: [0].into(), records, ..Polled::default() };
        self.tell(Event::Polled(polled))
    }

    fn fail(&mut self, class: Class) -> Effect {
        self.tell(Event::Failed(class, anyhow::anyhow!("on purpose")))
    }

    /// A word on its way, up to the effect that commits it.
    fn up_to_commit(&mut self, offset: i64) {
        assert!(matches!(self.poll(vec![word("tea", offset)]), Effect::Begin));
        let Effect::Send(sent) = self.tell(Event::Begun) else { panic!("nothing is sent") };
        assert_eq!(sent.len(), 1);
        let place = |out: &Outgoing| ((out.topic.to_owned(), out.partition), 40 + offset);
        let delivered = Event::Delivered(sent.iter().map(place).collect());
        let Effect::SendOffsets(offsets) = self.tell(delivered) else { panic!("no offsets") };
        assert_eq!(offsets[&(WORDS.name().to_owned(), 0)], offset + 1);
        assert!(matches!(self.tell(Event::OffsetsAccepted), Effect::Commit));
    }

    fn count(&self) -> Option<Vec<u8>> {
        self.store.get(0, &[&[1], &b"tea"[..]].concat()).unwrap()
    }
}

#[test]
fn the_store_changes_after_the_commit_and_not_before() {
    let mut bench = Bench::new();
    bench.up_to_commit(0);
    assert_eq!(bench.count(), None);
    assert!(matches!(bench.tell(Event::Committed { doubtful: false }), Effect::Apply(_)));
    assert!(bench.count().is_some());
    assert!(matches!(bench.tell(Event::Applied), Effect::Poll));
    let positions = bench.store.positions(0).unwrap();
    assert_eq!(positions["words"], 1, "what was read");
    assert_eq!(positions["loud"], 41, "what was written is in the state already");
}

#[test]
fn retriable_the_same_call_again_until_its_time_is_over() {
    let mut bench = Bench::new();
    bench.poll(vec![word("tea", 0)]);
    assert!(matches!(bench.fail(Class::Retriable), Effect::Begin));
    assert!(matches!(bench.fail(Class::Retriable), Effect::Begin));
    bench.now = bench.now + crate::limits::CALL_TIMEOUT + Duration::from_millis(1);
    assert!(matches!(bench.fail(Class::Retriable), Effect::Abort));
}

#[test]
fn abortable_abort_rewind_and_the_batch_comes_again() {
    let mut bench = Bench::new();
    bench.poll(vec![word("tea", 7)]);
    bench.tell(Event::Begun);
    assert!(matches!(bench.fail(Class::Abortable), Effect::Abort));
    let Effect::Seek(offsets) = bench.tell(Event::Aborted { doubtful: false }) else {
        panic!("no rewind")
    };
    assert_eq!(offsets[&(WORDS.name().to_owned(), 0)], 7);
    assert!(matches!(bench.tell(Event::Sought), Effect::BackOff { .. }));
    assert_eq!(bench.engine.trouble(), Some("on purpose"));
    assert!(matches!(bench.tell(Event::Proceed), Effect::Poll));
    bench.poll(Vec::new());
    assert!(bench.engine.trouble().is_some(), "an empty poll does not mean that all is well");
    bench.up_to_commit(7);
    bench.tell(Event::Committed { doubtful: false });
    bench.tell(Event::Applied);
    assert_eq!(bench.engine.trouble(), None);
}

#[test]
fn the_processor_says_again_rewind_without_a_transaction() {
    let mut bench = Bench::new();
    assert!(matches!(bench.poll(vec![word("tea", 3), word("later", 4)]), Effect::Seek(_)));
}

#[test]
fn fatal_for_the_clients_they_are_made_anew_and_the_state_is_read_on() {
    let mut bench = Bench::new();
    bench.up_to_commit(0);
    assert!(matches!(bench.fail(Class::Fatal), Effect::Disconnect));
    assert_eq!(bench.engine.partitions().count(), 0);
    assert!(matches!(bench.tell(Event::Disconnected), Effect::BackOff { .. }));
    assert!(matches!(bench.tell(Event::Proceed), Effect::Connect));
}

#[test]
fn fatal_for_the_state_it_is_forgotten_and_read_back() {
    let mut bench = Bench::new();
    let rotten = Writes::from([([&[1], &b"tea"[..]].concat(), Some(vec![0xff; 9]))]);
    bench.store.apply(0, rotten, &Positions::new()).unwrap();
    assert!(matches!(bench.poll(vec![word("tea", 0)]), Effect::Clear { partition: 0 }));
    assert!(matches!(bench.tell(Event::Cleared), Effect::Disconnect));

    let mut bench = Bench::new();
    bench.up_to_commit(0);
    bench.tell(Event::Committed { doubtful: false });
    assert!(matches!(bench.fail(Class::Fatal), Effect::Clear { partition: 0 }), "a full disk");
}

#[test]
fn a_commit_in_doubt_new_epoch_read_back_and_then_the_store() {
    let mut bench = Bench::new();
    bench.up_to_commit(0);
    assert!(matches!(bench.fail(Class::Retriable), Effect::Commit), "asked for once more");
    assert!(matches!(bench.tell(Event::Committed { doubtful: false }), Effect::Renew));
    let Effect::Read { from: 40, to: 41, .. } = bench.tell(Event::Renewed) else {
        panic!("it is not read back")
    };
    let there = Record { topic: "loud".into(), offset: 40, ..word("tea", 0) };
    let read = Event::Read { records: vec![there], next: 41 };
    assert!(matches!(bench.tell(read), Effect::Apply(_)));
}

#[test]
fn what_was_committed_in_doubt_and_is_not_there_does_not_reach_the_store() {
    let mut bench = Bench::new();
    bench.up_to_commit(0);
    assert!(matches!(bench.tell(Event::Committed { doubtful: true }), Effect::Renew));
    bench.tell(Event::Renewed);
    let nothing = Event::Read { records: Vec::new(), next: 41 };
    assert!(matches!(bench.tell(nothing), Effect::Disconnect));
    assert_eq!(bench.count(), None);
}

#[test]
fn an_abort_in_doubt_gets_a_new_epoch_before_the_next_transaction() {
    let mut bench = Bench::new();
    bench.poll(vec![word("tea", 0)]);
    bench.fail(Class::Abortable);
    bench.tell(Event::Aborted { doubtful: true });
    bench.tell(Event::Sought);
    bench.tell(Event::Proceed);
    assert!(matches!(bench.poll(vec![word("tea", 0)]), Effect::Renew));
    assert!(matches!(bench.tell(Event::Renewed), Effect::Begin));
}

#[test]
fn what_was_revoked_is_forgotten() {
    let mut bench = Bench::new();
    assert_eq!(bench.engine.partitions().collect::<Vec<_>>(), [0]);
    bench.tell(Event::Polled(Polled::default()));
    assert_eq!(bench.engine.partitions().count(), 0);
}

#[test]
fn final_stop() {
    let mut bench = Bench::new();
    assert!(matches!(bench.fail(Class::Final), Effect::Stop(_)));
}

/// An operator can take a record out of the way, whatever it does to the processor.
#[test]
fn a_record_that_is_passed_by_stops_no_partition() {
    let mut bench = Bench::new();
    let blocked = bench.poll(vec![word("later", 0), word("tea", 1)]);
    assert!(matches!(blocked, Effect::Seek(_)), "{blocked:?}");
    let later = word("later", 0);
    bench.engine.pass_by([(later.address(), later.digest())]);
    assert!(matches!(bench.tell(Event::Sought), Effect::BackOff { .. }));
    assert!(matches!(bench.tell(Event::Proceed), Effect::Poll));
    let again = bench.poll(vec![word("later", 0), word("tea", 1)]);
    assert!(matches!(again, Effect::Begin), "{again:?}");
    assert_eq!(bench.engine.decided().outgoing.len(), 1);
}

#[test]
fn a_restore_leaves_out_what_was_passed_by() {
    let log = || {
        let loud = |key, offset| Record { topic: LOUD.name().into(), ..word(key, offset) };
        vec![loud("later", 0), loud("tea", 1)]
    };
    let restore = |passed: Vec<Record>| {
        let mut bench = Bench::restoring(passed);
        assert!(matches!(bench.tell(Event::End(2)), Effect::Read { .. }));
        let effect = bench.tell(Event::Read { records: log(), next: 2 });
        (bench, effect)
    };
    let (_, stuck) = restore(Vec::new());
    assert!(!matches!(stuck, Effect::Apply(_)), "{stuck:?}");
    let (mut bench, effect) = restore(log()[..1].to_vec());
    let Effect::Apply(apply) = effect else { panic!("{effect:?}") };
    bench.store.apply(apply.partition, apply.writes, &apply.positions).unwrap();
    assert!(matches!(bench.tell(Event::Applied), Effect::Poll));
    assert!(bench.count().is_some());
    assert_eq!(bench.store.get(0, &[&[1], &b"later"[..]].concat()).unwrap(), None);
}

fn place() -> (String, i32) {
    (WORDS.name().to_owned(), 0)
}

/// Connected, with partition 0 assigned, whose group is at 3 in a log that begins at 7.
fn overtaken(polled: Vec<Record>) -> (Bench, Effect) {
    let codec = Codec::new(Arc::new(MemoryRegistry::default()));
    let (engine, store) = (Engine::new(Loud, codec), MemoryStore::default());
    let mut bench = Bench { engine, store, now: NOW };
    bench.tell(Event::Proceed);
    bench.tell(Event::Connected);
    let (owned, assigned) = ([0].into(), [0].into());
    bench.tell(Event::Polled(Polled { owned, assigned, records: polled, ..Polled::default() }));
    let (committed, starts) = (Offsets::from([(place(), 3)]), Offsets::from([(place(), 7)]));
    bench.tell(Event::Overtaken { committed, starts });
    let effect = bench.tell(Event::End(0));
    (bench, effect)
}

/// Answer until `word` of the stand-in is committed, and its batch applied.
fn made_up(bench: &mut Bench, word: Record, next: i64) -> Effect {
    assert!(matches!(bench.tell(Event::Read { records: vec![word], next }), Effect::Begin));
    assert!(matches!(bench.tell(Event::Begun), Effect::Send(_)));
    let offsets = bench.tell(Event::Delivered(Offsets::new()));
    // No group has those of the stand-in: ours go with what is sent, to be checked.
    assert!(matches!(offsets, Effect::SendOffsets(o) if o == Offsets::from([(place(), 3)])));
    assert!(matches!(bench.tell(Event::OffsetsAccepted), Effect::Commit));
    let applied = bench.tell(Event::Committed { doubtful: false });
    assert!(matches!(applied, Effect::Apply(Apply { partition: 0, .. })), "{applied:?}");
    bench.tell(Event::Applied)
}

#[test]
fn records_that_were_deleted_unread_are_said_and_made_up_for_before_the_group_goes_on() {
    let (mut bench, effect) = overtaken(Vec::new());
    let ask = |effect: &Effect, asked: i32| match effect {
        Effect::FetchEnd { topic, partition } => *topic == PAPERS.name() && *partition == asked,
        _ => false,
    };
    assert!(ask(&effect, 0), "{effect:?}");
    let [remark] = bench.engine.remarks() else { panic!("{:?}", bench.engine.remarks()) };
    assert_eq!(
        remark,
        "the offsets 3 to 6 of words/0 were deleted before they were read: made up for from papers"
    );
    let paper = |key, partition, offset| Record {
        topic: PAPERS.name().into(),
        partition,
        ..word(key, offset)
    };
    assert!(matches!(bench.tell(Event::End(2)), Effect::Read { from: 0, to: 2, .. }));
    let effect = made_up(&mut bench, paper("a", 0, 1), 2);
    assert!(ask(&effect, 1), "{effect:?}");
    assert!(matches!(bench.tell(Event::End(1)), Effect::Read { partition: 1, from: 0, .. }));
    // Partition 1 of the stand-in says something of partition 0 of the input.
    let effect = made_up(&mut bench, paper("a", 1, 0), 1);
    let Effect::CommitOffsets(offsets) = effect else { panic!("{effect:?}") };
    assert_eq!(offsets, Offsets::from([(place(), 7)]));
    assert!(matches!(bench.tell(Event::Committed { doubtful: false }), Effect::Poll));
    let count = bench.store.get(0, &COUNTS.key(b"a")).unwrap();
    assert_eq!(count.map(|bytes| Table::<u32>::decode(&bytes).unwrap()), Some(2));
}

#[test]
fn what_was_polled_with_the_assignment_comes_again_after_what_was_missed() {
    let (mut bench, effect) = overtaken(vec![word("later than that", 7)]);
    assert!(matches!(effect, Effect::Seek(offsets) if offsets == Offsets::from([(place(), 7)])));
    assert!(matches!(bench.tell(Event::Sought), Effect::FetchEnd { topic: "papers", .. }));
    // A failure begins with the assignment again, and finds the same gap.
    let away = Event::Failed(Class::Fatal, anyhow::anyhow!("away"));
    assert!(matches!(bench.tell(away), Effect::Disconnect));
}

#[test]
fn after_a_failure_the_engine_polls_before_it_makes_up_for_more() {
    let fail = |bench: &mut Bench| {
        let paper = Record { topic: PAPERS.name().into(), ..word("a", 1) };
        assert!(matches!(bench.tell(Event::End(2)), Effect::Read { from: 0, to: 2, .. }));
        let begin = bench.tell(Event::Read { records: vec![paper], next: 2 });
        assert!(matches!(begin, Effect::Begin), "{begin:?}");
        // The group has moved on, and only a poll tells.
        let moved_on = Event::Failed(Class::Abortable, anyhow::anyhow!("illegal generation"));
        assert!(matches!(bench.tell(moved_on), Effect::Abort));
        assert!(matches!(bench.tell(Event::Aborted { doubtful: false }), Effect::BackOff { .. }));
        assert!(matches!(bench.tell(Event::Proceed), Effect::Poll));
    };
    let (mut bench, _) = overtaken(Vec::new());
    fail(&mut bench);
    let polled = Polled { owned: [0].into(), ..Polled::default() };
    let again = bench.tell(Event::Polled(polled));
    assert!(matches!(again, Effect::FetchEnd { .. } | Effect::Read { from: 0, .. }), "{again:?}");

    // What another instance owns is no longer ours to make up for.
    let (mut bench, _) = overtaken(Vec::new());
    fail(&mut bench);
    assert!(matches!(bench.tell(Event::Polled(Polled::default())), Effect::Poll));
}

#[test]
fn a_record_beyond_the_partitions_of_its_topic_is_a_dead_letter() {
    let mut bench = Bench::new();
    let beyond = Record { partition: 4, ..word("far", 0) };
    assert!(matches!(bench.poll(vec![beyond]), Effect::Begin));
    let Effect::Send(sent) = bench.tell(Event::Begun) else { panic!("it sends") };
    let [letter] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(letter.topic, LETTERS.name);
    let cause = letter.headers.get(crate::tx::dlq_names::CAUSE).unwrap();
    assert!(cause.contains("belongs on 0, not on 4"), "{cause}");
}
