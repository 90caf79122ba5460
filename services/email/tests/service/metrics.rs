//! Goal: each attempt at a mail shows on `/metrics`.

use crate::fixtures::{Postbox, confirmed, order_id, seen};
use contracts::{ServiceName, metrics::strangers, topics::ORDER_VIEWS};
use email::{DeliveryError, EmailProcessor, measured::Measured};
use service_kit::Metrics;
use testkit::{Driver, metric};

#[test]
fn attempts_are_counted_by_what_the_server_said() {
    let (metrics, postbox) = (Metrics::default(), Postbox::default());
    let mailer = Measured::new(postbox.clone(), metrics.meters());
    let mut driver = Driver::new(EmailProcessor::new(mailer));
    let series = |outcome| format!("email_mails_total{{outcome=\"{outcome}\"}}");
    let told = |outcome| metric(&metrics.text().unwrap(), &series(outcome));
    assert_eq!((told("accepted"), told("refused")), (Some(0.0), Some(0.0)));

    driver.feed(&ORDER_VIEWS, &order_id(1), &seen(confirmed(1)), "view");
    // What was sent is not tried again.
    driver.feed(&ORDER_VIEWS, &order_id(1), &seen(confirmed(1)), "view");
    postbox.refuse(Some(DeliveryError::Refused("450 later".to_owned())));
    driver.feed(&ORDER_VIEWS, &order_id(2), &seen(confirmed(2)), "view");

    assert_eq!((told("accepted"), told("refused")), (Some(1.0), Some(1.0)));
    let text = metrics.text().unwrap();
    assert_eq!(metric(&text, "email_delivery_duration_seconds_count"), Some(2.0), "{text}");
    assert_eq!(strangers(ServiceName::Email, &text), Vec::<String>::new());
}
