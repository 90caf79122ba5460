//! The kind of mail for an order, if any.

use contracts::{Order, Timestamp, email::EmailKind, view::ViewUpdated};
use std::fmt;

/// State: the kinds of mail that an order has had.
pub type Sent = Vec<EmailKind>;

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
}

/// The view shows less than it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Impossible {
    /// The version that readers are said to see.
    pub view_version: i64,
    /// The version of the order that is announced.
    pub order_version: i64,
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { view_version, order_version } = self;
        write!(f, "the view shows version {view_version}, but announces {order_version}")
    }
}

/// What to do about `update`, given what was `sent` before. Nothing of it depends on the time.
pub fn decide(sent: &Sent, update: &ViewUpdated, _now: Timestamp) -> Decision {
    let ViewUpdated { view_version, order: Order { version, status, .. }, .. } = update;
    if view_version < version {
        let (view_version, order_version) = (*view_version, *version);
        return Decision::Impossible(Impossible { view_version, order_version });
    }
    match EmailKind::for_status(*status) {
        None => Decision::Ignored(NoOp::NotSettled),
        Some(kind) if sent.contains(&kind) => Decision::Ignored(NoOp::AlreadySent),
        Some(kind) => Decision::Send(kind),
    }
}

/// What has been sent after `decision`.
pub fn evolve(mut sent: Sent, decision: &Decision) -> Sent {
    match decision {
        Decision::Send(kind) => sent.push(*kind),
        Decision::Ignored(_) | Decision::Impossible(_) => {}
    }
    sent
}
