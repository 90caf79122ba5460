//! Goal: a mail that a real client sends can be read over HTTP as from mailpit, two mails in one
//! connection are two mails, and a fault that is switched on over HTTP meets a real client.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::time::{Duration, Instant};

use lettre::transport::smtp;
use lettre::{Message, SmtpTransport, Transport};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

async fn get(url: &str) -> Value {
    reqwest::get(url).await.unwrap().error_for_status().unwrap().json().await.unwrap()
}

fn mail(n: u32) -> Message {
    mail_to("ada@example.org", n)
}

fn mail_to(to: &str, n: u32) -> Message {
    Message::builder()
        .from("Shop <shop@example.org>".parse().unwrap())
        .to(to.parse().unwrap())
        .message_id(Some(format!("<{n}.confirmation@murmuration.shop>")))
        .subject(format!("Order {n}"))
        .body("Danke schön\n.\nyour tea is on its way\n".to_owned())
        .unwrap()
}

/// A sink: its SMTP port, its URL, what ends it, and its end.
async fn start() -> (u16, String, CancellationToken, JoinHandle<anyhow::Result<()>>) {
    let listen = || async { TcpListener::bind("127.0.0.1:0").await.unwrap() };
    let (smtp, http) = (listen().await, listen().await);
    let smtp_port = smtp.local_addr().unwrap().port();
    let url = format!("http://{}", http.local_addr().unwrap());
    let stop = CancellationToken::new();
    (smtp_port, url, stop.clone(), tokio::spawn(mail_sink::serve_on(smtp, http, stop)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_meets_a_client_until_it_is_switched_off() {
    let (port, url, ..) = start().await;
    let set = async |faults: Value| {
        let put = reqwest::Client::new().put(format!("{url}/faults")).json(&faults);
        let answer = put.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let send = async |to: &'static str, n: u32| {
        let send = move || {
            let client = SmtpTransport::builder_dangerous("127.0.0.1").port(port);
            let client = client.timeout(Some(Duration::from_secs(1))).build();
            let begun = Instant::now();
            client.send(&mail_to(to, n)).map(|_| begun.elapsed())
        };
        tokio::task::spawn_blocking(send).await.unwrap()
    };
    let listed = async || get(&format!("{url}/api/v1/messages")).await["total"].as_u64().unwrap();
    let (ada, bob) = ("ada@example.org", "bob@example.org");

    let (status, _) = set(json!({ "greylist": { "seconds": 3600, "to": [ada] } })).await;
    assert_eq!(status, 200);
    let later = |error: smtp::Error| error.status().map(u16::from);
    assert_eq!(send(ada, 1).await.map_err(later), Err(Some(451)));
    assert!(send(bob, 2).await.is_ok());
    assert_eq!(listed().await, 1);

    set(json!({ "end_latency_ms": 300 })).await;
    assert!(send(ada, 3).await.unwrap() >= Duration::from_millis(300));
    set(json!({ "rules": [{ "at": "end", "says": "silence" }] })).await;
    let silence = send(ada, 4).await.unwrap_err();
    assert!(silence.status().is_none(), "{silence:?}");
    assert_eq!(listed().await, 3, "it is kept, and nothing was said");

    let (status, problem) = set(json!({ "rules": [{ "at": "end", "says": 250 }] })).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("rules[0].says")));
    let (status, good) = set(json!({})).await;
    assert_eq!((status, &good["rules"]), (200, &json!([])));
    assert!(send(ada, 5).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_was_sent_can_be_read_over_http() {
    let (smtp_port, url, stop, serving) = start().await;

    let send = move || {
        let client = SmtpTransport::builder_dangerous("127.0.0.1").port(smtp_port).build();
        (1..=2).for_each(|n| drop(client.send(&mail(n)).unwrap()));
    };
    tokio::task::spawn_blocking(send).await.unwrap();

    // A mail is kept before the client hears that it was taken: nothing has to be waited for.
    let listed = get(&format!("{url}/api/v1/messages?limit=1")).await;
    assert_eq!((&listed["total"], &listed["count"]), (&Value::from(2), &Value::from(1)));
    let newest = &listed["messages"][0];
    assert_eq!(newest["MessageID"], "2.confirmation@murmuration.shop");
    assert_eq!(newest["To"][0]["Address"], "ada@example.org");
    assert_eq!(newest["Subject"], "Order 2");
    let id = newest["ID"].as_str().unwrap();
    let text =
        get(&format!("{url}/api/v1/message/{id}")).await["Text"].as_str().unwrap().to_owned();
    assert_eq!(
        text.trim_end().lines().collect::<Vec<_>>(),
        ["Danke schön", ".", "your tea is on its way"]
    );
    let info = get(&format!("{url}/api/v1/info")).await;
    assert_eq!(info["RuntimeStats"]["SMTPAccepted"], 2);

    stop.cancel();
    serving.await.unwrap().unwrap();
}
