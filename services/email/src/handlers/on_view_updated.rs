//! ViewUpdated: if the order is settled, mail the customer, who can now see it.
//!
//! The mail leaves here, record by record, and not at the end of the batch: so a mail that the
//! server refuses for good is the dead letter of its own record and of no other.

use crate::{
    domain::{
        mail::compose,
        notice::{Decision, decide, evolve},
    },
    mailer::{DeliveryError, Mailer, Outbox},
    store,
};
use contracts::{email::EmailSent, owns::Email, view::ViewUpdated};
use streams::{Failure, Tx, failpoint};

pub(crate) fn handle<M: Mailer>(
    update: &ViewUpdated,
    outbox: &mut Outbox<M>,
    tx: &mut Tx<'_, Email>,
) -> Result<(), Failure> {
    let order_id = update.order_id;
    let sent = store::sent(order_id, tx)?;
    let decision = decide(&sent, update);
    let kind = match decision {
        Decision::Send(kind) => kind,
        Decision::Ignored(why) => {
            tracing::trace!(%order_id, ?why, "ignored");
            return Ok(());
        }
        Decision::Impossible(why) => return Err(Failure::poison(why)),
    };
    let mail = compose(&update.order, kind);
    outbox.deliver(&mail).map_err(|error| match error {
        DeliveryError::Temporary(_) => Failure::retriable(error),
        DeliveryError::Permanent(_) => Failure::poison(error),
    })?;
    failpoint::reached("mailed");
    tracing::debug!(%order_id, ?kind, to = mail.to_address, "mailed");
    let announcement = EmailSent {
        order_id,
        kind,
        message_id: mail.message_id,
        recipient: mail.to_address,
        sent_kinds: evolve(sent, &decision),
        sent_at: tx.now(),
    };
    store::save(&announcement, tx)
}
