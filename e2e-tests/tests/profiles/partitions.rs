//! A shop with another number of partitions works as any other, and a service that is set to a
//! wrong number refuses.

use client::{Shop, StartOptions};
use e2e_tests::{Outside, unhurried};
use std::collections::BTreeSet;
use tokio::sync::OnceCell;

const PARTITIONS: i32 = 6;
/// So many ids are on more than three of six partitions, but once in 10^10 runs.
const ORDERS: usize = 40;

static SHOP: OnceCell<Shop> = OnceCell::const_new();

async fn six() -> Outside {
    let options = StartOptions {
        partitions: Some(PARTITIONS),
        scale: vec![("orders".to_owned(), 2)],
        ..StartOptions::default()
    };
    let options = unhurried(options);
    let start = || async { Shop::start(options).await.expect("the shop starts") };
    Outside::new(SHOP.get_or_init(start).await)
}

/// Its orders end, on whatever partitions they are.
async fn confirmed(shop: &Outside, orders: usize) -> BTreeSet<i64> {
    let mut placed = Vec::new();
    for _ in 0..orders {
        placed.push(shop.place("ada", &[("TEA", 1)]).await.unwrap());
    }
    let mut partitions = BTreeSet::new();
    for order in placed {
        let settled = shop.settled(order).await.unwrap();
        assert_eq!(settled["status"], "confirmed", "{settled:#}");
        let timeline = shop.timeline(order).await.unwrap();
        let of = |transition: &serde_json::Value| transition["partition"].as_i64().unwrap();
        let own: BTreeSet<_> = timeline.iter().map(of).collect();
        assert_eq!(own.len(), 1, "payments and Debezium agree with orders: {timeline:#?}");
        partitions.extend(own);
    }
    partitions
}

#[tokio::test(flavor = "multi_thread")]
async fn six_partitions_are_all_used_and_a_service_with_another_number_refuses() {
    let shop = six().await;
    let used = confirmed(&shop, ORDERS).await;
    assert!(used.len() > 3 && used.iter().all(|p| (0..6).contains(p)), "{used:?}");

    for (service, wrong) in [("payments", "3"), ("orders", "12")] {
        shop.shop().stop(service).await.unwrap();
        let env = [("PARTITIONS", wrong)];
        let refused = shop.shop().start_process_with(service, &env).await.unwrap_err();
        let refused = format!("{refused:#}");
        let expected = format!("PARTITIONS is {wrong}, but the topics have 6 partitions");
        let way_out = "./shop up --partitions 6";
        assert!(refused.contains(&expected) && refused.contains(way_out), "{service}: {refused}");
        shop.shop().stop(service).await.unwrap();
        shop.shop().start_process(service).await.unwrap();
    }

    confirmed(&shop, 4).await;
    let (clean, said) = shop.cli(&["audit", "--wait"]).await.unwrap();
    assert!(clean, "{said}");
}
