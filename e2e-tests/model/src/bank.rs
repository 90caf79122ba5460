//! The bank: the bank simulator's ledger, one for each order. A first charge has both outcomes.

use crate::story::customer_id;
use bank_simulator::ledger::{EntryKind, Filter, Ledger, Rules, Status};
use contracts::Timestamp;
use payments::{
    domain::{Input, Task},
    supervisor::Call,
};

/// What the bank knows of one order, and what it has booked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Account {
    ledger: Ledger,
    key: String,
    /// How often money was taken.
    pub captures: usize,
    /// How often it was given back.
    pub returns: usize,
}

impl Account {
    /// Whether the next charge is the first one.
    pub fn is_unknown(&self) -> bool {
        self.status().is_none()
    }

    /// Whether money of the customer is with the shop.
    pub fn holds_money(&self) -> bool {
        self.captures > self.returns
    }

    /// Whether the bank has said no.
    pub fn has_declined(&self) -> bool {
        matches!(self.status(), Some(Status::Declined(_)))
    }

    /// Whether a charge was taken back, or barred before it came.
    pub fn is_voided(&self) -> bool {
        matches!(self.status(), Some(Status::Voided { .. }))
    }

    fn status(&self) -> Option<&Status> {
        self.ledger.charge(&self.key).map(|charge| &charge.status)
    }

    /// The bank gets a request; its answer. `declines` is what it makes of a first charge. Without
    /// its idempotency key each charge is a first one.
    pub fn act(&mut self, call: &Call, declines: bool, has_key: bool) -> Input {
        let is_new = !has_key && call.task == Task::Charge;
        if self.key.is_empty() || is_new {
            self.key = format!("{}#{}", call.order_id(), self.captures);
        }
        let declined_customers =
            if declines { vec![customer_id().to_string()] } else { Vec::new() };
        let rules = Rules { declined_customers, decline_amount_ending_minor: None };
        let (key, at) = (self.key.clone(), Timestamp(0));
        let input = teller::ask(&mut self.ledger, &rules, key, call, at);
        let booked = self.ledger.statement(&Filter { limit: usize::MAX, ..Filter::default() });
        self.captures = booked.entries.iter().filter(|e| e.kind == EntryKind::Capture).count();
        self.returns = booked.entries.len() - self.captures;
        input
    }
}
