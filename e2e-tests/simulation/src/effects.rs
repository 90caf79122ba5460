//! What view and email do while they decide: rows in a database, mails on their way. Both are
//! outside of Kafka's transaction, so each can fail, and each can succeed and not tell.

use crate::{faults, read::about, view::Rows};
use anyhow::anyhow;
use auditor::Mail as Mailed;
use email::{DeliveryError, Mailer, domain::mail::Mail};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use streams_sim::Outside;
use view::{
    batch::{Batch, Outcome},
    repository::{Repository, Unwritten},
};

/// What view and email write to. Clones share it.
#[derive(Clone)]
pub(crate) struct Effects {
    outside: Outside,
    written: Arc<Mutex<Written>>,
}

/// What has arrived.
#[derive(Default)]
pub(crate) struct Written {
    /// The rows of the view.
    pub(crate) rows: Rows,
    /// What the mail server has accepted.
    pub(crate) mails: Vec<Mailed>,
    /// The number of repetitions by a process that knew of the acceptance.
    pub(crate) mails_again: usize,
}

impl Effects {
    /// A database with these rows, and an empty mail box.
    pub(crate) fn new(outside: Outside, rows: Rows) -> Self {
        let written = Written { rows, ..Written::default() };
        Self { outside, written: Arc::new(Mutex::new(written)) }
    }

    /// What has arrived so far.
    pub(crate) fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The view's database, as one instance reaches it.
pub(crate) struct Postgres(pub(crate) Effects);

impl Repository for Postgres {
    fn apply(&mut self, batch: Batch<'_>) -> Result<Vec<Outcome>, Unwritten> {
        let failed = |why: &'static str| Err(Unwritten::Failed(anyhow!(why)));
        let outside = &self.0.outside;
        if outside.strikes(faults::SQL_AWAY) {
            return failed("Postgres does not answer");
        }
        if outside.lasts(faults::READ_ONLY, faults::READ_ONLY_MAX) {
            return failed("Postgres is read-only");
        }
        if outside.strikes(faults::CRASH_BEFORE_SQL) {
            outside.die();
            return failed("the process dies before the commit");
        }
        // A transaction reads first and writes then. What it has read may be as old as the batch:
        // in between, an instance that goes on after it was replaced may have been overtaken.
        let (read_at, step) = (outside.read_at(), outside.step());
        let decisions = self.0.written().rows.apply(batch, read_at, step);
        for (transition, decision) in batch.transitions().zip(&decisions) {
            let (order_id, version) = (transition.order.order_id, transition.order.version);
            outside.note(|| {
                (about([order_id]), format!("view: {order_id} version {version} is {decision:?}"))
            });
        }
        if outside.strikes(faults::CRASH_AFTER_SQL) {
            outside.die();
            return failed("the process dies after the commit");
        }
        if outside.strikes(faults::SQL_UNKNOWN) {
            return failed("the answer to the commit is lost");
        }
        Ok(batch.outcomes(decisions))
    }
}

/// The mail server, as one life of an instance reaches it.
pub(crate) struct MailServer {
    effects: Effects,
    /// The effects that this process knows.
    accepted: BTreeSet<String>,
}

impl MailServer {
    /// For a process that begins.
    pub(crate) fn new(effects: Effects) -> Self {
        Self { effects, accepted: BTreeSet::new() }
    }
}

impl Mailer for MailServer {
    fn deliver(&mut self, mail: &Mail) -> Result<(), DeliveryError> {
        let outside = &self.effects.outside;
        let failed = |why: &str| Err(DeliveryError::Outage(why.to_owned()));
        if outside.died() {
            return failed("the process is dead");
        }
        if outside.strikes(faults::MAIL_AWAY) {
            return failed("the mail server does not answer");
        }
        if outside.strikes(faults::MAIL_GREYLISTED) {
            return Err(DeliveryError::Refused("451 greylisted".to_owned()));
        }
        let message_id = mail.message_id.trim_matches(['<', '>']).to_owned();
        outside.note(|| {
            let order = message_id.split('.').next().unwrap_or_default().to_owned();
            (Some(BTreeSet::from([order])), format!("mail accepted: {message_id}"))
        });
        let (to, at) = (mail.to_address.clone(), outside.now());
        let mut written = self.effects.written();
        written.mails_again += usize::from(self.accepted.contains(&message_id));
        written.mails.push(Mailed { message_id: message_id.clone(), to, at });
        drop(written);
        if outside.strikes(faults::CRASH_WHILE_MAILING) {
            outside.die();
            return failed("the process dies");
        }
        if outside.strikes(faults::MAIL_ANSWER_LOST) {
            let why = "the answer of the mail server is lost".to_owned();
            return Err(DeliveryError::Doubtful(why));
        }
        self.accepted.insert(message_id);
        Ok(())
    }
}
