//! Instances of a service share its partitions; when one dies, the other takes over.

use crate::support::alone;
use client::service_of;
use e2e_tests::{Outside, PATIENCE, Traffic, all_confirmed, audit};

/// Wait until each instance of the service is ready, and has partitions to work on.
async fn all_at_work(shop: &Outside, service: &str, instances: usize) {
    testkit::wait_for(&format!("{instances} instances of {service}"), PATIENCE, || async {
        let status = shop.shop().status().await.unwrap();
        let ours: Vec<_> = status
            .into_iter()
            .filter(|process| service_of(&process.name) == service && process.run.is_some())
            .collect();
        if ours.len() == instances { Ok(()) } else { Err(ours) }
    })
    .await;
}

async fn scale(shop: &Outside, service: &str, instances: usize) {
    let (content, told) =
        shop.cli(&["scale", &format!("{service}={instances}")]).await.expect("shop runs");
    assert!(content, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_instance_shares_the_work_and_the_first_takes_over_when_it_dies() {
    let shop = alone().await;
    for service in ["orders", "inventory"] {
        scale(&shop, service, 2).await;
        all_at_work(&shop, service, 2).await;
    }
    let shared = Traffic::start(&shop, "TEA", 150, 50).finish().await.unwrap();
    audit(&shop, &shared).await.unwrap();

    let traffic = Traffic::start(&shop, "TEA", 150, 30);
    for instance in ["orders-1", "inventory-1"] {
        shop.shop().kill(instance, false).await.unwrap();
    }
    let mut placed = traffic.finish().await.unwrap();
    placed.extend(shared);
    let verdict = all_confirmed(&shop, &placed).await.unwrap();
    assert_eq!(verdict.mails_repeated, 0, "{verdict}");
    for service in ["orders", "inventory"] {
        scale(&shop, service, 1).await;
    }
}
