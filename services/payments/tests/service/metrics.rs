//! Goal: what payments does shows on `/metrics`, under the names of the table.

use crate::shop::{Shop, apply, tomorrow};
use contracts::{ServiceName, metrics::strangers};
use payments::gauges::SlotGauge;
use service_kit::{Health, Shutdown};
use testkit::{PATIENCE, metric, orders::validated, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_the_bank_letters_and_the_outbox_are_counted() {
    let shop = Shop::open().await;
    let worker = shop.worker();
    let order = validated(tomorrow());
    let intake = shop.intake(&worker.work).await;
    let mut poison = shop.record(&order);
    poison.value = Some(b"garbage".to_vec());
    let batch = [poison, shop.record(&order)];
    // As after a commit whose acknowledgement was lost: nothing counts twice.
    apply(&intake, &batch).unwrap();
    apply(&intake, &batch).unwrap();
    shop.wait_for(&order, "captured").await;

    wait_for("the message to be seen in the outbox", PATIENCE, || async {
        let text = shop.metrics.text().unwrap();
        let seen = metric(&text, "payments_outbox_unreturned") == Some(1.0);
        if seen { Ok(()) } else { Err(text) }
    })
    .await;
    worker.stop().await;
    let text = shop.metrics.text().unwrap();
    assert_eq!(strangers(ServiceName::Payments, &text), Vec::<String>::new());
    for (series, value) in [
        ("payments_bank_calls_total{outcome=\"done\",task=\"charge\"}", 1.0),
        ("payments_bank_calls_total{outcome=\"unknown\",task=\"charge\"}", 0.0),
        ("payments_bank_call_duration_seconds_count{task=\"charge\"}", 1.0),
        ("streams_dead_letters_total{loop=\"payments\",topic=\"orders\"}", 1.0),
    ] {
        assert_eq!(metric(&text, series), Some(value), "{series} in {text}");
    }
    assert!(metric(&text, "payments_outbox_oldest_seconds").unwrap() > 0.0, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_missing_is_not_valid() {
    let shop = Shop::open().await;
    let (slots, shutdown) = (SlotGauge::default(), Shutdown::new());
    slots.show(&shop.metrics.meters());
    let check = Health::new().check("slots");
    let watch = tokio::spawn(slots.watch(shop.postgres.clone(), check, shutdown.clone()));
    wait_for("the slots to be looked at", PATIENCE, || async {
        let text = shop.metrics.text().unwrap();
        let valid = metric(&text, "payments_slot_valid{slot=\"outbox\"}");
        if valid == Some(0.0) { Ok(()) } else { Err(text) }
    })
    .await;
    shutdown.cancel();
    watch.await.unwrap().unwrap();
}
