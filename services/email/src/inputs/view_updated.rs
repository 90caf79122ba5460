//! ViewUpdated: mail the customer of a settled order, because the view shows it now.
//!
//! Email sends each mail here, with its record, and not at the end of the batch. So a mail that the
//! server refuses for good makes only its own record a dead letter, and a mail that the server
//! wants later waits alone.

use super::attempt::{self, Announced};
use crate::{
    adapters::store,
    domain::notice::{self, Decision, Mails},
    mailer::{DedupingMailer, Mailer},
};
use contracts::owns::Email;
use streams::{Failure, Record, Tx};

pub(crate) fn handle<M: Mailer>(
    record: &Record,
    mailer: &mut DedupingMailer<M>,
    tx: &mut Tx<'_, Email>,
) -> Result<(), Failure> {
    mail(&Announced::read(record, tx)?, mailer, tx)
}

/// Mail the customer about what is `announced`, if they do not know yet.
pub(super) fn mail<M: Mailer>(
    announced: &Announced<'_>,
    mailer: &mut DedupingMailer<M>,
    tx: &mut Tx<'_, Email>,
) -> Result<(), Failure> {
    let order_id = announced.update.order_id;
    let waiting = store::waiting(order_id, tx)?.map(|waiting| waiting.kind);
    let mails = Mails { sent: store::load(order_id, tx)?, waiting };
    match notice::decide(&mails, &announced.update, tx.now()) {
        Decision::Send(_) => attempt::make(announced, mailer, tx),
        Decision::Ignored(why) => {
            tracing::trace!(?why, "ignored");
            Ok(())
        }
        Decision::Impossible(why) => Err(Failure::poison(why)),
    }
}
