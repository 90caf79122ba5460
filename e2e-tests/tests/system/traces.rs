//! One order is one trace: from its POST to its mail, through every service, every hop over Kafka,
//! payments' outbox and Debezium.

mod collector;

use client::{Shop, StartOptions};
use collector::{Collector, Seen};
use contracts::OrderId;
use e2e_tests::{Outside, PATIENCE, unhurried};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::wait_for;
use tokio::sync::{OnceCell, RwLock};

/// The shop whose spans are collected: of processes, as a container would not find the collector.
static TRACED: OnceCell<(Shop, Collector)> = OnceCell::const_new();

/// A test that kills a service has that shop for itself.
static TURN: RwLock<()> = RwLock::const_new(());

pub(crate) const SERVICES: [&str; 5] = ["orders", "inventory", "payments", "email", "view"];

pub(crate) const SAMPLED: &str = "01";

pub(crate) async fn traced() -> (Outside, Collector) {
    let start = || async {
        let (collector, endpoint) = Collector::start().await;
        let settings = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_BSP_SCHEDULE_DELAY", "200"),
            ("LOG_FORMAT", "json"),
            ("RUST_LOG", "info,streams=debug,service_kit=debug,payments=debug"),
        ];
        let of = |service: &'static str| {
            let set = move |(key, value): (&str, &str)| {
                (service.to_owned(), key.to_owned(), value.to_owned())
            };
            settings.map(set)
        };
        let env = SERVICES.into_iter().flat_map(of).collect();
        let options = unhurried(StartOptions { env, ..StartOptions::default() });
        let shop = Shop::start(options).await;
        (shop.expect("the shop starts"), collector)
    };
    let (shop, collector) = TRACED.get_or_init(start).await;
    (Outside::new(shop), collector.clone())
}

/// Order one `sku` in a trace of our own, with these flags; the trace and the order.
pub(crate) async fn order(shop: &Outside, sku: &str, flags: &str) -> (Vec<u8>, OrderId) {
    let body = json!({ "customer_id": "ada", "lines": [{ "sku": sku, "quantity": 1 }] });
    let id = uuid::Uuid::new_v4();
    let traceparent = format!("00-{}-b7ad6b7169203331-{flags}", id.simple());
    let request = shop.post("orders", "/orders", &body).header("traceparent", traceparent);
    let answer = shop.send(request).await.unwrap();
    let order: OrderId = answer.body["order_id"].as_str().unwrap().parse().unwrap();
    (id.as_bytes().to_vec(), order)
}

/// The paths of a tree that is drawn with two spaces per generation.
fn paths(drawn: &str) -> BTreeSet<Vec<String>> {
    let mut path: Vec<String> = Vec::new();
    let mut paths = BTreeSet::new();
    for line in drawn.lines().filter(|line| !line.trim().is_empty()) {
        let depth = (line.len() - line.trim_start().len()) / 2;
        path.truncate(depth);
        path.push(line.trim().to_owned());
        paths.insert(path.clone());
    }
    paths
}

/// The same the other way round.
fn draw(paths: &BTreeSet<Vec<String>>) -> String {
    let line =
        |path: &Vec<String>| format!("{}{}\n", "  ".repeat(path.len() - 1), path.last().unwrap());
    paths.iter().map(line).collect()
}

async fn assert_tree(collector: &Collector, trace: &[u8], expected: &str) {
    let expected = paths(expected);
    wait_for("the tree of the trace", PATIENCE, || async {
        let tree = collector.tree(trace);
        if tree == expected {
            return Ok(());
        }
        let missing: BTreeSet<_> = expected.difference(&tree).collect();
        let strange: BTreeSet<_> = tree.difference(&expected).collect();
        let tree = draw(&tree);
        Err(format!("missing: {missing:#?}\nstrange: {strange:#?}\nthe tree:\n{tree}"))
    })
    .await;
}

