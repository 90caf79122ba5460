//! A mail that waits is due: another attempt, or, at the end of its schedule, a dead letter.

use super::attempt::{self, Announced};
use crate::{
    adapters::store,
    mailer::{DedupingMailer, Mailer},
};
use contracts::{
    OrderId,
    email::Waiting,
    owns::Email,
    topics::{Key, ORDERS},
};
use streams::{
    Failure, Headers, Record, Tx,
    limits::{CAUSE_BYTES_MAX, clip},
};

/// Most mails of a partition that are tried at a time: each may keep the records waiting.
const DUE_MAX: usize = 16;

/// Try the mails of the partition at hand that are due.
pub(crate) fn handle<M: Mailer>(
    mailer: &mut DedupingMailer<M>,
    tx: &mut Tx<'_, Email>,
) -> Result<(), Failure> {
    let partition = tx.partition();
    for order_id in store::due(tx, tx.now(), DUE_MAX)? {
        let Some(waiting) = store::waiting(order_id, tx)? else { continue };
        let record = announcement(order_id, partition, &waiting);
        // The announcement is the cause of what follows, and stands in a dead letter.
        tx.begin(&record);
        match announced(&record, tx).and_then(|it| attempt::make(&it, mailer, tx)) {
            Ok(()) => {}
            Err(Failure::Poison(cause)) => {
                let cause = clip(&cause, CAUSE_BYTES_MAX);
                tracing::warn!(record = record.address(), "dead letter: {cause}");
                tx.dead_letter(&record, cause);
                attempt::set_waiting(order_id, None, tx)?;
            }
            Err(failure) => return Err(failure),
        }
        tx.keep();
    }
    tx.begin_partition(partition);
    Ok(())
}

/// What the record says because of which the mail waits.
fn announced<'a>(record: &'a Record, tx: &Tx<'_, Email>) -> Result<Announced<'a>, Failure> {
    if !record.is_on(&ORDERS) {
        return Announced::read(record, tx);
    }
    // It was believed when the mail began to wait.
    let made_up = Announced::made_up(record, tx)?;
    made_up.ok_or_else(|| Failure::Poison("the transition cannot be believed any more".into()))
}

/// The record because of which the mail waits.
fn announcement(order_id: OrderId, partition: i32, waiting: &Waiting) -> Record {
    let mut headers = Headers::default();
    waiting.headers.iter().for_each(|(name, value)| headers.push(name, value.as_str()));
    Record {
        topic: waiting.topic.as_str().into(),
        partition,
        offset: waiting.offset,
        timestamp_ms: waiting.since.millis(),
        key: Some(order_id.to_bytes()),
        value: Some(waiting.announcement.clone()),
        headers,
    }
}
