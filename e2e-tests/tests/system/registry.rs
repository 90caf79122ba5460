//! A registry that is away, slow, wrong, or has lost its ids: services say so and wait, and are
//! never wrong themselves; an operator, or the shop, gives it back the ids of the log.

use crate::{
    dead_letters::blocking,
    sizes::put_right,
    stores::{clean, complains, confirmed, is_ready, state_of},
    support::alone,
};
use client::order_body;
use contracts::topics::PRODUCTS;
use e2e_tests::{Outside, PATIENCE};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

const PLACE_ORDER: &str = "orders.commands-murmuration.orders.PlaceOrder";

/// How a registry may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    /// It closes each connection.
    Away,
    /// It never answers.
    Silent,
    /// 500.
    Failing,
    /// It answers, in HTML.
    Babbling,
    /// Every id is another schema.
    Mistaken,
    /// It has lost every id.
    Forgetful,
    /// It does not know PlaceOrder.
    WithoutPlaceOrder,
}

/// A registry whose mood can be changed, in front of the real one.
struct Moody {
    url: String,
    mood: Arc<Mutex<Mood>>,
}

impl Moody {
    async fn before(real: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (base, path) = real.split_at(real.find("/apis").unwrap());
        let url = format!("http://{}{path}", listener.local_addr().unwrap());
        let mood = Arc::new(Mutex::new(Mood::Well));
        let (base, shared) = (base.to_owned(), Arc::clone(&mood));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, base.clone(), Arc::clone(&shared)));
            }
        });
        Self { url, mood }
    }

    fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

/// One request per connection.
async fn serve(mut client: TcpStream, base: String, mood: Arc<Mutex<Mood>>) -> Option<()> {
    let (head, body) = request(&mut client).await?;
    let mut words = head.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let mood = *mood.lock().unwrap();
    let about_an_id = path.contains("/schemas/ids/");
    let unknown = (404, json!({"error_code": 40403, "message": "unknown"}).to_string());
    let (status, body) = match mood {
        Mood::Away => return None,
        Mood::Silent => std::future::pending().await,
        Mood::Failing => (500, json!({"error_code": 50001, "message": "no idea"}).to_string()),
        Mood::Babbling => (200, "<html>It works!</html>".to_owned()),
        Mood::Mistaken if about_an_id => {
            let other = r#"{"type":"record","name":"Other","fields":[]}"#;
            (200, json!({ "schema": other }).to_string())
        }
        Mood::Forgetful if about_an_id => unknown,
        Mood::WithoutPlaceOrder if path.contains(PLACE_ORDER) => unknown,
        _ => {
            let method = method.parse().unwrap();
            let asked = reqwest::Client::new().request(method, format!("{base}{path}"));
            let asked = asked.header("content-type", "application/json").body(body);
            let answer = asked.send().await.ok()?;
            (answer.status().as_u16(), answer.text().await.ok()?)
        }
    };
    let answer = format!(
        "HTTP/1.1 {status} so\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    client.write_all(answer.as_bytes()).await.ok()
}

/// Its first line, and its body.
async fn request(client: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut reader = BufReader::new(client);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).await.ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.ok()?;
    Some((first, body))
}

