//! The state of fraud-check: the open value of each customer.

use crate::domain::exposure::State;
use contracts::{CustomerId, owns::Fraud, topics::Key};
use streams::{
    Failure, Table, Tx,
    store::{Layout, LayoutError},
};

/// By customer.
static CUSTOMERS: Table<State> = Table::new(1);

/// What the table holds: a store with another layout is rebuilt.
pub(crate) fn layout() -> Result<Layout, LayoutError> {
    Layout::default().table(&CUSTOMERS)
}

/// What is known of `customer`.
///
/// # Errors
/// [`Failure::Fatal`] when the store fails.
pub(crate) fn load(tx: &Tx<'_, Fraud>, customer: &CustomerId) -> Result<State, Failure> {
    Ok(tx.get(&CUSTOMERS, &customer.to_bytes())?.unwrap_or_default())
}

/// Remember it.
///
/// # Errors
/// [`Failure::Fatal`] when it cannot be encoded.
pub(crate) fn save(
    tx: &mut Tx<'_, Fraud>,
    customer: &CustomerId,
    state: &State,
) -> Result<(), Failure> {
    tx.put(&CUSTOMERS, &customer.to_bytes(), state)
}
