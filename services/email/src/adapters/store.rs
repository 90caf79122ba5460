//! The state: the kinds of mail that each order has had.

use crate::domain::notice::Sent;
use contracts::{OrderId, owns::Email, topics::Key};
use streams::{
    Failure, Table, Tx,
    store::{Layout, LayoutError},
};

/// By order id.
static SENT: Table<Sent> = Table::new(1);

/// What the tables hold: a store with another layout is rebuilt.
pub(crate) fn layout() -> Result<Layout, LayoutError> {
    Layout::default().table(&SENT)
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
