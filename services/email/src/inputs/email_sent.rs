//! EmailSent: our own record; a restore reads it back.

use crate::adapters::store;
use contracts::{OrderId, owns::Email, topics::EMAILS};
use streams::{Failure, Record, Tx};

/// Each has all kinds so far, so that the last one will do.
pub(crate) fn handle(record: &Record, tx: &mut Tx<'_, Email>) -> Result<(), Failure> {
    let mail = tx.decode(&EMAILS, record)?;
    match record.key_as::<OrderId>()? == mail.order_id {
        true => store::save(mail.order_id, &mail.sent_kinds, tx),
        false => Err(Failure::poison("the key is not the order of the mail")),
    }
}
