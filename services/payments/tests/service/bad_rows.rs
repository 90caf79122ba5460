//! Goal: a payment that cannot be read, decided or written holds up no other one.

use crate::{
    bank::Fault,
    shop::{Shop, apply, apply_before, now, statuses, tomorrow},
};
use contracts::{Order, Status, Timestamp};
use std::{sync::Arc, time::Duration};
use streams::Record;
use testkit::{
    PATIENCE,
    orders::{cancelled, validated},
    wait_for,
};

/// What is wrong with a payment.
#[derive(Debug, Clone, Copy)]
enum Flaw {
    /// Its row is not as we write it.
    Unreadable,
    /// No table has the step that it would have to take.
    Undecidable,
    /// A constraint of the database holds against its outcome.
    Refused,
}

const FLAWS: [Flaw; 3] = [Flaw::Unreadable, Flaw::Undecidable, Flaw::Refused];

async fn spoil(shop: &Shop, order: &Order, flaw: Flaw) {
    let sql = match flaw {
        Flaw::Unreadable => {
            "UPDATE payments SET \"order\" = ((\"order\"::jsonb) - 'customer')::json \
             WHERE order_id = $1"
        }
        Flaw::Undecidable => {
            "UPDATE payments SET \"order\" = \
                 jsonb_set(\"order\"::jsonb, '{status}', '\"Confirmed\"')::json \
             WHERE order_id = $1"
        }
        Flaw::Refused => {
            "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload) \
             VALUES ($1, 'orders', 'said before', 'unknown', '')"
        }
    };
    let id = match flaw {
        Flaw::Refused => order.order_id.derive(format!("version {}", order.version + 1).as_bytes()),
        Flaw::Unreadable | Flaw::Undecidable => order.order_id.0,
    };
    let done = sqlx::query(sql).bind(id).execute(&shop.pool).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "{flaw:?}");
}

/// Three payments with a flaw each, and a good one that comes after them.
async fn given(shop: &Shop, deadline: Timestamp) -> (Vec<Order>, Order) {
    let after = |millis| validated(deadline + Duration::from_millis(millis));
    let (bad, good): (Vec<Order>, _) = ((0..3).map(after).collect(), after(3));
    let intake = shop.intake(&Arc::default()).await;
    let orders = bad.iter().chain([&good]);
    let batch: Vec<Record> = orders.map(|order| shop.record(order)).collect();
    apply_before(&intake, &batch, deadline).unwrap();
    for (order, flaw) in bad.iter().zip(FLAWS) {
        spoil(shop, order, flaw).await;
    }
    (bad, good)
}

async fn last_error(shop: &Shop, order: &Order) -> String {
    let sql = "SELECT coalesce(last_error, '') FROM payments WHERE order_id = $1";
    sqlx::query_scalar(sql).bind(order.order_id.0).fetch_one(&shop.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_expire_keeps_no_other_from_it() {
    let shop = Shop::open().await;
    let yesterday = Timestamp(now().millis() - 24 * 60 * 60 * 1_000);
    let (bad, good) = given(&shop, yesterday).await;
    let mut supervisor = shop.supervisor();
    supervisor.step().await.unwrap();
    assert_eq!(shop.report(&good).await.unwrap().status, "declined");
    assert_eq!(statuses(&shop.events(&good).await), [Status::PaymentDeclined]);
    for (order, cause) in bad.iter().zip(["cannot be read", "impossible", "duplicate key"]) {
        assert_eq!(shop.report(order).await.map(|report| report.status), Some("intent".into()));
        let last_error = last_error(&shop, order).await;
        assert!(last_error.contains(cause), "{last_error}");
    }
    // The key of the good one is voided; nothing is left after that.
    supervisor.step().await.unwrap();
    let idle = supervisor.step().await.unwrap();
    assert!(idle >= Duration::from_millis(50), "it does not try them again at once: {idle:?}");

    // Once it is mended it goes on, when its time has come again.
    let mend = "DELETE FROM outbox WHERE aggregateid = 'said before'";
    sqlx::query(mend).execute(&shop.pool).await.unwrap();
    let later = "UPDATE payments SET expire_again_at = now() WHERE expire_again_at IS NOT NULL";
    assert_eq!(sqlx::query(later).execute(&shop.pool).await.unwrap().rows_affected(), 3);
    supervisor.step().await.unwrap();
    assert_eq!(shop.report(&bad[2]).await.unwrap().status, "declined");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_called_for_or_settled_keeps_no_other_from_it() {
    let shop = Shop::open().await;
    let (bad, good) = given(&shop, tomorrow()).await;
    let worker = shop.worker();
    shop.wait_for(&good, "captured").await;
    for (order, cause) in bad.iter().zip(["cannot be read", "impossible", "duplicate key"]) {
        wait_for(cause, PATIENCE, || async {
            let last_error = last_error(&shop, order).await;
            if last_error.contains(cause) { Ok(()) } else { Err(last_error) }
        })
        .await;
    }
    assert_eq!(shop.bank.requests(&bad[0].order_id.to_string()), [""; 0], "it cannot be read");
    // They are not called for again and again.
    for order in &bad[1..] {
        assert_eq!(shop.bank.requests(&order.order_id.to_string()), ["charge"]);
    }
    let aside = "SELECT count(*) FROM payments WHERE due_at > now() + interval '30 seconds'";
    assert_eq!(shop.count(aside).await, 3);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_goes_to_the_dead_letters_and_the_partition_goes_on() {
    let shop = Shop::open().await;
    let worker = shop.worker();
    let intake = shop.intake(&worker.work).await;
    let [unreadable, good] = [validated(tomorrow()), validated(tomorrow())];
    apply(&intake, &[shop.record(&unreadable), shop.record(&good)]).unwrap();
    let mut paid = Vec::new();
    for order in [&unreadable, &good] {
        shop.wait_for(order, "captured").await;
        paid.push(shop.events(order).await.remove(0));
    }
    spoil(&shop, &unreadable, Flaw::Unreadable).await;
    // It is past its deadline, so that its decline is said at once: a thing that was said before.
    let refused = validated(now());
    spoil(&shop, &refused, Flaw::Refused).await;
    for order in [&unreadable, &good] {
        shop.bank.fail("refund", &order.order_id.to_string(), Fault::Failed, None);
    }
    let batch = [
        shop.record(&cancelled(&paid[0])),
        shop.record(&refused),
        shop.record(&cancelled(&paid[1])),
    ];
    let last = batch[2].offset;
    apply(&intake, &batch).unwrap();
    assert_eq!(shop.report(&good).await.unwrap().status, "refund_due");
    assert!(shop.report(&refused).await.is_none());
    let causes: Vec<String> = sqlx::query_scalar(
        "SELECT dlq_cause FROM outbox WHERE dlq_cause <> '' ORDER BY dlq_offset",
    )
    .fetch_all(&shop.pool)
    .await
    .unwrap();
    assert!(causes[0].contains("cannot be read") && causes[1].contains("duplicate key"));
    assert_eq!(causes.len(), 2, "{causes:?}");
    assert_eq!(shop.count("SELECT max(next_offset) FROM consumer_offsets").await, last + 1);
    worker.stop().await;
}
