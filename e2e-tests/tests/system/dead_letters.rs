//! Garbage, foreign schemas and impossible transitions, on every input topic: each goes to the
//! dead letters of each service that reads the topic, with its cause, and the partition goes on.

use crate::{registry::registered, support::alone};
use contracts::{
    Order, OrderId, ServiceName, Status, Timestamp, TransitionKind,
    inventory::{Commit, InventoryCommand, StockLevel},
    owns::Orders,
    topics::{self, INVENTORY_COMMANDS, ORDERS, STOCK, TopicSpec},
};
use e2e_tests::{Outside, PATIENCE};
use std::{collections::BTreeMap, sync::Arc};
use streams::{Codec, lineage::Cause};
use streams_kafka::{
    HttpRegistry, Sender,
    dlq::{self, DeadLetter},
};
use uuid::Uuid;

pub async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(f).await.expect("no panic")
}

pub fn codec(shop: &Outside) -> Codec {
    let runtime = tokio::runtime::Handle::current();
    let registry = HttpRegistry::new(shop.shop().url("registry"), runtime).expect("a client");
    Codec::new(Arc::new(registry))
}

pub async fn produce(shop: &Outside, topic: &'static TopicSpec, key: &str, value: Vec<u8>) {
    let (bootstrap, key) = (shop.shop().url("kafka").to_owned(), key.as_bytes().to_vec());
    let sent = blocking(move || streams_kafka::admin::produce_raw(&bootstrap, topic, &key, &value));
    sent.await.expect("Kafka takes any bytes");
}

/// Wait until the service has dead-lettered `number` records with this key.
pub async fn letters(
    shop: &Outside,
    service: ServiceName,
    key: &str,
    number: usize,
) -> Vec<DeadLetter> {
    let bootstrap = shop.shop().url("kafka").to_owned();
    testkit::wait_for(&format!("{number} dead letters of {service}"), PATIENCE, || async {
        let bootstrap = bootstrap.clone();
        let mut letters = blocking(move || dlq::list(&bootstrap, topics::dlq(service)))
            .await
            .map_err(|e| format!("{e:#}"))?;
        letters.retain(|letter| letter.record.key.as_deref() == Some(key.as_bytes()));
        if letters.len() == number { Ok(letters) } else { Err(format!("{letters:#?}")) }
    })
    .await
}

/// The value of another topic, well framed: its schema is foreign everywhere else.
async fn foreign(codec: &Codec) -> Vec<u8> {
    let codec = codec.clone();
    let level = StockLevel {
        sku: "TEA".parse().unwrap(),
        on_hand: 1,
        reserved: 0,
        available: 1,
        committed: 0,
        version: 1,
        updated_at: Timestamp(1),
    };
    blocking(move || codec.encode(&STOCK.spec, &level).expect("it fits")).await
}

