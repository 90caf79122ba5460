//! Payments on one screen: its row in `contracts::services`, with topic in, input, and topics out
//! by way of the outbox. The processor takes its topics from here. Dead letters go to
//! `payments.dlq`.

use contracts::{ServiceName, topics::Flow};

/// All that payments does because of a record.
pub const FLOWS: &[Flow] = ServiceName::Payments.spec().processors[0].flows;

#[cfg(test)]
mod tests {
    use crate::inputs::{self, Reaction};
    use contracts::{ServiceName, TransitionKind, topics::ORDERS};

    #[test]
    fn the_table_tells_the_truth() {
        let folder = env!("CARGO_MANIFEST_DIR");
        testkit::assert_topology(contracts::ServiceName::Payments, folder);
    }

    #[test]
    fn payments_acts_where_the_table_says() {
        let to = [&ORDERS.spec];
        testkit::assert_reactions(ServiceName::Payments, &ORDERS.spec, &to, |order| {
            match (inputs::asked_by(order.clone()), order.transition) {
                (Ok(Reaction::Nothing(_) | Reaction::Returned(_)), _) => Vec::new(),
                (Ok(_), TransitionKind::OrderValidated) => vec!["paid", "payment_declined"],
                (Ok(_), _) => vec!["refunded"],
                (Err(failure), _) => panic!("{failure:?}"),
            }
        });
    }
}
