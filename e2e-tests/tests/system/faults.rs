//! Each dependency goes away under traffic and comes back: every order that was accepted is
//! settled, once, and no service was restarted for it.

use crate::support::alone;
use contracts::ServiceName;
use e2e_tests::{Outside, Traffic, all_confirmed};
use email::mailer::MAILS_REPEATED_MAX;
use std::{collections::BTreeMap, time::Duration};

/// How long a dependency stays away. Not a wait for anything: the length of the fault.
const OUTAGE: Duration = Duration::from_secs(3);

/// Which run of each service goes on: another one would mean a restart.
async fn runs(shop: &Outside) -> BTreeMap<String, Option<String>> {
    let services: Vec<_> = ServiceName::by_default().map(ServiceName::as_str).collect();
    let status = shop.shop().status().await.unwrap();
    let ours = status.into_iter().filter(|process| services.contains(&process.name.as_str()));
    ours.map(|process| (process.name, process.run)).collect()
}

async fn goes_and_comes_back(process: &str) {
    let shop = alone().await;
    let before = runs(&shop).await;
    let traffic = Traffic::start(&shop, "TEA", 100, 10);
    shop.shop().stop(process).await.unwrap();
    // Some of the traffic meets a shop without it.
    let meanwhile = Traffic::start(&shop, "TEA", 20, 10);
    tokio::time::sleep(OUTAGE).await;
    shop.shop().start_process(process).await.unwrap();
    let mut placed = traffic.finish().await.unwrap();
    placed.extend(meanwhile.finish().await.unwrap());
    let verdict = all_confirmed(&shop, &placed).await.unwrap();
    assert!(verdict.mails_repeated <= MAILS_REPEATED_MAX, "{verdict}");
    assert_eq!(runs(&shop).await, before, "a service was restarted");
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_goes_and_comes_back() {
    goes_and_comes_back("kafka").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_goes_and_comes_back() {
    goes_and_comes_back("postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_goes_and_comes_back() {
    goes_and_comes_back("registry").await;
}

/// They have met no record yet, so this is the first of each schema for all of them.
#[tokio::test(flavor = "multi_thread")]
async fn services_that_have_just_begun_need_no_registry_for_an_order() {
    let shop = alone().await;
    // Connect meets its schemas with an order, and knows them from then on.
    let before = shop.place("ada", &[("TEA", 1)]).await.unwrap();
    shop.confirmed(before).await.unwrap();
    for service in ServiceName::by_default() {
        shop.shop().restart(service.as_str()).await.unwrap();
    }
    shop.shop().stop("registry").await.unwrap();
    let order = shop.place("ada", &[("TEA", 1)]).await.unwrap();
    shop.confirmed(order).await.unwrap();
    shop.shop().start_process("registry").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_goes_and_comes_back() {
    goes_and_comes_back("connect").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bank_goes_and_comes_back() {
    goes_and_comes_back("bank").await;
}
