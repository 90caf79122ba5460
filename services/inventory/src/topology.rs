//! Inventory on one screen: topic in -> handler -> topics out. The loops take what they read and
//! write from here.

use contracts::topics::{
    Flow, INVENTORY_COMMANDS, ORDER_VALIDATIONS, ORDERS, RESERVATIONS, STOCK, TopicSpec,
};
use streams::{Source, UpTo};

const fn flow(
    from: &'static TopicSpec,
    handler: &'static str,
    to: &'static [&'static TopicSpec],
) -> Flow {
    Flow { from, handler, to }
}

/// All that inventory does because of a record.
pub static FLOWS: &[Flow] = &[
    // inventory-split: one command per line, keyed by sku.
    flow(&ORDERS.spec, "on_order_requested", &[&INVENTORY_COMMANDS.spec]),
    flow(&ORDERS.spec, "on_order_rejected", &[&INVENTORY_COMMANDS.spec]),
    flow(&ORDERS.spec, "on_order_cancelled", &[&INVENTORY_COMMANDS.spec]),
    flow(&ORDERS.spec, "on_order_confirmed", &[&INVENTORY_COMMANDS.spec]),
    // inventory-stock: one writer per sku.
    flow(
        &INVENTORY_COMMANDS.spec,
        "on_reserve",
        &[&STOCK.spec, &RESERVATIONS.spec, &ORDER_VALIDATIONS.spec],
    ),
    flow(&INVENTORY_COMMANDS.spec, "on_release", &[&STOCK.spec, &RESERVATIONS.spec]),
    flow(&INVENTORY_COMMANDS.spec, "on_commit", &[&STOCK.spec, &RESERVATIONS.spec]),
    flow(&INVENTORY_COMMANDS.spec, "on_restock", &[&STOCK.spec, &RESERVATIONS.spec]),
];

/// Where the state of inventory-stock comes from: its own output, so to the end.
pub static SOURCES: [Source; 2] = [
    Source { topic: &STOCK.spec, up_to: UpTo::End },
    Source { topic: &RESERVATIONS.spec, up_to: UpTo::End },
];

/// The topics that are written because of records on `from`, each once.
pub(crate) fn outputs(from: &'static TopicSpec) -> Vec<&'static TopicSpec> {
    let mut outputs: Vec<&'static TopicSpec> = Vec::new();
    for topic in FLOWS.iter().filter(|flow| flow.from.name == from.name).flat_map(|flow| flow.to) {
        if !outputs.iter().any(|known| known.name == topic.name) {
            outputs.push(topic);
        }
    }
    outputs
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::{
        ServiceName,
        topics::{self, Writers},
    };
    use std::{collections::BTreeSet, path::Path};

    /// Read over HTTP's shoulder: which products there are.
    const TABLES: [&str; 1] = ["catalog.products"];

    fn names<'a>(topics: impl Iterator<Item = &'a &'static TopicSpec>) -> BTreeSet<&'static str> {
        topics.map(|topic| topic.name).collect()
    }

    #[test]
    fn what_is_read_is_what_the_registry_says_that_inventory_reads() {
        let declared =
            names(topics::ALL.iter().filter(|t| t.readers.contains(&ServiceName::Inventory)));
        let sources: Vec<_> = SOURCES.iter().map(|source| source.topic).collect();
        let mut read = names(FLOWS.iter().map(|flow| &flow.from).chain(&sources));
        read.extend(TABLES);
        assert_eq!(read, declared);
    }

    #[test]
    fn what_is_written_is_what_the_registry_says_that_inventory_writes() {
        let written = names(FLOWS.iter().flat_map(|flow| flow.to));
        let own = names(topics::ALL.iter().filter(|topic| {
            topic.writers == Writers::One(ServiceName::Inventory)
                && topic.name != topics::dlq(ServiceName::Inventory).name
        }));
        assert!(written.is_superset(&own), "{own:?} are ours, we write {written:?}");
        let others: Vec<_> = written.difference(&own).collect();
        assert_eq!(others, [&INVENTORY_COMMANDS.name()], "anyone may ask, but nothing more");
    }

    #[test]
    fn each_handler_is_a_file() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/handlers");
        for flow in FLOWS {
            assert!(folder.join(flow.handler).with_extension("rs").exists(), "{}", flow.handler);
        }
    }
}
