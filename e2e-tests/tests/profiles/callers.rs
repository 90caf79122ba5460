//! In a secured shop whose callers need a token, an order belongs to its customer, and its timeline
//! names who has asked for it at every step, also after the bank and the relay.

use client::{Badge, Development, Dirs, Shop, StartOptions};
use e2e_tests::{PATIENCE, unhurried};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::process::Command;

/// Such a shop, of processes: its keys are files on this machine.
struct Secured {
    shop: Shop,
    http: Client,
}

impl Secured {
    async fn start() -> Self {
        let options = StartOptions { auth: true, secured: true, ..StartOptions::default() };
        let shop = Shop::start(unhurried(options)).await.expect("the shop starts");
        Self { shop, http: Client::new() }
    }

    fn customer(&self, id: &str) -> Badge {
        Badge::customer(self.shop.state(), id).unwrap()
    }

    fn get(&self, process: &str, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.shop.url(process))).timeout(PATIENCE)
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.shop.url("orders"))).timeout(PATIENCE)
    }

    /// What `./shop COMMAND` says, and whether it was content.
    async fn cli(&self, command: &str) -> (bool, String) {
        let mut shop = Command::new(client::program().unwrap());
        let said = shop.arg(command).arg("--dir").arg(&self.shop.state().dir).output();
        let said = said.await.unwrap();
        let text = [said.stdout, said.stderr].concat();
        (said.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Places an order of ada; its id.
    async fn place(&self) -> String {
        let order = json!({ "customer_id": "ada", "lines": [{ "sku": "TEA", "quantity": 1 }] });
        let placed = self.customer("ada").on(self.post("/orders").json(&order));
        let (status, body) = answer(placed).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        body["order_id"].as_str().unwrap().to_owned()
    }
}

async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_its_customers_and_says_who_has_asked_for_it() {
    let secured = Secured::start().await;
    let (ada, grace) = (secured.customer("ada"), secured.customer("grace"));
    let staff = Badge::staff(secured.shop.state()).unwrap();
    let (status, _) = answer(secured.post("/orders").json(&json!({}))).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);

    let order = secured.place().await;
    let settled = format!("/orders/{order}?wait=settled&timeout=30000");
    testkit::wait_for("her order to be confirmed", PATIENCE, || async {
        let seen = answer(ada.on(secured.get("view", &settled))).await;
        let is_confirmed = seen.0 == StatusCode::OK && seen.1["status"] == "confirmed";
        if is_confirmed { Ok(()) } else { Err(seen) }
    })
    .await;
    let timeline = format!("/orders/{order}/timeline");
    let (_, body) = answer(staff.on(secured.get("view", &timeline))).await;
    let transitions = body["transitions"].as_array().unwrap();
    let callers: Vec<_> = transitions.iter().map(|one| one["caller"].as_str()).collect();
    assert_eq!(callers, [Some("customer:ada"); 4], "{body:#}");

    for path in [format!("/orders/{order}"), timeline] {
        let (status, _) = answer(grace.on(secured.get("view", &path))).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    // A slow shop says 202 in the end: the same is refused again.
    let cancel = async |badge: &Badge, order: &str| {
        testkit::wait_for("the refusal in the answer", PATIENCE, || async {
            let request = secured.post(&format!("/orders/{order}/cancellation"));
            let seen = answer(badge.on(request.header("Prefer", "wait=30"))).await;
            if seen.0 == StatusCode::ACCEPTED { Err(seen) } else { Ok(seen) }
        })
        .await
    };
    let none = "6d75726d-7572-4174-a96f-6e006f726465";
    for order in [order.as_str(), none] {
        let (status, body) = cancel(&grace, order).await;
        assert_eq!(status, StatusCode::CONFLICT, "{body}");
        assert_eq!(body["reasons"][0]["code"], "unknown_order", "{body}");
    }
    let (_, body) = cancel(&ada, &order).await;
    assert_eq!(body["reasons"][0]["code"], "already_confirmed", "it is hers: {body}");
    for path in ["/payments/6d75726d-7572-4174-a96f-6e006f726465", "/ledger/balance"] {
        let (status, _) = answer(ada.on(secured.get("payments", path))).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
    }

    // The commands show who they are, to Kafka, PostgreSQL and the services.
    let (done, told) = secured.cli("status").await;
    assert!(done && told.contains("secured: Kafka"), "{told}");
    assert!(told.contains("callers need a token"), "{told}");
    let (done, told) = secured.cli("audit").await;
    assert!(done, "{told}");

    // A new key: what is signed with it is believed, and what the old one has signed as well.
    let development = Development::of(&Dirs::at(&secured.shop.state().dir));
    development.rotate().unwrap();
    let renewed = secured.customer("ada");
    testkit::wait_for("the new key to be known", PATIENCE, || async {
        let path = format!("/orders/{order}");
        let (status, _) = answer(renewed.on(secured.get("view", &path))).await;
        if status == StatusCode::OK { Ok(()) } else { Err(status) }
    })
    .await;
    let (status, _) = answer(ada.on(secured.get("view", &format!("/orders/{order}")))).await;
    assert_eq!(status, StatusCode::OK);
}
