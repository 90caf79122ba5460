//! The view on one screen: what is read, who handles it, what is written because of it.
//! What cannot be handled goes to `view.dlq`.

use contracts::topics::{Flow, ORDER_REFUSALS, ORDER_VIEWS, ORDERS, PRODUCTS, STOCK, TopicSpec};

/// Topic in -> handler -> topics out.
pub static FLOWS: [Flow; 4] = [
    Flow { from: &ORDERS.spec, handler: "on_order", to: &[&ORDER_VIEWS.spec] },
    Flow { from: &ORDER_REFUSALS.spec, handler: "on_command_refused", to: &[] },
    Flow { from: &PRODUCTS.spec, handler: "on_product_captured", to: &[] },
    Flow { from: &STOCK.spec, handler: "on_stock_level", to: &[] },
];

/// The topics that are read.
pub fn inputs() -> Vec<&'static TopicSpec> {
    FLOWS.iter().map(|flow| flow.from).collect()
}

/// The topics that are written.
pub fn outputs() -> Vec<&'static TopicSpec> {
    FLOWS.iter().flat_map(|flow| flow.to.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::{
        ServiceName,
        topics::{self, Writers},
    };
    use std::collections::BTreeSet;

    fn names(topics: impl IntoIterator<Item = &'static TopicSpec>) -> BTreeSet<&'static str> {
        topics.into_iter().map(|topic| topic.name).collect()
    }

    #[test]
    fn the_registry_names_us_as_reader_and_writer_of_just_these_topics() {
        let read = topics::ALL.into_iter().filter(|t| t.readers.contains(&ServiceName::View));
        assert_eq!(names(inputs()), names(read));
        let dead_letters = topics::dlq(ServiceName::View).name;
        let written = topics::ALL.into_iter().filter(|topic| {
            topic.writers == Writers::One(ServiceName::View) && topic.name != dead_letters
        });
        assert_eq!(names(outputs()), names(written));
    }
}
