//! Goal: what is fed is shown, in whatever portions and however often it comes.

use crate::{
    harness::Instance,
    stories::{
        confirmed_story, order_id, product, refusal, rejected, requested, requested_by, stock,
    },
};
use contracts::{
    Order, Reason,
    catalog::CatalogCustomer,
    orders::CommandRefused,
    topics::{CUSTOMERS, ORDER_REFUSALS, PRODUCTS, STOCK},
};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_shown_as_the_design_says() {
    let mut view = Instance::start("shown").await;
    let sent = view.feed(&confirmed_story(1));
    assert_eq!(sent.versions(), [1, 2, 3, 4], "each transition is announced");
    assert_eq!(sent.announced[3].order.status.as_str(), "confirmed");

    let id = order_id(1);
    let order = view.get(&format!("/orders/{id}")).await;
    let expected = json!({
        "order_id": id.to_string(),
        "customer_id": "ada",
        "status": "confirmed",
        "version": 4,
        "lines": [
            {"sku": "TEA", "name": "Darjeeling", "quantity": 2, "unit_price_minor": 890,
             "total_minor": 1780},
            {"sku": "MUG", "name": "Starling Mug", "quantity": 1, "unit_price_minor": 1450,
             "total_minor": 1450},
        ],
        "note": "",
        "total": {"amount_minor": 3230, "currency": "EUR"},
        "payment": {"status": "captured", "amount": {"amount_minor": 3230, "currency": "EUR"},
                    "reference": "bank-1", "decided_at": "2023-11-14T22:13:20.021Z"},
        "reasons": [],
        "requested_at": "2023-11-14T22:13:20.001Z",
        "deadline": "2023-11-14T22:14:20.000Z",
        "refusals": [],
    });
    assert_eq!(order, expected);

    let timeline = view.get(&format!("/orders/{id}/timeline")).await;
    let transitions = timeline["transitions"].as_array().unwrap();
    let column = |name: &str| transitions.iter().map(|t| t[name].clone()).collect::<Vec<_>>();
    assert_eq!(column("version"), [1, 2, 3, 4]);
    assert_eq!(column("writer"), ["orders", "orders", "payments", "orders"]);
    assert_eq!(column("status"), ["requested", "validated", "paid", "confirmed"]);
    assert_eq!(column("offset"), [0, 1, 2, 3]);
    assert_eq!(column("latency_ms"), [0, 10, 20, 30]);
    assert_eq!(transitions[2]["transition"], "PaymentReceived");
    assert_eq!(transitions[0]["topic"], "orders");

    let customer = view.get("/customers/ada/orders").await;
    assert_eq!(customer["orders"][0]["status"], "confirmed");
    assert_eq!(customer["next"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_shows_the_note_of_its_customer() {
    let mut view = Instance::start("noted").await;
    let note = "ring \"twice\"\n\t{not: json} <b>";
    let one = Order { note: note.to_owned().try_into().unwrap(), ..requested(1) };
    view.feed(&[one.clone(), rejected(&one), requested(2)]);
    let shown = view.get(&format!("/orders/{}", order_id(1))).await;
    assert_eq!((&shown["note"], &shown["version"]), (&json!(note), &json!(2)));
    let other = view.get(&format!("/orders/{}", order_id(2))).await;
    assert_eq!(other["note"], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn lineage_and_cause_are_on_the_timeline() {
    let mut view = Instance::start("lineage").await;
    let mut records = view.records(&[requested(1)]);
    records[0].headers.push("lineage", "orders@0.1.0 > inventory@0.1.0");
    records[0].headers.push("causationid", "orders.commands/1/7");
    view.batch(&records);
    let timeline = view.get(&format!("/orders/{}/timeline", order_id(1))).await;
    let first = &timeline["transitions"][0];
    assert_eq!(first["lineage"], json!(["orders@0.1.0", "inventory@0.1.0"]));
    assert_eq!(first["causation_id"], "orders.commands/1/7");
}

#[tokio::test(flavor = "multi_thread")]
async fn portions_and_repetitions_make_no_difference() {
    let story = confirmed_story(1);
    let mut at_once = Instance::start("at_once").await;
    at_once.feed(&story);
    let mut one_by_one = Instance::start("one_by_one").await;
    let records = one_by_one.records(&story);
    for (i, record) in records.iter().enumerate() {
        one_by_one.batch(std::slice::from_ref(record));
        // All that came before comes again, as after a crash.
        let sent = one_by_one.batch(&records[..=i]);
        assert_eq!(sent.versions().len(), i + 1, "and is announced again");
        assert_eq!(sent.dead_letters, [""; 0]);
    }
    assert_eq!(one_by_one.rows().await, at_once.rows().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_its_writer_wrote_twice_is_harmless() {
    let mut view = Instance::start("written_twice").await;
    let [one, two, three, four] = confirmed_story(1).try_into().unwrap();
    // The same bytes at a later offset, as a connector writes them after a crash.
    let sent = view.feed(&[one.clone(), two, three.clone(), three, four]);
    assert_eq!((sent.versions(), sent.dead_letters.len()), (vec![1, 2, 3, 3, 4], 0));
    assert_eq!(view.feed(&[one]).versions(), [1]);
    let order = view.get(&format!("/orders/{}", order_id(1))).await;
    assert_eq!((&order["status"], &order["version"]), (&json!("confirmed"), &json!(4)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_command_shows_in_place_of_its_order_or_with_it() {
    let mut view = Instance::start("refused").await;
    let place = refusal(7, "PlaceOrder");
    let record = view.record(&ORDER_REFUSALS, &place.order_id, &place, "orders");
    view.batch(&[record.clone(), record]);
    let order = view.get(&format!("/orders/{}?wait=settled", place.order_id)).await;
    assert_eq!((&order["status"], &order["version"]), (&json!("refused"), &json!(0)));
    assert_eq!(order["reasons"][0]["code"], "unknown_sku");
    assert_eq!(order["refusals"].as_array().unwrap().len(), 1);
    assert_eq!((&order["customer_id"], &order["total"]), (&Value::Null, &Value::Null));
    let timeline = view.get(&format!("/orders/{}/timeline", place.order_id)).await;
    assert_eq!(timeline["transitions"], json!([]));

    let reasons = vec![Reason::new("status", "already_confirmed", "the goods are on their way")];
    let cancel = CommandRefused { reasons, order_version: Some(4), ..refusal(8, "CancelOrder") };
    let record = view.record(&ORDER_REFUSALS, &cancel.order_id, &cancel, "orders");
    view.batch(&[record]);
    // It has come before the order that it speaks of: that one was not refused.
    for path in ["", "/timeline"] {
        let path = format!("/orders/{}{path}", cancel.order_id);
        view.problem(&path, 404).await;
    }
    view.feed(&confirmed_story(8));
    let order = view.get(&format!("/orders/{}", cancel.order_id)).await;
    assert_eq!((&order["status"], &order["reasons"]), (&json!("confirmed"), &json!([])));
    let expected = json!([{
        "command_id": cancel.command_id.to_string(),
        "command": "CancelOrder",
        "reasons": [{"check": "status", "code": "already_confirmed",
                     "detail": "the goods are on their way"}],
        "order_version": 4,
        "refused_at": "2023-11-14T22:13:20.000Z",
    }]);
    assert_eq!(order["refusals"], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_and_the_stock_meet_in_either_order() {
    let mut view = Instance::start("catalog").await;
    let tea = product("TEA", 890);
    let levels = [stock("TEA", 1, 100, 0), stock("TEA", 2, 100, 3)];
    let [old, new] = levels.map(|level| view.record(&STOCK, &level.sku, &level, "inventory"));
    view.batch(&[new.clone(), old.clone()]);
    view.problem("/products/TEA", 404).await;
    let cheap = view.record(&PRODUCTS, &tea.sku, &tea, "catalog");
    let dear = view.record(&PRODUCTS, &tea.sku, &product("TEA", 990), "catalog");
    view.batch(std::slice::from_ref(&cheap));
    let shown = view.get("/products/TEA").await;
    let expected = json!({
        "sku": "TEA", "name": "TEA by name", "description": "Worth having.",
        "price": {"amount_minor": 890, "currency": "EUR"}, "picture": "🍵", "active": true,
        "on_hand": 100, "reserved": 3, "available": 97,
    });
    assert_eq!(shown, expected);

    // A price changes, and what came before comes again.
    view.batch(std::slice::from_ref(&dear));
    view.batch(&[cheap.clone(), old]);
    let shown = view.get("/products/TEA").await;
    assert_eq!((&shown["price"]["amount_minor"], &shown["reserved"]), (&json!(990), &json!(3)));

    // The product is deleted: it hides, and its stock stays for the day that it is back.
    let mut deleted = view.record(&PRODUCTS, &tea.sku, &tea, "catalog");
    deleted.value = None;
    view.batch(&[deleted]);
    view.batch(&[cheap]);
    view.problem("/products/TEA", 404).await;
    assert_eq!(view.get("/products").await["products"], json!([]));
    let back = view.record(&PRODUCTS, &tea.sku, &tea, "catalog");
    view.batch(&[back]);
    assert_eq!(view.get("/products/TEA").await["available"], 97);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages() {
    let mut view = Instance::start("pages").await;
    let orders: Vec<_> = (1..=5).map(|n| requested_by("grace", n)).collect();
    view.feed(&orders);
    view.feed(&[rejected(&orders[4])]);
    let (mut seen, mut path) = (Vec::new(), "/customers/grace/orders?limit=2".to_owned());
    loop {
        let page = view.get(&path).await;
        seen.extend(page["orders"].as_array().unwrap().iter().map(|o| o["order_id"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/customers/grace/orders?limit=2&before={next}");
    }
    let newest_first: Vec<_> = (1..=5).rev().map(|n| json!(order_id(n).to_string())).collect();
    assert_eq!(seen, newest_first);
    assert_eq!(view.get("/customers/nobody/orders").await["orders"], json!([]));

    let skus = ["A", "B", "C"].map(|sku| product(sku, 1));
    let rows = skus.map(|row| view.record(&PRODUCTS, &row.sku, &row, "catalog"));
    view.batch(&rows);
    let page = view.get("/products?limit=2").await;
    assert_eq!((page["products"].as_array().unwrap().len(), &page["next"]), (2, &json!("B")));
    let page = view.get("/products?limit=2&after=B").await;
    assert_eq!((&page["products"][0]["sku"], &page["next"]), (&json!("C"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_refusal_of_a_command_shows_however_the_log_is_cut_into_batches() {
    let mut view = Instance::start("refused-twice").await;
    let first = refusal(9, "PlaceOrder");
    let refused_at = first.refused_at + std::time::Duration::from_secs(5);
    let again = CommandRefused { refused_at, ..first.clone() };
    let twice = |view: &mut Instance| {
        [&first, &again]
            .map(|refusal| view.record(&ORDER_REFUSALS, &refusal.order_id, refusal, "orders"))
    };
    let records = twice(&mut view);
    view.batch(&records);
    let together = view.rows().await;
    let mut other = Instance::start("refused-apart").await;
    for record in twice(&mut other) {
        other.batch(&[record]);
    }
    let refusals = |tables: &[(String, String)]| {
        let rows = tables.iter().filter(|(table, _)| table == "refusals");
        rows.map(|(_, row)| row.clone()).collect::<Vec<_>>()
    };
    assert_eq!(refusals(&together).len(), 1);
    assert_eq!(refusals(&together), refusals(&other.rows().await));
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_show_by_name_alone_until_they_are_gone_or_cannot_be_read() {
    let mut view = Instance::start("customers").await;
    let ada = CatalogCustomer {
        customer_id: "ada".parse().unwrap(),
        name: "Ada Lovelace".parse().unwrap(),
        email: "ada@example.org".parse().unwrap(),
        active: true,
    };
    let grace = CatalogCustomer {
        customer_id: "grace".parse().unwrap(),
        name: "Grace Hopper".parse().unwrap(),
        ..ada.clone()
    };
    let record = view.record(&CUSTOMERS, &ada.customer_id, &ada, "catalog");
    let second = view.record(&CUSTOMERS, &grace.customer_id, &grace, "catalog");
    view.batch(&[record.clone(), second]);
    let shown = view.get("/customers").await;
    let expected = json!({
        "customers": [
            {"customer_id": "ada", "name": "Ada Lovelace", "active": true},
            {"customer_id": "grace", "name": "Grace Hopper", "active": true},
        ],
        "next": null,
    });
    assert_eq!(shown, expected);
    let page = view.get("/customers?limit=1").await;
    assert_eq!(page["next"], "ada");
    assert_eq!(
        view.get("/customers?limit=1&after=ada").await["customers"][0]["name"],
        "Grace Hopper"
    );

    let rests = CatalogCustomer { active: false, ..ada.clone() };
    let later = view.record(&CUSTOMERS, &ada.customer_id, &rests, "catalog");
    view.batch(&[later]);
    // What came before comes again.
    view.batch(&[record]);
    assert_eq!(view.get("/customers").await["customers"][0]["active"], false);

    let broken = view.raw_record(&CUSTOMERS, &ada.customer_id, b"garbage".to_vec());
    assert_eq!(view.batch(&[broken]).dead_letters.len(), 1);
    let mut gone = view.raw_record(&CUSTOMERS, &grace.customer_id, Vec::new());
    gone.value = None;
    assert!(view.batch(&[gone]).dead_letters.is_empty());
    assert_eq!(view.get("/customers").await["customers"], json!([]));
}
