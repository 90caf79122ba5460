//! A run in figures.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::journal::{Milestone, Reply, Stories, Story};

/// Latencies in microseconds, up to an hour, to three significant digits.
fn histogram(latencies: impl Iterator<Item = Duration>) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, 3_600_000_000, 3)
        .expect("1 is above 0, an hour is above 2, and 3 digits are between 0 and 5");
    for latency in latencies {
        histogram.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }
    histogram
}

/// `3 confirmed, 1 rejected`; `none` for nothing.
fn tally<T: ToString>(items: impl Iterator<Item = T>) -> (u64, String) {
    let mut counts = BTreeMap::<String, u64>::new();
    for item in items {
        *counts.entry(item.to_string()).or_default() += 1;
    }
    let words = counts.iter().map(|(name, count)| format!("{count} {name}"));
    (counts.values().sum(), words.collect::<Vec<_>>().join(", "))
}

/// One line with the state so far.
#[must_use]
pub fn progress(stories: &Stories) -> String {
    let count = |is: fn(&Story) -> bool| stories.orders.iter().filter(|story| is(story)).count();
    format!(
        "{} due, {} accepted, {} refused, {} settled, {} under way, {} not now",
        stories.orders.len(),
        count(|story| story.accepted().is_some()),
        count(|story| matches!(story.reply, Some((_, Reply::Refused(_))))),
        count(|story| story.settled.is_some()),
        count(Story::is_under_way),
        stories.retries.values().sum::<u64>(),
    )
}

/// The whole run.
#[must_use]
pub fn summary(stories: &Stories) -> String {
    let mut out = String::new();
    let mut line = |name: &str, count: u64, words: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}", format!("{name:<14} {count:>7}  {words}").trim_end());
    };
    let orders = &stories.orders;
    line("orders", orders.len() as u64, tally(orders.iter().map(|story| story.kind.as_str())).1);
    let accepted = orders.iter().filter(|story| story.accepted().is_some()).count() as u64;
    line("accepted", accepted, String::new());
    let refused = orders.iter().filter_map(|story| match story.reply {
        Some((_, Reply::Refused(status))) => Some(status),
        _ => None,
    });
    let (count, words) = tally(refused);
    line("refused", count, words);
    let outcomes = orders.iter().filter_map(|story| Some(story.settled?.1.as_str()));
    let (settled, words) = tally(outcomes);
    line("settled", settled, words);
    line("under way", accepted.saturating_sub(settled), String::new());
    let again = stories.retries.iter().map(|(why, count)| format!("{count} after {why}"));
    let again = again.collect::<Vec<_>>().join(", ");
    line("not now", stories.retries.values().sum(), again);
    let advised = stories.advice.values().sum();
    line("come again", advised, advice(&stories.advice));
    line("cancellations", stories.cancellations, String::new());
    line("restocks", stories.restocks, String::new());
    out.push_str(&rates(orders));
    out.push_str(&latency_table(orders));
    for told in &stories.told {
        let _ = writeln!(out, "trouble: {told}");
    }
    let more = stories.troubles - stories.told.len() as u64;
    if more > 0 {
        let _ = writeln!(out, "trouble: {more} more");
    }
    out
}

/// `in 1 to 7 s, half of them in 3; 2 were not told when`; empty for nothing.
fn advice(advice: &BTreeMap<Option<u64>, u64>) -> String {
    let told: Vec<_> = advice.iter().filter_map(|(seconds, n)| Some(((*seconds)?, *n))).collect();
    let half = told.iter().map(|(_, n)| n).sum::<u64>().div_ceil(2);
    let mut words = Vec::new();
    if let (Some((from, _)), Some((to, _))) = (told.first(), told.last()) {
        let mut below = 0;
        let median = told.iter().find(|(_, n)| {
            below += n;
            below >= half
        });
        let median = median.map_or(*to, |(seconds, _)| *seconds);
        words.push(format!("in {from} to {to} s, half of them in {median}"));
    }
    if let Some(silent) = advice.get(&None) {
        words.push(format!("{silent} were not told when"));
    }
    words.join("; ")
}

/// From when the first order was due until the last one was accepted, and until the last one had
/// ended.
fn rates(orders: &[Story]) -> String {
    let Some(first) = orders.first() else { return String::new() };
    let rate = |ends: &mut dyn Iterator<Item = Instant>| {
        let (mut count, mut last) = (0_u32, first.due);
        for end in ends {
            count += 1;
            last = last.max(end);
        }
        f64::from(count) / (last - first.due).as_secs_f64().max(f64::EPSILON)
    };
    let accepted = rate(&mut orders.iter().filter_map(|story| Some(story.accepted()?.0)));
    let settled = rate(&mut orders.iter().filter_map(|story| Some(story.settled?.0)));
    format!("throughput     {accepted:.1}/s accepted, {settled:.1}/s settled\n")
}

