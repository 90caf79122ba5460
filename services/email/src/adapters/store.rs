//! The state: the kinds of mail that each order has had, and the mail of it that waits; with an
//! index by which time finds the mails that are due.

use crate::domain::notice::Sent;
use contracts::{
    OrderId, Timestamp,
    email::{EmailKind, Waiting},
    owns::Email,
    topics::Key,
};
use streams::{
    Failure, Table, Tx,
    store::{Layout, LayoutError},
};

/// By order id.
static SENT: Table<Sent> = Table::new(1);
/// By order id.
static WAITING: Table<Waiting> = Table::new(2);
/// By [`Waiting::next_at`] and order id.
static DUE: Table<EmailKind> = Table::new(3);

/// What the tables hold: a store with another layout is rebuilt.
pub(crate) fn layout() -> Result<Layout, LayoutError> {
    Layout::default().table(&SENT)?.table(&WAITING)?.table(&DUE)
}

/// The kinds of mail that `order_id` has had; none if nothing is stored.
///
/// # Errors
/// [`Failure::Fatal`] when the store fails.
pub(crate) fn load(order_id: OrderId, tx: &Tx<'_, Email>) -> Result<Sent, Failure> {
    Ok(tx.get(&SENT, &order_id.to_bytes())?.unwrap_or_default())
}

/// Store the kinds of mail that `order_id` has had.
///
/// # Errors
/// [`Failure::Fatal`] when they cannot be encoded.
pub(crate) fn save(order_id: OrderId, sent: &Sent, tx: &mut Tx<'_, Email>) -> Result<(), Failure> {
    tx.put(&SENT, &order_id.to_bytes(), sent)
}

/// The mail of `order_id` that waits.
///
/// # Errors
/// [`Failure::Fatal`] when the store fails.
pub(crate) fn waiting(order_id: OrderId, tx: &Tx<'_, Email>) -> Result<Option<Waiting>, Failure> {
    tx.get(&WAITING, &order_id.to_bytes())
}

/// Store that `waiting` waits for `order_id`, or that no mail does. The index follows.
///
/// # Errors
/// [`Failure::Fatal`] when the store fails, or it cannot be encoded.
pub(crate) fn set_waiting(
    order_id: OrderId,
    waiting: Option<&Waiting>,
    tx: &mut Tx<'_, Email>,
) -> Result<(), Failure> {
    if let Some(before) = self::waiting(order_id, tx)? {
        tx.delete(&DUE, &due_key(before.next_at, order_id));
    }
    let Some(waiting) = waiting else {
        tx.delete(&WAITING, &order_id.to_bytes());
        return Ok(());
    };
    tx.put(&DUE, &due_key(waiting.next_at, order_id), &waiting.kind)?;
    tx.put(&WAITING, &order_id.to_bytes(), waiting)
}

/// The orders of the partition at hand whose mail is due at `now` or before, the oldest first,
/// `limit` at most.
///
/// # Errors
/// [`Failure::Fatal`] when the store fails.
pub(crate) fn due(
    tx: &Tx<'_, Email>,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<OrderId>, Failure> {
    let after_now = sortable(Timestamp(now.millis() + 1));
    let order_of = |key: Vec<u8>| {
        let order_id = OrderId::from_bytes(key.get(size_of::<u64>()..).unwrap_or_default());
        order_id.map_err(|error| Failure::fatal(std::io::Error::other(error)))
    };
    tx.keys_below(&DUE, &after_now, limit)?.into_iter().map(order_of).collect()
}

fn due_key(next_at: Timestamp, order_id: OrderId) -> Vec<u8> {
    [&sortable(next_at)[..], &order_id.to_bytes()].concat()
}

/// Big-endian, so that the order of the bytes is that of the times. A time before 1970 is due.
fn sortable(time: Timestamp) -> [u8; size_of::<u64>()] {
    u64::try_from(time.millis()).unwrap_or(0).to_be_bytes()
}
