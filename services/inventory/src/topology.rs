//! Inventory on one screen: its row in `contracts::services`, with topic in, input, topics out. The
//! processors take their topics from here.

use contracts::{ServiceName, services::ProcessorSpec, topics::Flow};
use streams::{Source, StandIn};

const PROCESSORS: &[ProcessorSpec] = ServiceName::Inventory.spec().processors;

/// All that the split processor does because of a record: one command per line, keyed by sku.
pub const SPLIT: &[Flow] = PROCESSORS[0].flows;

/// All that the stock processor does because of a record: one writer per sku.
pub const STOCKKEEPING: &[Flow] = PROCESSORS[1].flows;

/// Where the state of inventory-stock comes from.
pub const SOURCES: &[Source] = PROCESSORS[1].state;

/// What says the same as commands that were deleted before inventory-stock has read them.
pub fn stand_in(topic: &str) -> Option<StandIn> {
    PROCESSORS[1].stand_in(topic)
}

#[cfg(test)]
mod tests {
    use crate::domain::split::{self, Decision, Stateless};
    use contracts::{
        ServiceName, Timestamp,
        inventory::InventoryCommand,
        topics::{INVENTORY_COMMANDS, ORDERS},
    };

    #[test]
    fn the_table_tells_the_truth() {
        let folder = env!("CARGO_MANIFEST_DIR");
        testkit::assert_topology(contracts::ServiceName::Inventory, folder);
    }

    #[test]
    fn each_transition_asks_what_the_table_says() {
        let to = [&INVENTORY_COMMANDS.spec];
        testkit::assert_reactions(ServiceName::Inventory, &ORDERS.spec, &to, |order| {
            let Decision::Split(commands) = split::decide(&Stateless, order, Timestamp(9)) else {
                return Vec::new();
            };
            let kind = |command: &InventoryCommand| match command {
                InventoryCommand::Reserve(_) => "Reserve",
                InventoryCommand::Release(_) => "Release",
                InventoryCommand::Commit(_) => "Commit",
                InventoryCommand::Restock(_) => "Restock",
            };
            commands.iter().map(kind).collect()
        });
    }
}
