//! Goal: each route is called by those who may call it, and by no other caller.

use service_kit::{Callers, Health, Limits, Metrics, Shutdown, config::loopback};
use testkit::callers::{Badges, Sample, assert_callers};

#[tokio::test]
async fn each_caller_gets_what_the_routes_declare() {
    let badges = Badges::default();
    let callers = Callers::with_keys(badges.verifier(), badges.keys());
    let (health, metrics) = (Health::new(), Metrics::default());
    let told = (&health, &metrics, &callers);
    let routes = email::http::router().expect("the document can be written");
    let server = service_kit::serve(loopback(0), routes, told, Limits::default(), Shutdown::new());
    let base = format!("http://{}", server.await.expect("a free port").local_addr());
    let document = email::http::document().to_json().expect("JSON");
    assert_callers(&base, &document, &badges, |operation| vec![Sample::plain(operation)]).await;
}
