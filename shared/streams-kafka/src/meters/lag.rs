//! [`Lags`]: how far a member is behind the ends of its partitions.

use super::count;
use rdkafka::Statistics;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use streams::{
    Meters, Record, Timestamp,
    engine::Offsets,
    meter::{LAG, LAG_AGE},
};

/// How often librdkafka says how far a member has fetched.
pub(crate) const LAG_INTERVAL: Duration = Duration::from_secs(5);

/// What was heard longer ago says nothing about now.
const SILENCE_MAX: Duration = LAG_INTERVAL.saturating_mul(3);

/// A topic and a partition.
type Place = (String, i32);

/// The lags of one member. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Lags(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    lags: BTreeMap<Place, Lag>,
    /// When the record was written that was read last.
    read: BTreeMap<Place, Timestamp>,
    /// What statistics have said and was not compared with the positions.
    heard: Vec<(Place, Fetched)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lag {
    records: i64,
    heard_at: Instant,
    /// When it was last at the end; where it never was, when it was first heard of.
    at_end: Instant,
}

/// How far a partition was fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fetched {
    /// The next offset to fetch.
    pub(super) next: i64,
    /// Where the committed records end.
    pub(super) end: i64,
    /// Whether any partition's records wait in the queue, which all share.
    pub(super) is_queued: bool,
}

impl Lags {
    /// What librdkafka's statistics say.
    pub(crate) fn hear(&self, statistics: &Statistics) {
        let mut heard = Vec::new();
        for topic in statistics.topics.values() {
            // Those that are not read from have no position.
            let fetched = topic.partitions.values().filter(|partition| {
                partition.partition >= 0 && partition.ls_offset >= 0 && partition.next_offset >= 0
            });
            heard.extend(fetched.map(|partition| {
                let (next, end) = (partition.next_offset, partition.ls_offset);
                let fetched = Fetched { next, end, is_queued: partition.fetchq_cnt > 0 };
                ((topic.topic.clone(), partition.partition), fetched)
            }));
        }
        self.lock().heard = heard;
    }

    /// A batch was read.
    pub(crate) fn read(&self, batch: &[Record]) {
        for last in batch.chunk_by(Record::is_beside).filter_map(<[Record]>::last) {
            let place = (last.topic.to_string(), last.partition);
            self.lock().read.insert(place, Timestamp(last.timestamp_ms));
        }
    }

    /// The member is at these positions: compare them with what was heard, if anything was.
    pub(crate) fn settle(&self, positions: &Offsets) {
        let heard = std::mem::take(&mut self.lock().heard);
        let now = Instant::now();
        for (place, fetched) in heard {
            let position = positions.get(&place).copied();
            self.note(place, fetched.behind(position), now);
        }
    }

    /// Only these are ours now.
    pub(crate) fn keep(&self, ours: &[Place]) {
        let mut inner = self.lock();
        inner.heard.clear();
        inner.lags.retain(|place, _| ours.contains(place));
        inner.read.retain(|place, _| ours.contains(place));
    }

    pub(super) fn note(&self, place: Place, records: i64, now: Instant) {
        let mut inner = self.lock();
        let lag = inner.lags.entry(place).or_insert(Lag { records, heard_at: now, at_end: now });
        (lag.records, lag.heard_at) = (records, now);
        if records == 0 {
            lag.at_end = now;
        }
    }

    /// Records and age of each. One that is behind is so by the age of the record that it has read
    /// last, and never by more than the time since it was seen at the end.
    pub(super) fn now(&self, now: Instant, time: Timestamp) -> Vec<(Place, i64, Duration)> {
        let inner = self.lock();
        let age = |place: &Place, lag: &Lag| {
            let is_current = now.saturating_duration_since(lag.heard_at) < SILENCE_MAX;
            if lag.records == 0 && is_current {
                return Duration::ZERO;
            }
            let since_end = now.saturating_duration_since(lag.at_end);
            inner.read.get(place).map_or(since_end, |read| since_end.min(time - *read))
        };
        let lags = inner.lags.iter();
        lags.map(|(place, lag)| (place.clone(), lag.records, age(place, lag))).collect()
    }

    pub(super) fn show(&self, meters: &Meters, name: &'static str) {
        let lags = self.clone();
        meters.observe(&LAG, move |tell| {
            for ((topic, partition), records, _) in lags.now(Instant::now(), Timestamp::now()) {
                let records = count(usize::try_from(records).unwrap_or(0));
                tell(&[name, &topic, &partition.to_string()], records);
            }
        });
        let lags = self.clone();
        meters.observe(&LAG_AGE, move |tell| {
            for ((topic, partition), _, age) in lags.now(Instant::now(), Timestamp::now()) {
                tell(&[name, &topic, &partition.to_string()], age.as_secs_f64());
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fetched {
    /// How many offsets a member at `position` is behind. Control records have offsets, too: where
    /// nothing is left but the marker of the last transaction, it is at the end.
    pub(super) fn behind(self, position: Option<i64>) -> i64 {
        let Self { next, end, is_queued } = self;
        let unread = end - position.unwrap_or(next);
        let all_fetched = next >= end;
        if all_fetched && (!is_queued || unread <= 1) { 0 } else { unread.max(0) }
    }
}
