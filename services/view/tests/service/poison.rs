//! Goal: what can never be shown goes to the dead letters with its cause, never shows, and does not
//! hold up what comes after it.

use crate::{
    harness::Instance,
    stories::{
        NOON, confirmed_story, order_id, product, refusal, rejected, requested, requested_by, stock,
    },
};
use contracts::{
    Order, OrderId, Sku, TransitionKind,
    topics::{ORDER_REFUSALS, ORDERS, PRODUCTS, STOCK},
};
use sqlx::{Connection, PgConnection};
use streams::{Failure, Record, record::names};
use view::{
    adapters::Postgres,
    batch::{Arrived, Batch, News, Progress},
    repository::Unwritten,
};

/// Feeds `poison` and a sound record in one batch: the one dies of `cause`, the other is shown.
async fn check(view: &mut Instance, n: u128, poison: Record, cause: &str) {
    let sound = view.records(&[requested(n)]);
    let sent = view.batch(&[&[poison][..], &sound].concat());
    assert_eq!(sent.dead_letters.len(), 1, "expected: {cause}");
    assert!(sent.dead_letters[0].contains(cause), "{} is not {cause}", sent.dead_letters[0]);
    assert_eq!(sent.versions(), [1]);
    let order = view.get(&format!("/orders/{}", order_id(n))).await;
    assert_eq!(order["version"], 1, "{cause}");
}

