//! The page in a browser: what people do with it, how it looks, and that each can use it.

use crate::{
    browser::{BACKSPACE, Browser, ENTER, LEFT},
    support::{alone, changed, together},
};
use client::order_body;
use contracts::{limits, orders::NOTE_MAX, values::PRICE_MINOR_MAX};
use e2e_tests::{Outside, PATIENCE};
use serde_json::{Value, json};
use testkit::wait_for;

/// The narrowest and the widest window that the page is made for.
pub const WINDOWS: [(u32, u32); 2] = [(360, 800), (1600, 1000)];

pub async fn page(shop: &Outside, address: &str) -> Browser {
    Browser::at(&shop.at("view", &format!("/#/{address}"))).await
}

/// Put one piece of each product into the basket and place the order; its id.
async fn place(browser: &Browser, customer: &str, skus: &[&str]) -> String {
    for sku in skus {
        browser.click(&format!("[data-sku={sku}] button")).await;
    }
    browser.click(&format!("#customer option[value={customer}]")).await;
    browser.click("#place").await;
    let link = ".placed a[href^='#/orders/']";
    browser.find(link).await;
    let address = "return document.querySelector(arguments[0]).hash.split('/').pop()";
    browser.run(address, json!([link])).await.as_str().unwrap().to_owned()
}

