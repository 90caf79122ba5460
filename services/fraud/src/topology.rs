//! Fraud on one screen: its row in `contracts::services`, with topic in, input, topics out. The
//! processors take their topics from here.

use contracts::{ServiceName, services::ProcessorSpec, topics::Flow};
use streams::Source;

/// The processor that keys orders by customer, and the one that judges them.
pub const PROCESSORS: &[ProcessorSpec] = ServiceName::Fraud.spec().processors;

/// All that the split processor does because of a record.
pub const SPLIT: &[Flow] = PROCESSORS[0].flows;

/// All that the check processor does because of a record: one writer per customer.
pub const CHECK: &[Flow] = PROCESSORS[1].flows;

/// Where the state of fraud-check comes from: its input, up to what was judged.
pub const SOURCES: &[Source] = PROCESSORS[1].state;

#[cfg(test)]
mod tests {
    use crate::processor::SplitProcessor;
    use contracts::{
        ServiceName, baton,
        topics::{EXPOSURES, ORDERS},
    };
    use testkit::Driver;

    #[test]
    fn the_table_tells_the_truth() {
        let folder = env!("CARGO_MANIFEST_DIR");
        testkit::assert_topology(contracts::ServiceName::Fraud, folder);
    }

    #[test]
    fn each_transition_changes_what_the_table_says() {
        let to = [&EXPOSURES.spec];
        testkit::assert_reactions(ServiceName::Fraud, &ORDERS.spec, &to, |order| {
            let writer = baton::writer(order.transition).expect("the table has each transition");
            let mut driver = Driver::new(SplitProcessor);
            let fed = driver.feed(&ORDERS, &order.order_id, order, writer.as_str());
            assert_eq!(fed.dead_letter, None);
            fed.sent.iter().map(|sent| sent.topic).collect()
        });
    }
}
