//! The goals of waiting requests.

use contracts::Status;

/// What a reader wants to see before the answer; everything that is set must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Goal {
    /// How far the order must have come.
    pub milestone: Option<Milestone>,
    /// The version that must be shown at least: read your own writes.
    pub min_version: Option<i64>,
}

/// How far an order has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Milestone {
    /// Its checks are done, whatever came of them.
    Validated,
    /// It has ended.
    Settled,
}

/// The progress of an order, for its readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing has been heard of it; its command may be on its way.
    Unknown,
    /// There is no such order, and there will not be: its command was refused.
    Refused,
    /// It is shown.
    Shown {
        /// Its status.
        status: Status,
        /// Its version.
        version: i64,
    },
}

impl Goal {
    /// Whether there is anything to wait for.
    pub fn is_set(self) -> bool {
        self != Self::default()
    }

    /// Whether waiting is over. A refusal ends every wait, as nothing can follow it.
    pub fn is_reached(self, standing: Standing) -> bool {
        match standing {
            Standing::Unknown => !self.is_set(),
            Standing::Refused => true,
            Standing::Shown { status, version } => {
                let far_enough = match self.milestone {
                    None => true,
                    Some(Milestone::Validated) => status != Status::Requested,
                    Some(Milestone::Settled) => status.is_terminal(),
                };
                far_enough && self.min_version.is_none_or(|wanted| version >= wanted)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: Goal, when: Standing, then: bool) {
        assert_eq!(given.is_reached(when), then, "{given:?} at {when:?}");
    }

    #[test]
    fn a_goal_is_reached_by_what_it_names_and_by_refusal() {
        let shown = |status, version| Standing::Shown { status, version };
        let milestone = |milestone| Goal { milestone: Some(milestone), min_version: None };
        let min_version = |version| Goal { milestone: None, min_version: Some(version) };
        let (validated, settled) = (milestone(Milestone::Validated), milestone(Milestone::Settled));

        check(Goal::default(), Standing::Unknown, true);
        for goal in [validated, settled, min_version(1)] {
            check(goal, Standing::Unknown, false);
            check(goal, Standing::Refused, true);
        }
        check(validated, shown(Status::Requested, 1), false);
        check(validated, shown(Status::Validated, 2), true);
        check(validated, shown(Status::Rejected, 2), true);
        check(settled, shown(Status::RefundDue, 4), false);
        for status in Status::ALL {
            check(settled, shown(status, 3), status.is_terminal());
        }
        check(min_version(3), shown(Status::Validated, 2), false);
        check(min_version(3), shown(Status::Paid, 3), true);
        let both = Goal { milestone: Some(Milestone::Settled), min_version: Some(5) };
        check(both, shown(Status::Confirmed, 4), false);
        check(both, shown(Status::Refunded, 5), true);
    }
}
