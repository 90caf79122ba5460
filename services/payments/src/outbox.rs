//! [`OutboxRow`]: a message, written in the transaction of its decision. Debezium sends it.

use contracts::{Order, Owns, Timestamp, owns::Payments, partition::partition_for, topics};
use std::time::Duration;
use streams::{
    Codec, Fact, Failure, Outgoing, Record,
    lineage::Cause,
    record::names,
    tracer,
    tx::{dead_letter, mark_cut},
};
use uuid::Uuid;

/// How long a message may take to come back when it is sent for the first time: Connect is back
/// 12 s after a crash.
pub const PAUSE_MIN: Duration = Duration::from_secs(30);

/// The longest pause, after which a message is sent again for ever: what does not come back for
/// hours is the fault of the relay, which a person will mend.
pub const PAUSE_MAX: Duration = Duration::from_secs(10 * 60);

/// How long to wait for a message that was sent `times` times: doubled each time.
pub fn pause(times: u32) -> Duration {
    let doublings = times.saturating_sub(1).min(8);
    (PAUSE_MIN * (1 << doublings)).min(PAUSE_MAX)
}

/// The id of the row that says this transition.
pub fn row_of(order: &Order) -> Uuid {
    order.order_id.derive(format!("version {}", order.version).as_bytes())
}

/// A row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OutboxRow {
    id: Uuid,
    message: Outgoing,
}

impl OutboxRow {
    /// A transition of an order, which payments must own, because of `cause`.
    ///
    /// # Errors
    /// As [`Codec::encode`].
    pub fn transition<F>(
        codec: &Codec,
        fact: &F,
        cause: &Cause,
        now: Timestamp,
    ) -> Result<Self, Failure>
    where
        F: Fact<Order>,
        Payments: Owns<F>,
    {
        let order = fact.value();
        let subject = order.order_id.to_string();
        let mut headers = cause.headers::<Payments>(fact.name(), &subject, now);
        let topic = topics::ORDERS.name();
        // Without it, Debezium would choose by the partitions that the topic has now.
        let partition = partition_for(subject.as_bytes(), topics::ORDERS.spec.partitions());
        // The row carries it to the header that Debezium writes.
        drop(tracer::create(topic, partition, &mut headers));
        let message = Outgoing {
            topic,
            partition,
            value: Some(codec.encode(&topics::ORDERS.spec, order)?),
            key: Some(subject.into_bytes()),
            headers,
        };
        Ok(Self { id: row_of(order), message })
    }

    /// The dead letter for `record`: its bytes and headers, and why it is one. If a row cannot hold
    /// them as they are, it says so, as one that was cut.
    pub fn dead_letter(record: &Record, cause: &str, now: Timestamp) -> Self {
        // With its time, because a recreated topic begins with the same addresses.
        let name = format!("{}@{}", record.address(), record.timestamp_ms);
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        let mut message = dead_letter::<Payments>(record, cause, now);
        if !is_kept(record) {
            mark_cut(&mut message.headers, record);
        }
        Self { id, message }
    }

    /// Tells it from every other row: it follows from what the row says.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Whether it comes back, as payments reads the topic that it is for.
    pub fn returns(&self) -> bool {
        self.message.topic == topics::ORDERS.name()
    }

    /// What Debezium makes of it.
    pub fn message(&self) -> &Outgoing {
        &self.message
    }
}

/// Whether what comes of a row is `record` again. Its key and headers are texts, each header once
/// and one of ours, for which there is a column; and Debezium makes a tombstone of an empty value.
fn is_kept(record: &Record) -> bool {
    let is_text = |bytes: &Option<Vec<u8>>| {
        let text = bytes.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
        text.is_some_and(|text| !text.contains('\0'))
    };
    let headers = &record.headers.0;
    let mut columns: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
    columns.sort_unstable();
    columns.dedup();
    columns.len() == headers.len()
        && headers.iter().all(|(name, value)| names::ALL.contains(&&**name) && is_text(value))
        && is_text(&record.key)
        && record.value.as_ref().is_none_or(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use streams::{Headers, tx::dlq_names};

    fn record() -> Record {
        let mut headers = Headers::default();
        headers.push(names::SOURCE, "orders");
        Record {
            topic: topics::ORDERS.name().into(),
            partition: 0,
            offset: 7,
            timestamp_ms: 1,
            key: Some(b"key".to_vec()),
            value: None,
            headers,
        }
    }

    #[test]
    fn a_letter_says_when_its_row_cannot_hold_the_record_as_it_was() {
        let header = |name: &str, value: Option<&[u8]>| {
            let mut record = record();
            record.headers.0.push((name.into(), value.map(<[u8]>::to_vec)));
            record
        };
        let digest = |record: &Record| {
            let letter = OutboxRow::dead_letter(record, "garbage", Timestamp(1));
            letter.message().headers.get(dlq_names::SHA256).map(str::to_owned)
        };
        let value = |value: &[u8]| Record { value: Some(value.to_vec()), ..record() };
        for held in [record(), header(names::SUBJECT, Some(b"")), value(b"\0")] {
            assert_eq!(digest(&held), None, "{held:?}");
        }
        let key = |key: Option<&[u8]>| Record { key: key.map(<[u8]>::to_vec), ..record() };
        for lost in [
            key(None),
            key(Some(b"\xff")),
            key(Some(b"nul \0")),
            value(b""),
            header("theirs", Some(b"x")),
            header(names::SOURCE, Some(b"again")),
            header(names::SUBJECT, None),
            header(names::SUBJECT, Some(b"\xff")),
        ] {
            assert_eq!(digest(&lost), Some(lost.digest()), "{lost:?}");
        }
    }

    /// One without would be lost on the way, without a word.
    #[test]
    fn each_header_of_ours_has_a_column() {
        let files = [
            include_str!("../migrations/0001_payments.sql"),
            include_str!("../migrations/0006_callers.sql"),
        ];
        let is_column = |name: &str| {
            let mut lines = files.iter().flat_map(|file| file.lines());
            let of_outbox = |line: &str| line.split_whitespace().any(|word| word == name);
            lines.any(|line| of_outbox(line) && !line.contains("TABLE payments"))
        };
        let without: Vec<_> = names::ALL.into_iter().filter(|name| !is_column(name)).collect();
        assert!(without.is_empty(), "{without:?}");
    }

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let seconds: Vec<u64> = (1..=7).map(|times| pause(times).as_secs()).collect();
        assert_eq!(seconds, [30, 60, 120, 240, 480, 600, 600]);
        assert_eq!(pause(u32::MAX), PAUSE_MAX);
    }
}