/// A record of a stranger, who gave the schema attributes that Avro leaves to them. Two have names
/// that mean something elsewhere.
async fn odd(shop: &Outside) -> Vec<u8> {
    let schema =
        r#"{"type":"record","name":"Stranger","size":"large","precision":"high","fields":[]}"#;
    let id = registered(shop, "odd-value", schema).await;
    let id = u32::try_from(id.as_u64().expect("an id")).expect("ids have 32 bits");
    [&[0][..], &id.to_be_bytes()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_foreign_schemas_are_put_aside_on_every_input_topic() {
    let shop = alone().await;
    let codec = codec(&shop);
    let (foreign, odd) = (foreign(&codec).await, odd(&shop).await);
    let handles = |service: &ServiceName, topic: &TopicSpec| {
        service.spec().handles().any(|handled| handled.name == topic.name)
    };
    let handlers = |topic: &TopicSpec| -> Vec<_> {
        ServiceName::by_default().filter(|service| handles(service, topic)).collect()
    };
    let inputs = topics::ALL.into_iter().filter(|topic| !handlers(topic).is_empty());
    let mut expected: BTreeMap<(ServiceName, String), usize> = BTreeMap::new();
    for topic in inputs {
        let key = match topic.key {
            "order id" => Uuid::new_v4().to_string(),
            _ => format!("poison-{}", &Uuid::new_v4().to_string()[..8]),
        };
        produce(&shop, topic, &key, b"garbage".to_vec()).await;
        produce(&shop, topic, &key, odd.clone()).await;
        let mut number = 2;
        if topic.name != STOCK.name() {
            produce(&shop, topic, &key, foreign.clone()).await;
            number += 1;
        }
        for service in handlers(topic) {
            expected.insert((service, key.clone()), number);
        }
    }
    for ((service, key), number) in expected {
        let found = letters(&shop, service, &key, number).await;
        assert!(found[0].cause().contains("first byte"), "{found:#?}");
        assert!(found[1].cause().contains("Stranger"), "{found:#?}");
        if number == 3 {
            assert!(found[2].cause().contains("murmuration.inventory.StockLevel"), "{found:#?}");
        }
    }
    let order = shop.place("ada", &[("TEA", 1)]).await.unwrap();
    shop.confirmed(order).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impossible_transition_is_put_aside_by_everyone_and_never_shows() {
    let shop = alone().await;
    let codec = codec(&shop);
    let id = shop.place("ada", &[("TEA", 1)]).await.unwrap();
    assert_eq!(shop.settled(id).await.unwrap()["version"], 4);
    let (bootstrap, reader) = (shop.shop().url("kafka").to_owned(), codec.clone());
    let mut forged: Order = blocking(move || {
        let mut last = None;
        streams_kafka::read_topic(&bootstrap, &ORDERS.spec, |record| {
            if record.key.as_deref() == Some(id.to_string().as_bytes()) {
                let value = record.value.expect("an order");
                last = Some(reader.decode(&ORDERS, &value).map_err(anyhow::Error::msg)?);
            }
            Ok(())
        })
        .expect("the log can be read");
        last.expect("the order is in the log")
    })
    .await;
    // A confirmed order cannot become validated again.
    forged.version = 5;
    forged.status = Status::Validated;
    forged.transition = TransitionKind::OrderValidated;
    let encoder = codec.clone();
    let value = blocking(move || encoder.encode(&ORDERS.spec, &forged).expect("it fits")).await;
    produce(&shop, &ORDERS.spec, &id.to_string(), value).await;
    use ServiceName::{Inventory, Orders as OrdersService, Payments, View};
    for service in [OrdersService, Inventory, Payments, View] {
        let found = letters(&shop, service, &id.to_string(), 1).await;
        let cause = found[0].cause();
        assert!(cause.contains("OrderValidated") && cause.contains('5'), "{service}: {cause}");
    }
    let shown = shop.order(id).await.unwrap().body;
    assert_eq!((&shown["status"], &shown["version"]), (&"confirmed".into(), &4.into()));
    assert_eq!(shop.booked(id).await.unwrap(), ["capture"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_what_was_never_reserved_is_put_aside_and_can_be_listed_replayed_discarded() {
    let shop = alone().await;
    let sender: Sender<Orders> = Sender::new(shop.shop().url("kafka"), codec(&shop)).unwrap();
    let order_id = OrderId(Uuid::new_v4());
    // A product of its own, so that the letters can be told from others.
    let sku: contracts::Sku = format!("NEVER-{}", &order_id.to_string()[..8]).parse().unwrap();
    let issued_at = Timestamp(1);
    let commit: InventoryCommand = Commit { sku: sku.clone(), order_id, issued_at }.into();
    sender.send(&INVENTORY_COMMANDS, &sku, &commit, Cause::default()).await.unwrap();
    let found = letters(&shop, ServiceName::Inventory, sku.as_str(), 1).await;
    let id = found[0].id.to_string();

    let (content, listed) = shop.cli(&["dlq", "list"]).await.unwrap();
    assert!(content && listed.contains(&id), "{listed}");
    let (content, shown) = shop.cli(&["dlq", "show", &id]).await.unwrap();
    assert!(content && shown.contains(found[0].cause()), "{shown}");
    let (content, said) = shop.cli(&["dlq", "replay", &id]).await.unwrap();
    assert!(content, "{said}");
    let again = letters(&shop, ServiceName::Inventory, sku.as_str(), 2).await;
    let second = again.iter().find(|letter| letter.done.is_none()).expect("a new letter");
    let (content, said) = shop.cli(&["dlq", "discard", &second.id.to_string()]).await.unwrap();
    assert!(content, "{said}");
    let (_, listed) = shop.cli(&["dlq", "list"]).await.unwrap();
    assert!(!listed.contains(&id) && !listed.contains(&second.id.to_string()), "{listed}");
    let (content, said) = shop.cli(&["dlq", "discard", &id]).await.unwrap();
    assert!(!content && said.contains("replayed before"), "{said}");
}