/// What follows from what: service and span. Between `create orders` and what processes it is
/// Debezium.
const CONFIRMED: &str = "
orders POST /orders
  orders send orders.commands
    orders process orders.commands
      orders send orders
        inventory process orders
          inventory send inventory.commands
            inventory process inventory.commands
              inventory send inventory.reservations
              inventory send order-validations
                orders process order-validations
                  orders send orders
                    inventory process orders
                    orders process orders
                      orders send orders.latest
                    payments process orders
                      payments POST /charges
                      payments create orders
                        inventory process orders
                        orders process orders
                          orders send orders
                            inventory process orders
                              inventory send inventory.commands
                                inventory process inventory.commands
                                  inventory send inventory.reservations
                                  inventory send stock
                                    view process stock
                            orders process orders
                              orders send orders.latest
                            payments process orders
                            view process orders
                              view send order-views
                                email process order-views
                                  email send emails
                                  email smtp send
                          orders send orders.latest
                        payments process orders
                        view process orders
                          view send order-views
                            email process order-views
                    view process orders
                      view send order-views
                        email process order-views
              inventory send stock
                view process stock
        orders process orders
          orders send orders.latest
        payments process orders
        view process orders
          view send order-views
            email process order-views
";

/// Of a product that no other test orders: of reservations in one transaction, the last one's trace
/// has the level.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_one_trace_from_its_post_to_its_mail() {
    let _turn = TURN.read().await;
    let (shop, collector) = traced().await;
    let (trace, order) = order(&shop, "MUG", SAMPLED).await;
    shop.confirmed(order).await.unwrap();
    assert_tree(&collector, &trace, CONFIRMED).await;
    let spans = collector.spans();
    let of_trace = || spans.iter().filter(|span| span.trace == trace);
    for span in of_trace().filter(|span| span.name.starts_with("process ")) {
        assert_batched(&spans, span, order);
    }
    let bank = of_trace().find(|span| span.name == "POST /charges").unwrap();
    assert_eq!(bank.attributes["http.response.status_code"], "201");
}

/// Nothing is paid, and what was held is given back.
const REJECTED: &str = "
orders POST /orders
  orders send orders.commands
    orders process orders.commands
      orders send orders
        inventory process orders
          inventory send inventory.commands
            inventory process inventory.commands
              inventory send inventory.reservations
              inventory send order-validations
                orders process order-validations
                  orders send orders
                    inventory process orders
                      inventory send inventory.commands
                        inventory process inventory.commands
                    orders process orders
                      orders send orders.latest
                    payments process orders
                    view process orders
                      view send order-views
                        email process order-views
                          email send emails
                          email smtp send
        orders process orders
          orders send orders.latest
        payments process orders
        view process orders
          view send order-views
            email process order-views
";

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_order_is_one_trace_as_well() {
    let _turn = TURN.read().await;
    let (shop, collector) = traced().await;
    let (trace, order) = order(&shop, "GONE", SAMPLED).await;
    assert_eq!(shop.settled(order).await.unwrap()["status"], "rejected");
    assert_tree(&collector, &trace, REJECTED).await;
}

/// The first span decides for the whole story, also behind Kafka and the outbox.
#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_its_caller_does_not_sample_is_not_exported() {
    let _turn = TURN.read().await;
    let (shop, collector) = traced().await;
    // Another product: a level that two orders change in one transaction has the trace of one.
    let (unsampled, first) = order(&shop, "HONEY", "00").await;
    shop.confirmed(first).await.unwrap();
    // What comes later is here: so would be what came before.
    let (trace, second) = order(&shop, "TEA", SAMPLED).await;
    shop.confirmed(second).await.unwrap();
    assert_tree(&collector, &trace, CONFIRMED).await;
    assert_eq!(collector.tree(&unsampled), BTreeSet::new());
}

