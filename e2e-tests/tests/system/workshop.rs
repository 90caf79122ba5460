//! The page's Workshop in a browser: what breaks the shop on purpose, and what shows that it holds.
//!
//! Only a shop of processes has one, so these tests run against processes, whatever the others do.

use crate::{
    browser::Browser,
    dead_letters::blocking,
    page::{assert_no_error, everywhere, page},
    support::demo,
};
use contracts::{ServiceName, topics};
use e2e_tests::{Outside, PATIENCE};
use reqwest::StatusCode;
use serde_json::{Value, json};
use streams_kafka::dlq::{self, Done};
use testkit::wait_for;

/// Click the button of a fault: it is off, and then on, or the other way round.
async fn turn(browser: &Browser, switch: &str) {
    browser.click(&format!("[data-switch={switch}] .turn button")).await;
}

async fn is(browser: &Browser, switch: &str, state: &str) {
    browser.find(&format!("[data-switch={switch}][data-state={state}]")).await;
}

/// Set for how many seconds a fault shall be on.
async fn lasts(browser: &Browser, switch: &str, seconds: u32) {
    let input = format!("[data-switch={switch}] input");
    browser.find(&input).await;
    let set = "document.querySelector(arguments[0]).value = arguments[1]";
    browser.run(set, json!([input, seconds])).await;
}

/// Click twice: the button asks whether it is meant.
async fn mean(browser: &Browser, css: &str) {
    wait_for(&format!("{css} to be meant"), PATIENCE, || async {
        let click = "
            const button = document.querySelector(arguments[0] + ':not([disabled])');
            const is_asked = button?.dataset.sure;
            button?.click();
            return Boolean(is_asked)";
        match browser.run(click, json!([css])).await {
            Value::Bool(true) => Ok(()),
            _ => Err(browser.text("main").await),
        }
    })
    .await;
}

/// Press the auditor's button, and wait for a verdict that has `part`.
async fn audit(browser: &Browser, part: &str) -> String {
    wait_for(&format!("{part:?} in the verdict"), PATIENCE, || async {
        browser.click("#audit:not([disabled])").await;
        browser.find("#audit:not([disabled])").await;
        let verdict = browser.text(".verdict").await;
        if verdict.contains(part) { Ok(verdict) } else { Err(verdict) }
    })
    .await
}

/// Give every dead letter up, so that the next test finds none.
async fn discard_all(shop: &Outside, browser: &Browser) {
    wait_for("no dead letter to wait", PATIENCE, || async {
        if browser.text("#letters").await.is_empty() {
            return Ok(());
        }
        // Its first click asks, its second one does it.
        let click = "document.querySelector('[data-act=discard]:not([disabled])')?.click()";
        browser.run(click, json!([])).await;
        Err(waiting(shop).await)
    })
    .await;
}

