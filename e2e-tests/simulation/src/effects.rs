//! What view and email do while they decide: rows in a database, mails on their way. Both are
//! outside of Kafka's transaction, so each can fail, and each can succeed and not tell.

use crate::{
    faults::{Fault, Faults},
    view::Rows,
};
use anyhow::anyhow;
use auditor::Mail as Mailed;
use contracts::{OrderId, Timestamp};
use email::{DeliveryError, Mailer, domain::mail::Mail};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use view::{
    batch::{Batch, Outcome},
    repository::{Repository, Unwritten},
};

/// The parts outside of Kafka. Clones share them.
#[derive(Clone)]
pub(crate) struct Effects(Arc<Mutex<State>>);

struct State {
    rows: Rows,
    mails: Vec<Mailed>,
    mails_again: usize,
    faults: Faults,
    now: Timestamp,
    step: u64,
    read_at: u64,
    died: bool,
    traced: bool,
    notes: Vec<(Option<BTreeSet<OrderId>>, String)>,
}

impl Effects {
    /// An empty database and an empty mail box; `traced`: events are kept for the trace.
    pub(crate) fn new(rows: Rows, faults: Faults, traced: bool) -> Self {
        let (now, notes) = (Timestamp::default(), Vec::new());
        let (mails, died) = (Vec::new(), false);
        let (mails_again, step, read_at) = (0, 0, 0);
        let state =
            State { rows, mails, mails_again, faults, now, step, read_at, died, traced, notes };
        Self(Arc::new(Mutex::new(state)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A processor is going to decide, on what it has polled at the step `read_at`.
    pub(crate) fn begin(&self, now: Timestamp, step: u64, read_at: u64) {
        let mut state = self.lock();
        (state.now, state.step, state.read_at, state.died) = (now, step, read_at, false);
    }

    /// Whether its process has died meanwhile.
    pub(crate) fn died(&self) -> bool {
        self.lock().died
    }

    /// What has happened meanwhile.
    pub(crate) fn take_notes(&self) -> Vec<(Option<BTreeSet<OrderId>>, String)> {
        std::mem::take(&mut self.lock().notes)
    }

    /// Whether `fault` strikes now.
    pub(crate) fn strikes(&self, fault: Fault) -> bool {
        self.lock().faults.strikes(fault)
    }

    /// Look at the faults.
    pub(crate) fn faults<T>(&self, look: impl FnOnce(&mut Faults) -> T) -> T {
        look(&mut self.lock().faults)
    }

    /// The rows of the view.
    pub(crate) fn rows<T>(&self, look: impl FnOnce(&Rows) -> T) -> T {
        look(&self.lock().rows)
    }

    /// What the mail server has accepted.
    pub(crate) fn mails(&self) -> Vec<Mailed> {
        self.lock().mails.clone()
    }

    /// The number of repetitions by a process that knew of the acceptance.
    pub(crate) fn mails_again(&self) -> usize {
        self.lock().mails_again
    }
}

impl State {
    fn strikes(&mut self, fault: Fault) -> bool {
        let strikes = self.faults.strikes(fault);
        if strikes && self.traced {
            self.notes.push((None, format!("! {fault}")));
        }
        strikes
    }
}

/// The view's database, as one instance reaches it.
pub(crate) struct Postgres(pub(crate) Effects);

impl Repository for Postgres {
    fn apply(&mut self, batch: Batch<'_>) -> Result<Vec<Outcome>, Unwritten> {
        let failed = |why: &'static str| Err(Unwritten::Failed(anyhow!(why)));
        let mut state = self.0.lock();
        if state.strikes(Fault::SqlAway) {
            return failed("Postgres does not answer");
        }
        if state.strikes(Fault::CrashBeforeSql) {
            state.died = true;
            return failed("the process dies before the commit");
        }
        // A transaction reads first and writes then. What it has read may be as old as the batch:
        // in between, an instance that goes on after it was replaced may have been overtaken.
        let (read_at, step) = (state.read_at, state.step);
        let decisions = state.rows.apply(batch, read_at, step);
        if state.traced {
            for (transition, decision) in batch.transitions().zip(&decisions) {
                let order = transition.order;
                let what =
                    format!("view: {} version {} is {decision:?}", order.order_id, order.version);
                state.notes.push((Some(BTreeSet::from([order.order_id])), what));
            }
        }
        if state.strikes(Fault::CrashAfterSql) {
            state.died = true;
            return failed("the process dies after the commit");
        }
        if state.strikes(Fault::SqlUnknown) {
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
        let mut state = self.effects.lock();
        let failed = |why: &str| Err(DeliveryError::Outage(why.to_owned()));
        if state.died {
            return failed("the process is dead");
        }
        if state.strikes(Fault::MailAway) {
            return failed("the mail server does not answer");
        }
        let message_id = mail.message_id.trim_matches(['<', '>']).to_owned();
        if state.traced {
            let order: Option<OrderId> =
                message_id.split('.').next().and_then(|order| order.parse().ok());
            state
                .notes
                .push((Some(order.into_iter().collect()), format!("mail accepted: {message_id}")));
        }
        let (to, at) = (mail.to_address.clone(), state.now);
        state.mails_again += usize::from(self.accepted.contains(&message_id));
        state.mails.push(Mailed { message_id: message_id.clone(), to, at });
        if state.strikes(Fault::CrashWhileMailing) {
            state.died = true;
            return failed("the process dies");
        }
        if state.strikes(Fault::MailAnswerLost) {
            let why = "the answer of the mail server is lost".to_owned();
            return Err(DeliveryError::Doubtful(why));
        }
        self.accepted.insert(message_id);
        Ok(())
    }
}
