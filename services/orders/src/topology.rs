//! Orders on one screen is its row in `contracts::services`: topic in, input, topics out. The loop
//! takes what it reads and writes from here.

use contracts::{
    ServiceName,
    services::ServiceSpec,
    topics::{Flow, TopicSpec},
};
use streams::Source;

const ROW: &ServiceSpec = ServiceName::Orders.spec();

/// All that orders does because of a record.
pub const FLOWS: &[Flow] = ROW.loops[0].flows;

/// Where the state comes from.
pub const SOURCES: &[Source] = ROW.loops[0].state;

/// Followed by every instance, for the HTTP requests that wait for an outcome.
pub const WAITED_FOR: &[&TopicSpec] = ROW.follows;

#[cfg(test)]
mod tests {
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
}
