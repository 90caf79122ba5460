//! Change data capture that loses something: `shop status` and the health of the services say so,
//! and after the way out that they name, nothing is missing.

use crate::support::alone;
use e2e_tests::{Outside, PATIENCE};
use serde_json::Value;
use testkit::wait_for;

/// Until `shop status` says all of these.
async fn told(shop: &Outside, texts: &[&str]) {
    wait_for("the status to tell it", PATIENCE, || async {
        let (_, told) = shop.cli(&["status"]).await.map_err(|error| format!("{error:#}"))?;
        if texts.iter().all(|text| told.contains(text)) { Ok(()) } else { Err(told) }
    })
    .await;
}

/// Until `shop cdc status` finds nothing.
async fn well(shop: &Outside) {
    wait_for("the capture to be well", PATIENCE, || async {
        let (well, told) =
            shop.cli(&["cdc", "status"]).await.map_err(|error| format!("{error:#}"))?;
        if well { Ok(()) } else { Err(told) }
    })
    .await;
}

/// Until the check `name` of `service` is as `status` says, while the service stays ready: the
/// check.
pub async fn check_is(shop: &Outside, service: &str, name: &str, status: &str) -> Value {
    wait_for(&format!("{service}'s check {name} to be {status}"), PATIENCE, || async {
        let answer = shop.get(service, "/health/ready").await.unwrap();
        if !answer.status.is_success() {
            return Err(answer);
        }
        let checks = answer.body["checks"].as_array().cloned().unwrap_or_default();
        let is = |check: &Value| check["name"] == name && check["status"] == status;
        checks.into_iter().find(is).ok_or(answer)
    })
    .await
}

async fn confirmed(shop: &Outside) {
    let order = shop.place("grace", &[("TEA", 1)]).await.unwrap();
    shop.confirmed(order).await.unwrap();
}

