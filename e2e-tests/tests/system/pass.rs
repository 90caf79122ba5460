//! `./shop dlq pass`: the way out for a processor that stands still on a record, also of `orders`,
//! which is kept for ever; and for garbage on a topic that a service keeps for itself.

use crate::{
    dead_letters::{blocking, letters, produce},
    sizes::put_right,
    support::alone,
};
use contracts::{
    ServiceName,
    topics::{
        EMAILS, EMAILS_WAITING, ORDER_VIEWS, ORDERS, ORDERS_LATEST, RESERVATIONS, STOCK, TopicSpec,
    },
};
use e2e_tests::{Outside, PATIENCE};
use streams::{topic::PASSED_BY, tx::dlq_names};
use testkit::wait_for;
use uuid::Uuid;

/// The address of the record of `topic` with this key.
async fn address_of(shop: &Outside, topic: &'static TopicSpec, key: &str) -> String {
    let (bootstrap, key) = (shop.shop().url("kafka").to_owned(), key.to_owned());
    blocking(move || {
        let mut address = None;
        let read = streams_kafka::read_topic(&bootstrap, topic, |record| {
            if record.key.as_deref() == Some(key.as_bytes()) {
                address = Some(record.address());
            }
            Ok(())
        });
        read.map(|()| address)
    })
    .await
    .expect("the log can be read")
    .expect("the record is there")
}

/// Wait until payments says that it stands still, or no longer.
async fn stumbles(shop: &Outside, is: bool) {
    wait_for(&format!("payments to stand still: {is}"), PATIENCE, || async {
        let ready = shop.get("payments", "/health/ready").await.map_err(|e| format!("{e:#}"))?;
        let told = ready.body.to_string();
        if told.contains("it stumbles") == is { Ok(()) } else { Err(told) }
    })
    .await;
}

/// Payments keeps its offsets in its own database, and its dead letters begin there. As after a bad
/// migration, that does not take the one about this record, and says to come again.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_stops_payments_is_taken_out_of_the_way() {
    let shop = alone().await;
    let key = Uuid::new_v4().to_string();
    let stumble = format!(
        "CREATE FUNCTION stumble() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'it stumbles' USING ERRCODE = 'lock_not_available'; END $$;
         CREATE TRIGGER stumble BEFORE INSERT ON outbox FOR EACH ROW
             WHEN (NEW.aggregateid = '{key}') EXECUTE FUNCTION stumble()"
    );
    shop.sql("payments", &stumble).await.unwrap();
    produce(&shop, &ORDERS.spec, &key, b"garbage".to_vec()).await;
    let order = shop.place("ada", &[("TEA", 1)]).await.unwrap();
    stumbles(&shop, true).await;

    let record = address_of(&shop, &ORDERS.spec, &key).await;
    let pass = ["dlq", "pass", &record, "--group", "payments", "--why", "it stops payments"];
    let (done, said) = shop.cli(&pass).await.unwrap();
    assert!(done, "{said}");
    // The order may be on another partition, and say nothing of this one.
    stumbles(&shop, false).await;
    shop.confirmed(order).await.unwrap();
    let found = letters(&shop, ServiceName::Payments, &key, 1).await;
    assert_eq!(
        (found[0].cause(), found[0].origin()),
        ("passed by: it stops payments", record.clone())
    );
    assert_eq!(found[0].record.headers.get(dlq_names::PASSED), Some("payments"));
    let bootstrap = shop.shop().url("kafka").to_owned();
    let marks = blocking(move || {
        let mut marks = Vec::new();
        let read = streams_kafka::read_topic(&bootstrap, &PASSED_BY, |record| {
            marks.push((record.key.unwrap_or_default(), record.value.unwrap_or_default()));
            Ok(())
        });
        read.map(|()| marks)
    });
    let mark = (format!("payments/{record}").into_bytes(), b"it stops payments".to_vec());
    assert!(marks.await.unwrap().contains(&mark), "it outlives the dead letter");
    // Its position is in its database, and beyond the record.
    let (done, said) = shop.cli(&pass).await.unwrap();
    assert!(!done && said.contains(&format!("payments has handled {record}")), "{said}");

    // A restart stumbles no more.
    shop.shop().restart("payments").await.unwrap();
    let order = shop.place("grace", &[("TEA", 1)]).await.unwrap();
    shop.confirmed(order).await.unwrap();
    let mend = "DROP TRIGGER stumble ON outbox; DROP FUNCTION stumble()";
    shop.sql("payments", mend).await.unwrap();
    for service in [ServiceName::Orders, ServiceName::Inventory, ServiceName::View] {
        letters(&shop, service, &key, 1).await;
    }
    put_right(&shop).await;
}

/// An operator passes it by, as they do it by hand.
async fn pass(shop: &Outside, record: &str, group: &str) {
    let why = ["--group", group, "--why", "garbage of a stranger"];
    let (done, said) = shop.cli(&[&["dlq", "pass", record], &why[..]].concat()).await.unwrap();
    assert!(done, "{said}");
}

/// As after a crash loop: the service is away while an operator looks for what has stopped it.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_passed_by_while_its_reader_is_away() {
    let shop = alone().await;
    for (service, topic) in
        [(ServiceName::View, &STOCK.spec), (ServiceName::Email, &ORDER_VIEWS.spec)]
    {
        shop.shop().stop(service.as_str()).await.unwrap();
        let key = Uuid::new_v4().to_string();
        produce(&shop, topic, &key, b"garbage".to_vec()).await;
        pass(&shop, &address_of(&shop, topic, &key).await, service.as_str()).await;
        shop.shop().start_process(service.as_str()).await.unwrap();
        let order = shop.place("ada", &[("TEA", 1)]).await.unwrap();
        shop.confirmed(order).await.unwrap();
        let found = letters(&shop, service, &key, 1).await;
        assert_eq!(found[0].cause(), "passed by: garbage of a stranger");
    }
    put_right(&shop).await;
}

/// No service handles these topics, so nothing puts garbage on them aside by itself.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_what_a_service_keeps_for_itself_stops_nothing_and_is_passed_by() {
    let shop = alone().await;
    let kept = [
        (ServiceName::Email, "email", &EMAILS.spec),
        (ServiceName::Email, "email", &EMAILS_WAITING.spec),
        (ServiceName::Inventory, "inventory-stock", &RESERVATIONS.spec),
        (ServiceName::Orders, "orders", &ORDERS_LATEST.spec),
    ];
    let key = Uuid::new_v4().to_string();
    for (_, _, topic) in kept {
        produce(&shop, topic, &key, b"garbage".to_vec()).await;
    }
    // When they restore their state, they read it.
    for service in ["email", "inventory"] {
        shop.shop().restart(service).await.unwrap();
    }
    let order = shop.place("ada", &[("TEA", 1)]).await.unwrap();
    shop.confirmed(order).await.unwrap();
    let (clean, report) = shop.cli(&["audit", "--wait", "--grace", "60"]).await.unwrap();
    assert!(!clean && report.contains("`shop dlq pass` puts this aside"), "{report}");

    for (_, group, topic) in kept {
        pass(&shop, &address_of(&shop, topic, &key).await, group).await;
    }
    letters(&shop, ServiceName::Email, &key, 2).await;
    put_right(&shop).await;
}
