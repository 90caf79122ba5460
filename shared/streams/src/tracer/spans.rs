//! [`Spans`]: those of a batch. They end with it.

use super::{Span, Tracer, batched, carry, installed, made, processed};
use crate::{Headers, Record, lineage::Cause};
use std::collections::BTreeMap;

/// The open spans of a batch, and of those that it is committed with: its own, one per record that
/// is handled, one per record that is sent.
#[derive(Debug, Default)]
pub struct Spans(Vec<Open>);

struct Open {
    tracer: &'static dyn Tracer,
    group: String,
    batch: Box<dyn Span>,
    /// By address.
    records: BTreeMap<String, Box<dyn Span>>,
    sent: Vec<Box<dyn Span>>,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("group", &self.group).finish_non_exhaustive()
    }
}

/// A thread that panics in a batch has given it up, and says so before its spans are gone.
impl Drop for Open {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.fail("panicked");
        }
    }
}

impl Open {
    fn fail(&mut self, cause: &str) {
        let spans = self.records.values_mut().chain(&mut self.sent);
        spans.chain([&mut self.batch]).for_each(|span| span.fail(cause));
    }
}

impl Spans {
    /// The span of a batch of these records, which a member of `group` handles.
    pub fn of_batch(group: &str, records: &[Record]) -> Self {
        match installed() {
            Some(tracer) if !records.is_empty() => Self::with(tracer, group, records),
            _ => Self::default(),
        }
    }

    pub(super) fn with(tracer: &'static dyn Tracer, group: &str, records: &[Record]) -> Self {
        let (group, batch) = (group.to_owned(), tracer.open(batched(group, records)));
        let (records, sent) = (BTreeMap::new(), Vec::new());
        Self(vec![Open { tracer, group, batch, records, sent }])
    }

    /// Those of another batch, which ends with this one.
    pub fn append(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }

    /// `record` is handled from now on; what it causes.
    pub fn process(&mut self, record: &Record) -> Cause {
        if let Some(Open { tracer, group, batch, records, .. }) = self.0.last_mut() {
            let begin = || tracer.open(processed(group, record, Some(batch.traceparent())));
            records.entry(record.address()).or_insert_with(begin);
        }
        self.cause(record)
    }

    /// What `record` causes: the rest of its trace follows from its span, if it has one.
    pub fn cause(&self, record: &Record) -> Cause {
        let cause = Cause::of(record);
        match self.span(record) {
            Some(span) => Cause { traceparent: Some(span.traceparent()), ..cause },
            None => cause,
        }
    }

    /// `headers` are `record`'s, which is copied: the copy follows from its span, if it has one.
    pub fn follow(&self, record: &Record, headers: &mut Headers) {
        if let Some(span) = self.span(record) {
            carry(span, headers);
        }
    }

    fn span(&self, record: &Record) -> Option<&dyn Span> {
        let span = self.0.last()?.records.get(&record.address())?;
        Some(span.as_ref())
    }

    /// A record for `partition` of `topic` is sent with the batch. Its `headers` say in which span.
    pub fn send(&mut self, topic: &str, partition: i32, headers: &mut Headers) {
        if let Some(open) = self.0.last_mut() {
            open.sent.extend(made(open.tracer, "send", (topic, partition), headers));
        }
    }

    /// `record` cannot be handled.
    pub fn fail(&mut self, record: &Record, cause: &str) {
        let open = self.0.last_mut();
        if let Some(span) = open.and_then(|open| open.records.get_mut(&record.address())) {
            span.fail(cause);
        }
    }

    /// All of it is given up, and comes again.
    pub fn fail_all(&mut self, cause: &str) {
        self.0.iter_mut().for_each(|open| open.fail(cause));
    }
}
