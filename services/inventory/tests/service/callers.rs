//! Goal: each route is called by those who may call it, and by no other caller.

use inventory::http::{App, document, router};
use serde_json::json;
use service_kit::{Callers, try_out};
use streams_kafka::Sender;
use testkit::callers::{Badges, Operation, Sample, assert_callers};

use crate::http::{NO_KAFKA, catalog, codec};

#[tokio::test]
async fn each_caller_gets_what_the_routes_declare() {
    let badges = Badges::default();
    let callers = Callers::with_keys(badges.verifier(), badges.keys());
    let commands = Sender::new(NO_KAFKA, codec()).expect("a sender needs no Kafka to begin with");
    let routes = router(App { products: catalog(), commands }).expect("a document");
    let base = try_out(routes, &callers).await;
    let document = document().to_json().expect("JSON");
    assert_callers(&base, &document, &badges, samples).await;
}

fn samples(operation: &Operation) -> Vec<Sample> {
    vec![match operation.path.as_str() {
        // Of a product that there is not, so that no answer waits for Kafka.
        "/stock/{sku}/restock" => {
            Sample::of("/stock/NONE/restock", None).with(json!({ "quantity": 1 }))
        }
        _ => Sample::plain(operation),
    }]
}
