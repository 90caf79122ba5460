//! The view on one screen: topic in -> input -> topics out. The loop takes what it reads and
//! writes from here. What cannot be handled goes to `view.dlq`.

use contracts::topics::{Flow, ORDER_REFUSALS, ORDER_VIEWS, ORDERS, PRODUCTS, STOCK, flow};

/// All that the view does because of a record.
pub static FLOWS: [Flow; 4] = [
    flow(&ORDERS.spec, "order_transition", &[&ORDER_VIEWS.spec]),
    flow(&ORDER_REFUSALS.spec, "command_refused", &[]),
    flow(&PRODUCTS.spec, "product_captured", &[]),
    flow(&STOCK.spec, "stock_level", &[]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_tells_the_truth() {
        let folder = env!("CARGO_MANIFEST_DIR");
        testkit::assert_topology(contracts::ServiceName::View, &FLOWS, &[], folder);
    }
}
