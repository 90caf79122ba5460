//! The store of the entries, an index of the due ones by time, and one of those that are open.

use crate::domain::Entry;
use contracts::{Order, OrderId, Status, Timestamp, owns::Orders};
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
/// Orders that have not ended, by the time of their request. The key says all that is asked of them
/// ([`OpenOrder`]), so that one look gives it.
static OPEN: Table<u8> = Table::new(3);

/// What the tables hold: a store with another layout is rebuilt.
pub(crate) fn layout() -> Result<Layout, LayoutError> {
    Layout::default().table(&ENTRIES)?.table(&DEADLINES)?.table(&OPEN)
}

/// Width of a time in a key.
const TIME_BYTES: usize = size_of::<u64>();

/// What is known of `order_id`; the empty entry if that is nothing.
///
/// # Errors
/// [`Failure::Fatal`] when the store fails.
pub fn load(tx: &Tx<'_, Orders>, order_id: OrderId) -> Result<Entry, Failure> {
    Ok(tx.get(&ENTRIES, order_id.0.as_bytes())?.unwrap_or_default())
}

/// Replace `before` by `after`. `cause` gives the record that made the difference.
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
    cause: impl FnOnce() -> Cause,
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
            tx.put(&DEADLINES, &due_key(deadline, order_id), &cause())?;
        }
    }
    let open = |entry: &Entry| entry.order.as_deref().and_then(open_key);
    let (was, is) = (open(before), open(after));
    if was != is {
        if let Some(key) = was {
            tx.delete(&OPEN, &key);
        }
        if let Some(key) = is {
            tx.put(&OPEN, &key, &0)?;
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

/// An order that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenOrder {
    /// When it was requested.
    pub requested_at: Timestamp,
    /// Its status.
    pub status: Status,
    /// Since when it has that.
    pub since: Timestamp,
    /// Its deadline.
    pub deadline: Timestamp,
}

/// The open orders of the partition at hand, the oldest first, `limit` at most.
///
/// # Errors
/// [`Failure::Fatal`] when the store fails.
pub fn open(tx: &Tx<'_, Orders>, limit: usize) -> Result<Vec<OpenOrder>, Failure> {
    let keys = tx.keys_below(&OPEN, &[u8::MAX; TIME_BYTES], limit)?;
    keys.iter().map(|key| open_order(key)).collect()
}

/// Where `order` stands among the open ones, unless it has ended.
fn open_key(order: &Order) -> Option<Vec<u8>> {
    let status = Status::ALL.iter().position(|status| *status == order.status)?;
    if order.status.is_terminal() {
        return None;
    }
    let mut key = sortable(order.requested_at).to_vec();
    key.extend_from_slice(order.order_id.0.as_bytes());
    key.push(u8::try_from(status).ok()?);
    key.extend_from_slice(&sortable(order.occurred_at));
    key.extend_from_slice(&sortable(order.deadline));
    Some(key)
}

/// What [`open_key`] says.
fn open_order(key: &[u8]) -> Result<OpenOrder, Failure> {
    const STATUS_AT: usize = TIME_BYTES + size_of::<uuid::Uuid>();
    let status = key.get(STATUS_AT).and_then(|status| Status::ALL.get(usize::from(*status)));
    let broken = || Failure::Poison(format!("the key of an open order is {key:02x?}"));
    Ok(OpenOrder {
        requested_at: time_at(key, 0)?,
        status: *status.ok_or_else(broken)?,
        since: time_at(key, STATUS_AT + 1)?,
        deadline: time_at(key, STATUS_AT + 1 + TIME_BYTES)?,
    })
}

/// The [`sortable`] time that begins there.
fn time_at(key: &[u8], at: usize) -> Result<Timestamp, Failure> {
    let bytes = key.get(at..at + TIME_BYTES).unwrap_or_default();
    let bytes = bytes.try_into().map_err(Failure::fatal)?;
    i64::try_from(u64::from_be_bytes(bytes)).map(Timestamp).map_err(Failure::fatal)
}

fn due_key(deadline: Timestamp, order_id: OrderId) -> Vec<u8> {
    let mut key = sortable(deadline).to_vec();
    key.extend_from_slice(order_id.0.as_bytes());
    key
}

/// Big-endian, so that the order of the bytes is that of the times. A time before 1970 is due.
fn sortable(time: Timestamp) -> [u8; TIME_BYTES] {
    u64::try_from(time.millis()).unwrap_or(0).to_be_bytes()
}

fn order_of(key: &[u8]) -> Result<OrderId, Failure> {
    let id = key.get(TIME_BYTES..).unwrap_or_default();
    uuid::Uuid::from_slice(id).map(OrderId).map_err(Failure::fatal)
}
