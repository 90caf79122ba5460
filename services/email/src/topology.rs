//! Email on one screen is its row in `contracts::services`: topic in, input, topics out. The loop
//! takes what it reads and writes from here.

use contracts::{ServiceName, services::LoopSpec, topics::Flow};
use streams::Source;

const LOOPS: &[LoopSpec] = ServiceName::Email.spec().loops;

/// All that email does because of a record.
pub const FLOWS: &[Flow] = LOOPS[0].flows;

/// Where the state comes from.
pub const SOURCES: &[Source] = LOOPS[0].state;

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_tells_the_truth() {
        let folder = env!("CARGO_MANIFEST_DIR");
        testkit::assert_topology(contracts::ServiceName::Email, folder);
    }
}
