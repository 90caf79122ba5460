//! `./shop dlq pass` on `orders`, a topic that is kept for ever: the way out for a processor that
//! stands still on one of its records.

use crate::{
    dead_letters::{blocking, letters, produce},
    sizes::put_right,
    support::alone,
};
use contracts::{ServiceName, topics::ORDERS};
use e2e_tests::{Outside, PATIENCE};
use streams::{topic::PASSED_BY, tx::dlq_names};
use testkit::wait_for;
use uuid::Uuid;

/// The address of the record with this key.
async fn address_of(shop: &Outside, key: &str) -> String {
    let (bootstrap, key) = (shop.shop().url("kafka").to_owned(), key.to_owned());
    blocking(move || {
        let mut address = None;
        let read = streams_kafka::read_topic(&bootstrap, &ORDERS.spec, |record| {
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

    let record = address_of(&shop, &key).await;
    let pass = ["dlq", "pass", &record, "--group", "payments", "--why", "it stops payments"];
    let (done, said) = shop.cli(&pass).await.unwrap();
    assert!(done, "{said}");
    // The order may be on another partition, and say nothing of this one.
    stumbles(&shop, false).await;
    assert_eq!(shop.settled(order).await.unwrap()["status"], "confirmed");
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
    assert_eq!(shop.settled(order).await.unwrap()["status"], "confirmed");
    let mend = "DROP TRIGGER stumble ON outbox; DROP FUNCTION stumble()";
    shop.sql("payments", mend).await.unwrap();
    for service in [ServiceName::Orders, ServiceName::Inventory, ServiceName::View] {
        letters(&shop, service, &key, 1).await;
    }
    put_right(&shop).await;
}