/// Starts inventory again, to end at a failpoint with `env`, and orders something: the trace.
async fn interrupted(shop: &Outside, env: &[(&str, &str)]) -> Vec<u8> {
    // What was sent to Kafka, and is not committed: no one has read it.
    const SENT: (&str, &str) = ("FAILPOINT", "inventory-split/sent");
    let restarts = || async {
        let status = shop.shop().status().await.unwrap();
        status.iter().find(|process| process.name == "inventory").unwrap().restarts
    };
    shop.shop().stop("inventory").await.unwrap();
    shop.shop().start_process_with("inventory", &[&[SENT], env].concat()).await.unwrap();
    let before = restarts().await;
    let (trace, order) = order(shop, "TEA", SAMPLED).await;
    shop.confirmed(order).await.unwrap();
    assert_eq!(restarts().await, before + 1, "it has died once");
    trace
}

/// What a killed process has done without committing it comes again in the same trace, and that is
/// whole: its spans so far went with the process.
#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_an_order_is_whole_though_a_service_was_killed_in_it() {
    let _turn = TURN.write().await;
    let (shop, collector) = traced().await;
    let trace = interrupted(&shop, &[]).await;
    assert_tree(&collector, &trace, CONFIRMED).await;
    let failed: Vec<_> = collector.spans().into_iter().filter(|it| it.trace == trace).collect();
    assert!(failed.iter().all(|span| span.failed.is_none()), "{failed:#?}");
}

/// A service that crashes by itself says which attempt has failed, and why.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_shows_as_a_failed_attempt_beside_the_one_that_went_well() {
    let _turn = TURN.write().await;
    let (shop, collector) = traced().await;
    let trace = interrupted(&shop, &[("FAILPOINT_END", "panic")]).await;
    assert_tree(&collector, &trace, CONFIRMED).await;
    let spans = collector.spans();
    let failed = |name: &str| {
        let wanted =
            |span: &&Seen| span.trace == trace && span.name == name && span.service == "inventory";
        let failed: Vec<_> =
            spans.iter().filter(wanted).filter(|span| span.failed.is_some()).collect();
        let [failed] = &failed[..] else { panic!("{name}: {failed:#?}") };
        assert_eq!(failed.failed.as_deref(), Some("panicked"));
        Seen::clone(failed)
    };
    let (handled, sent) = (failed("process orders"), failed("send inventory.commands"));
    assert_eq!(sent.parent, handled.id);
    let again = |span: &&Seen| span.name == handled.name && span.parent == handled.parent;
    let offset = "messaging.kafka.offset";
    let again: Vec<_> = spans
        .iter()
        .filter(again)
        .filter(|span| span.service == "inventory" && span.failed.is_none())
        .collect();
    let [again] = &again[..] else { panic!("{again:#?}") };
    assert_eq!((&again.trace, &again.attributes[offset]), (&trace, &handled.attributes[offset]));
}

/// A record's span is linked to that of its batch, which links back to the span that sent the
/// record, with where the record stands.
fn assert_batched(spans: &[Seen], process: &Seen, order: OrderId) {
    let [(batch, _)] = &process.links[..] else { panic!("{process:#?}") };
    let batch = spans.iter().find(|span| span.id == *batch);
    let batch = batch.unwrap_or_else(|| panic!("the batch of {process:#?}"));
    assert!(batch.name.starts_with("batch"), "{batch:#?}");
    assert_ne!(batch.trace, process.trace, "a batch may have the records of many orders");
    assert_eq!(batch.attributes["messaging.system"], "kafka");
    let group = "messaging.consumer.group.name";
    assert_eq!(batch.attributes[group], process.attributes[group]);
    let to_sender = |(span, _): &&(Vec<u8>, _)| *span == process.parent;
    let (_, placed) = batch.links.iter().find(to_sender).unwrap();
    for name in [
        "messaging.destination.name",
        "messaging.destination.partition.id",
        "messaging.kafka.offset",
        "messaging.message.conversation_id",
    ] {
        assert_eq!(placed[name], process.attributes[name], "{name}");
    }
    assert_eq!(Value::from(order.to_string()), placed["messaging.message.conversation_id"]);
}
