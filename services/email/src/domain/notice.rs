//! The kind of mail for an order, if any.

use contracts::{Order, Timestamp, email::EmailKind, view::ViewUpdated};
use std::fmt;

/// State: the kinds of mail that an order has had.
pub type Sent = Vec<EmailKind>;

/// State: the mails of an order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mails {
    /// The kinds that the mail server has accepted.
    pub sent: Sent,
    /// The kind that waits for another attempt.
    pub waiting: Option<EmailKind>,
}

// Input: a ViewUpdated.

/// What an announcement of the view means to email.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The customer gets this mail.
    Send(EmailKind),
    /// The customer gets none.
    Ignored(NoOp),
    /// The view does not announce such a thing.
    Impossible(Impossible),
}

/// Why there is no mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoOp {
    /// The order has not ended: a mail now may be wrong in a moment.
    NotSettled,
    /// It has been sent.
    AlreadySent,
    /// It waits for another attempt.
    AlreadyWaiting,
}

/// What the view does not announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Impossible {
    /// The view shows less than it says.
    Unseen {
        /// The version that readers are said to see.
        view_version: i64,
        /// The version of the order that is announced.
        order_version: i64,
    },
    /// The order was settled before, in another way, and that mail still waits.
    Settled(EmailKind),
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unseen { view_version, order_version } => {
                write!(f, "the view shows version {view_version}, but announces {order_version}")
            }
            Self::Settled(kind) => {
                write!(f, "the order is settled: its {} waits for the server", kind.as_str())
            }
        }
    }
}

/// What to do about `update`, given the order's `mails`. Nothing of it depends on the time.
pub fn decide(mails: &Mails, update: &ViewUpdated, _now: Timestamp) -> Decision {
    let ViewUpdated { view_version, order: Order { version, status, .. }, .. } = update;
    if view_version < version {
        let (view_version, order_version) = (*view_version, *version);
        return Decision::Impossible(Impossible::Unseen { view_version, order_version });
    }
    match EmailKind::for_status(*status) {
        None => Decision::Ignored(NoOp::NotSettled),
        Some(kind) if mails.sent.contains(&kind) => Decision::Ignored(NoOp::AlreadySent),
        Some(kind) => match mails.waiting {
            None => Decision::Send(kind),
            Some(waiting) if waiting == kind => Decision::Ignored(NoOp::AlreadyWaiting),
            Some(waiting) => Decision::Impossible(Impossible::Settled(waiting)),
        },
    }
}

/// The order's mails after `decision`, once the server has accepted what it says.
pub fn evolve(mut mails: Mails, decision: &Decision) -> Mails {
    match decision {
        Decision::Send(kind) => mails.sent.push(*kind),
        Decision::Ignored(_) | Decision::Impossible(_) => {}
    }
    mails
}
