//! Each service dies between every two of its effects (`streams::failpoint`), on a real Kafka, a
//! real Postgres and a real Debezium, with work of every kind on its way. It comes back by itself,
//! and what its customers, the bank and the auditor see is the same as without the death.
//!
//! All tests share one shop, and each has a product of its own. Those of the two services that hold
//! the baton take turns, as each of them needs the other one alive, and the one that kills email is
//! alone.

#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod story;
mod support;

use crate::{
    story::{BatonStory, Ending, Story},
    support::{BATON, MAIL, delivered, died, forget_state, shop},
};
use contracts::{ServiceName, services::SERVICES};
use e2e_tests::audit;
use testkit::{Step, died_once, kill_at_every_step, steps_of};

const GUARANTEES: &str = include_str!("../../../docs/guarantees.md");

/// The processors of `service`, by the names that `streams::failpoint` knows.
fn processors_of(service: &str) -> Vec<&'static str> {
    let service: ServiceName = service.parse().unwrap();
    service.spec().processor_names().collect()
}

#[test]
fn no_failpoint_is_forgotten() {
    let services = ServiceName::by_default().map(ServiceName::as_str);
    let killed: Vec<_> = services.flat_map(|service| steps_of(&processors_of(service))).collect();
    // No shop of these tests has the other services.
    let others = SERVICES.iter().filter(|row| !row.runs_by_default());
    let others: Vec<_> = others.flat_map(|row| row.processor_names()).collect();
    for point in contracts::failpoints::FAILPOINTS {
        let steps = killed.iter().filter(|step| step.point == point).count();
        let expected = point.processors.iter().filter(|name| !others.contains(name)).count();
        assert_eq!(steps, expected, "{point:?}");
        let row = format!("| `{}` |", point.name);
        let told = GUARANTEES.lines().find(|line| line.starts_with(&row));
        let is_told = told.is_some_and(|line| line.contains(&format!("| {} |", point.when)));
        assert!(is_told, "docs/guarantees.md has a row `{}` that says: {}", point.name, point.when);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inventory() {
    let _mail = MAIL.read().await;
    story_survives("inventory", "SCONE", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn view() {
    let _mail = MAIL.read().await;
    story_survives("view", "SEEDS", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn email() {
    let _mail = MAIL.write().await;
    // Between the mail server's accept and the commit a mail may be sent twice, as the same mail.
    story_survives("email", "TEA", &["mailed", "decided", "sent", "offsets-sent"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders() {
    let _mail = MAIL.read().await;
    baton_story_survives("orders", "MUG", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payments() {
    let _mail = MAIL.read().await;
    // The first four calls to the bank are charges, the fifth is the refund.
    baton_story_survives("payments", "HONEY", &["bank-claimed:5", "bank-answered:5"]).await;
}

/// `service` is away while orders are placed, and dies at each step of dealing with them.
/// At the steps `mail_again` a mail may be sent again.
async fn story_survives(service: &str, sku: &'static str, mail_again: &[&str]) {
    let shop = shop().await;
    delivered(&shop, sku).await;
    let story = Story { shop: &shop, service, sku };
    let (orders, usual) = story.tell(None).await;
    let mut told = vec![("usual", orders)];
    kill_at_every_step(&processors_of(service), async |step: &Step| {
        if step.point.name == "restoring" {
            forget_state(&shop, service).await;
        }
        let (orders, mut endings) = story.tell(Some(&step.failpoint())).await;
        if mail_again.contains(&step.point.name) {
            endings.iter_mut().for_each(Ending::once);
        }
        assert_eq!(endings, usual, "{}", step.failpoint());
        let log = died(&shop, service, &step.failpoint()).await;
        if mail_again.contains(&step.point.name) {
            // What it mails again it commits before it is stopped for the next step, or it would
            // mail that once more.
            audit(&shop, &orders).await.unwrap();
        }
        told.push((step.point.name, orders));
        log
    })
    .await;
    let placed: Vec<_> = told.iter().flat_map(|(_, orders)| orders.clone()).collect();
    let verdict = audit(&shop, &placed).await.unwrap();
    for (step, orders) in told {
        let most = 1 + usize::from(mail_again.contains(&step));
        for order in orders {
            let mails = shop.mails(order.id).await.unwrap();
            assert!(mails.len() <= most, "{step}: {mails:?} of {}\n{verdict}", order.id);
        }
    }
}

/// The same for a service that holds the baton, with a refund; and at the failpoints `besides`.
async fn baton_story_survives(service: &str, sku: &'static str, besides: &[&str]) {
    let shop = shop().await;
    let _turn = BATON.lock().await;
    delivered(&shop, sku).await;
    let story = BatonStory { shop: &shop, service, sku };
    let (mut placed, usual) = story.tell(None).await;
    let mut kill = async |failpoint: &str| {
        let (orders, endings) = story.tell(Some(failpoint)).await;
        assert_eq!(endings, usual, "{failpoint}");
        placed.extend(orders);
        died(&shop, service, failpoint).await
    };
    kill_at_every_step(&processors_of(service), async |step: &Step| kill(&step.failpoint()).await)
        .await;
    for failpoint in besides {
        died_once(&kill(failpoint).await, failpoint);
    }
    let verdict = audit(&shop, &placed).await.unwrap();
    assert_eq!(verdict.mails_repeated, 0, "{verdict}");
}
