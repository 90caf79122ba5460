//! Money: the bank's statement, the ledger, and the log of orders.
//!
//! One difference is right: a capture that the bank never answered, and its void, are on the
//! statement and not in the ledger.

use crate::{
    case::Case,
    evidence::{BankEntry, Booking, LedgerEntry, PaymentRow},
    history::{History, Step},
    law::Law,
    laws::{NEVER, gone, later, stranger},
    verdict::{Findings, Subject},
};
use contracts::{Money, OrderId, Status, Timestamp, TransitionKind};
use std::collections::{BTreeMap, BTreeSet};

/// What the bank, the ledger and payments know of one order.
#[derive(Default)]
struct Account<'a> {
    bank: Vec<&'a BankEntry>,
    ledger: Vec<&'a LedgerEntry>,
    row: Option<&'a PaymentRow>,
}

pub(crate) fn check(case: &Case<'_>, findings: &mut Findings<'_>) {
    let evidence = case.evidence;
    let mut accounts: BTreeMap<OrderId, Account<'_>> = BTreeMap::new();
    for entry in &evidence.bank {
        match entry.key.parse() {
            Ok(order_id) => accounts.entry(order_id).or_default().bank.push(entry),
            Err(_) => {
                let what = format!("the bank has a {} for {}, no order", entry.kind, entry.key);
                findings.check_now(Law::Refunds, Subject::default(), false, || what);
            }
        }
    }
    for entry in &evidence.payments.ledger {
        accounts.entry(entry.order_id).or_default().ledger.push(entry);
    }
    for row in &evidence.payments.rows {
        accounts.entry(row.order_id).or_default().row = Some(row);
    }
    let nothing = Account::default();
    for (order_id, history) in &case.histories {
        let account = accounts.get(order_id).unwrap_or(&nothing);
        refunds(*order_id, history, account, findings);
        books(*order_id, history, account, findings);
        entries(*order_id, history, account, findings);
    }
    for (order_id, account) in &accounts {
        once(*order_id, account, findings);
        double_entry(*order_id, account, findings);
        statement(*order_id, account, findings);
        if !case.histories.contains_key(order_id) {
            stranger(case, findings, Law::Refunds, *order_id, || "money was moved for it".into());
        }
    }
}

impl Account<'_> {
    /// The bookings of the ledger, as its account `bank` has them.
    fn at_bank(&self) -> BTreeMap<Booking, &LedgerEntry> {
        let entries = self.ledger.iter().filter(|entry| entry.account == "bank");
        entries.map(|entry| (entry.kind, *entry)).collect()
    }

    fn booked(&self) -> BTreeMap<Booking, &BankEntry> {
        self.bank.iter().map(|entry| (entry.kind, *entry)).collect()
    }
}

fn once(order_id: OrderId, account: &Account<'_>, findings: &mut Findings<'_>) {
    for kind in [Booking::Capture, Booking::Refund, Booking::Void] {
        let times = account.bank.iter().filter(|entry| entry.kind == kind).count();
        findings.check_now(Law::OneCapture, order_id, times <= 1, || {
            format!("the bank has {times} {kind}s of it")
        });
        let ours = |entry: &&&LedgerEntry| entry.kind == kind && entry.account == "bank";
        let times = account.ledger.iter().filter(ours).count();
        findings.check_now(Law::OneCapture, order_id, times <= 1, || {
            format!("the ledger has {times} {kind}s of it")
        });
    }
}

