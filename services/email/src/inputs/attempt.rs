//! One attempt at the mail that an announcement deserves, and what follows from its end.

use crate::{
    adapters::store,
    domain::{
        mail::{Mail, compose},
        notice::{self, Decision, Mails},
        schedule::{self, Attempts, Next, Trouble},
    },
    mailer::{DedupingMailer, DeliveryError, Mailer},
};
use contracts::{
    OrderId, Timestamp,
    email::{EmailKind, EmailSent, EmailWaiting, Waiting},
    owns::Email,
    topics::{EMAILS, EMAILS_WAITING, ORDER_VIEWS, ORDERS},
    view::ViewUpdated,
};
use streams::{
    Failure, Record, Tx, failpoint,
    limits::{CAUSE_BYTES_MAX, clip},
    tracer::{Span, names as attribute},
};

/// A record that can be believed: of `order-views`, or of `orders` where that was deleted.
pub(super) struct Announced<'a> {
    record: &'a Record,
    pub(super) update: ViewUpdated,
}

impl<'a> Announced<'a> {
    /// What `record` announces.
    ///
    /// # Errors
    /// [`Failure::Poison`] when it does not decode, or its parts contradict each other.
    pub(super) fn read(record: &'a Record, tx: &Tx<'_, Email>) -> Result<Self, Failure> {
        let update = tx.decode(&ORDER_VIEWS, record)?;
        let order_id: OrderId = record.key_as()?;
        if order_id != update.order_id {
            let cause =
                format!("the record's key is {order_id}, but it announces {}", update.order_id);
            return Err(Failure::Poison(cause));
        }
        // The order was written by orders or payments, the record by the view: so the writer of the
        // one says nothing about the other.
        update.order.check_alone(order_id).map_err(Failure::poison)?;
        Ok(Self { record, update })
    }

    /// What the view has announced because of `record`, a transition; none of one that cannot be
    /// believed. The view announces every transition, and none that is not the order's.
    ///
    /// # Errors
    /// While the registry is away.
    pub(super) fn made_up(record: &'a Record, tx: &Tx<'_, Email>) -> Result<Option<Self>, Failure> {
        let (key, source) = (record.key_as::<OrderId>(), record.headers.source());
        let order = match (key, tx.decode(&ORDERS, record)) {
            (Ok(key), Ok(order)) if order.check_written(key, source).is_ok() => order,
            (_, Err(failure @ (Failure::Retriable(_) | Failure::Fatal(_)))) => return Err(failure),
            _ => return Ok(None),
        };
        let (order_id, view_version) = (order.order_id, order.version);
        let updated_at = Timestamp(record.timestamp_ms);
        let update = ViewUpdated { order_id, view_version, order, updated_at };
        Ok(Some(Self { record, update }))
    }
}

/// Try the mail of `announced` once, unless it was sent. If one of the order waits, it is this one.
///
/// # Errors
/// [`Failure::Retriable`] while the server is away. [`Failure::Poison`] when it will never take the
/// mail, or its schedule has ended.
pub(super) fn make<M: Mailer>(
    announced: &Announced<'_>,
    mailer: &mut DedupingMailer<M>,
    tx: &mut Tx<'_, Email>,
) -> Result<(), Failure> {
    let Announced { record, update } = announced;
    let order_id = update.order_id;
    let before = store::waiting(order_id, tx)?;
    let mails = Mails { sent: store::load(order_id, tx)?, waiting: None };
    let decision = notice::decide(&mails, update, tx.now());
    let kind = match decision {
        Decision::Send(kind) => kind,
        Decision::Ignored(_) => return set_waiting(order_id, None, tx),
        Decision::Impossible(why) => return Err(Failure::poison(why)),
    };
    let mail = compose(&update.order, kind);
    let mut span = (!mailer.has_sent(&mail)).then(|| span(&mail, tx)).flatten();
    let delivered = mailer.deliver(&mail);
    if let (Some(span), Err(error)) = (&mut span, &delivered) {
        span.fail(&error.to_string());
    }
    drop(span);
    let (trouble, cause) = match delivered {
        Ok(()) => {
            failpoint::reached("mailed");
            tracing::debug!(?kind, to = mail.to_address, "mailed");
            if before.is_some() {
                set_waiting(order_id, None, tx)?;
            }
            return sent(order_id, kind, mail, notice::evolve(mails, &decision), tx);
        }
        Err(error @ DeliveryError::Outage(_)) => return Err(Failure::retriable(error)),
        Err(error @ DeliveryError::Permanent(_)) => return Err(Failure::poison(error)),
        Err(DeliveryError::UnderWay(cause)) => (Trouble::UnderWay, cause),
        Err(DeliveryError::Refused(cause)) => (Trouble::Refused, cause),
        Err(DeliveryError::Doubtful(cause)) => (Trouble::Doubtful, cause),
    };
    let waiting = wait(record, kind, before.as_ref(), (trouble, cause), tx)?;
    set_waiting(order_id, Some(waiting), tx)
}

