//! Topics that were changed under the shop: more partitions than their contracts say, and records
//! that were deleted before they were read.

use crate::{
    dead_letters::{blocking, letters},
    support::changed,
};
use contracts::{
    OrderId, ServiceName,
    topics::{ORDER_COMMANDS, ORDER_VALIDATIONS, ORDER_VIEWS, ORDERS, PRODUCTS, TopicSpec},
};
use e2e_tests::{Outside, PATIENCE, Placed, audit};
use serde_json::Value;
use std::time::Instant;
use streams_kafka::{admin, dlq};

async fn grow(shop: &Outside, topic: &TopicSpec) {
    let grown = admin::add_partitions(shop.shop().kafka_admin(), topic.name, 6).await;
    // Another test may have done it.
    if let Err(error) = grown {
        assert!(error.to_string().contains("partitions"), "{error:#}");
    }
}

async fn delete_all(shop: &Outside, topic: &'static TopicSpec) {
    admin::delete_records(shop.shop().kafka_admin(), topic).await.unwrap();
}

/// Wait until a check of `service` is degraded with a detail that contains `told`.
async fn told(shop: &Outside, service: &str, told: &str) {
    testkit::wait_for(&format!("{service} to say: {told}"), PATIENCE, || async {
        let health = shop.get(service, "/health/ready").await.map_err(|e| format!("{e:#}"))?;
        let checks = health.body["checks"].as_array().cloned().unwrap_or_default();
        let says = |check: &Value| {
            check["status"] == "degraded"
                && check["detail"].as_str().is_some_and(|detail| detail.contains(told))
        };
        if health.status == 200 && checks.iter().any(says) {
            Ok(())
        } else {
            Err(health.body.to_string())
        }
    })
    .await;
}

async fn confirmed(shop: &Outside, sku: &'static str, placed: &mut Vec<Placed>) -> Value {
    let id = shop.place("ada", &[(sku, 1)]).await.unwrap();
    let order = shop.settled(id).await.unwrap();
    assert_eq!(order["status"], "confirmed", "{order:#}");
    placed.push(Placed { id, sku });
    order
}

/// The price at which orders sells, and the one that the view shows.
async fn priced(shop: &Outside, sku: &'static str, price: i64, placed: &mut Vec<Placed>) {
    testkit::wait_for(&format!("{sku} in the view for {price}"), PATIENCE, || async {
        let product = shop.product(sku).await.map_err(|error| format!("{error:#}"))?;
        if product["price"]["amount_minor"] == price { Ok(()) } else { Err(product.to_string()) }
    })
    .await;
    let (mut asked, since) = (Vec::new(), Instant::now());
    while since.elapsed() < PATIENCE {
        let order = confirmed(shop, sku, placed).await;
        asked.push(order["lines"][0]["unit_price_minor"].clone());
        if asked.last().is_some_and(|asked| *asked == price) {
            return;
        }
    }
    panic!("{sku} costs {price} in the view, and was sold for {asked:?}");
}

/// Debezium puts a key where the topic's partitions of today say, and its former partition keeps a
/// row of it for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_more_partitions_is_read_whole_and_the_latest_row_of_a_key_counts() {
    const SKUS: [&str; 5] = ["TEA", "MUG", "HONEY", "SCONE", "SEEDS"];
    let shop = changed().await;
    let mut placed = Vec::new();
    for sku in SKUS {
        confirmed(&shop, sku, &mut placed).await;
    }
    grow(&shop, &PRODUCTS.spec).await;
    let change = "UPDATE products SET price_minor = 2000";
    shop.sql("catalog", change).await.unwrap();
    for sku in SKUS {
        priced(&shop, sku, 2000, &mut placed).await;
    }
    for service in ["orders", "inventory"] {
        told(&shop, service, "catalog.products has 6 partitions instead of the 3").await;
    }
    for service in ["orders", "view"] {
        shop.shop().restart(service).await.unwrap();
    }
    for sku in SKUS {
        let order = confirmed(&shop, sku, &mut placed).await;
        assert_eq!(order["lines"][0]["unit_price_minor"], 2000, "{sku} after a restart");
    }
    audit(&shop, &placed).await.unwrap();
}

