//! Mail servers as they are, in front of the whole shop: one that is slow, asks for a mail later,
//! or closes the connection over one recipient. No other mail waits for it.

use crate::{
    sizes::put_right,
    support::{Alone, alone},
};
use contracts::{OrderId, topics::EMAILS_WAITING};
use e2e_tests::{Outside, PATIENCE, Turn};
use serde_json::json;
use std::time::Duration;
use testkit::wait_for;

const ADA: &str = "ada@example.org";

/// How long the slow server takes for each mail: [`MAILS`] of them one after the other would take
/// longer than [`PATIENCE`].
const LATENCY: Duration = Duration::from_secs(8);
const MAILS: usize = 24;

/// A shop whose mail server has faults on demand; none in containers, where mailpit has not.
async fn shop() -> Option<Turn<Alone>> {
    let shop = alone().await;
    let is_native = shop.shop().state().project.is_none();
    if !is_native {
        eprintln!("not tried in containers: mailpit has no such faults");
    }
    is_native.then_some(shop)
}

async fn confirmed(shop: &Outside, customer: &str) -> OrderId {
    let order = shop.place(customer, &[("TEA", 1)]).await.unwrap();
    shop.confirmed(order).await.unwrap();
    order
}

async fn mailed(shop: &Outside, order: OrderId) {
    wait_for(&format!("the mail about {order}"), PATIENCE, || async {
        match shop.mails(order).await {
            Ok(kinds) if kinds == ["confirmation"] => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// Why the mail about `order` waits, as soon as it does.
async fn waits(shop: &Outside, order: OrderId) -> String {
    let bootstrap = shop.shop().url("kafka").to_owned();
    wait_for(&format!("the mail about {order} to wait"), PATIENCE, || async {
        let (bootstrap, key) = (bootstrap.clone(), order.to_string());
        let read = tokio::task::spawn_blocking(move || {
            let mut last = None;
            let read = streams_kafka::read_topic(&bootstrap, &EMAILS_WAITING.spec, |record| {
                if record.key.as_deref() == Some(key.as_bytes()) {
                    last = record.value;
                }
                Ok(())
            });
            read.map(|()| last)
        });
        let last = read.await.expect("no panic").map_err(|error| format!("{error:#}"))?;
        // The cause is a text within.
        let last = String::from_utf8_lossy(&last.ok_or("it does not wait")?).into_owned();
        if last.contains("for now") { Ok(last) } else { Err(format!("not refused: {last}")) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_mail_server_is_waited_for_with_many_mails_at_a_time_and_none_comes_twice() {
    let Some(shop) = shop().await else { return };
    shop.mail_faults(&json!({ "end_latency_ms": LATENCY.as_millis() })).await.unwrap();
    let mut orders = Vec::new();
    for customer in ["ada", "grace", "alan"].into_iter().cycle().take(MAILS) {
        orders.push(shop.place(customer, &[("TEA", 1)]).await.unwrap());
    }
    for order in &orders {
        mailed(&shop, *order).await;
    }
    shop.mail_faults(&json!({})).await.unwrap();
    mailed(&shop, confirmed(&shop, "grace").await).await;
    put_right(&shop).await;
    for order in orders {
        assert_eq!(shop.mails(order).await.unwrap(), ["confirmation"], "once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_whom_the_mail_server_does_not_take_holds_up_no_other_mail() {
    let Some(shop) = shop().await else { return };
    for (faults, words) in [
        (json!({ "greylist": { "seconds": 3600, "to": [ADA] } }), "451 4.7.1 greylisted"),
        (json!({ "rules": [{ "at": "rcpt", "says": 421, "to": ADA }] }), "421 4.3.2"),
        (
            json!({ "rules": [{ "at": "data", "says": "close", "to": ADA }] }),
            "closed the connection",
        ),
    ] {
        shop.mail_faults(&faults).await.unwrap();
        let waiting = confirmed(&shop, "ada").await;
        let cause = waits(&shop, waiting).await;
        assert!(cause.contains(words), "{cause}");
        mailed(&shop, confirmed(&shop, "grace").await).await;
        assert_eq!(shop.mails(waiting).await.unwrap(), [""; 0]);
        let ready = shop.get("email", "/health/ready").await.unwrap();
        assert!(ready.status.is_success(), "{ready:?}");

        shop.mail_faults(&json!({})).await.unwrap();
        mailed(&shop, waiting).await;
    }
    put_right(&shop).await;
}
