//! Goal: how the orders stand shows on `/metrics`: what has ended and why, and what has not.

use crate::{
    fixtures::{DEADLINE, NOW, cancel, catalog, failed, order_id, passed, place, terms},
    shop::Shop,
};
use contracts::{ServiceName, metrics::strangers};
use orders::processor::OrdersProcessor;
use service_kit::Metrics;
use std::time::Duration;
use testkit::metric;

/// A shop whose orders are measured.
fn measured() -> (Shop, Metrics) {
    let (mut shop, metrics) = (Shop::new(), Metrics::default());
    let processor = OrdersProcessor::new(catalog(), terms()).measured(metrics.meters());
    shop.driver.restart(processor);
    (shop, metrics)
}

fn transitions(metrics: &Metrics, status: &str, reason: &str) -> Option<f64> {
    let series = format!("orders_transitions_total{{reason=\"{reason}\",status=\"{status}\"}}");
    metric(&metrics.text().unwrap(), &series)
}

/// What a second scrape shows, after a tick has looked.
fn gauge(shop: &mut Shop, metrics: &Metrics, series: &str) -> Option<f64> {
    metrics.text().unwrap();
    shop.tick();
    metric(&metrics.text().unwrap(), series)
}

#[test]
fn each_transition_counts_once_with_its_reason() {
    let (mut shop, metrics) = measured();
    assert_eq!(transitions(&metrics, "confirmed", ""), Some(0.0), "shown from the start");
    for id in 1..=3 {
        shop.command(place(id));
    }
    shop.settle();
    shop.validation(&failed(1, "TEA"));
    shop.validation(&failed(1, "MUG"));
    shop.validation(&passed(2, "TEA"));
    shop.validation(&passed(2, "MUG"));
    shop.command(cancel(3, 30));
    shop.settle();

    assert_eq!(transitions(&metrics, "requested", ""), Some(3.0));
    assert_eq!(transitions(&metrics, "validated", ""), Some(1.0));
    assert_eq!(transitions(&metrics, "confirmed", ""), Some(1.0));
    assert_eq!(transitions(&metrics, "cancelled", "cancelled_by_customer"), Some(1.0));
    let rejected = ["out_of_stock", "other"].map(|why| transitions(&metrics, "rejected", why));
    assert_eq!(rejected.into_iter().flatten().sum::<f64>(), 1.0, "{}", metrics.text().unwrap());
    assert_eq!(strangers(ServiceName::Orders, &metrics.text().unwrap()), Vec::<String>::new());
}

#[test]
fn open_orders_are_told_by_status_with_their_age_and_those_that_are_overdue() {
    let (mut shop, metrics) = measured();
    assert_eq!(gauge(&mut shop, &metrics, "orders_open{status=\"requested\"}"), Some(0.0));
    assert_eq!(gauge(&mut shop, &metrics, "orders_open_oldest_seconds"), Some(0.0));
    for id in 1..=3 {
        shop.command(place(id));
    }
    while shop.read_back().is_some() {}
    shop.validation(&passed(1, "TEA"));
    shop.validation(&passed(1, "MUG"));
    while shop.read_back().is_some() {}
    // The test's clock stands, long ago: the ages are those of that time.
    assert_eq!(gauge(&mut shop, &metrics, "orders_open{status=\"requested\"}"), Some(2.0));
    assert_eq!(gauge(&mut shop, &metrics, "orders_open{status=\"validated\"}"), Some(1.0));
    assert_eq!(gauge(&mut shop, &metrics, "orders_overdue"), Some(0.0));
    let old = Duration::from_secs(24 * 60 * 60).as_secs_f64();
    for series in [
        "orders_open_oldest_seconds",
        "orders_baton_oldest_seconds{holder=\"orders\"}",
        "orders_baton_oldest_seconds{holder=\"payments\"}",
    ] {
        assert!(gauge(&mut shop, &metrics, series).unwrap() > old, "{series}");
    }

    // Payments, which holds the baton, is away.
    shop.at(NOW + DEADLINE + Duration::from_secs(1));
    assert_eq!(gauge(&mut shop, &metrics, "orders_overdue"), Some(3.0));
    shop.settle();
    assert_eq!(gauge(&mut shop, &metrics, "orders_overdue"), Some(0.0), "all have ended");
    assert_eq!(gauge(&mut shop, &metrics, "orders_open{status=\"validated\"}"), Some(0.0));
    assert_eq!(gauge(&mut shop, &metrics, "orders_open_oldest_seconds"), Some(0.0));
    assert!(shop.entry(order_id(1)).order.unwrap().status.is_terminal());
}

#[test]
fn what_a_restore_reads_is_not_counted_and_is_open_all_the_same() {
    let (mut shop, metrics) = measured();
    shop.command(place(1));
    shop.settle();
    shop.lose_everything();
    let processor = OrdersProcessor::new(catalog(), terms()).measured(metrics.meters());
    shop.driver.restart(processor);
    assert_eq!(gauge(&mut shop, &metrics, "orders_open{status=\"requested\"}"), Some(1.0));
    assert_eq!(transitions(&metrics, "requested", ""), Some(1.0));
}
