use super::{lag::Fetched, *};
use anyhow::anyhow;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use streams::{
    Headers, Record, Timestamp,
    engine::{Offsets, Polled},
    meter::{Metric, Reader, Sink},
    topic::{PartitionCount, dead_letters},
};

static INPUT: TopicSpec = dead_letters("sums", "sums", PartitionCount::Fixed(1));
const MINUTE: Duration = Duration::from_secs(60);

/// Keeps what it is told.
#[derive(Default)]
struct Kept {
    counted: Mutex<BTreeMap<String, u64>>,
    recorded: Mutex<Vec<String>>,
    readers: Mutex<Vec<(&'static str, Reader)>>,
}

fn key(metric: &Metric, labels: &[&str]) -> String {
    format!("{} {}", metric.name, labels.join(" "))
}

impl Sink for Kept {
    fn count(&self, metric: &'static Metric, labels: &[&str], n: u64) {
        *self.counted.lock().unwrap().entry(key(metric, labels)).or_default() += n;
    }

    fn record(&self, metric: &'static Metric, labels: &[&str], _: f64) {
        self.recorded.lock().unwrap().push(key(metric, labels));
    }

    fn observe(&self, metric: &'static Metric, read: Reader) {
        self.readers.lock().unwrap().push((metric.name, read));
    }
}

impl Kept {
    fn counted(&self, key: &str) -> Option<u64> {
        self.counted.lock().unwrap().get(key).copied()
    }