/// What the bank may have booked for an order with this history.
fn may_have_booked(history: &History<'_>) -> &'static [&'static [Booking]] {
    use Booking::{Capture, Refund, Void};
    let declined = history.find(TransitionKind::PaymentDeclined).is_some();
    match history.last().map(|last| last.order.status) {
        None | Some(Status::Requested | Status::Rejected) => &[&[]],
        Some(Status::Validated) => &[&[], &[Capture], &[Capture, Void]],
        Some(Status::Paid | Status::Confirmed) => &[&[Capture]],
        Some(Status::RefundDue) => &[&[Capture], &[Capture, Refund]],
        Some(Status::Refunded) => &[&[Capture, Refund]],
        Some(Status::PaymentDeclined) => &[&[], &[Capture, Void]],
        Some(Status::Cancelled) if declined => &[&[], &[Capture, Void]],
        Some(Status::Cancelled) => &[&[]],
    }
}

fn refunds(
    order_id: OrderId,
    history: &History<'_>,
    account: &Account<'_>,
    findings: &mut Findings<'_>,
) {
    let Some(Step { record, order }) = history.last() else { return };
    let booked: Vec<Booking> = account.booked().into_keys().collect();
    let holds = may_have_booked(history).contains(&booked.as_slice());
    let at = account.bank.iter().map(|entry| entry.at).max().unwrap_or(NEVER);
    let (since, gone) = (later(record.timestamp, at), gone(history.is_cut, "orders"));
    findings.check_kept(Law::Refunds, order_id, since, holds, gone, || {
        format!("it is {}, and the bank has booked {booked:?}", order.status)
    });
}

fn double_entry(order_id: OrderId, account: &Account<'_>, findings: &mut Findings<'_>) {
    let mut bookings: BTreeMap<Booking, Vec<&LedgerEntry>> = BTreeMap::new();
    for entry in &account.ledger {
        bookings.entry(entry.kind).or_default().push(entry);
    }
    for (kind, entries) in bookings {
        let sum: i64 = entries.iter().map(|entry| entry.amount.amount_minor).sum();
        let accounts: BTreeSet<&str> = entries.iter().map(|entry| &*entry.account).collect();
        let currencies: BTreeSet<&str> =
            entries.iter().map(|e| e.amount.currency.as_str()).collect();
        let both = accounts == BTreeSet::from(["bank", "sales"]);
        let holds = sum == 0 && both && currencies.len() == 1;
        findings.check_now(Law::DoubleEntry, order_id, holds, || {
            let side = |entry: &&LedgerEntry| format!("{} {}", entry.account, entry.amount);
            format!("its {kind} is {:?}", entries.iter().map(side).collect::<Vec<_>>())
        });
    }
}

fn statement(order_id: OrderId, account: &Account<'_>, findings: &mut Findings<'_>) {
    let (ledger, bank) = (account.at_bank(), account.booked());
    let untold = ledger.is_empty() && bank.keys().copied().eq([Booking::Capture, Booking::Void]);
    if untold {
        return;
    }
    let kinds: BTreeSet<Booking> = ledger.keys().chain(bank.keys()).copied().collect();
    for kind in kinds {
        let in_ledger = ledger.get(&kind).map(|entry| &entry.amount);
        let at_bank = bank.get(&kind).map(|entry| &entry.amount);
        let times = [ledger.get(&kind).map(|e| e.at), bank.get(&kind).map(|e| e.at)];
        let since = times.into_iter().flatten().max().unwrap_or(NEVER);
        findings.check(Law::Statement, order_id, since, in_ledger == at_bank, || {
            format!("{kind}: {} in the ledger, {} at the bank", say(in_ledger), say(at_bank))
        });
    }
}

/// The bank moves the whole amount, between the shop and the customer of the order.
fn entries(
    order_id: OrderId,
    history: &History<'_>,
    account: &Account<'_>,
    findings: &mut Findings<'_>,
) {
    let Some(Step { order, .. }) = history.last() else { return };
    for entry in &account.bank {
        let sign = if entry.kind == Booking::Capture { 1 } else { -1 };
        let whole = Money::new(sign * order.total.amount_minor, order.total.currency);
        let holds = entry.amount == whole && entry.customer == order.customer.customer_id.as_str();
        findings.check_now(Law::Statement, order_id, holds, || {
            let (kind, amount, customer) = (entry.kind, &entry.amount, &entry.customer);
            format!("the bank has a {kind} of {amount} with {customer}, not of {whole}")
        });
    }
}

fn say(amount: Option<&Money>) -> String {
    amount.map_or("nothing".into(), Money::to_string)
}

/// The books of payments against the log.
fn books(
    order_id: OrderId,
    history: &History<'_>,
    account: &Account<'_>,
    findings: &mut Findings<'_>,
) {
    let Some(last) = history.last() else { return };
    row(order_id, history, account, findings);
    bookings(order_id, history, account, findings);
    let told = last.order.payment.as_ref().and_then(|payment| payment.reference.as_ref());
    let booked = account.booked().get(&Booking::Capture).map(|entry| &entry.charge_id);
    if let (Some(told), Some(booked)) = (told, booked) {
        findings.check_now(Law::Books, order_id, told == booked, || {
            format!("the order names {told}, the bank captured it as {booked}")
        });
    }
}

/// The ledger has a capture for PaymentReceived, a refund for PaymentRefunded, the whole amount
/// each; besides these only a late capture with its void.
fn bookings(
    order_id: OrderId,
    history: &History<'_>,
    account: &Account<'_>,
    findings: &mut Findings<'_>,
) {
    let Some(last) = history.last() else { return };
    let ledger = account.at_bank();
    let late = ledger.contains_key(&Booking::Void);
    let total = last.order.total.amount_minor;
    for (kind, transition, amount) in [
        (Booking::Capture, Some(TransitionKind::PaymentReceived), total),
        (Booking::Refund, Some(TransitionKind::PaymentRefunded), -total),
        (Booking::Void, None, -total),
    ] {
        let step = transition.and_then(|transition| history.find(transition));
        let entry = ledger.get(&kind).copied();
        let times = [step.map(|step| step.record.timestamp), entry.map(|entry| entry.at)];
        let Some(since) = times.into_iter().flatten().max() else { continue };
        let declined = history.find(TransitionKind::PaymentDeclined).is_some();
        let told = step.is_some() || (declined && late && kind != Booking::Refund);
        let expected = told.then(|| Money::new(amount, last.order.total.currency));
        let found = entry.map(|entry| entry.amount.clone());
        let gone = gone(history.is_cut, "orders");
        findings.check_kept(Law::Books, order_id, since, found == expected, gone, || {
            let (found, expected) = (say(found.as_ref()), say(expected.as_ref()));
            format!("{kind}: {found} in the ledger, {expected} by the log")
        });
    }
}

/// The row of payments agrees with the log, and owes the bank nothing.
fn row(
    order_id: OrderId,
    history: &History<'_>,
    account: &Account<'_>,
    findings: &mut Findings<'_>,
) {
    let Some(Step { record, order }) = history.last() else { return };
    let expected: &[Option<&str>] = match order.status {
        Status::Requested | Status::Rejected => &[None],
        // Whether payments has heard of it by now is the deadline's business.
        Status::Validated => &[None, Some("intent")],
        Status::Paid | Status::Confirmed => &[Some("captured")],
        Status::PaymentDeclined => &[Some("declined")],
        Status::RefundDue => &[Some("refund_due")],
        Status::Refunded => &[Some("refunded")],
        Status::Cancelled if history.find(TransitionKind::PaymentDeclined).is_some() => {
            &[Some("declined")]
        }
        Status::Cancelled => &[None],
    };
    let found = account.row.map(|row| row.status.as_str());
    let changed = account.row.map_or(NEVER, |row| row.updated_at);
    let since: Timestamp = later(record.timestamp, changed);
    let gone = gone(history.is_cut, "orders");
    findings.check_kept(Law::Books, order_id, since, expected.contains(&found), gone, || {
        format!("it is {}, and payments has it as {found:?}", order.status)
    });
    if let Some(row) = account.row {
        findings.check(Law::Refunds, order_id, record.timestamp, !row.void_due, || {
            let error = row.last_error.as_deref().unwrap_or("no error");
            format!("it is {}, and its void is still due ({error})", order.status)
        });
    }
}
