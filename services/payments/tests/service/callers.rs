//! Goal: each route is called by those who may call it, and by no other caller.

use crate::shop::Shop;
use payments::http::{document, router};
use service_kit::{Callers, try_out};
use testkit::callers::{Badges, Operation, Sample, assert_callers};

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_gets_what_the_routes_declare() {
    let shop = Shop::open().await;
    let badges = Badges::default();
    let callers = Callers::with_keys(badges.verifier(), badges.keys());
    let base = try_out(router(shop.postgres.clone()).unwrap(), &callers).await;
    assert_callers(&base, &document().to_json().unwrap(), &badges, samples).await;
}

fn samples(operation: &Operation) -> Vec<Sample> {
    vec![match operation.path.as_str() {
        "/payments/{order_id}" => {
            Sample::of("/payments/6d75726d-7572-5174-a96f-6e006f726465", None)
        }
        _ => Sample::plain(operation),
    }]
}
