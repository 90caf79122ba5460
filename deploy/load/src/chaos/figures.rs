//! What customers saw in each second of a run: how long their orders took, and how many they could
//! not see.

use std::time::{Duration, Instant};

use client::Outcome;
use contracts::OrderId;

use crate::journal::{Milestone, Story};

/// The orders of so many seconds make one figure: a percentile of a few would jump.
const WINDOW_S: usize = 5;

/// In each second, the 99th percentile of the time to the end, in ms, of the orders that were due
/// in it and in the seconds before. An order that has not ended took until `until`.
pub(super) fn p99_ms(begin: Instant, until: Instant, stories: &[Story]) -> Vec<usize> {
    let accepted = || stories.iter().filter(|story| story.accepted().is_some());
    let seconds = accepted().map(|story| second(begin, story.due) + 1).max().unwrap_or(0);
    let mut took: Vec<Vec<u64>> = vec![Vec::new(); seconds];
    for story in accepted() {
        let end = story.settled.map_or(until, |(at, _)| at);
        let ms = end.saturating_duration_since(story.due).as_millis();
        took[second(begin, story.due)].push(u64::try_from(ms).unwrap_or(u64::MAX));
    }
    let figure = |second: usize| {
        let window = &took[(second + 1).saturating_sub(WINDOW_S)..=second];
        let mut all: Vec<_> = window.iter().flatten().copied().collect();
        all.sort_unstable();
        // The smallest that is not below 99 of 100.
        let rank = (all.len() * 99).div_ceil(100).max(1) - 1;
        all.get(rank).map_or(0, |ms| usize::try_from(*ms).unwrap_or(usize::MAX))
    };
    (0..seconds).map(figure).collect()
}

/// At the end of each second, how many orders were accepted, and could not be seen in the view yet.
pub(super) fn unseen(begin: Instant, until: Instant, stories: &[Story]) -> Vec<usize> {
    let mut changes = vec![0_i64; second(begin, until) + 2];
    for story in stories {
        let Some((accepted, _)) = story.accepted() else { continue };
        let seen = seen_at(story).map(|at| at.max(accepted));
        changes[second(begin, accepted.min(until))] += 1;
        if let Some(seen) = seen {
            changes[second(begin, seen.min(until))] -= 1;
        }
    }
    changes.pop();
    let sum = |sum: &mut i64, change: i64| {
        *sum += change;
        Some(usize::try_from(*sum).unwrap_or(0))
    };
    changes.into_iter().scan(0, sum).collect()
}

/// The accepted orders that were never seen, with when they were due since `begin`.
pub(super) fn never_seen(begin: Instant, stories: &[Story]) -> Vec<(OrderId, Duration)> {
    let unseen = stories.iter().filter(|story| seen_at(story).is_none());
    let told = unseen.filter_map(|story| {
        let (_, order) = story.accepted()?;
        Some((order, story.due.saturating_duration_since(begin)))
    });
    told.collect()
}

/// When the view showed the order, as far as its customer knows.
fn seen_at(story: &Story) -> Option<Instant> {
    let ended: Option<(Instant, Outcome)> = story.settled;
    let shown = story.reached.at(Milestone::Visible);
    shown.into_iter().chain(ended.map(|(at, _)| at)).min()
}

fn second(begin: Instant, at: Instant) -> usize {
    let second = usize::try_from(at.saturating_duration_since(begin).as_secs());
    second.expect("no run lasts 2^32 seconds")
}

#[cfg(test)]
mod tests {
    use contracts::Status;
    use uuid::Uuid;

    use super::*;
    use crate::journal::{Reached, Reply};
    use crate::mix::Kind;

    fn story(begin: Instant, number: u64, due_ms: u64, ended_ms: Option<u64>) -> Story {
        let ms = |ms| begin + Duration::from_millis(ms);
        let order = OrderId(Uuid::from_u128(number.into()));
        Story {
            kind: Kind::Plain,
            due: ms(due_ms),
            reply: Some((ms(due_ms + 10), Reply::Accepted(order))),
            settled: ended_ms.map(|at| (ms(at), Outcome::Settled(Status::Confirmed))),
            reached: Reached::default(),
        }
    }

    #[test]
    fn a_slow_order_is_the_p99_of_its_second_and_of_those_after_it() {
        let begin = Instant::now();
        let end = begin + Duration::from_secs(20);
        let mut stories: Vec<_> =
            (0..10).map(|n| story(begin, n, n * 1000, Some(n * 1000 + 100))).collect();
        stories[2].settled = Some((begin + Duration::from_secs(9), stories[2].settled.unwrap().1));
        assert_eq!(
            p99_ms(begin, end, &stories),
            [100, 100, 7000, 7000, 7000, 7000, 7000, 100, 100, 100]
        );
        stories[9].settled = None;
        assert_eq!(p99_ms(begin, end, &stories)[9], 11_000, "it has not ended by the end");
        assert_eq!(p99_ms(begin, end, &[]), [0; 0]);
    }

    #[test]
    fn an_order_is_unseen_from_its_202_until_the_view_shows_it() {
        let begin = Instant::now();
        let end = begin + Duration::from_secs(4);
        let stories = [
            story(begin, 0, 0, Some(100)),
            story(begin, 1, 500, Some(2500)),
            story(begin, 2, 1500, None),
        ];
        assert_eq!(unseen(begin, end, &stories), [1, 2, 1, 1, 1]);
        let (order, due) = never_seen(begin, &stories)[0];
        assert_eq!((order.0.as_u128(), due), (2, Duration::from_millis(1500)));
        assert_eq!(never_seen(begin, &stories[..2]), []);
    }
}
