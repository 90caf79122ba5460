//! Inventory on one screen: topic in -> input -> topics out. The loops take what they read and
//! write from here.

use contracts::topics::{
    Flow, INVENTORY_COMMANDS, ORDER_VALIDATIONS, ORDERS, PRODUCTS, RESERVATIONS, STOCK, TopicSpec,
    flow,
};
use streams::{Source, UpTo};

/// All that the split loop does because of a record: one command per line, keyed by sku.
/// OrderRequested asks for Reserve, OrderRejected and OrderCancelled for Release, OrderConfirmed
/// for Commit.
pub static SPLIT: [Flow; 1] = [flow(&ORDERS.spec, "order_transition", &[&INVENTORY_COMMANDS.spec])];

/// All that the stock loop does because of a record: one writer per sku. Only a Reserve has an
/// outcome on `order-validations`.
pub static STOCKKEEPING: [Flow; 1] = [flow(
    &INVENTORY_COMMANDS.spec,
    "inventory_command",
    &[&STOCK.spec, &RESERVATIONS.spec, &ORDER_VALIDATIONS.spec],
)];

/// Where the state of inventory-stock comes from: its own output, so to the end.
pub static SOURCES: [Source; 2] = [
    Source { topic: &STOCK.spec, up_to: UpTo::End },
    Source { topic: &RESERVATIONS.spec, up_to: UpTo::End },
];

/// Read whole into memory: which products there are.
pub static TABLES: [&TopicSpec; 1] = [&PRODUCTS.spec];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_tells_the_truth() {
        let flows = [SPLIT, STOCKKEEPING].concat();
        let besides = [&SOURCES.map(|source| source.topic)[..], &TABLES].concat();
        let folder = env!("CARGO_MANIFEST_DIR");
        testkit::assert_topology(contracts::ServiceName::Inventory, &flows, &besides, folder);
    }
}
