//! [`SplitProcessor`]: reads `orders`, writes one command per line to `inventory.commands`.
//!
//! It has no state: the transition alone decides the commands.

use crate::{inputs::order_transition, topology};
use contracts::{
    owns::Inventory,
    topics::{self, TopicSpec},
};
use streams::{Failure, Processor, Record, Tx};

/// Takes orders apart, so that each sku has one writer.
#[derive(Debug, Clone, Copy, Default)]
pub struct SplitProcessor;

impl Processor for SplitProcessor {
    type Identity = Inventory;

    fn inputs(&self) -> Vec<&'static TopicSpec> {
        topics::inputs(topology::SPLIT)
    }

    fn outputs(&self) -> Vec<&'static TopicSpec> {
        topics::outputs(topology::SPLIT)
    }

    fn is_awaited(&self, record: &Record) -> bool {
        topics::is_awaited(topology::SPLIT, record)
    }

    fn process(&mut self, record: &Record, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
        order_transition::handle(record, tx)
    }
}
