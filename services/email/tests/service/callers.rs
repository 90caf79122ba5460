//! Goal: each route is called by those who may call it, and by no other caller.

use service_kit::{Callers, try_out};
use testkit::callers::{Badges, Sample, assert_callers};

#[tokio::test]
async fn each_caller_gets_what_the_routes_declare() {
    let badges = Badges::default();
    let callers = Callers::with_keys(badges.verifier(), badges.keys());
    let routes = email::http::router().expect("the document can be written");
    let base = try_out(routes, &callers).await;
    let document = email::http::document().to_json().expect("JSON");
    assert_callers(&base, &document, &badges, |operation| vec![Sample::plain(operation)]).await;
}
