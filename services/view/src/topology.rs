//! The view on one screen is its row in `contracts::services`: topic in, input, topics out. The
//! processor takes what it reads and writes from here. What cannot be handled goes to `view.dlq`.

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
