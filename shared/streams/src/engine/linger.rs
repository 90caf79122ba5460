//! Batches that are handled and wait for others, so that they share a transaction
//! ([`Processor::linger`]).

use super::{Engine, Offsets, first_offsets};
use crate::{Outgoing, Processor, Timestamp, limits::BATCH_RECORDS_MAX, tracer::Spans};
use std::time::Duration;

/// Batches that were decided on, and flushed, and whose transaction has not begun.
#[derive(Debug)]
pub(super) struct Held {
    outgoing: Vec<Outgoing>,
    /// What is committed with them.
    offsets: Offsets,
    /// Where they come again from if that fails.
    first: Offsets,
    /// When their transaction begins.
    due: Timestamp,
    spans: Spans,
}

impl<P: Processor> Engine<P> {
    /// Whether the batch at hand waits for others. If not, those that waited for it are in it now.
    pub(super) fn lingers(&mut self, now: Timestamp) -> bool {
        let records = &self.batch.polled.records;
        let longest = records.iter().map(|record| self.processor.linger(record)).min();
        // What goes at once, with nothing that waits for it, needs no more than that.
        let waits = |longest: &Duration| self.held.is_some() || !longest.is_zero();
        let Some(longest) = longest.filter(waits) else { return false };
        if self.batch.made_up || !self.processor.sources().is_empty() {
            return false;
        }
        let mut held = self.held.take().unwrap_or_else(|| Held {
            outgoing: Vec::new(),
            offsets: Offsets::new(),
            first: Offsets::new(),
            due: now + longest,
            spans: Spans::default(),
        });
        held.due = held.due.min(now + longest);
        held.outgoing.append(&mut self.batch.decided.outgoing);
        held.offsets.extend(std::mem::take(&mut self.batch.offsets));
        for (place, first) in first_offsets(records) {
            held.first.entry(place).or_insert(first);
        }
        held.spans.append(&mut self.batch.decided.spans);
        self.held = Some(held);
        !self.has_lingered(now)
    }

    /// Whether batches have waited long enough: then they are the batch at hand.
    pub(super) fn has_lingered(&mut self, now: Timestamp) -> bool {
        let is_due = |held: &mut Held| now >= held.due || held.outgoing.len() >= BATCH_RECORDS_MAX;
        let Some(Held { outgoing, offsets, first, spans, .. }) = self.held.take_if(is_due) else {
            return false;
        };
        (self.batch.decided.outgoing, self.batch.decided.spans) = (outgoing, spans);
        (self.batch.offsets, self.batch.first) = (offsets, first);
        true
    }

    /// The batches that wait come again with the one at hand.
    pub(super) fn forget_held(&mut self, cause: &str) {
        if let Some(mut held) = self.held.take() {
            held.spans.fail_all(cause);
            self.batch.first = held.first;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Codec, Effect, Event, Failure, MemoryRegistry, MemoryStore, Owns, Record, Service, Tx,
        engine::{Class, Polled},
        limits::LATER,
        topic::{PartitionCount, Topic, TopicSpec, dead_letters},
    };
    use serde::{Deserialize, Serialize};
    use std::sync::Arc;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Echo {
        text: String,
    }

    crate::avro_record!(
        Echo,
        "echoes/Echo.avsc",
        r#"{"type":"record","name":"Echo","fields":[{"name":"text","type":"string"}]}"#
    );

    static CALLS: Topic<String, Echo> = Topic::new("calls", "Echo", PartitionCount::Fixed(1));
    static ECHOES: Topic<String, Echo> = Topic::new("echoes", "Echo", PartitionCount::Fixed(1));
    static LETTERS: TopicSpec = dead_letters("echo.dlq", "echo", PartitionCount::Fixed(1));

    /// Says again what was called; only `now` cannot wait.
    struct Valley;

    impl Service for Valley {
        const NAME: &'static str = "valley";
        const VERSION: &'static str = "1.0.0";

        fn dead_letters() -> &'static TopicSpec {
            &LETTERS
        }
    }

    impl Owns<Echo> for Valley {}

    impl Processor for Valley {
        type Identity = Valley;

        fn inputs(&self) -> Vec<&'static TopicSpec> {
            vec![&CALLS.spec]
        }

