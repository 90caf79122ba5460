//! Orders on one screen: topic in -> handler -> topics out. The loop takes what it reads and
//! writes from here.

use contracts::topics::{
    CUSTOMERS, Flow, ORDER_COMMANDS, ORDER_REFUSALS, ORDER_VALIDATIONS, ORDER_VIEWS, ORDERS,
    ORDERS_LATEST, PRODUCTS, TopicSpec,
};
use streams::{Source, UpTo};

const fn flow(
    from: &'static TopicSpec,
    handler: &'static str,
    to: &'static [&'static TopicSpec],
) -> Flow {
    Flow { from, handler, to }
}

/// All that orders does because of a record. After each of them it looks for the next transition,
/// so all of them may write to `orders`.
pub static FLOWS: &[Flow] = &[
    flow(&ORDER_COMMANDS.spec, "on_place_order", &[&ORDERS.spec, &ORDER_REFUSALS.spec]),
    flow(&ORDER_COMMANDS.spec, "on_cancel_order", &[&ORDERS.spec, &ORDER_REFUSALS.spec]),
    flow(&ORDER_VALIDATIONS.spec, "on_order_validation", &[&ORDERS.spec]),
    flow(&ORDERS.spec, "on_order_transition", &[&ORDERS.spec, &ORDERS_LATEST.spec]),
    // In its own time: the deadline came with OrderRequested.
    flow(&ORDERS.spec, "on_deadline", &[&ORDERS.spec]),
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

/// The topics that the loop reads, each once.
pub fn inputs() -> Vec<&'static TopicSpec> {
    distinct(FLOWS.iter().map(|flow| flow.from))
}

/// The topics that the loop writes, each once.
pub fn outputs() -> Vec<&'static TopicSpec> {
    distinct(FLOWS.iter().flat_map(|flow| flow.to.iter().copied()))
}

fn distinct(topics: impl Iterator<Item = &'static TopicSpec>) -> Vec<&'static TopicSpec> {
    let mut distinct: Vec<&'static TopicSpec> = Vec::new();
    for topic in topics {
        if !distinct.iter().any(|known| known.name == topic.name) {
            distinct.push(topic);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::{
        ServiceName,
        topics::{self, Writers},
    };
    use std::collections::BTreeSet;

    fn names<'a>(
        topics: impl IntoIterator<Item = &'a &'static TopicSpec>,
    ) -> BTreeSet<&'static str> {
        topics.into_iter().map(|topic| topic.name).collect()
    }

    #[test]
    fn what_is_read_is_what_the_registry_says_that_orders_reads() {
        let mut read = names(&inputs());
        read.extend(names(&TABLES));
        read.extend(names(&WAITED_FOR));
        let declared = topics::ALL.iter().filter(|t| t.readers.contains(&ServiceName::Orders));
        assert_eq!(read, names(declared));
    }

    #[test]
    fn what_is_written_is_what_the_registry_says_that_orders_writes() {
        let ours = |writers: Writers| match writers {
            Writers::One(service) => service == ServiceName::Orders,
            Writers::ByTransition(services) => services.contains(&ServiceName::Orders),
            Writers::AnyProcess | Writers::Cdc => false,
        };
        let dlq = topics::dlq(ServiceName::Orders).name;
        let declared = topics::ALL.iter().filter(|t| ours(t.writers) && t.name != dlq);
        assert_eq!(names(&outputs()), names(declared));
    }

    #[test]
    fn every_handler_is_a_file_of_its_own() {
        for handler in FLOWS.iter().map(|flow| flow.handler) {
            let file = format!("{}/src/handlers/{handler}.rs", env!("CARGO_MANIFEST_DIR"));
            assert!(std::path::Path::new(&file).exists(), "{file} is missing");
        }
    }

    #[test]
    fn state_comes_from_every_input_and_nothing_else() {
        let sources = SOURCES.map(|source| source.topic);
        assert_eq!(names(&sources), names(&inputs()));
    }
}
