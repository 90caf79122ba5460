//! Mails: one per order and kind, the right one, and not before the view has announced the outcome.

use crate::{
    case::Case,
    evidence::{Announcement, Logged, Mail},
    history::{History, Step},
    law::Law,
    laws::gone,
    retained::{DEAD_LETTERS, MAIL_SERVER},
    verdict::{Findings, Subject},
};
use contracts::{
    OrderId, ServiceName, Status, Timestamp,
    email::{EmailKind, EmailSent, Waiting},
    topics::ORDER_VIEWS,
};
use std::collections::{BTreeMap, BTreeSet};

/// Behind the `@` of every Message-ID.
const DOMAIN: &str = "murmuration.shop";

const KINDS: [EmailKind; 4] =
    [EmailKind::Confirmation, EmailKind::Rejection, EmailKind::Cancellation, EmailKind::Refund];

/// An order and the kind of a mail about it.
type About = (OrderId, EmailKind);

/// What became of the mails.
struct Mails {
    /// On `emails`, and since when.
    sent: BTreeMap<About, Timestamp>,
    /// At the mail server, and how often.
    arrived: BTreeMap<About, usize>,
    /// Among the dead letters.
    refused: BTreeSet<About>,
    /// For another attempt, and until when.
    waiting: BTreeMap<About, Timestamp>,
}

pub(crate) fn check(case: &Case<'_>, findings: &mut Findings<'_>) {
    let sent = once(case, findings);
    let announced = announced(case);
    let refused = refused(case, &announced);
    let waiting = waiting(case);
    let mut arrived: BTreeMap<About, usize> = BTreeMap::new();
    for mail in &case.evidence.mails {
        let about = about(&mail.message_id);
        let subject = about.map_or(Subject::default(), |(order_id, _)| order_id.into());
        findings.check_now(Law::MailOnce, subject, about.is_some(), || {
            format!("a mail to {} has the Message-ID {}", mail.to, mail.message_id)
        });
        if let Some(about) = about {
            *arrived.entry(about).or_insert(0) += 1;
            matches(case, about, mail, findings);
        }
    }
    for ((order_id, _), times) in &arrived {
        findings.mails_repeated(*order_id, times - 1);
    }
    let mails = Mails { sent, arrived, refused, waiting };
    for (order_id, history) in &case.histories {
        if let Some(end) = history.end() {
            due(case, *order_id, end, &mails, findings);
        }
    }
    after_view(case, &announced, findings);
}

/// The mail that an order deserves which has ended as `status`.
fn deserved(status: Status) -> Option<EmailKind> {
    match status {
        Status::Confirmed => Some(EmailKind::Confirmation),
        Status::Rejected => Some(EmailKind::Rejection),
        Status::Cancelled => Some(EmailKind::Cancellation),
        Status::Refunded => Some(EmailKind::Refund),
        _ => None,
    }
}

fn word(kind: EmailKind) -> &'static str {
    match kind {
        EmailKind::Confirmation => "confirmation",
        EmailKind::Rejection => "rejection",
        EmailKind::Cancellation => "cancellation",
        EmailKind::Refund => "refund",
    }
}

/// What a Message-ID is about, if it is one of ours: `order.kind@domain`.
fn about(message_id: &str) -> Option<About> {
    let (local, domain) = message_id.split_once('@')?;
    let (order_id, kind) = local.split_once('.')?;
    let kind = KINDS.into_iter().find(|known| word(*known) == kind)?;
    if domain == DOMAIN { Some((order_id.parse().ok()?, kind)) } else { None }
}

/// `emails` says each mail once, under its own Message-ID; when it says which.
fn once(case: &Case<'_>, findings: &mut Findings<'_>) -> BTreeMap<About, Timestamp> {
    let mut sent = BTreeMap::new();
    for record in &case.evidence.log.emails {
        let Some(mail) = record.read() else { continue };
        let EmailSent { order_id, kind, message_id, recipient, sent_kinds, .. } = mail;
        let expected = format!("<{order_id}.{}@{DOMAIN}>", word(*kind));
        let is_first = sent.insert((*order_id, *kind), record.timestamp).is_none();
        let holds = is_first && *message_id == expected && sent_kinds.contains(kind);
        let address = record.address("emails");
        findings.check_now(Law::MailOnce, *order_id, holds, || {
            format!("{address}: {} {message_id}, for the first time: {is_first}", word(*kind))
        });
        let known =
            Mail { message_id: message_id.clone(), to: recipient.clone(), at: record.timestamp };
        matches(case, (*order_id, *kind), &known, findings);
    }
    sent
}

/// The mail is that of the order's outcome, and goes to its customer.
fn matches(case: &Case<'_>, about: About, mail: &Mail, findings: &mut Findings<'_>) {
    let (order_id, kind) = about;
    let end = case.histories.get(&order_id).and_then(History::end);
    let status = end.map(|end| end.order.status);
    let to = end.map(|end| end.order.customer.email.as_str());
    let holds = status.and_then(deserved) == Some(kind) && to == Some(mail.to.as_str());
    let gone = gone(!case.retained.is_whole("orders", &order_id.to_string()), "orders");
    let gone = gone.filter(|_| case.histories.get(&order_id).is_none_or(|it| it.steps.is_empty()));
    findings.check_kept(Law::MailMatches, order_id, mail.at, holds, gone, || {
        let (kind, ended) = (word(kind), status.map_or("not ended", Status::as_str));
        let to_whom = to.unwrap_or("nobody");
        format!("{kind} to {}, but the order is {ended}, its customer {to_whom}", mail.to)
    });
}

