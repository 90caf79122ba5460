//! Goal: a batch of records, its effects and its offsets are one thing: all, once, or nothing.

use crate::shop::{Shop, apply, tomorrow};
use contracts::topics;
use sqlx::Row;
use std::sync::Arc;
use streams::{Failure, Record};
use streams_kafka::FencedConsumer;
use testkit::orders::{cancelled_after_payment, requested, validated};
use tokio::{sync::Notify, task::spawn_blocking};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_comes_again_changes_nothing() {
    let shop = Shop::open().await;
    let work = Arc::new(Notify::new());
    let intake = shop.intake(&work).await;
    let orders = [validated(tomorrow()), validated(tomorrow())];
    let mut poison = shop.record(&requested(tomorrow()));
    poison.value = Some(b"garbage".to_vec());
    let batch = [shop.record(&orders[0]), poison, shop.record(&orders[1])];
    let last = batch[2].offset;
    // As after a commit whose acknowledgement was lost.
    for _ in 0..2 {
        apply(&intake, &batch).unwrap();
        assert_eq!(shop.count("SELECT count(*) FROM payments WHERE status = 'intent'").await, 2);
        assert_eq!(shop.count("SELECT count(*) FROM outbox").await, 1);
        assert_eq!(shop.count("SELECT max(next_offset) FROM consumer_offsets").await, last + 1);
    }
    // The same event at another offset is a duplicate as well.
    let again: Vec<Record> = orders.iter().map(|order| shop.record(order)).collect();
    apply(&intake, &again).unwrap();
    assert_eq!(shop.count("SELECT count(*) FROM payments").await, 2);
    work.notified().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_goes_to_the_dead_letters_as_it_was_and_the_partition_goes_on() {
    let shop = Shop::open().await;
    let intake = shop.intake(&Arc::default()).await;
    let never_paid = cancelled_after_payment(&validated(tomorrow()));
    let mut garbage = shop.record(&never_paid);
    garbage.value = Some(b"\0garbage".to_vec());
    garbage.headers.push("ce_subject", "nul \0 byte");
    let mut tombstone = shop.record(&never_paid);
    tombstone.value = None;
    let impossible = shop.record(&never_paid);
    let order = validated(tomorrow());
    let good = shop.record(&order);
    let batch = [garbage.clone(), tombstone, impossible, good];
    apply(&intake, &batch).unwrap();
    assert_eq!(shop.report(&order).await.unwrap().status, "intent");

    let rows = sqlx::query("SELECT * FROM outbox ORDER BY dlq_offset");
    let rows = rows.fetch_all(&shop.pool).await.unwrap();
    let causes: Vec<String> = rows.iter().map(|row| row.get("dlq_cause")).collect();
    assert_eq!(causes.len(), 3, "{causes:?}");
    assert!(causes[0].contains("schema id"), "{causes:?}");
    assert!(causes[1].contains("no value"), "{causes:?}");
    assert!(causes[2].contains("never paid here"), "{causes:?}");
    let text = |name: &str| rows[0].get::<Option<String>, _>(name).unwrap_or_default();
    assert_eq!(rows[0].get::<Vec<u8>, _>("payload"), garbage.value.unwrap());
    assert_eq!(rows[1].get::<Option<Vec<u8>>, _>("payload"), None);
    assert_eq!(text("aggregatetype"), "payments.dlq");
    assert_eq!(text("aggregateid"), never_paid.order_id.to_string());
    assert_eq!((text("ce_source"), text("lineage")), ("orders".into(), "orders@0.0.1".into()));
    assert_eq!(text("ce_subject"), "nul \u{fffd} byte");
    let place = (text("dlq_topic"), text("dlq_partition"), text("dlq_offset"));
    assert_eq!(place, ("orders".into(), "0".into(), "0".into()));
    assert_eq!(
        (text("dlq_service"), text("causationid")),
        ("payments".into(), "orders/0/0".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_passed_by_is_behind_us_and_nothing_came_of_it() {
    let shop = Shop::open().await;
    let mut intake = shop.intake(&Arc::default()).await;
    let (passed, next) = (validated(tomorrow()), validated(tomorrow()));
    let batch = [shop.record(&passed), shop.record(&next)];
    intake.pass_by(vec![(batch[0].address(), batch[0].digest())]);
    apply(&intake, &batch[..1]).unwrap();
    assert_eq!(shop.count("SELECT next_offset FROM consumer_offsets").await, 1);
    apply(&intake, &batch).unwrap();
    assert_eq!(shop.count("SELECT count(*) FROM payments").await, 1);
    assert_eq!(shop.report(&next).await.unwrap().status, "intent");
    assert_eq!(shop.count("SELECT count(*) FROM outbox").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_was_replaced_can_write_nothing() {
    let shop = Shop::open().await;
    let zombie = shop.intake(&Arc::default()).await;
    let heir = shop.intake(&Arc::default()).await;
    let batch = [shop.record(&validated(tomorrow()))];
    let fenced = apply(&zombie, &batch).unwrap_err();
    assert!(matches!(&fenced, Failure::Fatal(cause) if cause.to_string().contains("fenced")));
    assert_eq!(shop.count("SELECT count(*) FROM payments").await, 0);
    assert_eq!(shop.count("SELECT next_offset FROM consumer_offsets").await, 0);
    apply(&heir, &batch).unwrap();
    assert_eq!(shop.count("SELECT count(*) FROM payments").await, 1);
    // No instance may write for a partition that it has never claimed.
    let stray = Record { partition: 7, ..shop.record(&validated(tomorrow())) };
    assert!(matches!(apply(&heir, &[stray]), Err(Failure::Fatal(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_owner_goes_on_where_the_old_one_stopped() {
    let shop = Shop::open().await;
    let mut intake = shop.intake(&Arc::default()).await;
    let batch = vec![shop.record(&validated(tomorrow()))];
    // As the processor does it: from a thread outside of the runtime.
    let claimed = spawn_blocking(move || {
        intake.apply(&batch).unwrap();
        intake.claim(&[("orders".into(), 0), ("orders".into(), 1)]).unwrap()
    });
    let name = topics::ORDERS.name().to_owned();
    assert_eq!(claimed.await.unwrap(), [((name.clone(), 0), 1), ((name, 1), 0)].into());
    assert_eq!(shop.count("SELECT max(epoch) FROM consumer_offsets").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_itself_refuses_what_must_never_be() {
    let shop = Shop::open().await;
    let intake = shop.intake(&Arc::default()).await;
    apply(&intake, &[shop.record(&validated(tomorrow()))]).unwrap();
    let book = "INSERT INTO ledger_entries \
                    (order_id, kind, account, amount_minor, currency, at_ms) \
                SELECT order_id, 'capture', account, amount, 'EUR', 0 FROM payments, \
                    (VALUES ('bank', 1300), ('sales', -1300)) AS entry (account, amount)";
    let refused = async |sql: &'static str| {
        let error = sqlx::query(sql).execute(&shop.pool).await.unwrap_err();
        error.into_database_error().unwrap().message().to_owned()
    };
    let half = "INSERT INTO ledger_entries \
                    (order_id, kind, account, amount_minor, currency, at_ms) \
                SELECT order_id, 'capture', 'bank', 1300, 'EUR', 0 FROM payments";
    assert!(refused(half).await.contains("does not balance"));
    sqlx::query(book).execute(&shop.pool).await.unwrap();
    assert!(refused(book).await.contains("duplicate key"));
    assert!(refused("UPDATE ledger_entries SET amount_minor = 0").await.contains("stays booked"));
    assert!(refused("DELETE FROM ledger_entries").await.contains("stays booked"));
    let stranded = "UPDATE payments SET due_at = NULL";
    assert!(refused(stranded).await.contains("check constraint"));
}
