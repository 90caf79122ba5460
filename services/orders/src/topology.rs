//! Orders on one screen: topic in -> input -> topics out. The loop takes what it reads and
//! writes from here.

use contracts::topics::{
    CUSTOMERS, Flow, ORDER_COMMANDS, ORDER_REFUSALS, ORDER_VALIDATIONS, ORDER_VIEWS, ORDERS,
    ORDERS_LATEST, PRODUCTS, TopicSpec, flow,
};
use streams::{Source, UpTo};

/// All that orders does because of a record. After each of them it looks for the next transition,
/// so all of them may write to `orders`.
pub static FLOWS: [Flow; 5] = [
    flow(&ORDER_COMMANDS.spec, "place_order", &[&ORDERS.spec, &ORDER_REFUSALS.spec]),
    flow(&ORDER_COMMANDS.spec, "cancel_order", &[&ORDERS.spec, &ORDER_REFUSALS.spec]),
    flow(&ORDER_VALIDATIONS.spec, "order_validation", &[&ORDERS.spec]),
    flow(&ORDERS.spec, "order_transition", &[&ORDERS.spec, &ORDERS_LATEST.spec]),
    // In its own time: the deadline came with OrderRequested.
    flow(&ORDERS.spec, "deadline", &[&ORDERS.spec]),
];

/// Where the state comes from. `orders` is our own output, so it is read to its end: after a
/// restore no proposal can be in flight.
pub static SOURCES: [Source; 3] = [
    Source { topic: &ORDERS.spec, up_to: UpTo::End },
    Source { topic: &ORDER_COMMANDS.spec, up_to: UpTo::Committed },
    Source { topic: &ORDER_VALIDATIONS.spec, up_to: UpTo::Committed },
];

/// Read whole into memory, for names and prices.
pub static TABLES: [&TopicSpec; 2] = [&PRODUCTS.spec, &CUSTOMERS.spec];

/// Followed by every instance, for the HTTP requests that wait for an outcome.
pub static WAITED_FOR: [&TopicSpec; 2] = [&ORDER_VIEWS.spec, &ORDER_REFUSALS.spec];

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::topics;
    use std::collections::BTreeSet;

    #[test]
    fn the_screen_tells_the_truth() {
        let besides = [TABLES, WAITED_FOR].concat();
        let folder = env!("CARGO_MANIFEST_DIR");
        testkit::assert_topology(contracts::ServiceName::Orders, &FLOWS, &besides, folder);
    }

    #[test]
    fn state_comes_from_every_input_and_nothing_else() {
        let sources: BTreeSet<_> = SOURCES.iter().map(|source| source.topic.name).collect();
        let inputs: BTreeSet<_> = topics::inputs(&FLOWS).iter().map(|topic| topic.name).collect();
        assert_eq!(sources, inputs);
    }
}