/// A connector whose task dies at each record of a table, and is started again each time.
#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_fails_again_and_again_is_well_nowhere() {
    let shop = alone().await;
    let settings = shop.get("connect", "/connectors/catalog/config").await.unwrap().body;
    let mut wrong = settings.clone();
    wrong["transforms.sku.field"] = "no_such_column".into();
    shop.configure("catalog", &wrong).await.unwrap();
    let price =
        |minor: i64| format!("UPDATE products SET price_minor = {minor} WHERE sku = 'BINOC'");
    // Its task is replaced in its own time: until then the one before carries the row.
    wait_for("the connector to fail", PATIENCE, || async {
        shop.sql("catalog", &price(9_990)).await.map_err(|error| format!("{error:#}"))?;
        let status = shop.get("connect", "/connectors/catalog/status").await;
        let status = status.map_err(|error| format!("{error:#}"))?.body;
        if status.to_string().contains("FAILED") { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    shop.sql("catalog", &price(9_980)).await.unwrap();
    told(&shop, &["catalog: it failed ", "no_such_column", "catalog.products: rows and records"])
        .await;
    for service in ["orders", "inventory", "view"] {
        check_is(&shop, service, "catalog.capture", "degraded").await;
    }
    told(&shop, &["degraded", "orders: catalog.capture is degraded"]).await;
    confirmed(&shop).await;
    // The way out: mend the cause. It is started again by itself, and nothing is missing.
    shop.configure("catalog", &settings).await.unwrap();
    for service in ["orders", "inventory", "view"] {
        check_is(&shop, service, "catalog.capture", "up").await;
    }
    wait_for("the price", PATIENCE, || async {
        let binoc = shop.product("BINOC").await.map_err(|error| format!("{error:#}"))?;
        if binoc["price"]["amount_minor"] == 9_980 { Ok(()) } else { Err(binoc.to_string()) }
    })
    .await;
    shop.sql("catalog", &price(12_900)).await.unwrap();
    well(&shop).await;
    confirmed(&shop).await;
    clean(&shop).await;
}

/// Ends the connection by which Debezium reads `slot`, and drops the slot: as an operator does who
/// means another one, or a failover that knows no slots. Debezium may be quicker than we are.
async fn drop_slot(shop: &Outside, slot: &str) {
    let drop = format!(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots \
         WHERE slot_name = '{slot}' AND active; \
         SELECT pg_drop_replication_slot('{slot}')"
    );
    wait_for("the slot to be dropped", PATIENCE, || async {
        shop.sql_as_admin(&drop).await.map_err(|error| format!("{error:#}"))
    })
    .await;
}

/// Orders whose money is captured while Connect is away, and whose outcomes go with the slot.
async fn captured_and_lost(shop: &Outside) -> Vec<contracts::OrderId> {
    shop.shop().stop("connect").await.unwrap();
    let mut orders = Vec::new();
    for _ in 0..3 {
        orders.push(shop.place("ada", &[("TEA", 1)]).await.unwrap());
    }
    for order in &orders {
        wait_for("the money", PATIENCE, || async {
            let answer = shop.get("payments", &format!("/payments/{order}")).await.unwrap();
            if answer.body["status"] == "captured" { Ok(()) } else { Err(answer) }
        })
        .await;
    }
    drop_slot(shop, "outbox").await;
    orders
}

async fn all_confirmed(shop: &Outside, orders: &[contracts::OrderId]) {
    for order in orders {
        shop.confirmed(*order).await.unwrap();
    }
}

async fn clean(shop: &Outside) {
    let (clean, report) = shop.cli(&["audit", "--wait", "--grace", "60"]).await.unwrap();
    assert!(clean, "{report}");
}

/// Debezium makes a new slot, behind the outcomes. Payments sees that they do not come back, and
/// sends them again.
#[tokio::test(flavor = "multi_thread")]
async fn outcomes_that_were_lost_with_the_slot_are_sent_again() {
    let shop = alone().await;
    let orders = captured_and_lost(&shop).await;
    told(&shop, &["payments-outbox: its slot `outbox` is not there", "resend-outbox"]).await;
    check_is(&shop, "payments", "relay", "degraded").await;
    shop.shop().start_process("connect").await.unwrap();
    all_confirmed(&shop, &orders).await;
    check_is(&shop, "payments", "relay", "up").await;
    confirmed(&shop).await;
    well(&shop).await;
    clean(&shop).await;
}

/// A person need not wait for it, and may ask twice. A dead letter does not come back by itself.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sends_the_outbox_again() {
    let shop = alone().await;
    let orders = captured_and_lost(&shop).await;
    shop.shop().start_process("connect").await.unwrap();
    let (done, said) = shop.cli(&["cdc", "resend-outbox"]).await.unwrap();
    assert!(done, "{said}");
    all_confirmed(&shop, &orders).await;
    let (done, said) = shop.cli(&["cdc", "resend-outbox"]).await.unwrap();
    assert!(done && said.contains("every row of the outbox is on its topic"), "{said}");
    well(&shop).await;
    clean(&shop).await;
}

async fn known(shop: &Outside, customer: &str) {
    wait_for(&format!("{customer} to be known"), PATIENCE, || async {
        shop.place(customer, &[("TEA", 1)]).await.map_err(|error| format!("{error:#}"))
    })
    .await;
}

async fn unknown(shop: &Outside, customer: &str) {
    let body = client::order_body(customer, &[("TEA", 1)]);
    wait_for(&format!("{customer} to be unknown"), PATIENCE, || async {
        let answer = shop.send(shop.post("orders", "/orders", &body)).await.unwrap();
        if answer.fields() == ["customer_id"] { Ok(()) } else { Err(answer) }
    })
    .await;
}

/// What changes while a table is out of the publication is not captured. The way out makes up for
/// all of it: what is new, what is other, and what is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_left_the_publication_is_made_whole_again() {
    let shop = alone().await;
    let add = "INSERT INTO customers (customer_id, name, email) \
               VALUES ('edsger', 'Edsger Dijkstra', 'edsger@example.org')";
    shop.sql("catalog", add).await.unwrap();
    known(&shop, "edsger").await;
    shop.sql("catalog", "ALTER PUBLICATION catalog_pub DROP TABLE customers").await.unwrap();
    let missed = "DELETE FROM customers WHERE customer_id = 'edsger'; \
                  INSERT INTO customers (customer_id, name, email) \
                  VALUES ('frances', 'Frances Allen', 'frances@example.org'); \
                  UPDATE customers SET email = 'alan@bletchley.example' \
                  WHERE customer_id = 'alan'";
    shop.sql("catalog", missed).await.unwrap();
    let findings = [
        "catalog.customers: it is not in the publication `catalog_pub`",
        "1 not on the topic (frances)",
        "1 on the topic and no more in the table (edsger)",
        "1 on the topic as they were before (alan)",
        "./shop cdc resync customers",
    ];
    told(&shop, &findings).await;
    confirmed(&shop).await;
    for _ in 0..2 {
        let (done, said) = shop.cli(&["cdc", "resync", "customers"]).await.unwrap();
        assert!(done, "{said}");
    }
    known(&shop, "frances").await;
    unknown(&shop, "edsger").await;
    let back = "DELETE FROM customers WHERE customer_id = 'frances'; \
                UPDATE customers SET email = 'alan@example.org' WHERE customer_id = 'alan'";
    shop.sql("catalog", back).await.unwrap();
    unknown(&shop, "frances").await;
    well(&shop).await;
    clean(&shop).await;
}

/// Every captured table has the guard, also one that joins later.
#[tokio::test(flavor = "multi_thread")]
async fn truncate_is_the_deletes_that_it_is() {
    let shop = alone().await;
    let aside = "CREATE TABLE customers_aside AS TABLE customers; TRUNCATE customers";
    shop.sql("catalog", aside).await.unwrap();
    unknown(&shop, "ada").await;
    unknown(&shop, "grace").await;
    let back = "INSERT INTO customers SELECT * FROM customers_aside; DROP TABLE customers_aside";
    shop.sql("catalog", back).await.unwrap();
    known(&shop, "ada").await;
    confirmed(&shop).await;
    let guarded = "CREATE TABLE suppliers (supplier_id text PRIMARY KEY); \
        ALTER PUBLICATION catalog_pub ADD TABLE suppliers; \
        DO $$ BEGIN ASSERT (SELECT count(*) FROM pg_trigger \
            JOIN pg_class ON tgrelid = pg_class.oid WHERE tgname = 'truncate_as_delete' \
                AND tgenabled = 'A' AND relreplident = 'f' \
                AND relname IN ('products', 'customers', 'suppliers')) = 3; END $$; \
        DROP TABLE suppliers";
    shop.sql("catalog", guarded).await.unwrap();
    well(&shop).await;
    clean(&shop).await;
}
