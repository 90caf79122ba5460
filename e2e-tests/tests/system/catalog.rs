//! The catalog database is the only place where prices and customers are kept; its changes arrive
//! by change data capture.

use crate::{
    dead_letters::letters,
    support::{alone, together},
};
use client::order_body;
use contracts::ServiceName;
use e2e_tests::{Outside, PATIENCE};
use serde_json::json;

/// Wait until an order of `customer` for a piece of `sku` is confirmed: orders may know of a row
/// before inventory does.
pub async fn until_sold(shop: &Outside, customer: &str, sku: &str) {
    testkit::wait_for(&format!("an order for {sku} to be confirmed"), PATIENCE, || async {
        let order = shop.place(customer, &[(sku, 1)]).await.map_err(|e| format!("{e:#}"))?;
        let settled = shop.settled(order).await.unwrap();
        if settled["status"] == "confirmed" { Ok(()) } else { Err(settled.to_string()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_changed_by_sql_is_the_price_of_the_next_order() {
    let shop = together().await;
    let add =
        "INSERT INTO products (sku, name, description, price_minor, currency, picture, active)
        VALUES ('QUILL', 'Quill', 'A quill', 1000, 'EUR', '🪶', true)";
    shop.sql("catalog", add).await.unwrap();
    let stocked = testkit::wait_for("inventory to know the quill", PATIENCE, || async {
        let body = json!({ "quantity": 10 });
        let answer =
            shop.send(shop.post("inventory", "/stock/QUILL/restock", &body)).await.unwrap();
        if answer.status.as_u16() == 202 { Ok(answer) } else { Err(answer) }
    });
    stocked.await;
    shop.sql("catalog", "UPDATE products SET price_minor = 1250 WHERE sku = 'QUILL'")
        .await
        .unwrap();
    testkit::wait_for("the new price", PATIENCE, || async {
        let quill = shop.product("QUILL").await.map_err(|error| format!("{error:#}"))?;
        if quill["price"]["amount_minor"] == 1250 { Ok(()) } else { Err(quill.to_string()) }
    })
    .await;
    let settled = testkit::wait_for("an order at the new price", PATIENCE, || async {
        let order = shop.place("ada", &[("QUILL", 1)]).await.map_err(|e| format!("{e:#}"))?;
        let settled = shop.settled(order).await.unwrap();
        let price = &settled["lines"][0]["unit_price_minor"];
        if price == 1250 { Ok(settled) } else { Err(settled.to_string()) }
    })
    .await;
    assert_eq!(settled["status"], "confirmed", "{settled:#}");
    assert_eq!(settled["total"]["amount_minor"], 1250);

    shop.sql("catalog", "DELETE FROM products WHERE sku = 'QUILL'").await.unwrap();
    testkit::wait_for("the quill to be out of the catalog", PATIENCE, || async {
        let body = order_body("ada", &[("QUILL", 1)]);
        let answer = shop.send(shop.post("orders", "/orders", &body)).await.unwrap();
        if answer.fields() == ["lines[0].sku"] { Ok(()) } else { Err(answer) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_added_by_sql_can_order() {
    let shop = together().await;
    let add = "INSERT INTO customers (customer_id, name, email, active)
        VALUES ('edsger', 'Edsger Dijkstra', 'edsger@example.org', true)";
    shop.sql("catalog", add).await.unwrap();
    let order = testkit::wait_for("edsger to be known", PATIENCE, || async {
        shop.place("edsger", &[("TEA", 1)]).await.map_err(|error| format!("{error:#}"))
    })
    .await;
    shop.confirmed(order).await.unwrap();
}

/// Wait until an order of `sku` is refused at once as `code`.
pub async fn refused(shop: &Outside, sku: &str, code: &str) {
    let what = format!("{sku} to be refused as {code}");
    testkit::wait_for(&what, PATIENCE, || async {
        let body = order_body("ada", &[(sku, 1)]);
        let answer = shop.send(shop.post("orders", "/orders", &body)).await.unwrap();
        let told = &answer.body["errors"][0];
        let named = answer.fields() == ["lines[0].sku"] && told["code"] == code;
        if answer.status.as_u16() == 422 && named { Ok(()) } else { Err(answer) }
    })
    .await;
}

/// A row that no service could show, charge or mail is refused where it comes in, by all of them,
/// once each; the product cannot be ordered until the row is mended, and other orders go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_no_service_could_read_is_not_for_sale_until_it_is_mended() {
    let shop = alone().await;
    for (sku, spoil, mend, cause) in [
        (
            "LAMP",
            "UPDATE products SET currency = 'eur' WHERE sku = 'LAMP'",
            "UPDATE products SET currency = 'EUR' WHERE sku = 'LAMP'",
            "currency is \"eur\"",
        ),
        (
            "SCARF",
            "UPDATE products SET name = E'Feather\nScarf' WHERE sku = 'SCARF'",
            "UPDATE products SET name = 'Feather Scarf' WHERE sku = 'SCARF'",
            "name holds the control character",
        ),
        (
            "BINOC",
            "UPDATE products SET price_minor = 9223372036854775807 WHERE sku = 'BINOC'",
            "UPDATE products SET price_minor = 12900 WHERE sku = 'BINOC'",
            "price_minor is 9223372036854775807",
        ),
    ] {
        shop.sql("catalog", spoil).await.unwrap();
        refused(&shop, sku, "invalid_product").await;
        for service in [ServiceName::Orders, ServiceName::Inventory, ServiceName::View] {
            let found = letters(&shop, service, sku, 1).await;
            assert!(found[0].cause().contains(cause), "{service}: {}", found[0].cause());
        }
        assert_eq!(shop.get("view", &format!("/products/{sku}")).await.unwrap().status, 404);
        let other = shop.place("ada", &[("TEA", 1)]).await.unwrap();
        shop.confirmed(other).await.unwrap();

        shop.sql("catalog", mend).await.unwrap();
        until_sold(&shop, "ada", sku).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_whom_no_mail_could_reach_cannot_order_until_the_row_is_mended() {
    let shop = alone().await;
    let add = "INSERT INTO customers (customer_id, name, email, active)
        VALUES ('donald', 'Donald Knuth', 'no email', true)";
    shop.sql("catalog", add).await.unwrap();
    testkit::wait_for("donald to be refused", PATIENCE, || async {
        let body = order_body("donald", &[("TEA", 1)]);
        let answer = shop.send(shop.post("orders", "/orders", &body)).await.unwrap();
        let code = &answer.body["errors"][0]["code"];
        let named = answer.fields() == ["customer_id"] && code == "invalid_customer";
        if named { Ok(()) } else { Err(answer) }
    })
    .await;
    let found = letters(&shop, ServiceName::Orders, "donald", 1).await;
    assert!(found[0].cause().contains("which is no mail address"), "{}", found[0].cause());
    let mend = "UPDATE customers SET email = 'knuth@example.org' WHERE customer_id = 'donald'";
    shop.sql("catalog", mend).await.unwrap();
    let order = testkit::wait_for("donald to be known", PATIENCE, || async {
        shop.place("donald", &[("TEA", 1)]).await.map_err(|error| format!("{error:#}"))
    })
    .await;
    shop.confirmed(order).await.unwrap();
}

/// PostgreSQL does not log a large column that an update leaves alone.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_keeps_the_large_columns_that_it_leaves_alone() {
    let shop = together().await;
    let add =
        "INSERT INTO products (sku, name, description, price_minor, currency, picture, active)
        SELECT 'ATLAS', 'Atlas of Flocks', left(text, 8000), 1000, 'EUR', text, true
        FROM (SELECT string_agg(md5(i::text), E'\n') AS text FROM generate_series(1, 300) AS i)
        AS large";
    shop.sql("catalog", add).await.unwrap();
    let atlas = async |price: i64| {
        testkit::wait_for(&format!("the atlas for {price}"), PATIENCE, || async {
            let atlas = shop.product("ATLAS").await.map_err(|error| format!("{error:#}"))?;
            if atlas["price"]["amount_minor"] == price { Ok(atlas) } else { Err(atlas.to_string()) }
        })
        .await
    };
    let before = atlas(1000).await;
    assert!(before["picture"].as_str().unwrap().len() > 9_000);
    shop.sql("catalog", "UPDATE products SET price_minor = 900 WHERE sku = 'ATLAS'").await.unwrap();
    let after = atlas(900).await;
    for column in ["name", "description", "picture"] {
        assert_eq!(after[column], before[column], "{column}");
    }
}
