//! The deadline of an order -> OrderCancelled, or another due transition. Orders also forgets
//! outcomes whose order never came.

use contracts::owns::Orders;
use streams::{Failure, Tx};

use super::propose_next;
use crate::{adapters::store, domain::unclaimed};

/// Most orders that one tick looks at, so that a backlog of them cannot swell a transaction; the
/// next tick goes on.
pub const ORDERS_PER_TICK_MAX: usize = 200;

/// End the orders of the partition at hand whose deadline has come, and forget the outcomes that
/// have waited too long for theirs.
///
/// # Errors
/// As [`Tx::send`].
pub fn handle(tx: &mut Tx<'_, Orders>) -> Result<(), Failure> {
    for (order_id, cause) in store::due(tx, tx.now(), ORDERS_PER_TICK_MAX)? {
        // No record has come: the one that requested the order is the cause.
        tx.continue_story(cause.clone());
        let before = store::load(tx, order_id)?;
        let decision = unclaimed::decide(&before, tx.now());
        let entry = unclaimed::evolve(before.clone(), &decision);
        let after = propose_next(tx, entry)?;
        store::save(tx, order_id, &before, &after, || cause)?;
    }
    Ok(())
}