pub async fn assert_no_error(browser: &Browser) {
    assert_eq!(browser.errors().await, [] as [Value; 0], "errors on the console");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_placed_order_is_confirmed_before_the_eyes_of_its_customer() {
    let shop = together().await;
    let browser = page(&shop, "shop").await;
    let order = place(&browser, "ada", &["TEA", "MUG"]).await;
    // Without a reload.
    browser.find("[data-status=confirmed]").await;
    let hops = browser.text(".hops").await;
    for transition in ["OrderRequested", "OrderValidated", "PaymentReceived", "OrderConfirmed"] {
        assert!(hops.contains(transition), "{hops}");
    }
    shop.confirmed(order.parse().unwrap()).await.unwrap();
    assert_no_error(&browser).await;

    browser.click(".placed a[href^='#/orders/']").await;
    browser.until("h1", "Confirmed").await;
    let steps = browser.until(".steps", "OrderConfirmed").await;
    let timeline = shop.timeline(order.parse().unwrap()).await.unwrap();
    for transition in &timeline {
        let place = format!("orders/{}@{}", transition["partition"], transition["offset"]);
        assert!(steps.contains(&place), "{place} in {steps}");
    }
    // The check of inventory is on another topic, and its writer is not that of the transition.
    assert!(steps.contains("because of order-validations/"), "{steps}");
    assert!(steps.contains("from inventory") && steps.contains("by payments"), "{steps}");
    assert_no_error(&browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slider_leads_through_the_versions_and_each_has_an_address() {
    let shop = together().await;
    let order = shop.place("grace", &[("TEA", 1)]).await.unwrap();
    shop.settled(order).await.unwrap();
    let browser = page(&shop, &format!("orders/{order}")).await;
    browser.until("#at-version", "4 of 4").await;
    browser.until(".json", "\"status\": \"confirmed\"").await;
    browser.keys("#version", &[LEFT, LEFT].concat()).await;
    browser.until("#at-version", "2 of 4").await;
    let json = browser.until(".json", "\"status\": \"validated\"").await;
    assert!(json.contains("\"payment\": null"), "{json}");
    browser.until("[aria-current=step]", "OrderValidated").await;
    let address = browser.address().await;
    assert!(address.ends_with(&format!("#/orders/{order}?version=2")), "{address}");

    let friend = Browser::at(&address).await;
    friend.until("#at-version", "2 of 4").await;
    friend.until(".json mark", "\"status\": \"validated\"").await;
    assert_no_error(&browser).await;
    assert_no_error(&friend).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_order_says_why_where_it_happened() {
    let shop = together().await;
    let browser = page(&shop, "shop").await;
    place(&browser, "alan", &["GONE", "TEA"]).await;
    browser.find("[data-status=rejected]").await;
    browser.until(".placed .refusal", "out_of_stock").await;
    browser.click(".placed a[href^='#/orders/']").await;
    browser.until("h1", "Rejected").await;
    browser.until(".failed .refusal", "out_of_stock").await;
    assert_no_error(&browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_waits_shows_for_whom_and_can_be_cancelled() {
    let shop = alone().await;
    shop.shop().stop("inventory").await.unwrap();
    let browser = page(&shop, "shop").await;
    let order = place(&browser, "ada", &["MUG"]).await;
    browser.find("[data-status=requested]").await;
    let watching = page(&shop, &format!("orders/{order}")).await;
    watching.until(".pending", "OrderValidated next").await;
    watching.until(".pending", "waiting for orders").await;
    watching.picture("waiting-1600.png").await;
    browser.click("#cancel").await;
    browser.find("[data-status=cancelled]").await;
    // The other window hears of it as well.
    watching.until("h1", "Cancelled").await;
    watching.until(".refusal", "cancelled_by_customer").await;
    assert_eq!(watching.text(".pending").await, "");
    shop.shop().start_process("inventory").await.unwrap();
    assert_no_error(&browser).await;
    assert_no_error(&watching).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn birds_take_off_when_an_order_does() {
    let shop = together().await;
    let browser = page(&shop, "choreography").await;
    browser.find(".node[data-name=payments]").await;
    let order = shop.place("ada", &[("TEA", 1)]).await.unwrap();
    shop.settled(order).await.unwrap();
    browser.until(".log", &order.to_string()[28..]).await;
    let ways = "return document.querySelector('.ways table').textContent";
    let table = browser.run(ways, json!([])).await;
    for topic in ["orders.commands", "order-validations", "catalog.products", "order-views"] {
        assert!(table.as_str().unwrap().contains(topic), "{table}");
    }
    assert_no_error(&browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_map_shows_who_lets_orders_wait_and_for_how_long() {
    let shop = alone().await;
    // Pictures of all screens are taken while they wait.
    shop.shop().stop("orders").await.unwrap();
    let long = [("ORDER_DEADLINE_MS", "600000")];
    shop.shop().start_process_with("orders", &long).await.unwrap();
    let browser = page(&shop, "choreography").await;
    browser.until(".batons", "No order waits").await;
    shop.shop().stop("payments").await.unwrap();
    let mut orders = Vec::new();
    for customer in ["ada", "grace"] {
        orders.push(shop.place(customer, &[("TEA", 1)]).await.unwrap());
    }
    let waiting = "[data-holder=payments][data-status=validated]";
    let told = browser.until(waiting, "2").await;
    assert!(told.contains("Validated") && told.contains(&orders[0].to_string()[28..]), "{told}");
    // It grows old: by then, an operator would ask for it as well.
    browser.until(&format!("{waiting}[data-late]"), ", late").await;
    browser.find(".node.lit.late[data-name=payments]").await;
    let node = "return ['.held', '.age'].map((part) =>
        document.querySelector(`.node[data-name=payments] ${part}`).textContent)";
    let of_node = || async { browser.run(node, json!([])).await };
    let shown = of_node().await;
    assert_eq!(shown[0], "2");
    assert!(shown[1].as_str().unwrap().ends_with(" s"), "{shown}");
    let mut broken = everywhere(&browser, "choreography-late").await;

    shop.shop().start_process("payments").await.unwrap();
    for order in orders {
        shop.confirmed(order).await.unwrap();
    }
    browser.until(".batons", "No order waits").await;
    wait_for("payments to hold no baton", PATIENCE, || async {
        let shown = of_node().await;
        if shown == json!(["", ""]) { Ok(()) } else { Err(shown) }
    })
    .await;
    shop.shop().restart("orders").await.unwrap();
    broken.extend(everywhere(&browser, "choreography-again").await);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert_no_error(&browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_shows_its_sql_and_its_answer_and_what_is_wrong_with_a_parameter() {
    let shop = together().await;
    let order = shop.place("ada", &[("TEA", 2)]).await.unwrap();
    shop.settled(order).await.unwrap();
    let browser = page(&shop, "questions").await;
    browser.click(".asks a[href$=sold-lately]").await;
    browser.until("h1", "What was sold in the last hour").await;
    browser.until(".sql", "WHERE o.status = 'confirmed'").await;
    let answer = browser.until("[data-question=sold-lately]", "TEA").await;
    // Money is money, and not minor units.
    assert!(answer.contains("revenue") && answer.contains('€'), "{answer}");

    browser.keys("[name=seconds]", &format!("x{ENTER}")).await;
    browser.until(".refusal", "seconds must be a whole number from 0 to 2592000").await;
    browser.find("[name=seconds][aria-invalid]").await;
    browser.keys("[name=seconds]", &format!("{BACKSPACE}{BACKSPACE}{ENTER}")).await;
    browser.until("[data-question=sold-lately]", "TEA").await;
    assert_eq!(browser.text("main .refusal").await, "");
    let address = browser.address().await;
    assert!(address.ends_with("#/questions/sold-lately?seconds=360"), "{address}");

    let friend = Browser::at(&address).await;
    let sent = "return document.querySelector('[name=seconds]').value";
    friend.find("[data-question=sold-lately]").await;
    assert_eq!(friend.run(sent, json!([])).await, "360");
    friend.click(".asks a[href$=slowest-orders]").await;
    friend.click("[data-question=slowest-orders] tbody a").await;
    friend.find(".steps li").await;
    // The browser itself reports each answer that is no success.
    let errors = browser.errors().await;
    assert!(errors.iter().all(|error| error.to_string().contains("400")), "{errors:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_leads_nowhere_says_so() {
    let shop = together().await;
    let browser = page(&shop, "nowhere").await;
    browser.until("h1", "No bird has landed here").await;
    let unknown = page(&shop, "orders/00000000-0000-4000-8000-000000000000").await;
    unknown.until("h1", "No bird by this name yet").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_screen_can_be_used_by_each_at_both_widths_in_light_and_dark() {
    let shop = together().await;
    let confirmed = shop.place("ada", &[("TEA", 2), ("MUG", 1)]).await.unwrap();
    let rejected = shop.place("grace", &[("GONE", 1)]).await.unwrap();
    shop.settled(confirmed).await.unwrap();
    shop.settled(rejected).await.unwrap();
    let browser = page(&shop, "shop").await;
    let mut broken = Vec::new();
    for (screen, address, there) in [
        ("shop", "shop".to_owned(), "[data-sku=TEA]"),
        ("orders", "orders".to_owned(), ".flight-link"),
        ("order", format!("orders/{confirmed}"), ".steps li:nth-child(4)"),
        ("rejected", format!("orders/{rejected}?version=1"), ".failed .refusal"),
        ("choreography", "choreography".to_owned(), ".log li"),
        ("questions", "questions".to_owned(), ".asks a"),
        ("question", "questions/step-latency".to_owned(), "[data-question]"),
    ] {
        browser.goto(&shop.at("view", &format!("/#/{address}"))).await;
        browser.find(there).await;
        broken.extend(everywhere(&browser, screen).await);
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert_no_error(&browser).await;
}

/// What is wrong with the screen as it is, at both widths, in light and dark; with pictures.
pub async fn everywhere(browser: &Browser, screen: &str) -> Vec<String> {
    let mut broken = Vec::new();
    for (width, height) in WINDOWS {
        for scheme in ["light", "dark"] {
            let name = format!("{screen}-{width}-{scheme}");
            browser.look(width, height, scheme).await;
            let faults = browser.faults().await;
            broken.extend(faults.into_iter().map(|fault| format!("{name}: {fault}")));
            broken.extend(too_wide(browser, &name).await);
            browser.picture(&format!("{name}.png")).await;
        }
    }
    broken
}

/// What makes the screen `name` wider than the window, if it is: the outermost elements of it.
async fn too_wide(browser: &Browser, name: &str) -> Option<String> {
    const BEYOND: &str = "
        const root = document.documentElement;
        if (root.scrollWidth <= innerWidth) return null;
        const wide = [...document.querySelectorAll('body *')]
            .filter((element) => element.getBoundingClientRect().right > innerWidth + 1);
        const name = ({ tagName, className }) => `${tagName}.${className.baseVal ?? className}`;
        return `${root.scrollWidth - innerWidth} pixels: ${wide.slice(0, 5).map(name)}`";
    let beyond = browser.run(BEYOND, json!([])).await;
    Some(format!("{name} is wider than the window by {}", beyond.as_str()?))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_words_of_catalog_and_customers_fit_into_every_screen() {
    let shop = changed().await;
    let add = format!(
        "INSERT INTO customers (customer_id, name, email, active)
        VALUES ('wide', '{word}', 'wide@example.org', true);
        INSERT INTO products (sku, name, description, price_minor, currency, picture, active)
        VALUES ('WIDE', '{word}', '{text}', {PRICE_MINOR_MAX}, 'EUR', '{word}', true)",
        word = "W".repeat(limits::PRODUCT_NAME_BYTES_MAX),
        text = "w".repeat(limits::DESCRIPTION_BYTES_MAX),
    );
    shop.sql("catalog", &add).await.unwrap();
    let order = wait_for("the words to be known", PATIENCE, || async {
        let mut body = order_body("wide", &[("WIDE", 1000), ("TEA", 1)]);
        body["note"] = "W".repeat(NOTE_MAX).into();
        let answer = shop.send(shop.post("orders", "/orders", &body)).await.unwrap();
        if answer.status == 202 { Ok(answer.body["order_id"].clone()) } else { Err(answer) }
    })
    .await;
    let order = order.as_str().unwrap();
    shop.settled(order.parse().unwrap()).await.unwrap();
    let browser = page(&shop, "shop").await;
    browser.click("[data-sku=WIDE] button").await;
    browser.click("#customer option[value=wide]").await;
    let mut broken = Vec::new();
    for (screen, address, there) in [
        ("shop", "shop".to_owned(), "[data-sku=WIDE]"),
        ("orders", "orders".to_owned(), ".flight-link"),
        ("order", format!("orders/{order}"), ".steps li"),
        ("choreography", "choreography".to_owned(), ".log"),
        ("question", "questions/unsold-products".to_owned(), "[data-question]"),
    ] {
        browser.goto(&shop.at("view", &format!("/#/{address}"))).await;
        browser.find(there).await;
        for (width, height) in WINDOWS {
            let name = format!("wide-{screen}-{width}");
            browser.look(width, height, "light").await;
            broken.extend(too_wide(&browser, &name).await);
            browser.picture(&format!("{name}.png")).await;
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert_no_error(&browser).await;
    // Other tests make the columns of this shop narrower.
    let gone = "DELETE FROM products WHERE sku = 'WIDE';
        DELETE FROM customers WHERE customer_id = 'wide'";
    shop.sql("catalog", gone).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_paint_is_measured() {
    const PAINT: &str = "
        const [paint] = performance.getEntriesByName('first-contentful-paint');
        return paint?.startTime ?? null";
    const PAINTS: usize = 9;
    let shop = together().await;
    let browser = page(&shop, "shop").await;
    browser.keep_nothing().await;
    let mut paints = Vec::new();
    for _ in 0..PAINTS {
        // Between two addresses of the page that differ in the fragment, nothing is loaded.
        browser.goto("about:blank").await;
        browser.goto(&shop.at("view", "/#/shop")).await;
        let paint = wait_for("the first paint", PATIENCE, || async {
            let paint = browser.run(PAINT, json!([])).await;
            paint.as_f64().ok_or(paint)
        });
        paints.push(paint.await);
        browser.find("[data-sku=TEA]").await;
    }
    paints.sort_by(f64::total_cmp);
    // How long it takes is this machine's affair: the figures are for people.
    eprintln!("first contentful paint, of {PAINTS}: {paints:.0?} ms");
}
