//! What the bank shows of its ledger: booked entries with their totals, and declines.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Booking, Charge, Ledger, Millis, Status};

/// One line of the statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Position on the statement, from 1, without gaps.
    pub entry_id: u64,
    /// When it was booked.
    pub at: Millis,
    /// The idempotency key of the charge.
    pub key: String,
    /// What was booked.
    pub kind: EntryKind,
    /// What it does to the shop's account, in minor units: captures add, the others take away.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// The customer on the other side.
    pub customer: String,
    /// The charge that it belongs to.
    pub charge_id: String,
}

/// What was booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// Money taken from the customer.
    Capture,
    /// A capture that was reversed.
    Void,
    /// A capture that was given back.
    Refund,
}

/// A charge that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Declined {
    /// The idempotency key of the charge.
    pub key: String,
    /// The charge: when, what, why.
    #[serde(flatten)]
    pub charge: Charge,
}

/// Which entries to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this customer's.
    pub customer: Option<String>,
    /// Only those after this entry id.
    pub since: u64,
    /// At most so many.
    pub limit: usize,
}

/// A page of the statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// The entries, oldest first.
    pub entries: Vec<Entry>,
    /// The `since` of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_since: Option<u64>,
    /// By currency, over all entries after `since`, also those beyond this page.
    pub totals: BTreeMap<String, Totals>,
}

/// Sums of one currency, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Number of entries.
    pub entries: u64,
    /// Taken.
    pub captured_minor: i64,
    /// Reversed.
    pub voided_minor: i64,
    /// Given back.
    pub refunded_minor: i64,
    /// Captured, less voided and refunded.
    pub net_minor: i64,
}

impl Ledger {
    /// A page of the statement.
    pub fn statement(&self, filter: &Filter) -> Statement {
        let mut page = Statement { entries: Vec::new(), next_since: None, totals: BTreeMap::new() };
        let since = usize::try_from(filter.since).unwrap_or(usize::MAX);
        for (position, booking) in self.booked.iter().enumerate().skip(since) {
            let Some(entry) = self.entry(position as u64 + 1, booking) else { continue };
            if filter.customer.as_ref().is_some_and(|customer| *customer != entry.customer) {
                continue;
            }
            page.totals.entry(entry.currency.clone()).or_default().add(&entry);
            if page.entries.len() < filter.limit {
                page.entries.push(entry);
            } else if page.next_since.is_none() {
                page.next_since = page.entries.last().map(|last| last.entry_id);
            }
        }
        page
    }

    /// The latest declines, newest first.
    pub fn declines(&self, limit: usize) -> Vec<Declined> {
        let latest = self.declined.iter().rev().take(limit);
        latest
            .filter_map(|key| {
                let charge = self.charge(key)?.clone();
                Some(Declined { key: key.to_string(), charge })
            })
            .collect()
    }

    /// Every booking belongs to a charge with an order; `None` never happens.
    fn entry(&self, entry_id: u64, booking: &Booking) -> Option<Entry> {
        let charge = self.charge(&booking.key)?;
        let order = charge.order.as_ref()?;
        let sign = if booking.kind == EntryKind::Capture { 1 } else { -1 };
        Some(Entry {
            entry_id,
            at: booking.at,
            key: booking.key.to_string(),
            kind: booking.kind,
            amount_minor: sign * order.amount_minor,
            currency: order.currency.clone(),
            customer: order.customer.clone(),
            charge_id: charge.status.charge_id()?.to_owned(),
        })
    }
}

impl Status {
    fn charge_id(&self) -> Option<&str> {
        match self {
            Self::Captured { charge_id } | Self::Refunded { charge_id, .. } => Some(charge_id),
            Self::Voided { charge_id } => charge_id.as_deref(),
            Self::Declined(_) => None,
        }
    }
}

impl Totals {
    fn add(&mut self, entry: &Entry) {
        let sum = match entry.kind {
            EntryKind::Capture => &mut self.captured_minor,
            EntryKind::Void => &mut self.voided_minor,
            EntryKind::Refund => &mut self.refunded_minor,
        };
        *sum += entry.amount_minor.abs();
        self.net_minor += entry.amount_minor;
        self.entries += 1;
    }
}
