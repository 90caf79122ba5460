//! What is too large, or for no topic of ours, stops no order: on the topics, in the outbox and in
//! the catalog. After each of them the next order is confirmed, and an operator puts things right.

use crate::{
    catalog::{refused, until_sold},
    dead_letters::{blocking, letters, produce},
    support::{Alone, alone},
};
use client::order_body;
use contracts::{
    ServiceName,
    topics::{self, ORDERS},
};
use e2e_tests::{Outside, PATIENCE, Turn};
use streams::tx::dlq_names;
use streams_kafka::dlq;
use uuid::Uuid;

async fn confirmed(shop: &Outside) {
    let order = shop.place("grace", &[("TEA", 1)]).await.unwrap();
    shop.confirmed(order).await.unwrap();
}

/// Discards every dead letter, as an operator does after mending the cause; then the audit is
/// clean.
pub async fn put_right(shop: &Turn<Alone>) {
    let bootstrap = shop.shop().url("kafka").to_owned();
    let open = blocking(move || {
        let services = ServiceName::ALL.into_iter();
        let letters =
            services.flat_map(|service| dlq::list(&bootstrap, topics::dlq(service)).unwrap());
        let open = letters.filter(|letter| letter.done.is_none());
        open.map(|letter| letter.id.to_string()).collect::<Vec<_>>()
    });
    let open = open.await;
    if !open.is_empty() {
        let discard = ["dlq", "discard"].into_iter().chain(open.iter().map(String::as_str));
        let (done, said) = shop.cli(&Vec::from_iter(discard)).await.unwrap();
        assert!(done, "{said}");
    }
    let (clean, report) = shop.cli(&["audit", "--wait", "--grace", "60"]).await.unwrap();
    assert!(clean, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_of_a_megabyte_on_orders_passes_through_the_outbox_as_well() {
    let shop = alone().await;
    let mut keys = Vec::new();
    for size in [1_100_000, 2_096_900] {
        let key = Uuid::new_v4().to_string();
        produce(&shop, &ORDERS.spec, &key, vec![1; size]).await;
        keys.push((key, size + 36));
    }
    use ServiceName::{Inventory, Orders, Payments, View};
    for (key, size) in keys {
        for service in [Payments, Orders, Inventory, View] {
            let found = letters(&shop, service, &key, 1).await;
            assert!(found[0].cause().contains("900000 bytes at most"), "{}", found[0].cause());
            let bytes = found[0].record.headers.get(dlq_names::BYTES);
            assert_eq!(bytes, Some(&*size.to_string()), "{service}");
        }
    }
    confirmed(&shop).await;
    put_right(&shop).await;
}

/// A row that no service writes: Postgres refuses it, and says why. If it gets in all the same, the
/// relay puts it aside, or makes it fit, and the other rows go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_the_outbox_that_kafka_would_refuse_stops_no_other_row() {
    let shop = alone().await;
    let insert = |topic: &str, payload: &str| {
        format!(
            "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload) \
             VALUES ('{}', '{topic}', 'strange', 'Strange', {payload})",
            Uuid::new_v4()
        )
    };
    let strange = [
        ("nowhere", "'x'", "outbox_topic_is_one_that_payments_writes"),
        ("no such/topic", "'x'", "outbox_topic_is_one_that_payments_writes"),
        ("orders", "convert_to(repeat('x', 3000000), 'UTF8')", "payload_has_at_most_900000_bytes"),
        ("orders", "NULL", "outbox_order_has_a_payload"),
    ];
    for (topic, payload, constraint) in strange {
        let refused = shop.sql("payments", &insert(topic, payload)).await.unwrap_err();
        assert!(format!("{refused:#}").contains(constraint), "{refused:#}");
    }
    // As with rows from before there were constraints, or an operator who means well.
    let rows: Vec<_> = strange.iter().map(|(topic, payload, _)| insert(topic, payload)).collect();
    let without_constraints = format!(
        "DO $$ DECLARE c record; back text := ''; BEGIN
             FOR c IN SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
                 WHERE conrelid = 'outbox'::regclass AND contype = 'c' LOOP
                 EXECUTE format('ALTER TABLE outbox DROP CONSTRAINT %I', c.conname);
                 back := back
                     || format('ALTER TABLE outbox ADD CONSTRAINT %I %s;', c.conname, c.definition);
             END LOOP;
             {};
             EXECUTE back;
         END $$",
        rows.join(";")
    );
    shop.sql("payments", &without_constraints).await.unwrap();
    confirmed(&shop).await;
    let aside = letters(&shop, ServiceName::Payments, "strange", 4).await;
    let cause = "names a topic that payments does not write";
    assert_eq!(aside.iter().filter(|letter| letter.cause().contains(cause)).count(), 2);
    put_right(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_is_too_large_is_refused_and_one_that_is_there_stops_no_change() {
    let shop = alone().await;
    let picture = |bytes: usize| {
        format!("UPDATE products SET picture = repeat('x', {bytes}) WHERE sku = 'BINOC'")
    };
    let error = shop.sql("catalog", &picture(1_200_000)).await.unwrap_err();
    assert!(format!("{error:#}").contains("products_picture_has_at_most_100000_bytes"));
    // As in a catalog from before there were limits.
    let limit = "products_picture_has_at_most_100000_bytes";
    let drop = format!("ALTER TABLE products DROP CONSTRAINT {limit}");
    shop.sql("catalog", &drop).await.unwrap();
    shop.sql("catalog", &picture(1_200_000)).await.unwrap();
    let add = format!(
        "ALTER TABLE products ADD CONSTRAINT {limit} \
         CHECK (octet_length(picture) <= 100000) NOT VALID"
    );
    shop.sql("catalog", &add).await.unwrap();
    let add = "INSERT INTO customers (customer_id, name, email) \
               VALUES ('barbara', 'Barbara Liskov', 'barbara@example.org')";
    shop.sql("catalog", add).await.unwrap();
    let order = testkit::wait_for("barbara to be known", PATIENCE, || async {
        shop.place("barbara", &[("TEA", 1)]).await.map_err(|error| format!("{error:#}"))
    })
    .await;
    shop.confirmed(order).await.unwrap();
    // The row of another topic, which may come later than barbara's.
    refused(&shop, "BINOC", "invalid_product").await;
    shop.sql("catalog", "UPDATE products SET picture = 'b' WHERE sku = 'BINOC'").await.unwrap();
    testkit::wait_for("the small picture", PATIENCE, || async {
        let binoc = shop.product("BINOC").await.map_err(|error| format!("{error:#}"))?;
        if binoc["picture"] == "b" { Ok(()) } else { Err(binoc["name"].to_string()) }
    })
    .await;
    until_sold(&shop, "barbara", "BINOC").await;
    confirmed(&shop).await;
    put_right(&shop).await;
}

/// Rows from before there were limits, or a stranger's: the order is refused at the edge.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_names_are_too_large_is_refused_at_once() {
    let shop = alone().await;
    let drop = "ALTER TABLE products DROP CONSTRAINT products_name_has_at_most_400_bytes";
    shop.sql("catalog", drop).await.unwrap();
    let name = |bytes: usize| {
        format!("UPDATE products SET name = repeat('x', {bytes}) WHERE sku IN ('SCARF', 'LAMP')")
    };
    shop.sql("catalog", &name(460_000)).await.unwrap();
    testkit::wait_for("the large names", PATIENCE, || async {
        let body = order_body("ada", &[("SCARF", 1), ("LAMP", 1)]);
        let answer = shop.send(shop.post("orders", "/orders", &body)).await.unwrap();
        if answer.fields() == ["lines[0].sku", "lines[1].sku"] { Ok(()) } else { Err(answer) }
    })
    .await;
    confirmed(&shop).await;
    shop.sql("catalog", &name(9)).await.unwrap();
    let add = "ALTER TABLE products ADD CONSTRAINT products_name_has_at_most_400_bytes \
               CHECK (octet_length(name) <= 400) NOT VALID";
    shop.sql("catalog", add).await.unwrap();
    let order = testkit::wait_for("the small names", PATIENCE, || async {
        let placed = shop.place("ada", &[("SCARF", 1), ("LAMP", 1)]).await;
        placed.map_err(|error| format!("{error:#}"))
    })
    .await;
    shop.confirmed(order).await.unwrap();
    put_right(&shop).await;
}
