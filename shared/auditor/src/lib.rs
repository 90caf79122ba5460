//! An independent statement of the laws: [`audit`] takes the [`Evidence`] of a shop and returns a
//! [`Verdict`] with every violation.
//!
//! It shares the types of `contracts` with the services, as data, and nothing else: it calls no
//! service's domain, and it restates the baton table (`history.rs`) rather than ask
//! `contracts::baton`. So only an error made twice could pass.
//!
//! It does no IO. The evidence of a live shop is collected by `shop audit`, that of a simulated one
//! by the simulation.
//!
//! # Effects on their way
//!
//! A shop under load is never at rest: the view is behind the log by milliseconds, a mail leaves a
//! moment after that. So each rule rests on something with a time, such as "this transition,
//! written at 12:00:00, must show in the view". If it does not hold and that time is less than
//! [`Evidence::grace`] before the evidence was taken, it counts as pending and not as a violation.
//! What is wrong by itself, such as a ledger that does not balance, is so at once.
//!
//! # What cannot be known
//!
//! Where records were deleted ([`Evidence::log_starts`]), their absence proves nothing. A rule that
//! needs them and does not hold counts as unknown, and the verdict says how many there are, and
//! which topic begins where.

mod case;
mod dead_letters;
mod evidence;
mod history;
mod law;
mod laws;
mod report;
mod retained;
mod rows;
mod story;
mod verdict;

pub use evidence::{
    Announcement, BankEntry, Booking, CustomerOrderRow, DeadLetter, Evidence, LedgerEntry, LineRow,
    Log, Logged, Mail, OrderRow, Original, PaymentRow, PaymentSection, Payments, ProductRow,
    RefusalRow, SalesRow, StockRow, TimelineRow, View, Whole,
};
pub use law::Law;
pub use story::Moment;
pub use verdict::{Scope, Tally, VIOLATIONS_SHOWN_MAX, Verdict, Violation};

/// What does not hold in the whole shop.
pub fn audit(evidence: &Evidence) -> Verdict {
    audit_of(evidence, &Scope::default())
}

/// What does not hold for the orders and products of `scope`. Everything is looked at all the same,
/// so what goes wrong elsewhere and shows here is found.
pub fn audit_of(evidence: &Evidence, scope: &Scope) -> Verdict {
    let case = case::Case::new(evidence);
    let mut findings = verdict::Findings::new(evidence, scope);
    laws::check(&case, &mut findings);
    findings.into_verdict(&case)
}