/// The span in which `mail` is offered to the server.
fn span(mail: &Mail, tx: &Tx<'_, Email>) -> Option<Box<dyn Span>> {
    let attributes = vec![
        (attribute::PROTOCOL, "smtp".into()),
        (attribute::MESSAGE_ID, mail.message_id.as_str().into()),
    ];
    tx.call("smtp send", attributes)
}

/// Announce that the server has accepted `mail`. The kinds are on the topic as well, so that a
/// restore can rebuild a lost store.
fn sent(
    order_id: OrderId,
    kind: EmailKind,
    mail: Mail,
    mails: Mails,
    tx: &mut Tx<'_, Email>,
) -> Result<(), Failure> {
    store::save(order_id, &mails.sent, tx)?;
    let announcement = EmailSent {
        order_id,
        kind,
        message_id: mail.message_id,
        recipient: mail.to_address,
        sent_kinds: mails.sent,
        sent_at: tx.now(),
    };
    tx.send(&EMAILS, &order_id, &announcement)
}

/// How the mail waits on after `trouble`.
fn wait(
    record: &Record,
    kind: EmailKind,
    before: Option<&Waiting>,
    (trouble, cause): (Trouble, String),
    tx: &Tx<'_, Email>,
) -> Result<Waiting, Failure> {
    let made =
        before.map(|&Waiting { since, refusals, doubts, .. }| Attempts { since, refusals, doubts });
    let (attempts, next_at) = match schedule::after(made, trouble, tx.now()) {
        Next::Retry { attempts, at } => (attempts, at),
        Next::GiveUp(Attempts { since, refusals, doubts }) => {
            let since = since.rfc3339();
            return Err(Failure::Poison(format!(
                "given up: since {since} the mail server did not take it {refusals} times and left \
                 {doubts} whole mails without an answer, at last: {cause}"
            )));
        }
    };
    tracing::debug!(record = record.address(), next_at = next_at.rfc3339(), "it waits: {cause}");
    let text = |value: Option<Vec<u8>>| String::from_utf8(value?).ok();
    let headers = record.headers.bounded().0;
    Ok(Waiting {
        kind,
        since: attempts.since,
        next_at,
        refusals: attempts.refusals,
        doubts: attempts.doubts,
        cause: clip(&cause, CAUSE_BYTES_MAX).to_owned(),
        topic: record.topic.to_string(),
        offset: record.offset,
        headers: headers
            .into_iter()
            .filter_map(|(name, it)| Some((name.into(), text(it)?)))
            .collect(),
        announcement: record.value.clone().unwrap_or_default(),
    })
}

/// Change which mail of the order waits, in the store and on the topic that restores it.
///
/// # Errors
/// As [`Tx::send`].
pub(super) fn set_waiting(
    order_id: OrderId,
    waiting: Option<Waiting>,
    tx: &mut Tx<'_, Email>,
) -> Result<(), Failure> {
    store::set_waiting(order_id, waiting.as_ref(), tx)?;
    tx.send(&EMAILS_WAITING, &order_id, &EmailWaiting { order_id, waiting })
}
