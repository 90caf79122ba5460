//! The catalog database is the only place where prices and customers are kept; its changes arrive
//! by change data capture.

use crate::support::together;
use client::order_body;
use e2e_tests::PATIENCE;
use serde_json::json;

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
    assert_eq!(shop.settled(order).await.unwrap()["status"], "confirmed");
}
