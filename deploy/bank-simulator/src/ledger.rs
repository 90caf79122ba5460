//! What the bank decides, without any clock, disk or network: requests in, facts and answers out.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

mod statement;
#[cfg(test)]
mod tests;

pub use statement::{Declined, Entry, EntryKind, Filter, Statement, Totals};

/// Milliseconds since the Unix epoch.
pub type Millis = u64;

/// Everything the bank knows: the fold of its facts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ledger {
    charges: BTreeMap<Arc<str>, Charge>,
    /// What was booked, in order; entry ids are positions in it, from 1.
    booked: Vec<Booking>,
    /// The keys of what was declined, in order.
    declined: Vec<Arc<str>>,
}

/// What is known about one idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Charge {
    /// When the key was first seen.
    pub at: Millis,
    /// What was asked for; nothing, if the key was voided before it was ever charged.
    #[serde(flatten)]
    pub order: Option<ChargeOrder>,
    /// Its state.
    #[serde(flatten)]
    pub status: Status,
}

/// An order to charge a customer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChargeOrder {
    /// Amount in minor units (cents).
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// The customer who pays.
    pub customer: String,
    /// What the caller calls it; printed on the statement of a real bank.
    pub reference: String,
}

/// The state of a charge.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    /// The money was taken.
    Captured {
        /// Identifies the charge.
        charge_id: String,
    },
    /// The money was refused.
    Declined(Decline),
    /// Taken back as if it had never been, or barred before it came.
    Voided {
        /// Identifies the charge, if there was one.
        #[serde(skip_serializing_if = "Option::is_none")]
        charge_id: Option<String>,
    },
    /// Taken and given back.
    Refunded {
        /// Identifies the charge.
        charge_id: String,
        /// Identifies the refund.
        refund_id: String,
    },
}

/// Why a charge was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Decline {
    /// `amount_rule` or `customer_rule`.
    pub code: String,
    /// For people.
    pub detail: String,
}

/// The declined customers and amounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Customers who are always declined.
    pub declined_customers: Vec<String>,
    /// Amounts whose last two digits are these are declined.
    pub decline_amount_ending_minor: Option<u8>,
}

/// What a caller asks for, under some idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Take the money.
    Charge(ChargeOrder),
    /// Undo the charge, or make sure that it never happens.
    Void,
    /// Give all of the money back.
    Refund {
        /// What was captured, in minor units.
        amount_minor: i64,
    },
}

/// What happened; the journal is a list of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// When.
    pub at: Millis,
    /// Under which idempotency key.
    pub key: String,
    /// What.
    #[serde(flatten)]
    pub change: Change,
}

/// What happened to a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// The money was taken.
    Captured {
        /// What was asked for.
        order: ChargeOrder,
    },
    /// The money was refused.
    Declined {
        /// What was asked for.
        order: ChargeOrder,
        /// Why it was refused.
        reason: Decline,
    },
    /// A capture was reversed.
    Voided,
    /// A caller voided a key without a charge: the bank will never charge it.
    Barred,
    /// A capture was given back.
    Refunded,
}

/// The answer to the caller. `repeated` means the same answer as before, without a new booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The money was taken.
    Captured {
        /// Identifies the charge.
        charge_id: String,
        /// Told before.
        repeated: bool,
    },
    /// The money was refused.
    Declined(Decline),
    /// The key belongs to another charge.
    KeyReused,
    /// The key was voided, so it cannot be charged or refunded any more.
    KeyVoided,
    /// The charge is undone, or will never happen.
    Voided,
    /// There was nothing left to undo.
    AlreadyVoided,
    /// The charge was refunded, so it cannot be voided.
    AlreadyRefunded,
    /// The money was given back.
    Refunded {
        /// Identifies the refund.
        refund_id: String,
        /// Told before.
        repeated: bool,
    },
    /// There is no charge with this key.
    UnknownCharge,
    /// The charge was declined, so there is nothing to refund.
    NotCaptured,
    /// Only the whole amount can be refunded.
    AmountDiffers {
        /// What was captured, in minor units.
        captured_minor: i64,
    },
}

/// A fact that does not follow from the ones before it: the journal was not written by this bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inconsistent;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Booking {
    at: Millis,
    key: Arc<str>,
    kind: EntryKind,
}

/// Decides on a request: the answer, and what has to be remembered before it may be given.
pub fn decide(
    ledger: &Ledger,
    rules: &Rules,
    key: &str,
    request: Request,
) -> (Answer, Option<Change>) {
    let known = ledger.charge(key);
    match request {
        Request::Charge(order) => match known {
            Some(charge) => (repeat_charge(charge, &order), None),
            None => first_charge(ledger, rules, order),
        },
        Request::Void => void(known),
        Request::Refund { amount_minor } => refund(ledger, known, amount_minor),
    }
}

fn first_charge(ledger: &Ledger, rules: &Rules, order: ChargeOrder) -> (Answer, Option<Change>) {
    match rules.decline(&order) {
        Some(reason) => {
            (Answer::Declined(reason.clone()), Some(Change::Declined { order, reason }))
        }
        None => {
            let charge_id = charge_id(ledger.next_entry_id());
            (Answer::Captured { charge_id, repeated: false }, Some(Change::Captured { order }))
        }
    }
}

