//! A secured shop: an order goes all the way to its mail, and one who does what is not theirs is
//! refused by Kafka or PostgreSQL, and says so where an operator looks.

use client::{Shop, StartOptions};
use contracts::topics::ORDERS;
use e2e_tests::{Outside, PATIENCE, Turn, unhurried};
use sqlx::{Connection, PgConnection};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};
use streams::Cluster;
use streams_kafka::{admin::produce_raw, read_topic};
use testkit::{metric, wait_for};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

static SHOP: OnceCell<Shop> = OnceCell::const_new();
static TURN: Mutex<()> = Mutex::const_new(());

/// The secured shop, for this test alone while it runs.
async fn secured() -> Turn<MutexGuard<'static, ()>> {
    let turn = TURN.lock().await;
    let options = unhurried(StartOptions { secured: true, ..StartOptions::default() });
    let start = || async { Shop::start(options).await.expect("the secured shop starts") };
    Turn::new(Outside::new(SHOP.get_or_init(start).await), turn)
}

fn secret(shop: &Outside, file: &str) -> PathBuf {
    shop.shop().state().dir.join("secrets").join(file)
}

/// Where Kafka is, for a user of it.
fn kafka(shop: &Outside, user: &str) -> String {
    let mut cluster: Cluster = shop.shop().url("kafka").parse().unwrap();
    let login = cluster.login.as_mut().expect("an operator logs in");
    login.username = user.to_owned();
    login.password_file = secret(shop, user);
    cluster.to_string()
}

