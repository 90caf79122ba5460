//! The state: which kinds of mail each order has had. `emails` has it as well, so that a store
//! which is lost is read back.

use crate::domain::notice::Sent;
use contracts::{
    OrderId,
    email::EmailSent,
    owns::Email,
    topics::{EMAILS, Key},
};
use streams::{Failure, Record, Table, Tx};

/// By order id.
static SENT: Table<Sent> = Table::new(1);

pub(crate) fn sent(order_id: OrderId, tx: &Tx<'_, Email>) -> Result<Sent, Failure> {
    Ok(tx.get(&SENT, &order_id.to_bytes())?.unwrap_or_default())
}

/// Remember `mail`, and announce it.
pub(crate) fn save(mail: &EmailSent, tx: &mut Tx<'_, Email>) -> Result<(), Failure> {
    tx.put(&SENT, &mail.order_id.to_bytes(), &mail.sent_kinds)?;
    tx.send(&EMAILS, &mail.order_id, mail)
}

/// Read one record of `emails` back. Each has all kinds so far, so that the last one will do.
pub(crate) fn read_back(record: &Record, tx: &mut Tx<'_, Email>) -> Result<(), Failure> {
    let mail = tx.decode(&EMAILS, record)?;
    match record.key_as::<OrderId>()? == mail.order_id {
        true => tx.put(&SENT, &mail.order_id.to_bytes(), &mail.sent_kinds),
        false => Err(Failure::poison("the key is not the order of the mail")),
    }
}
