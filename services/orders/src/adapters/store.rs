//! The store of the entries, and an index of the due ones by time.

use crate::domain::Entry;
use contracts::{OrderId, Timestamp, owns::Orders};
use streams::{
    Failure, Table, Tx,
    lineage::Cause,
    store::{Layout, LayoutError},
};

/// Entries by order id.
static ENTRIES: Table<Entry> = Table::new(1);
/// Orders that wait for their checks, and outcomes that wait for their order, by [`Entry::due`].
/// With the record that made them wait: it is the cause of what time brings.
static DEADLINES: Table<Cause> = Table::new(2);

/// What the tables hold: a store with another layout is rebuilt.
pub(crate) fn layout() -> Result<Layout, LayoutError> {
    Layout::default().table(&ENTRIES)?.table(&DEADLINES)
}

/// Width of a deadline in a key.
const DEADLINE_BYTES: usize = size_of::<u64>();

/// What is known of `order_id`; the empty entry if that is nothing.
///
/// # Errors
/// [`Failure::Fatal`] when the store fails.
pub fn load(tx: &Tx<'_, Orders>, order_id: OrderId) -> Result<Entry, Failure> {
    Ok(tx.get(&ENTRIES, order_id.0.as_bytes())?.unwrap_or_default())
}

/// Replace `before` by `after`. `cause` is the record that made the difference.
///
/// The index follows from the two, so it cannot disagree with the entries.
///
/// # Errors
/// [`Failure::Fatal`] when the store fails.
pub fn save(
    tx: &mut Tx<'_, Orders>,
    order_id: OrderId,
    before: &Entry,
    after: &Entry,
    cause: Cause,
) -> Result<(), Failure> {
    if before == after {
        return Ok(());
    }
    if *after == Entry::default() {
        tx.delete(&ENTRIES, order_id.0.as_bytes());
    } else {
        tx.put(&ENTRIES, order_id.0.as_bytes(), after)?;
    }
    if before.due() != after.due() {
        if let Some(deadline) = before.due() {
            tx.delete(&DEADLINES, &due_key(deadline, order_id));
        }
        if let Some(deadline) = after.due() {
            tx.put(&DEADLINES, &due_key(deadline, order_id), &cause)?;
        }
    }
    Ok(())
}

/// The orders of the partition at hand that are due at `now` or before, the oldest first, `limit`
/// at most, each with the record that made them wait.
///
/// # Errors
/// [`Failure::Fatal`] when the store fails.
pub fn due(
    tx: &Tx<'_, Orders>,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<(OrderId, Cause)>, Failure> {
    let after_now = sortable(Timestamp(now.millis() + 1));
    let mut due = Vec::new();
    for key in tx.keys_below(&DEADLINES, &after_now, limit)? {
        let order_id = order_of(&key)?;
        due.push((order_id, tx.get(&DEADLINES, &key)?.unwrap_or_default()));
    }
    Ok(due)
}

fn due_key(deadline: Timestamp, order_id: OrderId) -> Vec<u8> {
    let mut key = sortable(deadline).to_vec();
    key.extend_from_slice(order_id.0.as_bytes());
    key
}

/// Big-endian, so that the order of the bytes is that of the times. A time before 1970 is due.
fn sortable(time: Timestamp) -> [u8; DEADLINE_BYTES] {
    u64::try_from(time.millis()).unwrap_or(0).to_be_bytes()
}

fn order_of(key: &[u8]) -> Result<OrderId, Failure> {
    let id = key.get(DEADLINE_BYTES..).unwrap_or_default();
    uuid::Uuid::from_slice(id).map(OrderId).map_err(Failure::fatal)
}
