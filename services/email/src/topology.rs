//! Email on one screen: its row in `contracts::services`, with topic in, input, topics out. The
//! processor takes its topics from here.

use contracts::{ServiceName, services::ProcessorSpec, topics::Flow};
use streams::{Source, StandIn};

const PROCESSORS: &[ProcessorSpec] = ServiceName::Email.spec().processors;

/// All that email does because of a record.
pub const FLOWS: &[Flow] = PROCESSORS[0].flows;

/// Where the state comes from.
pub const SOURCES: &[Source] = PROCESSORS[0].state;

/// What says the same as announcements that were deleted before they were read.
pub fn stand_in(topic: &str) -> Option<StandIn> {
    PROCESSORS[0].stand_in(topic)
}

#[cfg(test)]
mod tests {
    use crate::domain::notice::{self, Decision, Mails};
    use contracts::{
        ServiceName, Timestamp,
        topics::{EMAILS, EMAILS_WAITING, ORDER_VIEWS},
        view::ViewUpdated,
    };

    #[test]
    fn the_table_tells_the_truth() {
        let folder = env!("CARGO_MANIFEST_DIR");
        testkit::assert_topology(contracts::ServiceName::Email, folder);
    }

    #[test]
    fn the_customer_hears_of_what_the_table_says() {
        let to = [&EMAILS.spec, &EMAILS_WAITING.spec];
        testkit::assert_reactions(ServiceName::Email, &ORDER_VIEWS.spec, &to, |order| {
            let (order_id, view_version, now) = (order.order_id, order.version, Timestamp(9));
            let order = order.clone();
            let update = ViewUpdated { order_id, view_version, order, updated_at: now };
            match notice::decide(&Mails::default(), &update, now) {
                Decision::Send(_) => vec![EMAILS.name(), EMAILS_WAITING.name()],
                Decision::Ignored(_) | Decision::Impossible(_) => Vec::new(),
            }
        });
    }
}