fn repeat_charge(charge: &Charge, order: &ChargeOrder) -> Answer {
    match &charge.status {
        Status::Voided { .. } => Answer::KeyVoided,
        _ if charge.order.as_ref() != Some(order) => Answer::KeyReused,
        // The answer is what it was then, whatever came after.
        Status::Captured { charge_id } | Status::Refunded { charge_id, .. } => {
            Answer::Captured { charge_id: charge_id.clone(), repeated: true }
        }
        Status::Declined(reason) => Answer::Declined(reason.clone()),
    }
}

fn void(known: Option<&Charge>) -> (Answer, Option<Change>) {
    match known.map(|charge| &charge.status) {
        None => (Answer::Voided, Some(Change::Barred)),
        Some(Status::Captured { .. }) => (Answer::Voided, Some(Change::Voided)),
        Some(Status::Declined(_) | Status::Voided { .. }) => (Answer::AlreadyVoided, None),
        Some(Status::Refunded { .. }) => (Answer::AlreadyRefunded, None),
    }
}

fn refund(ledger: &Ledger, known: Option<&Charge>, amount_minor: i64) -> (Answer, Option<Change>) {
    let Some(charge) = known else { return (Answer::UnknownCharge, None) };
    let captured_minor = charge.order.as_ref().map_or(0, |order| order.amount_minor);
    let differs = captured_minor != amount_minor;
    match &charge.status {
        Status::Declined(_) => (Answer::NotCaptured, None),
        Status::Voided { .. } => (Answer::KeyVoided, None),
        Status::Captured { .. } | Status::Refunded { .. } if differs => {
            (Answer::AmountDiffers { captured_minor }, None)
        }
        Status::Captured { .. } => {
            let refund_id = refund_id(ledger.next_entry_id());
            (Answer::Refunded { refund_id, repeated: false }, Some(Change::Refunded))
        }
        Status::Refunded { refund_id, .. } => {
            (Answer::Refunded { refund_id: refund_id.clone(), repeated: true }, None)
        }
    }
}

impl Rules {
    fn decline(&self, order: &ChargeOrder) -> Option<Decline> {
        let decline = |code: &str, detail: String| Some(Decline { code: code.to_owned(), detail });
        if self.declined_customers.contains(&order.customer) {
            return decline("customer_rule", format!("{} is always declined", order.customer));
        }
        let ending = self.decline_amount_ending_minor?;
        if order.amount_minor % 100 == i64::from(ending) {
            return decline("amount_rule", format!("amounts ending in .{ending:02} are declined"));
        }
        None
    }
}

impl Ledger {
    /// What is known about a key.
    pub fn charge(&self, key: &str) -> Option<&Charge> {
        self.charges.get(key)
    }

    /// Takes in a fact.
    ///
    /// # Errors
    /// Fails, and changes nothing, if the fact cannot follow from what is known.
    pub fn apply(&mut self, fact: Fact) -> Result<(), Inconsistent> {
        let Fact { at, key, change } = fact;
        let key: Arc<str> = key.into();
        let entry_id = self.next_entry_id();
        let known = self.charges.get_mut(&key);
        let (status, order) = match (change, known) {
            (Change::Captured { order }, None) => {
                self.book(at, &key, EntryKind::Capture);
                (Status::Captured { charge_id: charge_id(entry_id) }, Some(order))
            }
            (Change::Declined { order, reason }, None) => {
                self.declined.push(Arc::clone(&key));
                (Status::Declined(reason), Some(order))
            }
            (Change::Barred, None) => (Status::Voided { charge_id: None }, None),
            (change, Some(charge)) => {
                let (status, kind) = follow_up(&charge.status, &change, entry_id)?;
                charge.status = status;
                self.book(at, &key, kind);
                return Ok(());
            }
            (Change::Voided | Change::Refunded, None) => return Err(Inconsistent),
        };
        self.charges.insert(key, Charge { at, order, status });
        Ok(())
    }

    fn book(&mut self, at: Millis, key: &Arc<str>, kind: EntryKind) {
        self.booked.push(Booking { at, key: Arc::clone(key), kind });
    }

    fn next_entry_id(&self) -> u64 {
        self.booked.len() as u64 + 1
    }
}

/// What becomes of a captured charge; nothing else can change any more.
fn follow_up(
    status: &Status,
    change: &Change,
    entry_id: u64,
) -> Result<(Status, EntryKind), Inconsistent> {
    let Status::Captured { charge_id } = status else { return Err(Inconsistent) };
    let charge_id = charge_id.clone();
    match change {
        Change::Voided => Ok((Status::Voided { charge_id: Some(charge_id) }, EntryKind::Void)),
        Change::Refunded => {
            let refund_id = refund_id(entry_id);
            Ok((Status::Refunded { charge_id, refund_id }, EntryKind::Refund))
        }
        Change::Captured { .. } | Change::Declined { .. } | Change::Barred => Err(Inconsistent),
    }
}

fn charge_id(entry_id: u64) -> String {
    format!("ch_{entry_id:08}")
}

fn refund_id(entry_id: u64) -> String {
    format!("re_{entry_id:08}")
}
