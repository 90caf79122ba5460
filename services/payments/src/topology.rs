//! Payments on one screen: topic in -> input -> topics out, by way of the outbox. The loop takes
//! what it reads and writes from here. What cannot be handled goes to `payments.dlq`.

use contracts::topics::{Flow, ORDERS, flow};

/// All that payments does because of a record.
pub static FLOWS: [Flow; 2] = [
    flow(&ORDERS.spec, "order_validated", &[&ORDERS.spec]),
    flow(&ORDERS.spec, "order_cancelled", &[&ORDERS.spec]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_tells_the_truth() {
        let folder = env!("CARGO_MANIFEST_DIR");
        testkit::assert_topology(contracts::ServiceName::Payments, &FLOWS, &[], folder);
    }
}