        fn outputs(&self) -> Vec<&'static TopicSpec> {
            vec![&ECHOES.spec]
        }

        fn linger(&self, record: &Record) -> Duration {
            if record.key.as_deref() == Some(b"now") { Duration::ZERO } else { LATER }
        }

        fn process(&mut self, record: &Record, tx: &mut Tx<'_, Valley>) -> Result<(), Failure> {
            let text: String = record.key_as()?;
            tx.send(&ECHOES, &text.clone(), &Echo { text })
        }
    }

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    struct Bench {
        engine: Engine<Valley>,
        now: Timestamp,
    }

    fn call(key: &str, offset: i64) -> Record {
        Record {
            topic: CALLS.name().into(),
            partition: 0,
            offset,
            timestamp_ms: NOW.millis(),
            key: Some(key.as_bytes().to_vec()),
            value: Some(Vec::new()),
            headers: crate::Headers::default(),
        }
    }

    impl Bench {
        /// Connected, with partition 0 assigned.
        fn new() -> Self {
            let engine = Engine::new(Valley, Codec::new(Arc::new(MemoryRegistry::default())));
            let mut bench = Self { engine, now: NOW };
            bench.tell(Event::Proceed);
            bench.tell(Event::Connected);
            bench.assign();
            bench
        }

        fn assign(&mut self) {
            let assigned = Polled { owned: [0].into(), assigned: [0].into(), ..Polled::default() };
            assert!(matches!(self.tell(Event::Polled(assigned)), Effect::FetchOffsets { .. }));
            let offsets = Offsets::from([((CALLS.name().to_owned(), 0), 0)]);
            assert!(matches!(self.tell(Event::Offsets(offsets)), Effect::Poll));
        }

        fn tell(&mut self, event: Event) -> Effect {
            self.engine.next(event, self.now, &MemoryStore::default())
        }

        fn poll(&mut self, records: &[Record]) -> Effect {
            let records = records.to_vec();
            self.tell(Event::Polled(Polled { owned: [0].into(), records, ..Polled::default() }))
        }

        /// How many records the transaction at hand sends, and up to where it commits the input.
        fn sends(&mut self) -> (usize, i64) {
            let Effect::Send(sent) = self.tell(Event::Begun) else { panic!("nothing is sent") };
            let effect = self.tell(Event::Delivered(Offsets::new()));
            let Effect::SendOffsets(offsets) = effect else { panic!("no offsets") };
            (sent.len(), offsets[&(CALLS.name().to_owned(), 0)])
        }
    }

    #[test]
    fn what_can_wait_goes_with_what_cannot() {
        let mut bench = Bench::new();
        assert!(matches!(bench.poll(&[call("a", 0)]), Effect::Poll));
        assert!(matches!(bench.poll(&[call("b", 1), call("c", 2)]), Effect::Poll));
        assert!(matches!(bench.poll(&[call("now", 3)]), Effect::Begin));
        assert_eq!(bench.sends(), (4, 4));
        assert!(matches!(bench.tell(Event::OffsetsAccepted), Effect::Commit));
        assert!(matches!(bench.tell(Event::Committed { doubtful: false }), Effect::Poll));
        bench.now = bench.now + LATER;
        assert!(matches!(bench.poll(&[]), Effect::Poll), "nothing is left");
    }

    #[test]
    fn nothing_waits_longer_than_it_may() {
        let mut bench = Bench::new();
        bench.poll(&[call("a", 0)]);
        bench.now = bench.now + LATER / 2;
        assert!(matches!(bench.poll(&[call("b", 1)]), Effect::Poll));
        bench.now = bench.now + LATER / 2;
        assert!(matches!(bench.poll(&[]), Effect::Begin), "the first has waited long enough");
        assert_eq!(bench.sends(), (2, 2));
    }

    #[test]
    fn after_a_failure_all_that_waited_comes_again() {
        let mut bench = Bench::new();
        bench.poll(&[call("a", 5)]);
        assert!(matches!(bench.poll(&[call("now", 6)]), Effect::Begin));
        bench.tell(Event::Begun);
        let failed = Event::Failed(Class::Abortable, anyhow::anyhow!("on purpose"));
        assert!(matches!(bench.tell(failed), Effect::Abort));
        let Effect::Seek(offsets) = bench.tell(Event::Aborted { doubtful: false }) else {
            panic!("no rewind")
        };
        assert_eq!(offsets, Offsets::from([((CALLS.name().to_owned(), 0), 5)]));
        bench.tell(Event::Sought);
        bench.tell(Event::Proceed);
        assert!(matches!(bench.poll(&[call("a", 5), call("now", 6)]), Effect::Begin));
        assert_eq!(bench.sends(), (2, 7), "once");
    }

    #[test]
    fn what_waits_is_forgotten_with_its_partition() {
        let mut bench = Bench::new();
        bench.poll(&[call("a", 0)]);
        // The next assignment begins at the committed offsets.
        bench.assign();
        assert!(matches!(bench.poll(&[call("a", 0), call("now", 1)]), Effect::Begin));
        assert_eq!(bench.sends(), (2, 2), "once");
    }
}
