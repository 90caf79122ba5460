//! [`Verdict`]: the checks, and the violations.

use crate::{case::Case, evidence::Evidence, law::Law, story, story::Moment};
use contracts::{OrderId, Sku, Timestamp};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Most violations of one law that a verdict shows; all are counted.
pub const VIOLATIONS_SHOWN_MAX: usize = 10;

/// The orders and products whose violations count. By default all.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    subjects: Option<(BTreeSet<OrderId>, BTreeSet<Sku>)>,
}

impl Scope {
    /// These orders and products only.
    pub fn of(
        orders: impl IntoIterator<Item = OrderId>,
        skus: impl IntoIterator<Item = Sku>,
    ) -> Self {
        Self { subjects: Some((orders.into_iter().collect(), skus.into_iter().collect())) }
    }

    fn covers(&self, subject: &Subject) -> bool {
        let Some((orders, skus)) = &self.subjects else { return true };
        match subject {
            Subject { order: Some(order), .. } => orders.contains(order),
            Subject { order: None, sku: Some(sku) } => skus.contains(sku),
            Subject { order: None, sku: None } => false,
        }
    }
}

/// What a rule is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Subject {
    pub(crate) order: Option<OrderId>,
    pub(crate) sku: Option<Sku>,
}

impl Subject {
    /// Whatever the key of a record tells.
    pub(crate) fn of_key(key: &str) -> Self {
        match key.parse() {
            Ok(order) => Self { order: Some(order), sku: None },
            Err(_) => Self { order: None, sku: key.split('/').next().and_then(|s| s.parse().ok()) },
        }
    }
}

impl From<OrderId> for Subject {
    fn from(order: OrderId) -> Self {
        Self { order: Some(order), sku: None }
    }
}

impl From<&Sku> for Subject {
    fn from(sku: &Sku) -> Self {
        Self { order: None, sku: Some(sku.clone()) }
    }
}

impl From<(OrderId, &Sku)> for Subject {
    fn from((order, sku): (OrderId, &Sku)) -> Self {
        Self { order: Some(order), sku: Some(sku.clone()) }
    }
}

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// What is broken.
    pub law: Law,
    /// The order that it is about.
    pub order: Option<OrderId>,
    /// The product that it is about.
    pub sku: Option<Sku>,
    /// What was expected, and what was found.
    pub detail: String,
}

/// How often a law was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// All in all.
    pub checked: usize,
    /// It does not hold.
    pub violations: usize,
    /// It does not hold yet, and there is still time.
    pub pending: usize,
    /// It cannot be told: records that it needs were deleted. Not among those that were checked.
    pub unknown: usize,
}

/// The result of an audit. [`std::fmt::Display`] makes a report of it.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// When the evidence was taken.
    pub taken_at: Timestamp,
    /// How long an effect may take.
    #[serde(rename = "grace_ms", serialize_with = "as_millis")]
    pub grace: Duration,
    /// Orders in the log, as far as they are in the scope.
    pub orders: usize,
    /// The number of them in each status.
    pub statuses: BTreeMap<&'static str, usize>,
    /// Every law, looked at.
    pub tallies: BTreeMap<Law, Tally>,
    /// The first [`VIOLATIONS_SHOWN_MAX`] of each law.
    pub violations: Vec<Violation>,
    /// Mails about these orders that arrived once more, under the same Message-ID.
    pub mails_repeated: usize,
    /// What is no violation, but worth knowing.
    pub remarks: Vec<String>,
    /// What happened to the orders of [`Verdict::violations`].
    pub stories: BTreeMap<OrderId, Vec<Moment>>,
}

impl Verdict {
    /// Whether every law holds.
    pub fn is_clean(&self) -> bool {
        self.violated().is_empty()
    }

    /// The laws that do not hold.
    pub fn violated(&self) -> BTreeSet<Law> {
        let broken = self.tallies.iter().filter(|(_, tally)| tally.violations > 0);
        broken.map(|(law, _)| *law).collect()
    }

    /// All violations, also those that are not shown.
    pub fn violation_count(&self) -> usize {
        self.tallies.values().map(|tally| tally.violations).sum()
    }

    /// What cannot be told, because records were deleted; the remarks say which.
    pub fn unknown(&self) -> usize {
        self.tallies.values().map(|tally| tally.unknown).sum()
    }

    /// What is still on its way: orders that have not ended, effects that do not show yet. With
    /// none, the verdict does not depend on the grace.
    pub fn pending(&self) -> usize {
        self.tallies.values().map(|tally| tally.pending).sum()
    }
}

fn as_millis<S: serde::Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u128(duration.as_millis())
}