/// The group would deal out topics with different numbers of partitions to different members.
#[tokio::test(flavor = "multi_thread")]
async fn topics_with_more_partitions_than_their_contract_change_no_order() {
    let shop = changed().await;
    let mut placed = Vec::new();
    let (content, said) = shop.cli(&["scale", "orders=2"]).await.unwrap();
    assert!(content, "{said}");
    for topic in [&ORDER_COMMANDS.spec, &ORDERS.spec, &ORDER_VIEWS.spec] {
        grow(&shop, topic).await;
    }
    for service in ["orders", "payments", "inventory", "view", "email"] {
        told(&shop, service, "has 6 partitions instead of the 3 of its contract").await;
    }
    for _ in 0..12 {
        confirmed(&shop, "TEA", &mut placed).await;
    }
    // What a stranger puts beyond the contract is refused, and a replay puts it in place.
    let key = contracts::OrderId(uuid::Uuid::new_v4()).to_string();
    let (kafka, bytes) = (shop.shop().url("kafka").to_owned(), key.clone().into_bytes());
    let sent = blocking(move || {
        admin::produce_raw_to(&kafka, &ORDER_COMMANDS.spec, 4, &bytes, b"garbage")
    });
    sent.await.unwrap();
    let found = letters(&shop, ServiceName::Orders, &key, 1).await;
    assert!(found[0].cause().contains("has 3 partitions by contract"), "{}", found[0].cause());
    let (kafka, letter) = (shop.shop().url("kafka").to_owned(), found[0].clone());
    let replay = move || dlq::settle(&kafka, &letter, dlq::Done::Replayed, &contracts::topics::ALL);
    blocking(replay).await.unwrap();
    let found = letters(&shop, ServiceName::Orders, &key, 2).await;
    let origins: Vec<_> = found.iter().map(dlq::DeadLetter::origin).collect();
    let is_inside = |origin: &String| ["/0/", "/1/", "/2/"].iter().any(|p| origin.contains(p));
    assert!(origins.iter().any(is_inside), "{origins:?}");
    for letter in found.into_iter().filter(|letter| letter.done.is_none()) {
        let kafka = shop.shop().url("kafka").to_owned();
        let discard =
            move || dlq::settle(&kafka, &letter, dlq::Done::Discarded, &contracts::topics::ALL);
        blocking(discard).await.unwrap();
    }
    audit(&shop, &placed).await.unwrap();
    let (content, said) = shop.cli(&["scale", "orders=1"]).await.unwrap();
    assert!(content, "{said}");
}

async fn mailed(shop: &Outside, order: OrderId) {
    testkit::wait_for(&format!("the mail of {order}"), PATIENCE, || async {
        let mails = shop.mails(order).await.map_err(|error| format!("{error:#}"))?;
        if mails == ["confirmation"] { Ok(()) } else { Err(format!("{mails:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn announcements_that_were_deleted_unread_are_said_and_mailed_all_the_same() {
    let shop = changed().await;
    let mut placed = Vec::new();
    confirmed(&shop, "TEA", &mut placed).await;
    mailed(&shop, placed[0].id).await;
    shop.shop().stop("email").await.unwrap();
    for _ in 0..6 {
        confirmed(&shop, "TEA", &mut placed).await;
    }
    delete_all(&shop, &ORDER_VIEWS.spec).await;
    shop.shop().start_process("email").await.unwrap();
    told(&shop, "email", "were deleted before they were read: made up for from orders").await;
    confirmed(&shop, "MUG", &mut placed).await;
    for order in &placed {
        mailed(&shop, order.id).await;
    }
    told(&shop, "email", "of order-views/").await;
    audit(&shop, &placed).await.unwrap();
}

/// Nothing else says what a check has found, so the order ends by its deadline, and gives all back.
#[tokio::test(flavor = "multi_thread")]
async fn outcomes_of_checks_that_were_deleted_unread_are_said_and_the_order_ends() {
    let shop = changed().await;
    let mut placed = Vec::new();
    confirmed(&shop, "TEA", &mut placed).await;
    shop.shop().stop("inventory").await.unwrap();
    shop.shop().stop("orders").await.unwrap();
    // Time for the view to show the order while orders runs.
    let soon = [("ORDER_DEADLINE_MS", "60000")];
    shop.shop().start_process_with("orders", &soon).await.unwrap();
    let id = shop.place("grace", &[("MUG", 1)]).await.unwrap();
    placed.push(Placed { id, sku: "MUG" });
    testkit::wait_for("the order in the view", PATIENCE, || async {
        let order = shop.order(id).await.map_err(|error| format!("{error:#}"))?;
        if order.status == 200 { Ok(()) } else { Err(format!("{order:?}")) }
    })
    .await;
    shop.shop().stop("orders").await.unwrap();
    let reserved = || async {
        let product = shop.product("MUG").await.map_err(|error| format!("{error:#}"))?;
        product["reserved"].as_i64().ok_or_else(|| product.to_string())
    };
    let before = reserved().await.unwrap();
    shop.shop().start_process("inventory").await.unwrap();
    testkit::wait_for("the reservation", PATIENCE, || async {
        let now = reserved().await?;
        if now > before { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
    delete_all(&shop, &ORDER_VALIDATIONS.spec).await;
    shop.shop().start_process("orders").await.unwrap();
    told(&shop, "orders", "of order-validations/").await;
    confirmed(&shop, "TEA", &mut placed).await;
    let order = shop.settled(id).await.unwrap();
    assert_eq!(order["status"], "cancelled", "{order:#}");
    audit(&shop, &placed).await.unwrap();
}
