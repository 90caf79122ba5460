//! Outcomes of checks: what is kept, and by which name the rest is ignored.

use contracts::Status;
use orders::domain::{
    Entry,
    outcome::{Decision, Ignored, decide, evolve},
};

use crate::fixtures::{entry_at, failed, order_at, passed};

#[test]
fn only_news_about_a_required_check_is_kept_and_the_first_outcome_counts() {
    let (before_the_order, requested) = (Entry::default(), entry_at(Status::Requested));
    let knows = |mut entry: Entry| {
        evolve(&mut entry, &passed(1, "TEA"));
        entry
    };
    let kept = Decision::Kept;
    let ignored = Decision::Ignored;
    for (given, when, then) in [
        (before_the_order.clone(), passed(1, "TEA"), kept),
        (before_the_order.clone(), passed(1, "OTHER"), kept),
        (knows(before_the_order.clone()), passed(1, "TEA"), ignored(Ignored::Repeated)),
        (knows(before_the_order), failed(1, "TEA"), ignored(Ignored::Contradicts)),
        (requested.clone(), passed(1, "TEA"), kept),
        (requested.clone(), failed(1, "MUG"), kept),
        (requested.clone(), passed(1, "OTHER"), ignored(Ignored::NotRequired)),
        (knows(requested.clone()), passed(1, "TEA"), ignored(Ignored::Repeated)),
        (knows(requested), failed(1, "TEA"), ignored(Ignored::Contradicts)),
    ] {
        assert_eq!(decide(&given, &when), Ok(then), "{when:?} given {given:?}");
    }
}

#[test]
fn after_the_checks_every_outcome_is_too_late() {
    for status in Status::ALL.into_iter().filter(|status| *status != Status::Requested) {
        let entry = Entry { order: Some(order_at(status, 1)), ..Entry::default() };
        let decision = decide(&entry, &failed(1, "TEA"));
        assert_eq!(decision, Ok(Decision::Ignored(Ignored::TooLate)), "{status}");
    }
}