    fn gauge(&self, name: &str) -> Vec<(String, f64)> {
        let mut told = Vec::new();
        for (_, read) in self.readers.lock().unwrap().iter().filter(|(known, _)| *known == name) {
            read(&mut |labels, value| told.push((labels.join(" "), value)));
        }
        told
    }
}

fn meter() -> (Arc<Kept>, LoopMeter, watch::Sender<ThreadStatus>) {
    let kept = Arc::new(Kept::default());
    let settings = ConsumerSettings::new("nowhere:1", "sums", 0);
    let settings = settings.measured(Meters::of(Arc::clone(&kept) as Arc<dyn Sink>));
    let (status, _) = watch::channel(ThreadStatus::Starting);
    let meter = LoopMeter::new(&settings, &[&INPUT], &status);
    (kept, meter, status)
}

fn polled(n: i64) -> Event {
    let record = |offset| Record {
        topic: "sums".into(),
        partition: 0,
        offset,
        timestamp_ms: 0,
        key: None,
        value: None,
        headers: Headers::default(),
    };
    Event::Polled(Polled { records: (0..n).map(record).collect(), ..Polled::default() })
}

fn outgoing(topic: &'static str, headers: &[(&str, &str)]) -> Outgoing {
    let mut all = Headers::default();
    headers.iter().for_each(|(name, value)| all.push(name, *value));
    Outgoing { topic, partition: 0, key: None, value: None, headers: all }
}

/// Does `effect`, which gives `event`.
fn does(meter: &mut LoopMeter, effect: &Effect, event: &Event) {
    let asked = meter.asked(effect);
    meter.answered(&asked, event);
}

#[test]
fn all_that_may_be_counted_is_shown_from_the_start() {
    let (kept, _meter, _) = meter();
    for key in [
        "streams.records sums",
        "streams.transactions sums aborted",
        "streams.failures sums fatal",
        "streams.dead_letters sums sums",
    ] {
        assert_eq!(kept.counted(key), Some(0), "{key}");
    }
}

#[test]
fn a_batch_counts_when_it_is_committed_and_its_steps_are_timed() {
    let (kept, mut meter, _) = meter();
    does(&mut meter, &Effect::Connect, &Event::Connected);
    does(&mut meter, &Effect::Poll, &polled(2));
    does(&mut meter, &Effect::Begin, &Event::Begun);
    // The second has the header of the record that it was made of, and is no dead letter.
    let letter = [(dlq_names::TOPIC, "sums")];
    let sends = vec![outgoing("totals", &[]), outgoing("totals", &letter)];
    let sends = sends.into_iter().chain([outgoing("sums.dlq", &letter)]).collect();
    does(&mut meter, &Effect::Send(sends), &Event::Delivered(Offsets::new()));
    does(&mut meter, &Effect::SendOffsets(Offsets::new()), &Event::OffsetsAccepted);
    assert_eq!(kept.counted("streams.records sums"), Some(0), "nothing is committed yet");
    does(&mut meter, &Effect::Commit, &Event::Committed { doubtful: false });

    let counted = |key| kept.counted(key);
    assert_eq!(counted("streams.records sums"), Some(2));
    assert_eq!(counted("streams.batches sums"), Some(1));
    assert_eq!(counted("streams.connects sums"), Some(1));
    assert_eq!(counted("streams.transactions sums committed"), Some(1));
    assert_eq!(counted("streams.sent sums totals"), Some(2));
    assert_eq!(counted("streams.dead_letters sums sums"), Some(1));
    let phases = ["begin", "send", "offsets", "commit"];
    let phases = phases.map(|phase| format!("streams.transaction.phase.duration sums {phase}"));
    assert_eq!(*kept.recorded.lock().unwrap(), phases);
}

#[test]
fn what_is_aborted_does_not_count_until_it_has_come_again() {
    let (kept, mut meter, _) = meter();
    does(&mut meter, &Effect::Poll, &polled(3));
    let sends = Effect::Send(vec![outgoing("totals", &[])]);
    does(&mut meter, &sends, &Event::Failed(Class::Abortable, anyhow!("too large")));
    does(&mut meter, &Effect::Abort, &Event::Aborted { doubtful: true });
    does(&mut meter, &Effect::Renew, &Event::Renewed);
    does(&mut meter, &Effect::Poll, &polled(3));
    let committed = Event::Committed { doubtful: false };
    does(&mut meter, &Effect::CommitOffsets(Offsets::new()), &committed);

    assert_eq!(kept.counted("streams.records sums"), Some(3));
    assert_eq!(kept.counted("streams.sent sums totals"), None);
    assert_eq!(kept.counted("streams.transactions sums aborted"), Some(1));
    assert_eq!(kept.counted("streams.transactions sums committed"), Some(0));
    assert_eq!(kept.counted("streams.failures sums abortable"), Some(1));
    assert_eq!(kept.counted("streams.producer.renewals sums"), Some(1));
    assert_eq!(kept.counted("streams.fences sums"), Some(0));
}

#[test]
fn what_is_not_decided_on_is_read_again_and_batches_may_share_a_commit() {
    let (kept, mut meter, _) = meter();
    does(&mut meter, &Effect::Poll, &polled(3));
    does(&mut meter, &Effect::Seek(Offsets::new()), &Event::Sought);
    does(&mut meter, &Effect::Poll, &polled(3));
    does(&mut meter, &Effect::Poll, &polled(2));
    let committed = Event::Committed { doubtful: false };
    does(&mut meter, &Effect::CommitOffsets(Offsets::new()), &committed);
    assert_eq!(kept.counted("streams.records sums"), Some(5));
    assert_eq!(kept.counted("streams.batches sums"), Some(1));
}

#[test]
fn a_fence_is_told_from_other_ends_of_a_client() {
    let (kept, mut meter, _) = meter();
    let fenced = KafkaError::MessageConsumptionFatal(RDKafkaErrorCode::FencedInstanceId);
    let away = KafkaError::Global(RDKafkaErrorCode::AllBrokersDown);
    for error in [anyhow!(fenced).context("a poll"), anyhow!(away), anyhow!("fenced: by SQL")] {
        does(&mut meter, &Effect::Poll, &Event::Failed(Class::Fatal, error));
    }
    assert_eq!(kept.counted("streams.fences sums"), Some(2));
    assert_eq!(kept.counted("streams.failures sums fatal"), Some(3));
}

#[test]
fn a_loop_with_its_offsets_in_a_database_counts_what_it_has_applied() {
    let (kept, mut meter, _) = meter();
    let Event::Polled(batch) = polled(4) else { unreachable!() };
    meter.fenced(&fenced::Event::Polled(batch));
    meter.fenced(&fenced::Event::Failed(Class::Retriable, anyhow!("away")));
    let Event::Polled(batch) = polled(4) else { unreachable!() };
    meter.fenced(&fenced::Event::Polled(batch));
    meter.fenced(&fenced::Event::Applied);
    assert_eq!(kept.counted("streams.records sums"), Some(4));
    assert_eq!(kept.counted("streams.batches sums"), Some(1));
}

#[test]
fn the_partitions_at_work_are_those_of_the_status() {
    let (kept, _meter, status) = meter();
    assert_eq!(kept.gauge("streams.partitions"), [("sums".to_owned(), 0.0)]);
    status.send_replace(ThreadStatus::Running { partitions: vec![0, 2], remarks: Vec::new() });
    assert_eq!(kept.gauge("streams.partitions"), [("sums".to_owned(), 2.0)]);
    assert_eq!(kept.gauge("streams.partitions.in_all"), [("sums".to_owned(), 1.0)]);
}

#[test]
fn a_loop_is_behind_since_it_was_last_at_the_end() {
    let (lags, start) = (Lags::default(), Instant::now());
    let place = |partition| ("sums".to_owned(), partition);
    let now = |now| lags.now(now, Timestamp(0));
    let age = |at| now(at).into_iter().map(|(_, _, age)| age).collect::<Vec<_>>();
    lags.note(place(0), 0, start);
    assert_eq!(age(start + LAG_INTERVAL), [Duration::ZERO], "until it is heard again");
    assert_eq!(age(start + MINUTE), [MINUTE], "what was heard a minute ago says nothing");
    lags.note(place(0), 7, start + MINUTE);
    assert_eq!(now(start + MINUTE), [(place(0), 7, MINUTE)]);
    lags.note(place(0), 0, start + 2 * MINUTE);
    assert_eq!(age(start + 2 * MINUTE), [Duration::ZERO]);

    lags.note(place(1), 3, start);
    lags.keep(&[place(1)]);
    assert_eq!(now(start + MINUTE), [(place(1), 3, MINUTE)], "the other one is not ours");
}

#[test]
fn under_load_it_is_behind_by_the_age_of_what_it_has_read_last() {
    let (lags, start) = (Lags::default(), Instant::now());
    let Event::Polled(batch) = polled(2) else { unreachable!() };
    // They were written at 0.
    lags.read(&batch.records);
    lags.note(("sums".to_owned(), 0), 50, start);
    let behind = |time| lags.now(start + MINUTE, Timestamp(time))[0].2;
    assert_eq!(behind(200), Duration::from_millis(200));
    assert_eq!(behind(3_600_000), MINUTE, "the topic was silent for an hour");
}

#[test]
fn what_is_behind_are_the_records_between_the_position_and_the_end() {
    let fetched = |next, end, is_queued| Fetched { next, end, is_queued };
    assert_eq!(fetched(10, 10, false).behind(Some(9)), 0, "the last one is a marker");
    assert_eq!(fetched(10, 10, true).behind(Some(9)), 0, "the queue is another partition's");
    assert_eq!(fetched(10, 10, true).behind(Some(4)), 6, "it is in the queue");
    assert_eq!(fetched(10, 30, false).behind(Some(10)), 20, "it is not fetched yet");
    assert_eq!(fetched(10, 30, false).behind(None), 20);
    assert_eq!(fetched(0, 0, false).behind(Some(0)), 0);
}
