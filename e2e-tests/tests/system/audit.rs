//! `shop audit` on a shop of its own: clean after orders of every kind, and after every way out of
//! a trouble; then the test falsifies a view, the books and the stock, and it names each.

use crate::{
    dead_letters::{blocking, codec, letters, produce},
    support::spoiled,
};
use auditor::{Law, Verdict, audit};
use client::order_body;
use contracts::{
    Order, OrderId, ServiceName, Sku, Timestamp,
    inventory::{Reservation, ReservationState, StockEntry, StockEntryKey},
    owns::{Inventory, Payments},
    topics::{self, ORDERS, RESERVATIONS, TopicSpec},
    transitions::PaymentReceived,
};
use e2e_tests::{Outside, PATIENCE};
use evidence::audit_at_rest;
use reqwest::StatusCode;
use std::{collections::BTreeSet, time::Duration};
use streams::lineage::Cause;
use streams_kafka::{Sender, admin};

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

/// What is wrong, and older than a few seconds.
async fn look(shop: &Outside) -> Verdict {
    looked(shop, Duration::from_secs(5)).await
}

async fn looked(shop: &Outside, grace: Duration) -> Verdict {
    let verdict = audit_at_rest(shop.shop().state(), grace, PATIENCE, audit).await;
    verdict.unwrap()
}

/// Says that `order` still holds a piece of TEA, in the name of inventory.
async fn forge_reservation(shop: &Outside, order_id: OrderId) {
    let sender: Sender<Inventory> = Sender::new(shop.shop().url("kafka"), codec(shop)).unwrap();
    let sku: Sku = "TEA".parse().unwrap();
    let (state, updated_at) = (ReservationState::Reserved, Timestamp(1));
    let key = StockEntryKey::reservation(&sku, order_id);
    let held: StockEntry = Reservation { sku, order_id, quantity: 2, state, updated_at }.into();
    sender.send(&RESERVATIONS, &key, &held, Cause::default()).await.unwrap();
}

/// Clean, but for what a dead letter says that waits.
async fn assert_waits(shop: &Outside) {
    let verdict = look(shop).await;
    assert_eq!(verdict.violated(), BTreeSet::from([Law::DeadLetters]), "{verdict}");
}

/// A slow machine is late with a mail, and that is no violation.
async fn assert_clean(shop: &Outside) -> Verdict {
    let verdict = looked(shop, PATIENCE).await;
    assert!(verdict.is_clean(), "{verdict}");
    verdict
}

async fn settle(shop: &Outside, how: &str, service: ServiceName, key: &str, number: usize) {
    let found = letters(shop, service, key, number).await;
    for letter in found.iter().filter(|letter| letter.done.is_none()) {
        let (content, said) = shop.cli(&["dlq", how, &letter.id.to_string()]).await.unwrap();
        assert!(content, "{said}");
    }
}

/// A mail that no server could deliver: its dead letter is replayed in vain, and then discarded.
async fn give_a_mail_up(shop: &Outside) {
    let add = "INSERT INTO customers (customer_id, name, email, active)
        VALUES ('charles', 'Charles Babbage', 'babbage@[IPv6:nowhere]', true)";
    shop.sql("catalog", add).await.unwrap();
    let order = testkit::wait_for("charles to be known", PATIENCE, || async {
        shop.place("charles", &[("TEA", 1)]).await.map_err(|error| format!("{error:#}"))
    })
    .await;
    shop.confirmed(order).await.unwrap();
    settle(shop, "replay", ServiceName::Email, &order.to_string(), 1).await;
    letters(shop, ServiceName::Email, &order.to_string(), 2).await;
    assert_waits(shop).await;
    settle(shop, "discard", ServiceName::Email, &order.to_string(), 2).await;
    assert_clean(shop).await;
}

/// A PaymentReceived in the name of payments, for an order that has another one: only the view acts
/// upon it.
async fn forge_a_payment(shop: &Outside, id: OrderId) {
    let (bootstrap, codec) = (shop.shop().url("kafka").to_owned(), codec(shop));
    let (reader, kafka) = (codec.clone(), bootstrap.clone());
    let validated: Order = blocking(move || {
        let mut found = None;
        streams_kafka::read_topic(&kafka, &ORDERS.spec, |record| {
            let value = record.value.unwrap_or_default();
            let order = reader.decode(&ORDERS, &value).map_err(anyhow::Error::msg)?;
            found = Some(order).filter(|o| (o.order_id, o.version) == (id, 2)).or(found.take());
            Ok(())
        })
        .expect("the log can be read");
        found.expect("the order was validated")
    })
    .await;
    let received = PaymentReceived { reference: "ch_forged".into(), at: Timestamp(1) };
    let forged = validated.next(received, Timestamp(1)).unwrap();
    let sender: Sender<Payments> = Sender::new(&bootstrap, codec).unwrap();
    sender.send(&ORDERS, &id, &forged, Cause::default()).await.unwrap();
    settle(shop, "discard", ServiceName::View, &id.to_string(), 1).await;
    let verdict = assert_clean(shop).await;
    assert!(verdict.to_string().contains("all readers refused them"), "{verdict}");
}

/// Records are deleted, as by retention, and then dead letters: what can no longer be told is no
/// violation.
async fn delete_old_records(shop: &Outside) {
    let records: [&TopicSpec; 5] = [
        &topics::ORDER_VIEWS.spec,
        &topics::ORDER_COMMANDS.spec,
        &topics::ORDER_REFUSALS.spec,
        &topics::ORDER_VALIDATIONS.spec,
        &topics::INVENTORY_COMMANDS.spec,
    ];
    let letters = [ServiceName::Email, ServiceName::View, ServiceName::Orders].map(topics::dlq);
    for topics in [&records[..], &letters[..]] {
        for topic in topics {
            admin::delete_records(shop.shop().kafka_admin(), topic).await.unwrap();
        }
        let verdict = assert_clean(shop).await;
        let notes = verdict.remarks.join("\n");
        assert!(verdict.unknown() > 0 && notes.contains("lacks what was deleted"), "{verdict}");
    }
    let order = shop.place("ada", &[("TEA", 1)]).await.unwrap();
    shop.confirmed(order).await.unwrap();
    assert_clean(shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_is_clean_after_each_way_out_until_a_view_the_books_or_the_stock_is_falsified() {
    let shop = spoiled().await;
    let order = orders_of_every_kind(&shop).await;
    let (clean, report) = shop.cli(&["audit", "--wait", "--grace", "60"]).await.unwrap();
    assert!(clean && report.contains("nothing is on its way"), "{report}");
    assert_eq!(assert_clean(&shop).await.orders, 5);

    produce(&shop, &topics::ORDER_COMMANDS.spec, "stranger", b"garbage".to_vec()).await;
    settle(&shop, "discard", ServiceName::Orders, "stranger", 1).await;
    assert_clean(&shop).await;
    give_a_mail_up(&shop).await;
    forge_a_payment(&shop, order).await;
    delete_old_records(&shop).await;

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

    // No other test can use what is left of it, and an idle shop takes processor time from them.
    let _ = shop.cli(&["down"]).await;
}
