//! [`OutboxRow`]: a message, written in the transaction of its decision. Debezium sends it.

use contracts::{Order, Owns, Timestamp, owns::Payments, topics};
use streams::{Codec, Fact, Failure, Outgoing, Record, lineage::Cause, tx::dead_letter};
use uuid::Uuid;

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
        let headers = cause.headers::<Payments>(&fact.name(), &subject, now);
        let message = Outgoing {
            topic: topics::ORDERS.name(),
            // Debezium's producer partitions by the key, as every producer of the shop does.
            partition: 0,
            value: Some(codec.encode(&topics::ORDERS.spec, order)?),
            key: subject.into_bytes(),
            headers,
        };
        let id = order.order_id.derive(format!("version {}", order.version).as_bytes());
        Ok(Self { id, message })
    }

    /// The dead letter for `record`: its bytes and headers, and why it is one.
    pub fn dead_letter(record: &Record, cause: &str, now: Timestamp) -> Self {
        // With its time, because a recreated topic begins with the same addresses.
        let name = format!("{}@{}", record.address(), record.timestamp_ms);
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        Self { id, message: dead_letter::<Payments>(record, cause, now) }
    }

    /// Tells it from every other row: it follows from what the row says.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// What Debezium makes of it. The partition is that of the key.
    pub fn message(&self) -> &Outgoing {
        &self.message
    }
}