/// How long it took orders to come by one place, from when they were due, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// The place: `accepted`, `visible`, `validated`, `settled`, `mailed`.
    pub to: &'static str,
    /// Half of the orders took less.
    pub p50_ms: f64,
    /// 95 % took less.
    pub p95_ms: f64,
    /// 99 % took less.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// The latencies of the places that orders came by.
#[must_use]
pub fn latencies(orders: &[Story]) -> Vec<Latency> {
    let to = |to: &'static str, at: &dyn Fn(&Story) -> Option<Instant>| {
        let since_due = |story: &Story| Some(at(story)?.saturating_duration_since(story.due));
        let histogram = histogram(orders.iter().filter_map(since_due));
        #[expect(clippy::cast_precision_loss, reason = "a latency is far below 2^52 microseconds")]
        let ms = |micros: u64| micros as f64 / 1000.0;
        let at = |percentile| ms(histogram.value_at_percentile(percentile));
        let [p50_ms, p95_ms, p99_ms] = [50.0, 95.0, 99.0].map(at);
        let latency = Latency { to, p50_ms, p95_ms, p99_ms, max_ms: ms(histogram.max()) };
        (!histogram.is_empty()).then_some(latency)
    };
    let all = [
        to("accepted", &|story| Some(story.accepted()?.0)),
        to("visible", &|story| story.reached.at(Milestone::Visible)),
        to("validated", &|story| story.reached.at(Milestone::Validated)),
        to("settled", &|story| Some(story.settled?.0)),
        to("mailed", &|story| story.reached.at(Milestone::Mailed)),
    ];
    all.into_iter().flatten().collect()
}

fn latency_table(orders: &[Story]) -> String {
    let mut out = String::from(
        "latency in ms      p50      p95      p99      max   from when the order was due\n",
    );
    for Latency { to, p50_ms, p95_ms, p99_ms, max_ms } in latencies(orders) {
        // Writing to a String cannot fail.
        let _ =
            writeln!(out, "to {to:<10} {p50_ms:>8.1} {p95_ms:>8.1} {p99_ms:>8.1} {max_ms:>8.1}");
    }
    out
}

#[cfg(test)]
mod tests {
    use client::Outcome;
    use contracts::{OrderId, Status};
    use uuid::Uuid;

    use super::*;
    use crate::journal::Reached;
    use crate::mix::Kind;

    /// Ten orders, one per second; each is accepted 10 ms after it was due and settled after n ×
    /// 100 ms.
    fn ten() -> Stories {
        let begin = Instant::now();
        let ms = Duration::from_millis;
        let orders = (0..10_u64).map(|n| {
            let due = begin + Duration::from_secs(n);
            let id = OrderId(Uuid::from_u128(u128::from(n)));
            let status = if n == 3 { Status::Rejected } else { Status::Confirmed };
            Story {
                kind: Kind::Plain,
                due,
                reply: Some((due + ms(10), Reply::Accepted(id))),
                settled: Some((due + ms(100 * (n + 1)), Outcome::Settled(status))),
                reached: Reached::default(),
            }
        });
        Stories { orders: orders.collect(), ..Stories::default() }
    }

    #[test]
    fn a_summary_counts_and_measures_from_when_the_orders_were_due() {
        let summary = summary(&ten());
        assert!(summary.contains("settled             10  9 confirmed, 1 rejected"), "{summary}");
        assert!(summary.contains("throughput     1.1/s accepted, 1.0/s settled"), "{summary}");
        let settled = summary.lines().find(|line| line.starts_with("to settled")).unwrap();
        let figures: Vec<f64> =
            settled.split_whitespace().skip(2).map(|figure| figure.parse().unwrap()).collect();
        for (figure, expected) in figures.iter().zip([500.0, 1000.0, 1000.0, 1000.0]) {
            assert!((figure - expected).abs() < 2.0, "{settled}");
        }
    }

    #[test]
    fn what_is_not_settled_refused_or_sent_again_is_said() {
        const ADVICE: &str = "4  in 2 to 7 s, half of them in 2; 1 were not told when";
        let mut stories = ten();
        stories.orders[0].settled = None;
        stories.orders[1].reply = Some((stories.orders[1].due, Reply::Refused(422)));
        stories.orders[1].settled = None;
        stories.retries.insert("503".into(), 4);
        stories.advice = BTreeMap::from([(None, 1), (Some(2), 2), (Some(7), 1)]);
        stories.troubles = 3;
        stories.told = vec!["one key, two answers".into()];
        let summary = summary(&stories);
        for line in
            ["refused              1  1 422", "under way            1", "4 after 503", ADVICE]
        {
            assert!(summary.contains(line), "{line} is missing in\n{summary}");
        }
        assert!(summary.contains("two answers") && summary.contains("2 more"), "{summary}");
    }

    #[test]
    fn nothing_at_all_has_a_summary_too() {
        assert!(summary(&Stories::default()).contains("orders               0"));
    }
}
