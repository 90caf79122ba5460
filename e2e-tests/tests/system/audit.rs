//! `shop audit` on a shop of its own: clean after orders of every kind; then the test falsifies a
//! view, the books and the stock, and it names each.

use crate::support::spoiled;
use auditor::{Law, Verdict, audit};
use client::order_body;
use contracts::{
    OrderId, Sku, Timestamp,
    inventory::{Reservation, ReservationState, StockEntry, StockEntryKey},
    owns::Inventory,
    topics::RESERVATIONS,
};
use e2e_tests::{Outside, PATIENCE};
use evidence::audit_at_rest;
use reqwest::StatusCode;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use streams::{Codec, lineage::Cause};
use streams_kafka::{HttpRegistry, Sender};

/// Orders that end in every way, and commands that are refused; one that was confirmed.
async fn orders_of_every_kind(shop: &Outside) -> OrderId {
    let confirmed = shop.place("ada", &[("TEA", 2), ("MUG", 1)]).await.unwrap();
    let mut placed = vec![confirmed];
    placed.push(shop.place("declan", &[("TEA", 1)]).await.unwrap());
    placed.push(shop.place("grace", &[("GONE", 1), ("TEA", 1)]).await.unwrap());
    let cancelled = shop.place("alan", &[("TEA", 3)]).await.unwrap();
    shop.cancel(cancelled).await.unwrap();
    placed.push(cancelled);
    // The second body under the key is refused, in the answer if the decision is quick.
    for (quantity, answers) in [
        (1, vec![StatusCode::ACCEPTED]),
        (2, vec![StatusCode::UNPROCESSABLE_ENTITY, StatusCode::ACCEPTED]),
    ] {
        let body = order_body("ada", &[("TEA", quantity)]);
        let request = shop.post("orders", "/orders", &body).header("idempotency-key", "one-key");
        let answer = shop.send(request).await.unwrap();
        assert!(answers.contains(&answer.status), "{answer:?}");
    }
    for order in placed {
        shop.settled(order).await.unwrap();
    }
    shop.cancel(confirmed).await.unwrap();
    confirmed
}

async fn look(shop: &Outside) -> Verdict {
    let grace = Duration::from_secs(5);
    let verdict = audit_at_rest(shop.shop().state(), grace, PATIENCE, audit).await;
    verdict.unwrap()
}

/// Says that `order` still holds a piece of TEA, in the name of inventory.
async fn forge_reservation(shop: &Outside, order_id: OrderId) {
    let registry =
        HttpRegistry::new(shop.shop().url("registry"), tokio::runtime::Handle::current());
    let codec = Codec::new(Arc::new(registry.unwrap()));
    let sender: Sender<Inventory> = Sender::new(shop.shop().url("kafka"), codec).unwrap();
    let sku: Sku = "TEA".parse().unwrap();
    let (state, updated_at) = (ReservationState::Reserved, Timestamp(1));
    let key = StockEntryKey::reservation(&sku, order_id);
    let held: StockEntry = Reservation { sku, order_id, quantity: 2, state, updated_at }.into();
    sender.send(&RESERVATIONS, &key, &held, Cause::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_is_clean_until_somebody_falsifies_a_view_the_books_or_the_stock() {
    let shop = spoiled().await;
    let order = orders_of_every_kind(&shop).await;
    let (clean, report) = shop.cli(&["audit", "--wait", "--grace", "60"]).await.unwrap();
    assert!(clean && report.contains("nothing is on its way"), "{report}");
    let verdict = look(&shop).await;
    assert!(verdict.is_clean() && verdict.orders == 5, "{verdict}");

    shop.sql("view", "UPDATE orders SET status = 'paid' WHERE status = 'rejected'").await.unwrap();
    assert_eq!(look(&shop).await.violated(), BTreeSet::from([Law::ViewOrders]));

    const LEDGER: &str = "ALTER TABLE ledger_entries DISABLE TRIGGER USER;
        UPDATE ledger_entries SET amount_minor = amount_minor + 1 WHERE account = 'sales';
        ALTER TABLE ledger_entries ENABLE TRIGGER USER";
    shop.sql("payments", LEDGER).await.unwrap();
    let violated = look(&shop).await.violated();
    assert_eq!(violated, BTreeSet::from([Law::ViewOrders, Law::DoubleEntry]));

    forge_reservation(&shop, order).await;
    let verdict = look(&shop).await;
    let all = [Law::ViewOrders, Law::DoubleEntry, Law::Reserved, Law::Fate];
    assert_eq!(verdict.violated(), BTreeSet::from(all), "{verdict}");

    let (clean, report) = shop.cli(&["audit", "--grace", "0"]).await.unwrap();
    assert!(!clean && report.contains(&format!("order {order} sku TEA")), "{report}");
    assert!(report.contains("2 of TEA Reserved"), "the story tells of the forged record: {report}");
}
