//! How long the shop needed to recover from each fault, as its customers saw it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use client::Outcome;
use contracts::Status;

use super::fault::Act;
use crate::journal::Story;

/// A fault as it happened.
#[derive(Clone, Debug)]
pub struct Happened {
    /// What was done.
    pub act: Act,
    /// When it began.
    pub begin: Instant,
    /// When it was lifted; for a kill, when the process was well again.
    pub end: Instant,
    /// Why it could not be done, if so.
    pub failed: Option<String>,
}

/// What customers saw of a fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Recovery {
    /// From the begin of the fault until the first order was confirmed that was due after the
    /// begin. Another end is no proof: what is out of stock is rejected without payments or a bank.
    pub(super) flows_after: Option<Duration>,
    /// The same, counted from the end of the fault; zero if orders went on to flow while it lasted.
    pub(super) flows_after_end: Option<Duration>,
    /// From the begin of the fault until every order had ended that it met: all that were under way
    /// at a moment between its begin and its end, or the first order's flow if that came later.
    pub(super) all_ended_after: Option<Duration>,
    /// The longest time in which no order was confirmed, from the begin until every order had ended
    /// that it met.
    pub(super) longest_gap: Option<Duration>,
    /// How many orders it met.
    pub(super) met: usize,
}

/// What the customers in `stories` saw of `fault`; none if an order does not come by there.
///
/// A time is missing when there is no such order: none was placed after the begin, or one never
/// ended.
#[must_use]
pub(super) fn recovery(fault: &Happened, stories: &[Story]) -> Option<Recovery> {
    if fault.act.is_beside_the_way() {
        return None;
    }
    let confirmed = || stories.iter().filter_map(|story| Some((story.due, confirmed_at(story)?)));
    let flows = confirmed().filter(|(due, _)| *due >= fault.begin).map(|(_, end)| end).min();
    let until = flows.map_or(fault.end, |flows| flows.max(fault.end));
    let met: Vec<_> = stories.iter().filter(|story| is_met(story, fault.begin, until)).collect();
    let all_ended = met.iter().map(|story| Some(story.settled?.0)).collect::<Option<Vec<_>>>();
    let last = all_ended.and_then(|ends| ends.into_iter().max());
    let gap = last.map(|last| longest_gap(confirmed().map(|(_, end)| end), fault.begin, last));
    Some(Recovery {
        flows_after: flows.map(|at| at - fault.begin),
        flows_after_end: flows.map(|at| at.saturating_duration_since(fault.end)),
        all_ended_after: last.map(|at| at - fault.begin),
        longest_gap: gap,
        met: met.len(),
    })
}

fn confirmed_at(story: &Story) -> Option<Instant> {
    match story.settled? {
        (at, Outcome::Settled(Status::Confirmed)) => Some(at),
        _ => None,
    }
}

/// Whether an order that was accepted, sooner or later, was under way at a moment from `begin` to
/// `until`.
fn is_met(story: &Story, begin: Instant, until: Instant) -> bool {
    let ends_after = story.settled.is_none_or(|(end, _)| end >= begin);
    story.accepted().is_some() && story.due <= until && ends_after
}

/// The longest time without a moment of `moments` between `from` and `to`.
fn longest_gap(moments: impl Iterator<Item = Instant>, from: Instant, to: Instant) -> Duration {
    let mut inside: Vec<_> = moments.filter(|moment| (from..=to).contains(moment)).collect();
    inside.extend([from, to]);
    inside.sort_unstable();
    inside.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

/// The recoveries of one kind of fault on one process.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Group {
    /// How often it happened.
    pub(super) count: usize,
    /// Median and longest time until orders flow again, from the begin on.
    pub(super) flows: Option<(Duration, Duration)>,
    /// Median and longest time until all orders had ended that it met.
    pub(super) all_ended: Option<(Duration, Duration)>,
}

/// The recoveries by the groups of their faults, in the order of their names.
#[must_use]
pub(super) fn by_group(faults: &[(Happened, Option<Recovery>)]) -> BTreeMap<String, Group> {
    let mut of_group: BTreeMap<_, Vec<Option<Recovery>>> = BTreeMap::new();
    for (fault, recovery) in faults.iter().filter(|(fault, _)| fault.failed.is_none()) {
        of_group.entry(fault.act.group()).or_default().push(*recovery);
    }
    let group = |recoveries: Vec<Option<Recovery>>| {
        let seen = || recoveries.iter().flatten();
        Group {
            count: recoveries.len(),
            flows: median_and_max(seen().filter_map(|recovery| recovery.flows_after)),
            all_ended: median_and_max(seen().filter_map(|recovery| recovery.all_ended_after)),
        }
    };
    of_group.into_iter().map(|(name, recoveries)| (name, group(recoveries))).collect()
}

/// The lower median, and the longest.
fn median_and_max(times: impl Iterator<Item = Duration>) -> Option<(Duration, Duration)> {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    let median = times.get(times.len().checked_sub(1)? / 2)?;
    Some((*median, *times.last()?))
}

#[cfg(test)]
mod tests {
    use contracts::{OrderId, Status};
    use uuid::Uuid;

