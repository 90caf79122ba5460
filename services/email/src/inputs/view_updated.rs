//! ViewUpdated: mail the customer of a settled order, because the view shows it now.
//!
//! Email sends each mail here, with its record, and not at the end of the batch. So a mail that the
//! server refuses for good makes only its own record a dead letter.

use crate::{
    adapters::store,
    domain::{
        mail::compose,
        notice::{self, Decision},
    },
    mailer::{DedupingMailer, DeliveryError, Mailer},
};
use contracts::{
    OrderId,
    email::EmailSent,
    owns::Email,
    topics::{EMAILS, ORDER_VIEWS},
};
use streams::{Failure, Record, Tx, failpoint};

pub(crate) fn handle<M: Mailer>(
    record: &Record,
    mailer: &mut DedupingMailer<M>,
    tx: &mut Tx<'_, Email>,
) -> Result<(), Failure> {
    let update = tx.decode(&ORDER_VIEWS, record)?;
    let order_id: OrderId = record.key_as()?;
    if order_id != update.order_id {
        let cause = format!("the record's key is {order_id}, but it announces {}", update.order_id);
        return Err(Failure::Poison(cause));
    }
    // The order was written by orders or payments, the record by the view: so the writer of the one
    // says nothing about the other.
    update.order.check_alone(order_id).map_err(Failure::poison)?;

    let sent = store::load(order_id, tx)?;
    let decision = notice::decide(&sent, &update, tx.now());
    let kind = match decision {
        Decision::Send(kind) => kind,
        Decision::Ignored(why) => {
            tracing::trace!(%order_id, ?why, "ignored");
            return Ok(());
        }
        Decision::Impossible(why) => return Err(Failure::poison(why)),
    };
    let mail = compose(&update.order, kind);
    mailer.deliver(&mail).map_err(|error| match error {
        DeliveryError::Temporary(_) => Failure::retriable(error),
        DeliveryError::Permanent(_) => Failure::poison(error),
    })?;
    failpoint::reached("mailed");
    tracing::debug!(%order_id, ?kind, to = mail.to_address, "mailed");

    let sent_kinds = notice::evolve(sent, &decision);
    store::save(order_id, &sent_kinds, tx)?;
    // The kinds are on the topic as well, so that a restore can rebuild a lost store.
    let announcement = EmailSent {
        order_id,
        kind,
        message_id: mail.message_id,
        recipient: mail.to_address,
        sent_kinds,
        sent_at: tx.now(),
    };
    tx.send(&EMAILS, &order_id, &announcement)
}
