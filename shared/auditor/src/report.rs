//! A [`Verdict`] for people.

use crate::{
    law::Law,
    story::Moment,
    verdict::{Tally, Verdict, Violation},
};
use std::fmt;

/// Most orders whose records are printed.
const STORIES_MAX: usize = 10;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [law, checked, violations] = ["LAW", "CHECKED", "VIOLATIONS"];
        let [pending, unknown] = ["PENDING", "UNKNOWN"];
        writeln!(f, "{law:<16} {checked:>8} {violations:>10} {pending:>8} {unknown:>8}")?;
        for (law, tally) in &self.tallies {
            let Tally { checked, violations, pending, unknown } = tally;
            let name = law.name();
            writeln!(f, "{name:<16} {checked:>8} {violations:>10} {pending:>8} {unknown:>8}")?;
        }
        for law in self.violated() {
            writeln!(f)?;
            self.write_law(f, law)?;
        }
        for order in self.stories.keys().take(STORIES_MAX) {
            writeln!(f, "\norder {order}")?;
            self.stories[order].iter().try_for_each(|moment| writeln!(f, "  {moment}"))?;
        }
        writeln!(f)?;
        if self.mails_repeated > 0 {
            let times = self.mails_repeated;
            writeln!(f, "note: {times} mails arrived once more, under the same Message-ID")?;
        }
        for remark in &self.remarks {
            writeln!(f, "note: {remark}")?;
        }
        self.write_result(f)
    }
}

impl Verdict {
    fn write_law(&self, f: &mut fmt::Formatter<'_>, law: Law) -> fmt::Result {
        writeln!(f, "{}: {}", law.name().to_uppercase(), law.statement())?;
        let ours = self.violations.iter().filter(|violation| violation.law == law);
        let mut shown = 0;
        for violation in ours {
            shown += 1;
            writeln!(f, "  {violation}")?;
        }
        match self.tallies.get(&law).map_or(0, |tally| tally.violations).saturating_sub(shown) {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more"),
        }
    }

    /// The last line: what came of it.
    fn write_result(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statuses: Vec<_> =
            self.statuses.iter().map(|(status, number)| format!("{number} {status}")).collect();
        writeln!(f, "{} orders: {}", self.orders, statuses.join(", "))?;
        let checked: usize = self.tallies.values().map(|tally| tally.checked).sum();
        let unknown = match self.unknown() {
            0 => String::new(),
            unknown => format!(", {unknown} unknown"),
        };
        match (self.violation_count(), self.pending()) {
            (0, 0) => write!(f, "CLEAN: {checked} checks{unknown}, nothing is on its way"),
            (0, pending) => {
                write!(f, "CLEAN: {checked} checks{unknown}, {pending} still on their way")
            }
            (violations, pending) => write!(
                f,
                "NOT CLEAN: {violations} violations of {} laws in {checked} checks{unknown}, \
                 {pending} still on their way",
                self.violated().len()
            ),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(order) = self.order {
            write!(f, "order {order} ")?;
        }
        if let Some(sku) = &self.sku {
            write!(f, "sku {sku} ")?;
        }
        f.write_str(&self.detail)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, place, who, what } = self;
        let (millis, seconds) = (at.millis().rem_euclid(1000), at.millis().div_euclid(1000));
        let (hour, minute) = (seconds.rem_euclid(86_400) / 3600, seconds.rem_euclid(3600) / 60);
        let second = seconds.rem_euclid(60);
        let time = format!("{hour:02}:{minute:02}:{second:02}.{millis:03}");
        write!(f, "{time}  {place:<28} {who:<10} {what}")
    }
}