    use super::*;
    use crate::journal::{Reached, Reply};
    use crate::mix::Kind;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Orders that are due at a second and end at another; accepted at once.
    fn stories(begin: Instant, orders: &[(u64, Option<u64>)]) -> Vec<Story> {
        let story = |(due, end): &(u64, Option<u64>)| Story {
            kind: Kind::Plain,
            due: begin + s(*due),
            reply: Some((
                begin + s(*due),
                Reply::Accepted(OrderId(Uuid::from_u128(u128::from(*due)))),
            )),
            settled: end.map(|end| (begin + s(end), Outcome::Settled(Status::Confirmed))),
            reached: Reached::default(),
        };
        orders.iter().map(story).collect()
    }

    fn seen_of(fault: &Happened, stories: &[Story]) -> Recovery {
        recovery(fault, stories).expect("orders come by there")
    }

    fn fault(begin: Instant, from: u64, to: u64) -> Happened {
        Happened {
            act: Act::Kill("kafka".into()),
            begin: begin + s(from),
            end: begin + s(to),
            failed: None,
        }
    }

    #[test]
    fn orders_flow_again_when_the_first_one_ends_that_was_due_after_the_begin() {
        let begin = Instant::now();
        // Killed at 10. The order of 9 ends late, but it is no proof that new ones are served.
        let stories = stories(
            begin,
            &[(8, Some(9)), (9, Some(12)), (11, Some(24)), (12, Some(23)), (30, Some(31))],
        );
        let seen = seen_of(&fault(begin, 10, 10), &stories);
        assert_eq!(seen.flows_after, Some(s(13)));
        assert_eq!(seen.flows_after_end, Some(s(13)));
        assert_eq!(seen.met, 3, "those of 9, 11 and 12");
        assert_eq!(seen.all_ended_after, Some(s(14)));
        assert_eq!(seen.longest_gap, Some(s(11)), "from 12 to 23");
    }

    #[test]
    fn a_fault_that_stops_nobody_is_recovered_from_at_once() {
        let begin = Instant::now();
        let orders: Vec<_> = (0..40).map(|due| (due, Some(due + 1))).collect();
        let seen = seen_of(&fault(begin, 10, 20), &stories(begin, &orders));
        assert_eq!(seen.flows_after, Some(s(1)));
        assert_eq!(seen.flows_after_end, Some(Duration::ZERO));
        assert_eq!(
            seen.all_ended_after,
            Some(s(11)),
            "the last order that it met was due at its end"
        );
        assert_eq!(seen.longest_gap, Some(s(1)));
    }

    #[test]
    fn a_fault_that_holds_up_some_shows_in_the_last_of_them() {
        let begin = Instant::now();
        // One partition of several stands still: the first order ends soon, another one much later.
        let seen = seen_of(
            &fault(begin, 10, 10),
            &stories(begin, &[(9, Some(19)), (10, Some(11)), (11, Some(12))]),
        );
        assert_eq!(seen.flows_after, Some(s(1)));
        assert_eq!(seen.all_ended_after, Some(s(9)));
    }

    #[test]
    fn what_never_ends_is_no_recovery() {
        let begin = Instant::now();
        let none =
            seen_of(&fault(begin, 10, 10), &stories(begin, &[(1, Some(2)), (9, None), (11, None)]));
        assert_eq!((none.flows_after, none.all_ended_after, none.longest_gap), (None, None, None));
        let some = seen_of(&fault(begin, 10, 10), &stories(begin, &[(9, None), (11, Some(12))]));
        assert_eq!((some.flows_after, some.all_ended_after), (Some(s(2)), None));
    }

    #[test]
    fn orders_that_were_never_accepted_do_not_count() {
        let begin = Instant::now();
        let mut stories = stories(begin, &[(11, None), (12, Some(13))]);
        stories[0].reply = Some((begin + s(11), Reply::Refused(422)));
        let seen = seen_of(&fault(begin, 10, 10), &stories);
        assert_eq!((seen.met, seen.all_ended_after), (1, Some(s(3))));
    }

    #[test]
    fn a_rejected_order_is_no_proof_that_orders_flow() {
        let begin = Instant::now();
        let mut stories = stories(begin, &[(11, Some(12)), (12, Some(20))]);
        stories[0].settled = Some((begin + s(12), Outcome::Settled(Status::Rejected)));
        let seen = seen_of(&fault(begin, 10, 15), &stories);
        assert_eq!((seen.flows_after, seen.flows_after_end), (Some(s(10)), Some(s(5))));
        assert_eq!(seen.longest_gap, Some(s(10)));
    }

    #[test]
    fn no_order_tells_of_a_mail_server() {
        let begin = Instant::now();
        let stories = stories(begin, &[(11, Some(12))]);
        for name in ["email", "mail"] {
            let fault = Happened { act: Act::Kill(name.into()), ..fault(begin, 10, 10) };
            assert_eq!(recovery(&fault, &stories), None);
        }
    }

    #[test]
    fn a_kind_of_fault_has_a_median_and_a_maximum() {
        let begin = Instant::now();
        let with = |flows: Option<u64>| {
            let times = flows.map(s);
            Some(Recovery {
                flows_after: times,
                flows_after_end: times,
                all_ended_after: times,
                longest_gap: times,
                met: 1,
            })
        };
        let mut failed = fault(begin, 1, 1);
        failed.failed = Some("no such process".into());
        let faults: Vec<_> = [Some(3), Some(1), Some(2), None]
            .map(|flows| (fault(begin, 1, 1), with(flows)))
            .into_iter()
            .chain([(failed, with(Some(99)))])
            .collect();
        let groups = by_group(&faults);
        let group = &groups["kill kafka"];
        assert_eq!((group.count, group.flows), (4, Some((s(2), s(3)))));
    }
}
