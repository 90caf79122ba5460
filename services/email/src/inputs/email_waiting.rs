//! EmailWaiting: our own, read back when the state is restored.

use crate::adapters::store;
use contracts::{OrderId, owns::Email, topics::EMAILS_WAITING};
use streams::{Failure, Record, Tx};

/// The last one says which mail of the order waits, if any.
pub(crate) fn handle(record: &Record, tx: &mut Tx<'_, Email>) -> Result<(), Failure> {
    let mail = tx.decode(&EMAILS_WAITING, record)?;
    match record.key_as::<OrderId>()? == mail.order_id {
        true => store::set_waiting(mail.order_id, mail.waiting.as_ref(), tx),
        false => Err(Failure::poison("the key is not the order of the mail")),
    }
}
