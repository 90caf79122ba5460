//! Goal: whatever becomes of the database or of a connection to it, payments waits no longer than it
//! has said, and goes on by itself.

use crate::shop::{SOON, Shop, apply, tomorrow};
use sqlx::AssertSqlSafe;
use std::{sync::Arc, time::Duration};
use streams::Failure;
use testkit::{orders::validated, wait_for};
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
    let limit = Duration::from_millis(500);
    shop.postgres = payments::adapters::Postgres::new(&options).limited_to(limit);
    let intake = Arc::new(shop.intake(&Arc::default()).await);
    let worker = shop.worker();
    let batch = [shop.record(&validated(tomorrow()))];
    apply(&intake, &batch).unwrap();

    line.silent.send_replace(true);
    let (waiting, again) = (Arc::clone(&intake), batch.clone());
    let applied = spawn_blocking(move || apply(&waiting, &again));
    let applied = timeout(SOON, applied).await.expect("it gives up in time").unwrap();
    assert!(matches!(applied, Err(Failure::Retriable(_))), "{applied:?}");
    let reported = || async { if worker.health.is_ready() { Err("ready") } else { Ok(()) } };
    wait_for("the outage to be reported", SOON, reported).await;

    line.silent.send_replace(false);
    wait_for("the batch to be taken", SOON, || async { apply(&intake, &batch) }).await;
    let recovered = || async { if worker.health.is_ready() { Ok(()) } else { Err("not ready") } };
    wait_for("the recovery to be reported", SOON, recovered).await;
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
    // Each connection may fail once: it is not used again. A database has 8 of them at most.
    let fails: Vec<bool> = (0..24).map(|_| apply(&intake, &batch).is_err()).collect();
    assert!(fails.contains(&true), "no plan was kept, so this shows nothing");
    assert!(!fails[8..].contains(&true), "{fails:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_a_server_that_was_read_only_is_not_used_for_ever() {
    let shop = Shop::open().await;
    let intake = shop.intake(&Arc::default()).await;
    let batch = [shop.record(&validated(tomorrow()))];
    // It counts for connections that are made from now on, as if the server were a standby now.
    let name = shop.database.get_database().unwrap();
    let read_only = async |is: &str| {
        let set = format!("ALTER DATABASE \"{name}\" SET default_transaction_read_only = {is}");
        sqlx::raw_sql(AssertSqlSafe(set)).execute(&shop.pool).await.unwrap();
    };
    read_only("on").await;
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE application_name = 'payments' AND datname = current_database()";
    assert!(shop.count(end).await > 0);
    wait_for("a connection that is read-only", SOON, || async {
        match apply(&intake, &batch) {
            Err(failure) if failure.to_string().contains("read-only") => Ok(()),
            applied => Err(applied),
        }
    })
    .await;
    read_only("off").await;
    wait_for("the batch to be taken", SOON, || async { apply(&intake, &batch) }).await;
}
