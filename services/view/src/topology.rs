//! The view on one screen: its row in `contracts::services`, with topic in, input, topics out. The
//! processor takes its topics from here. Dead letters go to `view.dlq`.

use contracts::{ServiceName, topics::Flow};

/// All that the view does because of a record.
pub const FLOWS: &[Flow] = ServiceName::View.spec().processors[0].flows;

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_tells_the_truth() {
        let folder = env!("CARGO_MANIFEST_DIR");
        testkit::assert_topology(contracts::ServiceName::View, folder);
    }
}
