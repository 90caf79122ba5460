//! Goal: a mail that a real client sends can be read over HTTP as from mailpit, and two mails in
//! one connection are two mails.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use lettre::{Message, SmtpTransport, Transport};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

async fn get(url: &str) -> Value {
    reqwest::get(url).await.unwrap().error_for_status().unwrap().json().await.unwrap()
}

fn mail(n: u32) -> Message {
    Message::builder()
        .from("Shop <shop@example.org>".parse().unwrap())
        .to("ada@example.org".parse().unwrap())
        .message_id(Some(format!("<{n}.confirmation@murmuration.shop>")))
        .subject(format!("Order {n}"))
        .body("Danke schön\n.\nyour tea is on its way\n".to_owned())
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_was_sent_can_be_read_over_http() {
    let listen = || async { TcpListener::bind("127.0.0.1:0").await.unwrap() };
    let (smtp, http) = (listen().await, listen().await);
    let smtp_port = smtp.local_addr().unwrap().port();
    let url = format!("http://{}", http.local_addr().unwrap());
    let stop = CancellationToken::new();
    let serving = tokio::spawn(mail_sink::serve_on(smtp, http, stop.clone()));

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
