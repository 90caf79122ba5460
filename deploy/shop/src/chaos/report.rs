//! A run in tables.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::recovery::{Happened, Recovery, by_group};

/// What was done, and how the shop recovered from it, in the order in which it happened.
#[must_use]
pub fn faults(begin: Instant, faults: &[(Happened, Recovery)]) -> String {
    let mut out = String::from(
        "fault                          at    lasted   flows again   after its end   all ended   longest gap   met\n",
    );
    for (fault, recovery) in faults {
        let name = fault.act.to_string();
        let at = seconds(Some(fault.begin.saturating_duration_since(begin)));
        if let Some(why) = &fault.failed {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{name:<24} {at:>8}   could not be done: {why}");
            continue;
        }
        let lasted = (fault.end > fault.begin).then(|| fault.end - fault.begin);
        let lasted = lasted.map_or("-".to_owned(), |lasted| seconds(Some(lasted)));
        let _ = writeln!(
            out,
            "{name:<24} {at:>8}  {lasted:>8}  {:>12}  {:>14}  {:>10}  {:>12}  {:>4}",
            seconds(recovery.flows_after),
            seconds(recovery.flows_after_end),
            seconds(recovery.all_ended_after),
            seconds(recovery.longest_gap),
            recovery.met,
        );
    }
    out
}

/// The recoveries by kind of fault: median and longest.
#[must_use]
pub fn kinds(faults: &[(Happened, Recovery)]) -> String {
    let mut out = String::from(
        "kind of fault        times   flows again, p50      max   all ended, p50      max\n",
    );
    for (name, group) in by_group(faults) {
        let [flows, all_ended] = [group.flows, group.all_ended].map(Option::unzip);
        let _ = writeln!(
            out,
            "{:<20} {:>5}   {:>16} {:>8}   {:>14} {:>8}",
            name,
            group.count,
            seconds(flows.0),
            seconds(flows.1),
            seconds(all_ended.0),
            seconds(all_ended.1),
        );
    }
    out
}

/// To a tenth of a second; what did not happen is `never`.
fn seconds(time: Option<Duration>) -> String {
    time.map_or("never".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::plan::Act;

    #[test]
    fn tables_show_what_happened_and_what_could_not_be_done() {
        let begin = Instant::now();
        let s = Duration::from_secs;
        let killed = Happened {
            act: Act::Kill("orders-1".into()),
            begin: begin + s(8),
            end: begin + s(8),
            failed: None,
        };
        let failed = Happened { failed: Some("no part `x`".into()), ..killed.clone() };
        let recovery = Recovery {
            flows_after: Some(s(1)),
            flows_after_end: Some(s(1)),
            all_ended_after: None,
            longest_gap: Some(s(3)),
            met: 7,
        };
        let all = [(killed, recovery), (failed, recovery)];
        let table = faults(begin, &all);
        let row = table.lines().nth(1).unwrap();
        let words: Vec<_> = row.split_whitespace().collect();
        assert_eq!(
            words,
            ["kill", "orders-1", "8.0", "s", "-", "1.0", "s", "1.0", "s", "never", "3.0", "s", "7"]
        );
        assert!(table.contains("could not be done: no part `x`"), "{table}");
        let kinds = kinds(&all);
        assert!(kinds.contains("kill orders              1"), "{kinds}");
    }
}