async fn mailed(shop: &Outside, customer: &str) {
    let order = shop.place(customer, &[("TEA", 1)]).await.unwrap();
    shop.confirmed(order).await.unwrap();
    wait_for(&format!("the mail about {order}"), PATIENCE, || async {
        match shop.mails(order).await {
            Ok(kinds) if kinds == ["confirmation"] => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// What a service says of itself until `word` is in it.
async fn says(shop: &Outside, service: &str, word: &str) {
    wait_for(&format!("`{word}` in the health of {service}"), PATIENCE, || async {
        match shop.get(service, "/health/ready").await {
            Ok(answer) if answer.body.to_string().contains(word) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

async fn refusals(shop: &Outside, service: &str, what: &str) -> f64 {
    let text = shop.text(service, "/metrics").await.unwrap();
    metric(&text, &format!(r#"kafka_refusals_total{{what="{what}"}}"#)).unwrap_or(-1.0)
}

/// Start a service with a login that does not help: it runs, and is not ready.
async fn restart_with(shop: &Outside, service: &str, env: &[(&str, &str)]) {
    shop.shop().stop(service).await.unwrap();
    let started = shop.shop().start_process_with(service, env).await.unwrap_err();
    assert!(started.to_string().contains("not healthy"), "{started:#}");
}

async fn restart(shop: &Outside, service: &str) {
    shop.shop().stop(service).await.unwrap();
    shop.shop().start_process(service).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_comes_to_its_mail_with_every_part_under_its_own_login() {
    let shop = secured().await;
    mailed(&shop, "ada").await;
    for service in ["orders", "payments", "inventory", "email", "view"] {
        // On a busy machine a login may time out, and is refused so; a right is not.
        assert_eq!(refusals(&shop, service, "right").await, 0.0, "{service}");
    }
    let (done, told) = shop.cli(&["audit"]).await.unwrap();
    assert!(done, "{told}");
    for command in [&["status"][..], &["dlq", "list"], &["cdc", "status"], &["view", "list"]] {
        let (done, told) = shop.cli(command).await.unwrap();
        assert!(done, "{command:?}: {told}");
    }
    // The view reads as another role when it answers a question.
    let question = reqwest::Client::new().get(shop.at("view", "/questions/sold-lately"));
    let answer = shop.send(question).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_in_files_of_the_user_alone_and_nowhere_else() {
    let shop = secured().await;
    let root = shop.shop().state().dir.clone();
    let mut secrets = Vec::new();
    for entry in fs::read_dir(root.join("secrets")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        let is_password = !entry.file_name().to_string_lossy().contains("pgpass");
        let text = fs::read_to_string(entry.path()).unwrap();
        if is_password && !text.contains("BEGIN") {
            secrets.push((entry.path(), text));
        }
    }
    assert!(secrets.len() > 10, "{secrets:?}");
    let mut looked_at = 0;
    for folder in ["logs", "config", "."] {
        for entry in fs::read_dir(root.join(folder)).unwrap().flatten() {
            let Ok(text) = fs::read(entry.path()) else { continue };
            let text = String::from_utf8_lossy(&text).into_owned();
            looked_at += 1;
            let leak = secrets.iter().find(|(_, secret)| text.contains(secret.as_str()));
            assert!(leak.is_none(), "{} has {:?}", entry.path().display(), leak.map(|it| &it.0));
        }
    }
    assert!(looked_at > 15, "{looked_at} files");
    // The topic with the settings of the connectors has the names of files.
    let config = shop.get("connect", "/connectors/catalog/config").await.unwrap();
    let config = config.body.to_string();
    assert!(config.contains("${dir:"), "{config}");
    assert!(!secrets.iter().any(|(_, secret)| config.contains(secret.as_str())));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_principal_and_no_principal_are_refused() {
    let shop = secured().await;
    let open: Cluster = shop.shop().url("kafka").parse().unwrap();
    let tries = tokio::task::spawn_blocking(move || {
        let anonymous = Cluster::open(open.bootstrap.clone()).to_string();
        let read = |kafka: &str| read_topic(kafka, &ORDERS.spec, |_| Ok(())).map_err(told);
        let write = |kafka: &str| produce_raw(kafka, &ORDERS.spec, b"key", b"forged").map_err(told);
        let users = ["email", "payments", "fraud", "operator"].map(|user| kafka(&shop, user));
        let [email, payments, fraud, operator] = users;
        // Payments writes by its outbox alone; what it reads, it may not write.
        let denied = [write(&email), write(&payments), write(&fraud)];
        (read(&anonymous), read(&email), read(&operator), denied)
    });
    let (anonymous, email, operator, denied) = tries.await.unwrap();
    assert!(anonymous.is_err(), "without a login");
    assert_eq!((email, operator), (Ok(()), Ok(())));
    for answer in denied {
        let why = answer.unwrap_err();
        assert!(why.contains("Kafka denies it") && why.contains("./shop acls"), "{why}");
    }
}

fn told(error: anyhow::Error) -> String {
    format!("{error:#}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_enters_its_own_database_alone() {
    let shop = secured().await;
    let port = shop.shop().state().ports["postgres"];
    for (role, own, other) in [
        ("payments", "payments", "view"),
        ("view", "view", "catalog"),
        ("view", "view", "payments"),
    ] {
        let password = fs::read_to_string(secret(&shop, &format!("postgres.{role}"))).unwrap();
        let url = |database: &str, password: &str| {
            format!("postgres://{role}:{password}@127.0.0.1:{port}/{database}")
        };
        PgConnection::connect(&url(own, &password)).await.unwrap();
        let refused = PgConnection::connect(&url(other, &password)).await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{refused}");
        let refused = PgConnection::connect(&url(own, "wrong")).await.unwrap_err();
        assert!(refused.to_string().contains("password authentication failed"), "{refused}");
    }
}

/// Orders with the login of payments: it holds the baton of other transitions.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_under_a_wrong_principal_is_denied_and_says_so_and_goes_on_with_its_own() {
    let shop = secured().await;
    let file = secret(&shop, "payments").to_string_lossy().into_owned();
    let payments =
        [("KAFKA_SASL_USERNAME", "payments"), ("KAFKA_SASL_PASSWORD_FILE", file.as_str())];
    restart_with(&shop, "orders", &payments).await;
    says(&shop, "orders", "Kafka denies it").await;
    assert!(refusals(&shop, "orders", "right").await > 0.0);
    assert!(shop.shop().log("orders").contains("Kafka denies it"), "it is in the log");
    restart(&shop, "orders").await;
    mailed(&shop, "grace").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_and_the_right_one_needs_no_restart() {
    let shop = secured().await;
    let file = shop.shop().state().dir.join("run/password-of-a-test");
    let right = fs::read_to_string(secret(&shop, "email")).unwrap();
    // Not there yet, then wrong, then right.
    let _ = fs::remove_file(&file);
    let path = file.to_string_lossy().into_owned();
    restart_with(&shop, "email", &[("KAFKA_SASL_PASSWORD_FILE", &path)]).await;
    says(&shop, "email", "KAFKA_SASL_PASSWORD_FILE").await;
    fs::write(&file, "wrong").unwrap();
    says(&shop, "email", "Kafka refuses the login").await;
    assert!(refusals(&shop, "email", "login").await > 0.0);
    let log = shop.shop().log("email");
    assert!(log.contains("Kafka refuses the login") || log.contains("no use of"), "{log}");
    fs::write(&file, right).unwrap();
    mailed(&shop, "alan").await;
    restart(&shop, "email").await;
    fs::remove_file(&file).unwrap();
}
