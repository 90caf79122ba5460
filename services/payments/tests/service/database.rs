//! Goal: whatever becomes of the database or of a connection to it, payments waits no longer than
//! it has said, and goes on by itself.

use crate::shop::{Shop, apply, tomorrow};
use payments::adapters::{Postgres, postgres::SETTINGS};
use service_kit::postgres::Settings;
use sqlx::AssertSqlSafe;
use std::{sync::Arc, time::Duration};
use streams::Failure;
use testkit::{PATIENCE, orders::validated, wait_for};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::spawn_blocking,
    time::timeout,
};

/// A line to the database that can fall silent without breaking.
struct Line {
    port: u16,
    silent: watch::Sender<bool>,
}

impl Line {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line =
            Self { port: listener.local_addr().unwrap().port(), silent: watch::Sender::new(false) };
        let silent = line.silent.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(pump(from_client, to_server, silent.subscribe()));
                tokio::spawn(pump(from_server, to_client, silent.subscribe()));
            }
        });
        line
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut silent: watch::Receiver<bool>) {
    let mut buffer = [0; 8_192];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if silent.wait_for(|silent| !silent).await.is_err()
            || to.write_all(&buffer[..read]).await.is_err()
        {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_falls_silent_is_waited_for_no_longer_than_a_transaction_may_take() {
    let mut shop = Shop::open().await;
    let line = Line::to(shop.database.get_port()).await;
    let options = shop.database.clone().host("127.0.0.1").port(line.port);
    let limits = Settings { work_timeout: Duration::from_millis(500), ..SETTINGS };
    shop.postgres = Postgres::with(&options, limits);
    let intake = Arc::new(shop.intake(&Arc::default()).await);
    let worker = shop.worker();
    let batch = [shop.record(&validated(tomorrow()))];
    apply(&intake, &batch).unwrap();

    line.silent.send_replace(true);
    let (waiting, again) = (Arc::clone(&intake), batch.clone());
    let applied = spawn_blocking(move || apply(&waiting, &again));
    let applied = timeout(PATIENCE, applied).await.expect("it gives up in time").unwrap();
    assert!(matches!(applied, Err(Failure::Retriable(_))), "{applied:?}");
    let reported = || async { if worker.health.is_ready() { Err("ready") } else { Ok(()) } };
    wait_for("the outage to be reported", PATIENCE, reported).await;

    line.silent.send_replace(false);
    wait_for("the batch to be taken", PATIENCE, || async { apply(&intake, &batch) }).await;
    let recovered = || async { if worker.health.is_ready() { Ok(()) } else { Err("not ready") } };
    wait_for("the recovery to be reported", PATIENCE, recovered).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_session_has_our_limits_and_is_durable_whatever_the_server_says() {
    let shop = Shop::open().await;
    let expected = [
        ("synchronous_commit", "on"),
        ("statement_timeout", "8s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "15s"),
    ];
    for (name, value) in expected {
        let sql = "SELECT current_setting($1)";
        let set: String = sqlx::query_scalar(sql).bind(name).fetch_one(&shop.pool).await.unwrap();
        assert_eq!(set, value, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_no_longer_fits_its_table_is_made_again() {
    let shop = Shop::open().await;
    let intake = shop.intake(&Arc::default()).await;
    // Plans are kept per connection; each is used in turn.
    for _ in 0..4 {
        apply(&intake, &[shop.record(&validated(tomorrow()))]).unwrap();
    }
    for table in ["consumer_offsets ALTER topic", "payments ALTER status"] {
        let alter = format!("ALTER TABLE {table} TYPE varchar(100)");
        sqlx::raw_sql(AssertSqlSafe(alter)).execute(&shop.pool).await.unwrap();
    }
    let batch = [shop.record(&validated(tomorrow()))];
    // The first failure tells that no session of today is of use.
    let fails: Vec<bool> = (0..24).map(|_| apply(&intake, &batch).is_err()).collect();
    assert!(fails.contains(&true), "no plan was kept, so this shows nothing");
    assert_eq!(fails.iter().filter(|fails| **fails).count(), 1, "{fails:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_the_books_does_not_notice_that_a_plan_no_longer_fits() {
    let shop = Shop::open().await;
    let order = validated(tomorrow());
    apply(&shop.intake(&Arc::default()).await, &[shop.record(&order)]).unwrap();
    // As many readers at once as there are sessions, so that each has a plan.
    let read = async || {
        let readers = (0..8).map(|_| {
            let (postgres, order_id) = (shop.postgres.clone(), order.order_id);
            tokio::spawn(
                async move { postgres.payment(order_id).await.map(|report| report.is_some()) },
            )
        });
        for reader in readers.collect::<Vec<_>>() {
            assert!(reader.await.unwrap().unwrap(), "the payment is there");
        }
    };
    read().await;
    sqlx::raw_sql("ALTER TABLE payments ALTER status TYPE varchar(30)")
        .execute(&shop.pool)
        .await
        .unwrap();
    for _ in 0..4 {
        read().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_a_server_that_was_read_only_is_not_used_for_ever() {
    let shop = Shop::open().await;
    let intake = shop.intake(&Arc::default()).await;
    let batch = [shop.record(&validated(tomorrow()))];
    let failed_over = fail_over(&shop).await;
    wait_for("a connection that is read-only", PATIENCE, || async {
        end_sessions_before(&shop, &failed_over).await;
        match apply(&intake, &batch) {
            Err(failure) if failure.to_string().contains("read-only") => Ok(()),
            applied => Err(applied),
        }
    })
    .await;
    read_only(&shop, "off").await;
    wait_for("the batch to be taken", PATIENCE, || async { apply(&intake, &batch) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_tells_that_the_database_is_read_only_also_when_there_is_nothing_to_do() {
    let shop = Shop::open().await;
    let worker = shop.worker();
    let told = |what: &str| {
        let told = format!("{:?}", worker.health);
        if told.contains(what) { Ok(()) } else { Err(told) }
    };
    wait_for("the check to be up", PATIENCE, || async { told("Up") }).await;
    let failed_over = fail_over(&shop).await;
    wait_for("the check to say read-only", PATIENCE, || async {
        end_sessions_before(&shop, &failed_over).await;
        told("read-only")
    })
    .await;
    assert!(!worker.health.is_ready());
    // The sessions of that time are there still, and nothing is restarted.
    read_only(&shop, "off").await;
    let ready = || async { if worker.health.is_ready() { Ok(()) } else { Err("down") } };
    wait_for("the check to be up again", PATIENCE, ready).await;
    worker.stop().await;
}

/// Sessions that are opened from now on are read-only, or no longer, as if the server were a
/// standby.
async fn read_only(shop: &Shop, is: &str) {
    let name = shop.database.get_database().unwrap();
    let set = format!("ALTER DATABASE \"{name}\" SET default_transaction_read_only = {is}");
    // The pool may open a session for it, which is read-only as well.
    let set = format!("BEGIN READ WRITE; {set}; COMMIT");
    sqlx::raw_sql(AssertSqlSafe(set)).execute(&shop.pool).await.unwrap();
}

/// The same; says when, by the clock of the server.
async fn fail_over(shop: &Shop) -> String {
    read_only(shop, "on").await;
    let now = "SELECT clock_timestamp()::text";
    sqlx::query_scalar(now).fetch_one(&shop.pool).await.unwrap()
}

/// End the sessions that payments opened before `time`. A session reads the setting some time
/// before it is listed, so one call may miss a session that is not read-only: repeat it.
async fn end_sessions_before(shop: &Shop, time: &str) {
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE application_name = 'payments' AND datname = current_database() \
               AND backend_start < $1::timestamptz";
    sqlx::query(end).bind(time).execute(&shop.pool).await.unwrap();
}
