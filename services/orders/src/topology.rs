//! Orders on one screen is its row in `contracts::services`: topic in, input, topics out. The
//! processor takes what it reads and writes from here.

use contracts::{
    ServiceName,
    services::ServiceSpec,
    topics::{Flow, TopicSpec},
};
use streams::Source;

const ROW: &ServiceSpec = ServiceName::Orders.spec();

/// All that orders does because of a record.
pub const FLOWS: &[Flow] = ROW.processors[0].flows;

/// Where the state comes from.
pub const SOURCES: &[Source] = ROW.processors[0].state;

/// Followed by every instance, for the HTTP requests that wait for an outcome.
pub const WAITED_FOR: &[&TopicSpec] = ROW.follows;

#[cfg(test)]
mod tests {
    use crate::domain::{
        CheckOutcome, Entry,
        next_step::{self, Decision},
    };
    use contracts::{CommandId, Order, Reason, ServiceName, Timestamp, topics::ORDERS};
    use uuid::Uuid;

    #[test]
    fn the_table_tells_the_truth() {
        let folder = env!("CARGO_MANIFEST_DIR");
        testkit::assert_topology(contracts::ServiceName::Orders, folder);
    }

    #[test]
    fn state_comes_from_every_input_and_nothing_else() {
        use contracts::topics;
        use std::collections::BTreeSet;
        let sources: BTreeSet<_> = super::SOURCES.iter().map(|one| one.topic.name).collect();
        let inputs = topics::inputs(super::FLOWS);
        assert_eq!(sources, inputs.iter().map(|topic| topic.name).collect::<BTreeSet<_>>());
    }

    /// Whatever may be known besides an order that was read back: the next steps, all told.
    fn next_steps(order: &Order) -> Vec<&'static str> {
        let known = |outcome: &CheckOutcome| Entry {
            order: Some(order.clone().into()),
            outcomes: order.required_checks.iter().map(|c| (c.clone(), outcome.clone())).collect(),
            ..Entry::default()
        };
        let failed =
            known(&CheckOutcome::Failed(Reason::new("inventory:TEA", "none_left", "none")));
        let passed = known(&CheckOutcome::Passed);
        let cancellation = Some(CommandId(Uuid::from_u128(7)));
        let cancelled = Entry { cancellation, ..passed.clone() };
        let now = Timestamp(9);
        let due = [(&failed, now), (&passed, now), (&cancelled, now), (&passed, order.deadline)];
        let proposals =
            due.into_iter().filter_map(|(entry, now)| match next_step::decide(entry, now) {
                Decision::Propose(proposal) => Some(proposal.order().status.as_str()),
                Decision::Wait
                | Decision::InFlight
                | Decision::NotOurs
                | Decision::Settled
                | Decision::Unknown => None,
            });
        proposals.collect()
    }

    #[test]
    fn the_next_steps_are_those_of_the_table() {
        testkit::assert_reactions(ServiceName::Orders, &ORDERS.spec, &[&ORDERS.spec], next_steps);
    }
}
