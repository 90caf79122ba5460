//! Goal: each named question has its answer from the tables, can change nothing, and says what is
//! wrong when there is none.

use crate::{
    harness::Instance,
    stories::{confirmed_story, order_id, requested},
};
use contracts::Timestamp;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, postgres::PgPoolOptions};
use view::questions::QUESTIONS;

/// The rows of an answer, each by the names of its columns.
fn rows(answer: &Value) -> Vec<Value> {
    let columns = answer["columns"].as_array().unwrap();
    let row = |row: &Value| {
        let cells = row.as_array().unwrap();
        assert_eq!(cells.len(), columns.len(), "{answer:#}");
        columns
            .iter()
            .zip(cells)
            .map(|(c, v)| (c.as_str().unwrap().to_owned(), v.clone()))
            .collect()
    };
    answer["rows"].as_array().unwrap().iter().map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_has_an_answer_with_the_columns_that_it_names() {
    let view = Instance::start("asked").await;
    view.sql(EXAMPLE).await;
    let list = view.get("/questions").await;
    assert_eq!(list["questions"].as_array().unwrap().len(), 12);
    for question in &QUESTIONS {
        let path = format!("/questions/{}", question.name);
        let answer = view.get(&path).await;
        let rows = rows(&answer);
        assert!(!rows.is_empty(), "{answer:#}");
        for (name, value) in rows[0].as_object().unwrap() {
            assert!(!value.is_null(), "{}: {name} in {answer:#}", question.name);
        }
        assert_eq!(answer["sql"], question.sql);
        assert_eq!(answer["is_cut"], false);
    }
    let sold = rows(&view.get("/questions/sold-lately?seconds=60").await);
    let expected = json!({
        "sku": "TEA", "currency": "EUR", "orders": 1, "pieces": 3, "revenue_minor": 1500
    });
    assert_eq!(sold, [expected]);
    let stuck = rows(&view.get("/questions/stuck-orders?seconds=5").await);
    assert_eq!(stuck.len(), 1, "one order moved just now");
    assert_eq!(
        (&stuck[0]["status"], &stuck[0]["last_writer"]),
        (&json!("paid"), &json!("payments"))
    );
    assert!(stuck[0]["waiting_ms"].as_i64().unwrap() >= 60_000, "{stuck:?}");
    assert_eq!(rows(&view.get("/questions/stuck-orders?seconds=600").await), [] as [Value; 0]);
}

/// Ends as of now: a confirmed and a rejected order, one that is stuck, and one that is late.
const EXAMPLE: &str = r#"
    INSERT INTO products (sku, product, log_partition, log_offset, log_timestamp) VALUES
        ('TEA', '{"name": "Tea", "active": true}', 0, 0, 0),
        ('MUG', '{"name": "Mug", "active": true}', 0, 1, 0),
        ('OLD', '{"name": "Old", "active": false}', 0, 2, 0);
    INSERT INTO stock VALUES ('TEA', 90, 0, 90, 1), ('MUG', 5, 3, 2, 1), ('OLD', 0, 0, 0, 1);
    INSERT INTO sales VALUES ('TEA', 'EUR', 1, 3, 1500);
    INSERT INTO customers (customer_id, customer, log_partition, log_offset, log_timestamp)
        VALUES ('ada', '{"name": "Ada", "active": true}', 0, 0, 0);
    CREATE TEMPORARY TABLE example (number int, status text, writer text, ago int, late int);
    INSERT INTO example VALUES (1, 'confirmed', 'orders', 10, 0), (2, 'rejected', 'orders', 20, 0),
        (3, 'paid', 'payments', 60, 0), (4, 'requested', 'orders', 0, 100);
    INSERT INTO orders
    SELECT ('00000000-0000-0000-0000-00000000000' || number)::uuid, 2, status, 'ada',
        '[{"sku": "TEA", "quantity": 3, "total_minor": 1500}]', 1500, 'EUR',
        CASE number WHEN 2 THEN jsonb_build_object('status', 'declined', 'decided_at', now()) END,
        CASE number WHEN 2 THEN
            '[{"check": "payment", "code": "declined", "detail": "no money"}]'::jsonb
            ELSE '[]' END,
        (extract(epoch FROM now()) * 1000)::bigint - 90000,
        (extract(epoch FROM now()) * 1000)::bigint + 1000000 - late * 20000, ''
    FROM example;
    INSERT INTO timeline (order_id, version, transition, status, topic, log_partition, log_offset,
        writer, occurred_at, latency_ms)
    SELECT ('00000000-0000-0000-0000-00000000000' || number)::uuid, 2, 'Order' || status, status,
        'orders', 0, number, writer, (extract(epoch FROM now()) * 1000)::bigint - ago * 1000, 7
    FROM example;
    INSERT INTO customer_orders
    SELECT order_id, customer_id, version, status, total_minor, currency, requested_at FROM orders;
    INSERT INTO refusals (command_id, order_id, command, reasons, refused_at) VALUES
        (gen_random_uuid(), gen_random_uuid(), 'CancelOrder', '[{"code": "already_confirmed"}]',
        (extract(epoch FROM now()) * 1000)::bigint);
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_of_the_projection_are_those_that_are_asked() {
    let mut view = Instance::start("told").await;
    view.now = Timestamp::now();
    let story: Vec<_> = confirmed_story(1).iter().chain([&requested(2)]).cloned().collect();
    view.feed(&story);
    let by_status = rows(&view.get("/questions/orders-by-status").await);
    let statuses: Vec<_> = by_status.iter().map(|row| row["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["confirmed", "requested"]);
    let overdue = view.get("/questions/overdue-orders").await;
    assert_eq!(rows(&overdue)[0]["order_id"], json!(order_id(2)), "{overdue:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_cut_and_a_question_that_is_wrong_is_told_what_is_right() {
    let view = Instance::start("wrong").await;
    view.sql(EXAMPLE).await;
    let cut = view.get("/questions/orders-by-status?limit=2").await;
    assert_eq!((cut["rows"].as_array().unwrap().len(), &cut["is_cut"]), (2, &json!(true)));
    for (path, field) in [
        ("/questions/stuck-orders?seconds=soon", "seconds"),
        ("/questions/stuck-orders?seconds=2592001", "seconds"),
        ("/questions/stuck-orders?pieces=1", "pieces"),
        ("/questions/low-stock?limit=0", "limit"),
    ] {
        let problem = view.problem(path, 400).await;
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    let problem = view.problem("/questions/nonsense", 404).await;
    assert!(problem["detail"].as_str().unwrap().contains("stuck-orders"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_is_missing_and_a_role_that_is_not_given_are_named() {
    let view = Instance::start("missing").await;
    view.sql("DROP TABLE sales").await;
    let problem = view.problem("/questions/unsold-products", 503).await;
    assert_eq!(problem["code"], "view_missing");
    assert!(problem["detail"].as_str().unwrap().contains("sales"), "{problem}");
    view.get("/questions/low-stock").await;
    view.client.delete(view.address("/views/customers")).send().await.unwrap();
    let problem = view.problem("/questions/best-customers", 503).await;
    assert_eq!((&problem["code"], &problem["view"]), (&json!("view_dropped"), &json!("customers")));
    // A table that is locked for longer than a question may take.
    let mut other = PgConnection::connect(view.database_url()).await.unwrap();
    let mut lock = other.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE stock").execute(&mut *lock).await.unwrap();
    let problem = view.problem("/questions/low-stock", 503).await;
    assert_eq!(problem["code"], "question_too_slow", "{problem}");
    lock.rollback().await.unwrap();
    view.get("/questions/low-stock").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_cannot_write() {
    let view = Instance::start("writes").await;
    let pool = PgPoolOptions::new().connect(view.database_url()).await.unwrap();
    for sql in ["INSERT INTO sales VALUES ('X', 'EUR', 1, 1, 1)", "DROP TABLE sales"] {
        let mut transaction = pool.begin().await.unwrap();
        sqlx::raw_sql(view::questions::READ_ONLY).execute(&mut *transaction).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut *transaction).await.unwrap_err();
    }
    let mut transaction = pool.begin().await.unwrap();
    let role = view::questions::READ_ONLY.replace("SET TRANSACTION READ ONLY;", "");
    sqlx::raw_sql(sqlx::AssertSqlSafe(role)).execute(&mut *transaction).await.unwrap();
    let refused = sqlx::raw_sql("DELETE FROM sales").execute(&mut *transaction).await.unwrap_err();
    let refused = refused.as_database_error().unwrap().code().unwrap().into_owned();
    assert_eq!(refused, "42501", "the role alone keeps it from writing");
}