/// The mail of the outcome is announced and has arrived, unless it is a dead letter or waits for
/// the mail server.
fn due(
    case: &Case<'_>,
    order_id: OrderId,
    end: Step<'_>,
    Mails { sent, arrived, refused, waiting }: &Mails,
    findings: &mut Findings<'_>,
) {
    let Some(kind) = deserved(end.order.status) else { return };
    let about = (order_id, kind);
    let at = end.record.timestamp;
    let gone = gone(!case.has_letters_since(ORDER_VIEWS.name(), at), DEAD_LETTERS);
    if refused.contains(&about) {
        return;
    }
    // A mail that waits is due when it is tried again.
    let since = waiting.get(&about).copied().unwrap_or(end.record.timestamp);
    findings.check_kept(Law::MailMatches, order_id, since, sent.contains_key(&about), gone, || {
        format!("it is {}, but emails has no {}", end.order.status, word(kind))
    });
    // What the mail server has forgotten, it cannot show.
    let is_forgotten = since < case.evidence.mails_since;
    let gone = gone.or(is_forgotten.then_some(MAIL_SERVER));
    // The mailbox was looked at before the topic: a mail that was sent in between is not in it.
    let since = sent.get(&about).copied().unwrap_or(since);
    let has_arrived = arrived.contains_key(&about);
    findings.check_kept(Law::MailMatches, order_id, since, has_arrived, gone, || {
        format!("it is {}, but no {} has arrived", end.order.status, word(kind))
    });
}

/// What the view has announced, by address.
fn announced<'a>(case: &Case<'a>) -> BTreeMap<String, &'a Announcement> {
    let views = case.evidence.log.order_views.iter();
    views.filter_map(|record| Some((record.address("order-views"), record.read()?))).collect()
}

/// The mail that `update` deserves, if it announces the end of its order.
fn announces(update: &Announcement) -> Option<About> {
    Some((update.order_id, deserved(update.order.status)?))
}

/// The mail that a transition deserves whose announcement may have been deleted unread: then it
/// stands in for that one.
fn made_up(case: &Case<'_>, cause: &str) -> Option<About> {
    let mut cut = case.evidence.log_starts.keys();
    if !cut.any(|(topic, _)| topic == ORDER_VIEWS.name()) {
        return None;
    }
    let record = case.evidence.log.orders.iter().find(|r| r.address("orders") == cause)?;
    let order = record.read()?;
    Some((order.order_id, deserved(order.status)?))
}

/// The mails that email has put aside. One whose dead letter was replayed is due again.
fn refused(case: &Case<'_>, announced: &BTreeMap<String, &Announcement>) -> BTreeSet<About> {
    let mut refused = BTreeSet::new();
    for letter in &case.evidence.dead_letters {
        if letter.service != ServiceName::Email || letter.replayed {
            continue;
        }
        refused.extend(announced.get(&letter.origin).and_then(|update| announces(update)));
        refused.extend(made_up(case, &letter.origin));
        // What it announced is not known any more: any mail of its order.
        if let (true, Ok(order)) = (case.retained.is_gone(&letter.origin), letter.key.parse()) {
            refused.extend(KINDS.map(|kind| (order, kind)));
        }
    }
    refused
}

/// The mails that wait for the mail server, and until when.
fn waiting(case: &Case<'_>) -> BTreeMap<About, Timestamp> {
    let records = case.evidence.log.emails_waiting.iter().filter_map(Logged::read);
    // The last record of an order counts.
    let latest: BTreeMap<_, _> = records.map(|mail| (mail.order_id, &mail.waiting)).collect();
    let until = |(order_id, waiting): (OrderId, &Option<Waiting>)| {
        waiting.as_ref().map(|waiting| ((order_id, waiting.kind), waiting.next_at))
    };
    latest.into_iter().filter_map(until).collect()
}

/// What caused a mail is an announcement of the view, of the outcome that the mail is about.
fn after_view(
    case: &Case<'_>,
    announced: &BTreeMap<String, &Announcement>,
    findings: &mut Findings<'_>,
) {
    for record in &case.evidence.log.emails {
        let Some(mail) = record.read() else { continue };
        let cause = record.causation.as_deref().unwrap_or("nothing");
        let about = announced.get(cause).and_then(|update| announces(update));
        let about = about.or_else(|| made_up(case, cause));
        let holds = about == Some((mail.order_id, mail.kind));
        let gone = gone(case.retained.is_gone(cause), ORDER_VIEWS.name());
        findings.check_kept(
            Law::MailAfterView,
            mail.order_id,
            record.timestamp,
            holds,
            gone,
            || {
                let (address, kind) = (record.address("emails"), word(mail.kind));
                format!("{address}: {kind} because of {cause}, which does not announce that")
            },
        );
    }
}
