//! What happens shows on `/metrics` of each service, and what shows is in the table of
//! `docs/operating.md`.

use crate::support::together;
use contracts::{ServiceName, metrics::strangers};
use e2e_tests::{Outside, PATIENCE};
use testkit::{metric, wait_for};

async fn scrape(shop: &Outside, service: ServiceName) -> String {
    shop.text(service.as_str(), "/metrics").await.unwrap()
}

/// What grows with an order that is confirmed, in each service.
const GROWS: [(ServiceName, &str); 9] = [
    (ServiceName::Orders, r#"streams_records_total{loop="orders"}"#),
    (ServiceName::Orders, r#"orders_transitions_total{reason="",status="confirmed"}"#),
    (ServiceName::Orders, r#"streams_transactions_total{loop="orders",outcome="committed"}"#),
    (ServiceName::Payments, r#"streams_records_total{loop="payments"}"#),
    (ServiceName::Payments, r#"payments_bank_calls_total{outcome="done",task="charge"}"#),
    (ServiceName::Inventory, r#"streams_records_total{loop="inventory-split"}"#),
    (ServiceName::Inventory, r#"streams_sent_total{loop="inventory-stock",topic="stock"}"#),
    (ServiceName::Email, r#"email_mails_total{outcome="accepted"}"#),
    (ServiceName::View, r#"streams_sent_total{loop="view",topic="order-views"}"#),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_order_moves_the_counters_of_all_services() {
    let shop = together().await;
    let mut before = Vec::new();
    for (service, series) in GROWS {
        before.push(metric(&scrape(&shop, service).await, series).unwrap_or(0.0));
    }
    let order = shop.place("ada", &[("TEA", 1)]).await.unwrap();
    shop.settled(order).await.unwrap();

    for ((service, series), before) in GROWS.into_iter().zip(before) {
        wait_for(series, PATIENCE, || async {
            let text = scrape(&shop, service).await;
            let after = metric(&text, series).unwrap_or(0.0);
            if after > before { Ok(()) } else { Err(format!("{before} before, {after} after")) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_shows_is_in_the_table_and_its_gauges_are_there() {
    let shop = together().await;
    let gauges = [
        (ServiceName::Orders, "orders_overdue"),
        (ServiceName::Orders, r#"orders_baton_oldest_seconds{holder="payments"}"#),
        (ServiceName::Payments, r#"payments_slot_valid{slot="outbox"}"#),
        (ServiceName::Payments, "payments_outbox_oldest_seconds"),
        (ServiceName::Inventory, r#"streams_partitions{loop="inventory-stock"}"#),
        (ServiceName::Email, r#"service_check_state{check="smtp"}"#),
        (ServiceName::View, r#"view_staleness_seconds{view="timeline"}"#),
        (ServiceName::View, r#"streams_lag_records{loop="view",partition="0",topic="orders"}"#),
    ];
    for (service, series) in gauges {
        wait_for(series, PATIENCE, || async {
            let text = scrape(&shop, service).await;
            assert_eq!(strangers(service, &text), Vec::<String>::new(), "{service}");
            metric(&text, series).map(|_| ()).ok_or(text)
        })
        .await;
    }
}