async fn refusal(shop: &Outside, process: &str, path: &str, body: &Value) -> String {
    let answer = shop.send(shop.post(process, path, body)).await.unwrap();
    assert_eq!(answer.status.as_u16(), 503, "{answer:?}");
    answer.body["detail"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_not_ready_until_its_registry_is_right() {
    let shop = alone().await;
    // A container would not reach this process.
    let Some(_) = state_of(&shop, "orders") else { return };
    let moody = Moody::before(shop.shop().url("registry")).await;
    let setting = [("SCHEMA_REGISTRY_URL", moody.url.as_str())];
    let log = "`./shop provision schemas`";
    for (process, mood, says) in [
        ("orders", Mood::Away, "does not answer"),
        ("inventory", Mood::Silent, "does not answer"),
        ("orders", Mood::Failing, "500"),
        ("inventory", Mood::Babbling, "does not answer"),
        ("orders", Mood::Mistaken, log),
        ("inventory", Mood::Forgetful, log),
        ("orders", Mood::WithoutPlaceOrder, PLACE_ORDER),
    ] {
        eprintln!("{process}: the registry is {mood:?}");
        shop.shop().stop(process).await.unwrap();
        moody.is(mood);
        let mend = async {
            complains(&shop, process, "schemas", &["schema registry", &moody.url, says]).await;
            if mood == Mood::WithoutPlaceOrder {
                let body = order_body("ada", &[("TEA", 1)]);
                testkit::wait_for("the answer to name the registry", PATIENCE, || async {
                    let why = refusal(&shop, "orders", "/orders", &body).await;
                    if why.contains("the schema registry knows no") { Ok(()) } else { Err(why) }
                })
                .await;
            }
            moody.is(Mood::Well);
        };
        // Its start is over when it is ready.
        let (started, ()) = tokio::join!(shop.shop().start_process_with(process, &setting), mend);
        started.unwrap();
        confirmed(&shop, "grace").await;
    }
    for process in ["orders", "inventory"] {
        shop.shop().restart(process).await.unwrap();
    }
    clean(&shop).await;
}

/// Whether the shop leaves it to a person that id 1 is another schema's; else it has given it back.
async fn is_left_taken(shop: &Outside) -> bool {
    testkit::wait_for("the shop to see what became of its ids", PATIENCE, || async {
        let subjects = shop.get("registry", "/subjects").await.map_err(|e| format!("{e:#}"))?.body;
        let has_ours = subjects.to_string().contains(PLACE_ORDER);
        let log = shop.shop().log("shop");
        let last = log.lines().rfind(|line| line.contains(" registry ")).unwrap_or_default();
        match (has_ours, last.contains("another schema for id 1")) {
            (true, _) => Ok(false),
            (false, true) => Ok(true),
            (false, false) => Err(last.to_owned()),
        }
    })
    .await
}

pub async fn registered(shop: &Outside, subject: &str, schema: &str) -> Value {
    let url = shop.at("registry", &format!("/subjects/{subject}/versions"));
    let request = reqwest::Client::new().post(url).json(&json!({ "schema": schema }));
    shop.send(request).await.unwrap().body["id"].clone()
}

/// Its content goes as well: then another schema may get its id.
async fn deleted(shop: &Outside, subject: &str) {
    for how in ["", "?permanent=true"] {
        let url = shop.at("registry", &format!("/subjects/{subject}{how}"));
        shop.send(reqwest::Client::new().delete(url)).await.unwrap();
    }
}

/// The price of BINOC is what it is set to: change data capture writes what others can read.
async fn captured(shop: &Outside, price: i64) {
    let sql = format!("UPDATE products SET price_minor = {price} WHERE sku = 'BINOC'");
    shop.sql("catalog", &sql).await.unwrap();
    testkit::wait_for("the new price", PATIENCE, || async {
        let found = shop.product("BINOC").await.map_err(|error| format!("{error:#}"))?;
        if found["price"]["amount_minor"] == price { Ok(()) } else { Err(found.to_string()) }
    })
    .await;
}

/// The last row on each partition of `catalog.products`, and the id of its schema (Confluent's wire
/// format).
async fn last_rows(shop: &Outside) -> BTreeMap<i32, (i64, Option<u32>)> {
    let bootstrap = shop.shop().url("kafka").to_owned();
    let read = blocking(move || {
        let mut last = BTreeMap::new();
        let read = streams_kafka::read_topic(&bootstrap, &PRODUCTS.spec, |record| {
            let id = record.value.as_deref().and_then(|value| value.get(1..5)?.try_into().ok());
            last.insert(record.partition, (record.offset, id.map(u32::from_be_bytes)));
            Ok(())
        });
        read.map(|()| last)
    });
    read.await.expect("the topic can be read")
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_the_registry_has_lost_are_given_back_without_a_person() {
    let shop = alone().await;
    for subject in [PLACE_ORDER, "orders-value", "catalog.products-value"] {
        deleted(&shop, subject).await;
        shop.shop().restart("orders").await.unwrap();
        is_ready(&shop, "orders").await;
        confirmed(&shop, "grace").await;
    }
    captured(&shop, 12_345).await;
    clean(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_another_schema_has_got_are_named_and_given_back_by_hand() {
    let shop = alone().await;
    let Some(_) = state_of(&shop, "orders") else { return };
    let storage = shop.shop().state().dir.join("data/registry");
    // Ids are handed out from 1. The shop may be quicker than the stranger, or quick enough to have
    // begun before it came.
    loop {
        shop.shop().stop("registry").await.unwrap();
        fs::remove_dir_all(&storage).unwrap();
        fs::create_dir_all(&storage).unwrap();
        shop.shop().start_process("registry").await.unwrap();
        let stranger = r#"{"type":"record","name":"Stranger","fields":[]}"#;
        if registered(&shop, "stranger-value", stranger).await == 1 && is_left_taken(&shop).await {
            break;
        }
    }
    // Change data capture asks the registry again, and takes the id that it gets: mostly another
    // one than before, but ids are dealt in the order of the questions.
    let known = last_rows(&shop).await;
    shop.shop().restart("connect").await.unwrap();
    shop.sql("catalog", "UPDATE products SET active = active WHERE sku = 'BINOC'").await.unwrap();
    // Connect has been started just now, and its connectors follow.
    testkit::wait_for("a row under the id of today", PATIENCE * 2, || async {
        let rows = last_rows(&shop).await;
        if rows != known { Ok(()) } else { Err(rows) }
    })
    .await;
    for (process, path, body) in [
        ("orders", "/orders", order_body("ada", &[("TEA", 1)])),
        ("inventory", "/stock/TEA/restock", json!({ "quantity": 1 })),
    ] {
        shop.shop().stop(process).await.unwrap();
        let look = async {
            let says = ["another schema for id 1", "`./shop provision schemas`"];
            complains(&shop, process, "schemas", &says).await;
            refusal(&shop, process, path, &body).await;
        };
        // It does not get ready, and what it says while it tries is all that is waited for.
        let mut look = std::pin::pin!(look);
        tokio::select! {
            () = &mut look => {}
            _ = shop.shop().start_process(process) => look.await,
        }
        shop.shop().kill(process, true).await.unwrap();
    }
    let (done, said) = shop.cli(&["provision", "schemas"]).await.unwrap();
    assert!(done && said.contains("ids of the log were given back"), "{said}");
    for process in ["orders", "inventory"] {
        is_ready(&shop, process).await;
    }
    confirmed(&shop, "grace").await;
    captured(&shop, 23_456).await;
    let (done, said) = shop.cli(&["provision", "schemas"]).await.unwrap();
    assert!(done && said.contains("schemas are registered\n"), "nothing is left to do: {said}");
    // The row was written again: the dead letters of the other one are of no more use.
    put_right(&shop).await;
    clean(&shop).await;
}