/// The dead letters that wait, of all services.
async fn waiting(shop: &Outside) -> Vec<String> {
    let kafka = shop.shop().url("kafka").to_owned();
    let letters = blocking(move || {
        let list = |service| dlq::list(&kafka, topics::dlq(service)).unwrap();
        ServiceName::ALL.into_iter().flat_map(list).collect::<Vec<_>>()
    });
    let letters = letters.await.into_iter().filter(|letter| letter.done.is_none());
    letters.map(|letter| letter.id.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_says_on_every_screen_that_it_is_on_and_is_switched_off() {
    let shop = demo().await;
    let (browser, elsewhere) = (page(&shop, "workshop").await, page(&shop, "shop").await);
    browser.until("[data-process=payments]", "ready").await;
    // Longer than all that is done meanwhile: its end by itself is another test's.
    lasts(&browser, "payments-frozen", 45).await;
    turn(&browser, "payments-frozen").await;
    is(&browser, "payments-frozen", "on").await;
    // Two faults at one process would undo each other.
    turn(&browser, "payments-killed").await;
    browser.until("[data-switch=payments-killed] .said", "`payments-frozen` is on").await;
    elsewhere.until(".faults", "On now Freeze payments").await;
    browser.until("[data-process=payments]", "paused").await;
    // What must hold: the order waits with payments, and is then paid.
    let order = shop.place("ada", &[("TEA", 1)]).await.unwrap();
    let waiting = shop.waited(order, "validated").await.unwrap();
    assert_eq!(waiting["status"], "validated", "{waiting:#}");
    assert_no_error(&elsewhere).await;
    turn(&browser, "payments-frozen").await;
    is(&browser, "payments-frozen", "off").await;
    browser.until("[data-process=payments]", "ready").await;
    wait_for("the page to say that no fault is on", PATIENCE, || async {
        let faults = browser.text(".faults").await;
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    })
    .await;
    shop.confirmed(order).await.unwrap();
    let errors = browser.errors().await;
    assert!(errors.iter().all(|error| error.to_string().contains("409")), "{errors:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_ends_by_itself_and_the_page_outlives_the_view() {
    let shop = demo().await;
    let browser = page(&shop, "workshop").await;
    // The view is away for longer than it takes to stop it, and to show that.
    for (switch, seconds) in [("view-stopped", 45), ("bank-away", 1), ("mail-silent", 1)] {
        lasts(&browser, switch, seconds).await;
        turn(&browser, switch).await;
        if switch == "view-stopped" {
            browser.until("#link", "no answer").await;
            browser.until("[data-process=view]", "stopped").await;
        }
        browser.until(&format!("[data-switch={switch}] .said"), "Over since").await;
        is(&browser, switch, "off").await;
    }
    turn(&browser, "orders-killed").await;
    browser.until("[data-switch=orders-killed] .said", "Over since").await;
    browser.until("[data-process=orders]", "came back").await;
    browser.until("#link", "live").await;
    let order = shop.place("grace", &[("MUG", 1)]).await.unwrap();
    shop.confirmed(order).await.unwrap();
    // Too long is refused, in words.
    lasts(&browser, "bank-away", 4711).await;
    turn(&browser, "bank-away").await;
    browser.until("[data-switch=bank-away] .said", "seconds must be from 1 to 45").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_replayed_and_discarded_one_by_one_and_all_of_one_cause() {
    let shop = demo().await;
    let browser = page(&shop, "workshop").await;
    turn(&browser, "poison-record").await;
    // Each reader of the topic has put it aside, with its cause.
    browser.until("#letters", "4").await;
    for (service, cause) in [
        // Orders looks at the key before it looks at the value.
        ("orders", "the key is no order id"),
        ("payments", "the first byte is"),
        ("inventory", "the first byte is"),
        ("view", "the key is no order id"),
    ] {
        browser.until(&format!("[data-service={service}] .cause"), cause).await;
    }
    let broken = everywhere(&browser, "workshop-letters").await;
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let id = "return document.querySelector('[data-service=view] .letter').dataset.letter";
    let id = browser.run(id, json!([])).await.as_str().unwrap().to_owned();
    browser.click("[data-service=view] [data-act=replay]").await;
    browser.until("[aria-label='Dead letters'] .said", "1 replayed").await;
    // It stands on its topic once more, so each puts it aside once more.
    browser.until("#letters", "7").await;
    let kafka = shop.shop().url("kafka").to_owned();
    let letters = blocking(move || dlq::list(&kafka, topics::dlq(ServiceName::View)).unwrap());
    let letters = letters.await;
    let replayed = letters.iter().find(|letter| letter.id.to_string() == id).unwrap();
    assert_eq!(replayed.done, Some(Done::Replayed));

    browser.until("[data-service=orders] [data-all=discard]", "Discard all 2").await;
    mean(&browser, "[data-service=orders] [data-all=discard]").await;
    browser.until("[aria-label='Dead letters'] .said", "2 discarded").await;
    browser.until("#letters", "5").await;
    // The auditor names them while they wait, once they are older than its grace.
    audit(&browser, "Every dead letter was replayed or discarded").await;
    discard_all(&shop, &browser).await;
    assert_eq!(waiting(&shop).await, [] as [String; 0]);
    assert_no_error(&browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_auditor_names_a_false_row_and_a_rebuild_mends_it() {
    let shop = demo().await;
    let order = shop.place("ada", &[("TEA", 2)]).await.unwrap();
    shop.settled(order).await.unwrap();
    let browser = page(&shop, "workshop").await;
    audit(&browser, "laws hold").await;
    browser.find(".outcome[data-clean]").await;

    let spoil = format!("UPDATE orders SET status = 'rejected' WHERE order_id = '{order}'");
    shop.sql("view", &spoil).await.unwrap();
    audit(&browser, "The view's orders are the fold of the log").await;
    let law = "[data-law='view: orders']";
    let found = browser.text(law).await;
    assert!(found.contains(&order.to_string()[28..]), "{found}");
    browser.find(&format!("{law} a[href='#/orders/{order}']")).await;
    let mut broken = everywhere(&browser, "workshop").await;

    browser.click("[data-view=orders] [data-act=rebuild]").await;
    browser.until("[data-view=orders]", "rebuilt at").await;
    audit(&browser, "laws hold").await;

    // Dropped, it answers no more; rebuilt, it does.
    mean(&browser, "[data-view=sales] .actions button:last-child").await;
    browser.until("[data-view=sales]", "dropped").await;
    assert_eq!(shop.get("view", "/sales").await.unwrap().status, StatusCode::SERVICE_UNAVAILABLE);
    broken.extend(everywhere(&browser, "workshop-dropped").await);
    browser.click("[data-view=sales] [data-act=rebuild]").await;
    browser.until("[data-view=sales]", "rebuilt at").await;
    let sales = shop.get("view", "/sales").await.unwrap();
    assert!(sales.body.to_string().contains("TEA"), "{sales:?}");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert_no_error(&browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_page_of_the_shop_may_break_it() {
    let shop = demo().await;
    let send = |host: &str, origin: Option<&str>| {
        let request = shop.post("workshop", "/switches/orders-killed", &json!({}));
        let request = request.header("host", host);
        match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        }
    };
    let here = shop.at("workshop", "").replace("http://", "");
    let (ours, foreign) = (shop.at("view", ""), "http://evil.example");
    for (host, origin) in [
        (&*here, None),
        (&here, Some(foreign)),
        ("evil.example", Some(&*ours)),
        (&here, Some("null")),
    ] {
        let answer = shop.send(send(host, origin)).await.unwrap();
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{host} {origin:?}");
        assert_eq!(answer.content_type, "application/problem+json");
    }
    // A page of another origin: the browser does not even send it.
    let browser = Browser::at(&shop.at("mail", "/")).await;
    const ASK: &str = "
        const done = arguments[arguments.length - 1];
        const headers = { 'content-type': 'application/json' };
        fetch(arguments[0], { method: 'POST', headers, body: '{}' })
            .then((answer) => done(answer.status), () => done('refused'))";
    let url = shop.at("workshop", "/switches/orders-killed");
    assert_eq!(browser.run_async(ASK, json!([url])).await, "refused");
    let switches = shop.get("workshop", "/switches").await.unwrap().body;
    let killed = switches["switches"].as_array().unwrap();
    let killed = killed.iter().find(|switch| switch["name"] == "orders-killed").unwrap();
    assert_ne!(killed["state"], Value::from("on"), "{killed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_without_the_setting_has_no_workshop() {
    let shop = crate::support::together().await;
    let browser = page(&shop, "workshop").await;
    browser.until("h1", "No bird has landed here").await;
    assert!(!browser.text("header").await.contains("Workshop"));
    let file = shop.get("view", "/page/workshop.js").await.unwrap();
    assert_eq!(file.status, StatusCode::NOT_FOUND);
}
