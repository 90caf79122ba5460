//! Outcomes of checks: what is kept, and by which name the rest is ignored.

use contracts::Status;
use orders::domain::{
    Entry,
    order_validation::{Decision, NoOp, decide, evolve},
};

use crate::fixtures::{NOW, entry_at, failed, kept, order_at, passed};

#[test]
fn only_news_about_a_required_check_is_kept_and_the_first_outcome_counts() {
    let (before_the_order, requested) = (Entry::default(), entry_at(Status::Requested));
    let knows = |entry: Entry| evolve(entry, &kept(&passed(1, "TEA")));
    let ignored = Decision::Ignored;
    for (given, when, then) in [
        (before_the_order.clone(), passed(1, "TEA"), kept(&passed(1, "TEA"))),
        (before_the_order.clone(), passed(1, "OTHER"), kept(&passed(1, "OTHER"))),
        (knows(before_the_order.clone()), passed(1, "TEA"), ignored(NoOp::Repeated)),
        (knows(before_the_order), failed(1, "TEA"), ignored(NoOp::Contradicts)),
        (requested.clone(), passed(1, "TEA"), kept(&passed(1, "TEA"))),
        (requested.clone(), failed(1, "MUG"), kept(&failed(1, "MUG"))),
        (requested.clone(), passed(1, "OTHER"), ignored(NoOp::NotRequired)),
        (knows(requested.clone()), passed(1, "TEA"), ignored(NoOp::Repeated)),
        (knows(requested), failed(1, "TEA"), ignored(NoOp::Contradicts)),
    ] {
        assert_eq!(decide(&given, &when, NOW), then, "{when:?} given {given:?}");
    }
}

#[test]
fn after_the_checks_every_outcome_is_too_late() {
    for status in Status::ALL.into_iter().filter(|status| *status != Status::Requested) {
        let entry = Entry { order: Some(order_at(status, 1).into()), ..Entry::default() };
        let decision = decide(&entry, &failed(1, "TEA"), NOW);
        assert_eq!(decision, Decision::Ignored(NoOp::TooLate), "{status}");
    }
}
