//! One shop for all tests, and customers who do not mind a service that is away for a moment.

use client::{Shop, StartOptions};
use contracts::OrderId;
use e2e_tests::{Outside, PATIENCE, unhurried};
use tokio::sync::{Mutex, OnceCell, RwLock};
use uuid::Uuid;

/// It ends with the process, when its standard input closes.
static SHOP: OnceCell<Shop> = OnceCell::const_new();

/// Whose turn it is to kill a service that holds the baton.
pub static BATON: Mutex<()> = Mutex::const_new(());

/// A test that kills email has the mail for itself, because it may repeat mails of other orders.
pub static MAIL: RwLock<()> = RwLock::const_new(());

pub async fn shop() -> Outside {
    let options = unhurried(StartOptions::default());
    let start = || async { Shop::start(options).await.expect("the shop starts") };
    Outside::new(SHOP.get_or_init(start).await)
}

/// Wait until the first delivery of `sku` can be seen.
pub async fn delivered(shop: &Outside, sku: &str) {
    testkit::wait_for(&format!("{sku} on the shelf"), PATIENCE, || async {
        match shop.product(sku).await {
            Ok(product) if product["on_hand"].as_i64() > Some(0) => Ok(()),
            other => Err(other),
        }
    })
    .await;
}

/// Start the service, which is stopped, to die at `failpoint` once.
pub async fn arm(shop: &Outside, service: &str, failpoint: Option<&str>) {
    let env: Vec<_> = failpoint.map(|failpoint| ("FAILPOINT", failpoint)).into_iter().collect();
    shop.shop().start_process_with(service, &env).await.unwrap();
}

/// Wait until the service has died at `failpoint` and is well again; what it has logged.
pub async fn died(shop: &Outside, service: &str, failpoint: &str) -> String {
    testkit::wait_for(&format!("{service} to be back from {failpoint}"), PATIENCE, || async {
        let status = shop.shop().status().await.map_err(|error| format!("{error:#}"))?;
        let process = status.into_iter().find(|process| process.name == service);
        let is_well = process.as_ref().is_some_and(|process| process.healthy == Some(true));
        let log = shop.shop().log(service);
        let has_died = log.contains(&format!("failpoint {failpoint} is reached"));
        if has_died && is_well { Ok(log) } else { Err(format!("{process:?}\n{log}")) }
    })
    .await
}

/// Lose the disk of the service, so that it has its whole state to restore.
pub async fn forget_state(shop: &Outside, service: &str) {
    shop.shop().stop(service).await.unwrap();
    let state = shop.shop().state().dir.join("data/state").join(service);
    std::fs::remove_dir_all(&state).unwrap_or_else(|error| panic!("{}: {error}", state.display()));
}

/// An order for one piece, sent again under the same key until it is accepted.
pub async fn place(shop: &Outside, customer: &str, sku: &str) -> OrderId {
    shop.place_at_last(customer, &[(sku, 1)]).await.unwrap()
}

/// A cancellation, sent again under the same key until it is accepted.
pub async fn cancel(shop: &Outside, order: OrderId) {
    let key = Uuid::new_v4().to_string();
    let answer = shop.customer().cancel(order, &key, PATIENCE, |_| {}).await.unwrap();
    answer.accepted().unwrap();
}
