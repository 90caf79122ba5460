//! A run in tables.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::recovery::{Happened, Recovery, by_group};

/// What was done, and how the shop recovered from it, in the order in which it happened.
#[must_use]
pub(super) fn faults(begin: Instant, faults: &[(Happened, Option<Recovery>)]) -> String {
    let mut out = String::from(
        "fault                          at    lasted   flows again   after its end   all ended   \
         longest gap   met\n",
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
        let cells = recovery.map_or_else(|| [(); 5].map(|()| "-".to_owned()), cells);
        let [flows, after_end, all_ended, gap, met] = cells;
        let _ = writeln!(
            out,
            "{name:<24} {at:>8}  {lasted:>8}  {flows:>12}  {after_end:>14}  {all_ended:>10}  \
             {gap:>12}  {met:>4}",
        );
    }
    out
}

fn cells(recovery: Recovery) -> [String; 5] {
    [
        seconds(recovery.flows_after),
        seconds(recovery.flows_after_end),
        seconds(recovery.all_ended_after),
        seconds(recovery.longest_gap),
        recovery.met.to_string(),
    ]
}

/// The recoveries by kind of fault: median and longest.
#[must_use]
pub(super) fn kinds(faults: &[(Happened, Option<Recovery>)]) -> String {
    let mut out = String::from(
        "kind of fault        times   flows again, p50      max   all ended, p50      max\n",
    );
    for (name, group) in by_group(faults) {
        let cell = |times: Option<(Duration, Duration)>| {
            times.map_or(["-".to_owned(), "-".to_owned()], |(median, max)| [median, max].map(told))
        };
        let ([flows, flows_max], [ended, ended_max]) = (cell(group.flows), cell(group.all_ended));
        let _ = writeln!(
            out,
            "{name:<20} {:>5}   {flows:>16} {flows_max:>8}   {ended:>14} {ended_max:>8}",
            group.count,
        );
    }
    out
}

/// To a tenth of a second; what did not happen is `never`.
fn seconds(time: Option<Duration>) -> String {
    time.map_or("never".to_owned(), told)
}

fn told(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::fault::Act;

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
        let failed = Happened { failed: Some("no process `x`".into()), ..killed.clone() };
        let recovery = Recovery {
            flows_after: Some(s(1)),
            flows_after_end: Some(s(1)),
            all_ended_after: None,
            longest_gap: Some(s(3)),
            met: 7,
        };
        let mailed = Happened { act: Act::Kill("email".into()), ..killed.clone() };
        let all = [(killed, Some(recovery)), (failed, Some(recovery)), (mailed, None)];
        let table = faults(begin, &all);
        let row = table.lines().nth(1).unwrap();
        let words: Vec<_> = row.split_whitespace().collect();
        assert_eq!(
            words,
            ["kill", "orders-1", "8.0", "s", "-", "1.0", "s", "1.0", "s", "never", "3.0", "s", "7"]
        );
        assert!(table.contains("could not be done: no process `x`"), "{table}");
        let beside: Vec<_> = table.lines().nth(3).unwrap().split_whitespace().collect();
        assert_eq!(beside, ["kill", "email", "8.0", "s", "-", "-", "-", "-", "-", "-"]);
        let kinds = kinds(&all);
        assert!(kinds.contains("kill orders              1"), "{kinds}");
    }
}
