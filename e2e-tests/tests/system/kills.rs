//! `kill -9` of each service while orders pass.

use crate::support::alone;
use contracts::ServiceName;
use e2e_tests::{Traffic, all_confirmed};
use email::mailer::MAILS_REPEATED_MAX;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_orders_survive_the_death_of_every_service() {
    let shop = alone().await;
    let traffic = Traffic::start(&shop, "TEA", 1000, 20);
    // One death every eight seconds of the fifty that the traffic lasts. A rate above what a busy
    // machine can do would be a test of overload.
    let mut deaths = tokio::time::interval(Duration::from_secs(8));
    deaths.tick().await;
    for service in ServiceName::by_default() {
        deaths.tick().await;
        shop.shop().kill(service.as_str(), true).await.unwrap();
    }
    let placed = traffic.finish().await.unwrap();
    assert_eq!(placed.len(), 1000);
    let verdict = all_confirmed(&shop, &placed).await.unwrap();
    assert!(verdict.mails_repeated <= MAILS_REPEATED_MAX, "{verdict}");
}