/// Gathers what the laws say.
pub(crate) struct Findings<'a> {
    evidence: &'a Evidence,
    scope: &'a Scope,
    tallies: BTreeMap<Law, Tally>,
    violations: Vec<Violation>,
    mails_repeated: usize,
    remarks: Vec<String>,
    /// By topic: how many checks would have needed what it does not have any more.
    unknown: BTreeMap<&'static str, BTreeMap<Law, usize>>,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(evidence: &'a Evidence, scope: &'a Scope) -> Self {
        let tallies = Law::ALL.iter().map(|law| (*law, Tally::default())).collect();
        let (violations, remarks) = (Vec::new(), Vec::new());
        let (mails_repeated, unknown) = (0, BTreeMap::new());
        Self { evidence, scope, tallies, violations, mails_repeated, remarks, unknown }
    }

    /// `law` was looked at. If it does not hold `since` less than the grace, that is pending.
    pub(crate) fn check(
        &mut self,
        law: Law,
        subject: impl Into<Subject>,
        since: Timestamp,
        holds: bool,
        detail: impl FnOnce() -> String,
    ) {
        let subject = subject.into();
        if !self.scope.covers(&subject) {
            return;
        }
        let tally = self.tallies.entry(law).or_default();
        tally.checked += 1;
        if holds {
            return;
        }
        if since + self.evidence.grace > self.evidence.taken_at {
            tally.pending += 1;
            return;
        }
        tally.violations += 1;
        if tally.violations <= VIOLATIONS_SHOWN_MAX {
            let Subject { order, sku } = subject;
            self.violations.push(Violation { law, order, sku, detail: detail() });
        }
    }

    /// As [`Findings::check`], for what is wrong by itself, whenever it came about.
    pub(crate) fn check_now(
        &mut self,
        law: Law,
        subject: impl Into<Subject>,
        holds: bool,
        detail: impl FnOnce() -> String,
    ) {
        // Later than this and within the grace there is nothing.
        self.check(law, subject, Timestamp(i64::MIN), holds, detail);
    }

    /// As [`Findings::check`]; but if it does not hold, and `gone` is the topic whose deleted
    /// records may have been what is missed, it is unknown.
    pub(crate) fn check_kept(
        &mut self,
        law: Law,
        subject: impl Into<Subject>,
        since: Timestamp,
        holds: bool,
        gone: Option<&'static str>,
        detail: impl FnOnce() -> String,
    ) {
        match gone {
            Some(topic) if !holds => self.unknown(law, subject, topic),
            _ => self.check(law, subject, since, holds, detail),
        }
    }

    /// `law` cannot be looked at, because records of `topic` were deleted.
    pub(crate) fn unknown(&mut self, law: Law, subject: impl Into<Subject>, topic: &'static str) {
        if self.scope.covers(&subject.into()) {
            self.tallies.entry(law).or_default().unknown += 1;
            *self.unknown.entry(topic).or_default().entry(law).or_default() += 1;
        }
    }

    /// Mails about `order` have arrived `times` more than once.
    pub(crate) fn mails_repeated(&mut self, order: OrderId, times: usize) {
        if self.scope.covers(&order.into()) {
            self.mails_repeated += times;
        }
    }

    /// Something that is no violation, but worth knowing.
    pub(crate) fn remark(&mut self, remark: String) {
        self.remarks.push(remark);
    }

    pub(crate) fn into_verdict(self, case: &Case<'_>) -> Verdict {
        let mut statuses = BTreeMap::new();
        for (order, history) in &case.histories {
            if let Some(last) = history.last()
                && self.scope.covers(&(*order).into())
            {
                *statuses.entry(last.order.status.as_str()).or_insert(0) += 1;
            }
        }
        let mut violations = self.violations;
        violations.sort_by_key(|violation| violation.law);
        let mut remarks = self.remarks;
        for (topic, laws) in self.unknown {
            let number: usize = laws.values().sum();
            let laws: Vec<_> = laws.iter().map(|(law, number)| format!("{law} {number}")).collect();
            let (laws, lacks) = (laws.join(", "), case.retained.lacks(topic));
            remarks.push(format!("{number} checks are unknown ({laws}): {topic} {lacks}"));
        }
        let told: BTreeSet<OrderId> = violations.iter().filter_map(|v| v.order).collect();
        Verdict {
            taken_at: self.evidence.taken_at,
            grace: self.evidence.grace,
            orders: statuses.values().sum(),
            statuses,
            tallies: self.tallies,
            violations,
            mails_repeated: self.mails_repeated,
            remarks,
            stories: story::of(self.evidence, &told),
        }
    }
}
