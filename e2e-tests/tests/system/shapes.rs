//! The catalog's tables change their shape, as migrations do. What the shop reads of them flows on;
//! what it cannot read is named, and stops nothing else.

use crate::{dead_letters::letters, support::changed};
use contracts::ServiceName;
use e2e_tests::{Outside, PATIENCE, Placed, audit};
use serde_json::Value;
use std::time::Instant;

/// Change the price of `sku` by SQL, and wait until an order is sold at it.
async fn sold_at(shop: &Outside, sku: &'static str, price: i64, placed: &mut Vec<Placed>) {
    let change = format!("UPDATE products SET price_minor = {price} WHERE sku = '{sku}'");
    shop.sql("catalog", &change).await.unwrap();
    testkit::wait_for(&format!("{sku} for {price}"), PATIENCE, || async {
        let product = shop.product(sku).await.map_err(|error| format!("{error:#}"))?;
        if product["price"]["amount_minor"] == price { Ok(()) } else { Err(product.to_string()) }
    })
    .await;
    sold(shop, sku, price, placed).await;
}

/// Wait until an order of `sku` is sold at `price`.
async fn sold(shop: &Outside, sku: &'static str, price: i64, placed: &mut Vec<Placed>) {
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        let Ok(id) = shop.place("ada", &[(sku, 1)]).await else { continue };
        let order = shop.settled(id).await.unwrap();
        assert_eq!(order["status"], "confirmed", "{order:#}");
        placed.push(Placed { id, sku });
        if order["lines"][0]["unit_price_minor"] == price {
            return;
        }
    }
    panic!("{sku} is not sold at {price}");
}

/// Alter by `sql`; then prices and customers still arrive.
#[tokio::test(flavor = "multi_thread")]
async fn what_we_read_of_a_table_flows_on_whatever_else_becomes_of_it() {
    let shop = changed().await;
    let (mut placed, mut price) = (Vec::new(), 3000);
    for sql in [
        // Each of the first two alone is compatible; together they were the end of all changes.
        "ALTER TABLE products ADD COLUMN stars int NOT NULL DEFAULT 5",
        "ALTER TABLE products ALTER COLUMN stars DROP DEFAULT",
        "ALTER TABLE products ALTER COLUMN stars TYPE text",
        "ALTER TABLE products DROP COLUMN stars",
        "ALTER TABLE products ADD COLUMN \"größe-cm\" numeric(10, 2), ADD COLUMN tags text[]",
        "CREATE TYPE mood AS ENUM ('good', 'bad');
         ALTER TABLE products ADD COLUMN mood mood DEFAULT 'good'",
        "ALTER TABLE products RENAME COLUMN updated_at TO changed_at",
        "ALTER TABLE products ALTER COLUMN name TYPE varchar(120)",
        "ALTER TABLE products ALTER COLUMN price_minor TYPE integer",
        "ALTER TABLE products ALTER COLUMN price_minor TYPE bigint",
        "ALTER TABLE products ALTER COLUMN name DROP NOT NULL",
        "ALTER TABLE products ALTER COLUMN name SET NOT NULL",
        "ALTER TABLE products ALTER COLUMN currency SET DEFAULT 'EUR'",
        "ALTER TABLE products ALTER COLUMN currency DROP DEFAULT",
        "ALTER TABLE products DROP CONSTRAINT products_pkey, ADD COLUMN id serial PRIMARY KEY",
        "ALTER TABLE products DROP CONSTRAINT products_pkey, ADD PRIMARY KEY (sku), DROP COLUMN id",
        "ALTER TABLE customers ADD COLUMN level int DEFAULT 1",
        "ALTER TABLE customers ALTER COLUMN level DROP DEFAULT",
    ] {
        shop.sql("catalog", sql).await.unwrap_or_else(|error| panic!("{sql}: {error:#}"));
        price += 10;
        eprintln!("{price}: {sql}");
        sold_at(&shop, "SEEDS", price, &mut placed).await;
    }
    let add = "INSERT INTO customers (customer_id, name, email, level)
        VALUES ('barbara', 'Barbara Liskov', 'barbara@example.org', 2)";
    shop.sql("catalog", add).await.unwrap();
    testkit::wait_for("barbara to be known", PATIENCE, || async {
        shop.place("barbara", &[("TEA", 1)]).await.map_err(|error| format!("{error:#}"))
    })
    .await;
    audit(&shop, &placed).await.unwrap();
}