fn written_by(view: &mut Instance, key: OrderId, order: &Order, writer: &str) -> Record {
    view.record(&ORDERS, &key, order, writer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_unsound_by_itself() {
    let mut view = Instance::start("unsound").await;
    let view = &mut view;
    let [one, two, ..] = &confirmed_story(1)[..] else { unreachable!("a story has four steps") };
    let raw =
        |view: &mut Instance, bytes: &[u8]| view.raw_record(&ORDERS, &order_id(1), bytes.to_vec());

    let poison = raw(view, b"garbage");
    check(view, 101, poison, "not in Confluent's wire format").await;
    let poison = raw(view, &[0, 0, 0, 0, 99, 1]);
    check(view, 102, poison, "schema id 99").await;
    let level = stock("TEA", 1, 1, 0);
    let mut poison = view.record(&STOCK, &level.sku, &level, "inventory");
    (poison.topic, poison.key) = (ORDERS.name().into(), raw(view, b"").key);
    check(view, 103, poison, "StockLevel").await;
    let poison = written_by(view, order_id(9), one, "orders");
    check(view, 104, poison, "the record's key is").await;
    let poison = written_by(view, order_id(1), two, "payments");
    check(view, 105, poison, "orders's to write, but payments wrote it").await;
    let early = Order { version: 2, transition: TransitionKind::OrderConfirmed, ..one.clone() };
    let poison = written_by(view, order_id(1), &early, "orders");
    check(view, 106, poison, "no order can reach").await;
    let mut free = one.clone();
    free.total.amount_minor = 0;
    let poison = written_by(view, order_id(1), &free, "orders");
    check(view, 107, poison, "not the sum of its lines").await;
    let mut none = one.clone();
    none.lines[0].quantity = 0;
    let poison = written_by(view, order_id(1), &none, "orders");
    check(view, 108, poison, "lines[0].quantity is 0").await;
    let mut poison = written_by(view, order_id(1), one, "orders");
    testkit::spoil(poison.value.as_mut().unwrap(), "Darjeeling", "Dar\0eeling");
    check(view, 109, poison, "control character '\\0'").await;
    let mut tombstone = raw(view, b"");
    tombstone.value = None;
    check(view, 110, tombstone, "the record has no value").await;
    view.problem(&format!("/orders/{}", order_id(1)), 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transition_that_cannot_follow_what_is_known() {
    let mut view = Instance::start("impossible").await;
    let view = &mut view;
    let story = confirmed_story(1);
    let path = format!("/orders/{}", order_id(1));

    let gap = view.records(&story[1..2]).remove(0);
    check(view, 101, gap, "version 2 cannot follow version 0").await;
    view.problem(&path, 404).await;

    view.feed(&story[..2]);
    let contradiction = view.records(&[rejected(&story[0])]).remove(0);
    let cause = "version 2 is known as another transition to validated";
    check(view, 102, contradiction, cause).await;
    let gap = view.records(&story[3..]).remove(0);
    check(view, 103, gap, "version 4 cannot follow version 2").await;
    let order = view.get(&path).await;
    assert_eq!((&order["status"], &order["version"]), (&"validated".into(), &2.into()));

    // Within one batch as well: what is known includes what came a moment before.
    let batch = [story[2].clone(), story[2].clone(), rejected(&story[0]), story[3].clone()];
    let sent = view.feed(&batch);
    assert_eq!((sent.versions(), sent.dead_letters.len()), (vec![3, 3, 4], 1));
    assert_eq!(view.get(&path).await["status"], "confirmed");
    // And after the end nothing follows.
    let mut after = story[1].clone();
    after.version = 5;
    let after = view.records(&[after]).remove(0);
    check(view, 104, after, "no order can reach").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_topics_have_poison_of_their_own() {
    let mut view = Instance::start("others").await;
    let view = &mut view;
    let sku = |text: &str| text.parse::<Sku>().unwrap();

    let poison = view.record(&PRODUCTS, &sku("MUG"), &product("TEA", 1), "catalog");
    check(view, 101, poison, "the key is MUG, but the row is TEA's").await;
    let mut poison = view.record(&PRODUCTS, &sku("TEA"), &product("TEA", 1), "catalog");
    testkit::spoil(poison.value.as_mut().unwrap(), "EUR", "eur");
    check(view, 102, poison, "currency is \"eur\", not three capital letters").await;
    let poison = view.record(&STOCK, &sku("TEA"), &stock("TEA", 1, 1, 2), "inventory");
    check(view, 103, poison, "available is -1").await;
    let poison = view.record(&STOCK, &sku("MUG"), &stock("TEA", 1, 1, 0), "inventory");
    check(view, 104, poison, "the key is MUG, but the level is TEA's").await;
    let refused = refusal(1, "PlaceOrder");
    let poison = view.record(&ORDER_REFUSALS, &order_id(2), &refused, "orders");
    check(view, 105, poison, "but the refusal is about").await;
    let mut poison = view.record(&ORDER_REFUSALS, &order_id(1), &refused, "orders");
    poison.key = None;
    check(view, 106, poison, "the record has no key").await;
    view.problem("/products/TEA", 404).await;
    view.problem(&format!("/orders/{}", order_id(1)), 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_cannot_be_kept_is_left_out() {
    let mut view = Instance::start("headers").await;
    let mut records = view.records(&[requested(1)]);
    records[0].headers.push(names::LINEAGE, "orders\0");
    assert_eq!(view.batch(&records).versions(), [1]);
    let timeline = view.get(&format!("/orders/{}/timeline", order_id(1))).await;
    assert_eq!(timeline["transitions"][0]["lineage"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_refuses_holds_up_nothing_else() {
    // Values that are in their bounds, and that these tables do not take all the same.
    const REFUSE: &str = "
        ALTER TABLE customer_orders ADD CONSTRAINT no_mallory CHECK (customer_id <> 'mallory');
        ALTER TABLE products ADD CONSTRAINT no_bomb CHECK (sku <> 'BOMB');
        ALTER TABLE stock ADD CONSTRAINT a_dozen CHECK (on_hand <= 12);
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN RAISE EXCEPTION 'no BurnOrder'; END$$;
        CREATE TRIGGER refuse BEFORE INSERT ON refusals
            FOR EACH ROW WHEN (new.command = 'BurnOrder') EXECUTE FUNCTION refuse();";
    let mut view = Instance::start("refusing").await;
    let view = &mut view;
    view.sql(REFUSE).await;
    let bad = requested_by("mallory", 9);
    let mut records = view.records(&confirmed_story(1)[..2]);
    records.extend(view.records(&[bad.clone(), rejected(&bad)]));
    for sku in ["TEA", "BOMB", "MUG"] {
        let row = product(sku, 1);
        records.push(view.record(&PRODUCTS, &row.sku, &row, "catalog"));
    }
    for level in [stock("TEA", 1, 7, 0), stock("TEA", 2, 13, 0), stock("MUG", 1, 1, 0)] {
        records.push(view.record(&STOCK, &level.sku, &level, "inventory"));
    }
    for (n, command) in [(2, "PlaceOrder"), (3, "BurnOrder")] {
        let refusal = refusal(n, command);
        records.push(view.record(&ORDER_REFUSALS, &order_id(n), &refusal, "orders"));
    }
    records.extend(view.records(&confirmed_story(1)[2..]));

    let check = async |view: &mut Instance| {
        let sent = view.batch(&records);
        assert_eq!(sent.versions(), [1, 2, 3, 4], "every transition that is shown is announced");
        let check = |table: &str, name: &str| {
            format!("new row for relation \"{table}\" violates check constraint \"{name}\"")
        };
        let causes = [
            check("customer_orders", "no_mallory"),
            "version 2 cannot follow version 0".into(),
            check("products", "no_bomb"),
            check("stock", "a_dozen"),
            "no BurnOrder".into(),
        ];
        assert_eq!(sent.dead_letters, causes);
        assert_eq!(view.get(&format!("/orders/{}", order_id(1))).await["status"], "confirmed");
        view.problem(&format!("/orders/{}", order_id(9)), 404).await;
        assert_eq!(view.get("/products/TEA").await["on_hand"], 7, "the last level that was taken");
        assert_eq!(view.get("/products/MUG").await["on_hand"], 1);
        view.problem("/products/BOMB", 404).await;
        assert_eq!(view.get(&format!("/orders/{}", order_id(2))).await["status"], "refused");
        view.problem(&format!("/orders/{}", order_id(3)), 404).await;
    };
    check(view).await;
    // After a crash, say, all of it comes again.
    let tables = view.rows().await;
    check(view).await;
    assert_eq!(view.rows().await, tables);
    let sales = view.get("/sales").await;
    assert_eq!(sales["sales"][0]["orders"], 1, "{sales}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_is_no_record_s_fault_puts_none_aside() {
    let mut view = Instance::start("refused_progress").await;
    view.sql("ALTER TABLE progress ADD CONSTRAINT none CHECK (log_partition < 0)").await;
    let records = view.records(&[requested(1)]);
    let failure = view.try_batch(&records).unwrap_err();
    assert!(matches!(failure, Failure::Retriable(_)), "{failure}");
    view.sql("ALTER TABLE progress DROP CONSTRAINT none").await;
    assert_eq!(view.batch(&records).versions(), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_cannot_be_made_put_no_record_aside() {
    // As when another instance makes them at the same moment, and both insert the same row.
    const REFUSE: &str = "
        CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY CHECK (version < 5),
            description text NOT NULL, installed_on timestamptz NOT NULL DEFAULT now(),
            success boolean NOT NULL, checksum bytea NOT NULL, execution_time bigint NOT NULL)";
    let mut view = Instance::start("unmade").await;
    let (url, records) = (view.new_database("unmade_too").await, view.records(&[requested(1)]));
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(REFUSE).execute(&mut connection).await.unwrap();
    let tables = Postgres::new(&url.parse().unwrap());
    let news = News::Refused(refusal(1, "PlaceOrder"));
    let arrived = [Arrived { record: records[0].clone(), news }];
    let batch = Batch { arrived: &arrived, progress: &Progress::new(), now: NOON };
    let unwritten = tables.apply(batch).await.unwrap_err();
    assert!(matches!(unwritten, Unwritten::Failed(_)), "{unwritten:?}");
}