/// Wait until `service` names the rows that it cannot read, or has none.
async fn unreadable(shop: &Outside, service: &str, cause: Option<&str>) {
    testkit::wait_for(&format!("{service} to say {cause:?}"), PATIENCE, || async {
        let health = shop.get(service, "/health/ready").await.map_err(|e| format!("{e:#}"))?;
        let checks = health.body["checks"].as_array().cloned().unwrap_or_default();
        let is_catalog = |check: &&Value| check["name"] == "catalog.products";
        let detail = checks.iter().find(is_catalog).and_then(|check| check["detail"].as_str());
        let is_told = match (cause, detail) {
            (Some(cause), Some(detail)) => {
                detail.contains("cannot be read") && detail.contains(cause)
            }
            (None, detail) => !detail.unwrap_or_default().contains("cannot be read"),
            (Some(_), None) => false,
        };
        if is_told { Ok(()) } else { Err(health.body.to_string()) }
    })
    .await;
}

/// What has changed meanwhile arrives when the table has its column again and the rows are written.
#[tokio::test(flavor = "multi_thread")]
async fn what_we_cannot_read_is_named_and_stops_nothing_else() {
    let shop = changed().await;
    let (mut placed, mut price) = (Vec::new(), 4000);
    sold_at(&shop, "SCONE", price, &mut placed).await;
    for (spoil, cause, mend) in [
        (
            "ALTER TABLE products DROP COLUMN picture",
            "has no field picture",
            "ALTER TABLE products ADD COLUMN picture text NOT NULL DEFAULT '🥐'",
        ),
        (
            "ALTER TABLE products RENAME COLUMN currency TO money",
            "has no field currency",
            "ALTER TABLE products RENAME COLUMN money TO currency",
        ),
        (
            "ALTER TABLE products ALTER COLUMN price_minor TYPE numeric",
            "as price_minor, which is",
            "ALTER TABLE products ALTER COLUMN price_minor TYPE bigint",
        ),
    ] {
        price += 10;
        shop.sql("catalog", spoil).await.unwrap();
        let change = format!("UPDATE products SET price_minor = {price} WHERE sku = 'SCONE'");
        shop.sql("catalog", &change).await.unwrap();
        for service in ["orders", "inventory"] {
            unreadable(&shop, service, Some(cause)).await;
        }
        let (_, status) = shop.cli(&["status"]).await.unwrap();
        assert!(status.contains(cause), "{status}");
        // Another product, and another table.
        let add = format!(
            "INSERT INTO customers (customer_id, name, email)
             VALUES ('edith-{price}', 'Edith', 'edith@example.org')"
        );
        shop.sql("catalog", &add).await.unwrap();
        let edith = testkit::wait_for("edith to be known", PATIENCE, || async {
            let placed = shop.place(&format!("edith-{price}"), &[("TEA", 1)]).await;
            placed.map_err(|error| format!("{error:#}"))
        })
        .await;
        shop.confirmed(edith).await.unwrap();

        shop.sql("catalog", mend).await.unwrap();
        shop.sql("catalog", "UPDATE products SET sku = sku").await.unwrap();
        for service in ["orders", "inventory"] {
            unreadable(&shop, service, None).await;
        }
        sold(&shop, "SCONE", price, &mut placed).await;
    }
    // One for each row that was written meanwhile.
    for service in [ServiceName::Orders, ServiceName::Inventory, ServiceName::View] {
        for letter in letters(&shop, service, "SCONE", 3).await {
            let (discarded, told) =
                shop.cli(&["dlq", "discard", &letter.id.to_string()]).await.unwrap();
            assert!(discarded, "{told}");
        }
    }
    audit(&shop, &placed).await.unwrap();
}
