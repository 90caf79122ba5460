//! Goal: new orders are refused while those before them wait too long, and no longer; everything
//! else is answered meanwhile.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use contracts::{
    Order, Reason, ServiceName, Status,
    metrics::strangers,
    orders::{CommandRefused, OrderCommand},
};
use orders::http::{
    self,
    admission::{Admission, Bounds},
};
use reqwest::{Response, StatusCode};
use service_kit::{Health, Metrics, Shutdown};
use testkit::{PATIENCE, metric, wait_for};

use crate::{
    edge::{Edge, WAITERS_MAX, body, tea_and_mug},
    fixtures::{NOW, order_at, order_id},
};

const BOUNDS: Bounds = Bounds { wait: Duration::from_secs(2), open_min: 10 };
/// Later than is good.
const LATE: Duration = Duration::from_secs(3);
/// The gate judges once in a second.
const SECOND: Duration = Duration::from_secs(1);

/// A clock that a test moves.
#[derive(Clone, Default)]
struct Hand(Arc<Mutex<Duration>>);

impl Hand {
    fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }

    /// Admission that goes by this clock.
    fn admission(&self) -> Admission {
        let hand = self.clone();
        let admission = http::admission(BOUNDS, &http::limits(WAITERS_MAX));
        admission.timed_by(Arc::new(move || *hand.0.lock().unwrap()))
    }
}

/// The order that `command` has made, at this status.
fn order_of(command: &OrderCommand, status: Status, version: i64) -> Order {
    let order = order_at(status, 1);
    Order { order_id: command.order_id(), placed_by: command.command_id(), version, ..order }
}

/// The view shows the orders of `commands`.
fn show(edge: &Edge, commands: &[OrderCommand], status: Status, version: i64) {
    for command in commands {
        edge.admission.on_view(&order_of(command, status, version));
    }
}

async fn place(edge: &Edge) -> Response {
    edge.order(&tea_and_mug()).send().await.unwrap()
}

async fn place_many(edge: &Edge, count: usize) -> Vec<OrderCommand> {
    for _ in 0..count {
        assert_eq!(place(edge).await.status(), StatusCode::ACCEPTED);
    }
    edge.sent().split_off(edge.sent().len() - count)
}

/// Of 40 orders the first 20 are shown late. The others are the answer: they wait.
async fn crowd(edge: &Edge, hand: &Hand) -> Vec<OrderCommand> {
    let mut placed = place_many(edge, 40).await;
    let waiting = placed.split_off(20);
    hand.advance(LATE);
    show(edge, &placed, Status::Requested, 1);
    hand.advance(SECOND);
    waiting
}

async fn refused(edge: &Edge) -> Response {
    let response = place(edge).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    response
}

#[tokio::test]
async fn behind_a_crowd_an_order_is_refused_and_told_when_to_come_again() {
    let hand = Hand::default();
    let edge = Edge::admitting(hand.admission()).await;
    let waiting = crowd(&edge, &hand).await;
    let response = refused(&edge).await;
    // 20 wait, and 4 go on in a second: 5 s, or half of that more or less.
    let retry_after: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3..=8).contains(&retry_after), "{retry_after} s");
    let problem = body(response).await;
    assert_eq!(problem["code"], "overloaded");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("20 orders wait to be shown, of 10 that may"), "{detail}");

    assert_eq!(edge.sent().len(), 40, "what is refused is no command");
    let cancellation = edge.post(&format!("/orders/{}/cancellation", order_id(1)));
    let cancellation = cancellation.send().await.unwrap();
    assert_eq!(cancellation.status(), StatusCode::ACCEPTED, "cancellations pass");

    // They get through, and there is room again.
    show(&edge, &waiting, Status::Requested, 1);
    assert_eq!(place(&edge).await.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_stopped_step_refuses_no_order() {
    let hand = Hand::default();
    let edge = Edge::admitting(hand.admission()).await;
    let placed = place_many(&edge, 40).await;
    show(&edge, &placed, Status::Requested, 1);
    show(&edge, &placed, Status::Validated, 2);
    for _ in 0..10 {
        hand.advance(SECOND);
        show(&edge, &place_many(&edge, 10).await, Status::Requested, 1);
    }
    // Time ends them, which is no sign of a payments that works.
    for command in &placed {
        let declined = order_of(command, Status::PaymentDeclined, 3);
        let reasons = vec![Reason::new("deadline", "deadline", "no answer")];
        edge.admission.on_view(&Order { reasons, ..declined });
    }
    hand.advance(SECOND);
    place_many(&edge, 40).await;
}

#[tokio::test]
async fn each_step_of_the_way_is_watched() {
    for (statuses, named) in [
        (&[Status::Requested][..], "for their checks"),
        (&[Status::Requested, Status::Validated][..], "for their payment"),
        (&[Status::Requested, Status::Validated, Status::Paid][..], "for their end"),
    ] {
        let hand = Hand::default();
        let edge = Edge::admitting(hand.admission()).await;
        let placed = place_many(&edge, 40).await;
        for (status, version) in statuses.iter().zip(1..) {
            show(&edge, &placed, *status, version);
        }
        hand.advance(LATE);
        show(&edge, &placed[..20], Status::Confirmed, 9);
        hand.advance(SECOND);
        let problem = body(refused(&edge).await).await;
        assert!(problem["detail"].as_str().unwrap().contains(named), "{problem}");
    }
}

#[tokio::test]
async fn a_repeated_command_is_not_waited_for() {
    let (hand, metrics) = (Hand::default(), Metrics::default());
    let edge = Edge::admitting(hand.admission().measured(metrics.meters())).await;
    let waiting = |step: &str| {
        let series = format!("orders_edge_waiting{{step=\"{step}\"}}");
        metric(&metrics.text().unwrap(), &series)
    };
    // It causes nothing. Orders after it on its partition are seen, so it has been handled.
    place_many(&edge, 1).await;
    assert_eq!(waiting("shown"), Some(1.0));
    wait_for("an order on the same partition", PATIENCE, async || {
        hand.advance(SECOND);
        let later = place_many(&edge, 1).await;
        show(&edge, &later, Status::Confirmed, 4);
        if waiting("shown") == Some(0.0) { Ok(()) } else { Err(waiting("shown")) }
    })
    .await;
    // One that was refused has been handled as well.
    let refused = place_many(&edge, 1).await;
    edge.admission.on_refusal(&CommandRefused {
        customer_id: None,
        command_id: refused[0].command_id(),
        order_id: refused[0].order_id(),
        command: refused[0].name().into(),
        reasons: vec![Reason::new("lines[0].sku", "unknown_sku", "because")],
        order_version: None,
        refused_at: NOW,
    });
    assert_eq!(waiting("shown"), Some(0.0));
}

#[tokio::test]
async fn what_is_refused_shows_in_metrics_and_health() {
    let (metrics, health, shutdown) = (Metrics::default(), Health::new(), Shutdown::new());
    let hand = Hand::default();
    let admission = hand.admission().measured(metrics.meters());
    tokio::spawn(admission.clone().tell(health.check("admission"), shutdown.clone()));
    let edge = Edge::admitting(admission).await;
    let waiting = crowd(&edge, &hand).await;
    refused(&edge).await;
    let details = wait_for("health to say so", PATIENCE, async || {
        let details = health.details();
        let is_told = details.iter().any(|told| told.contains("refused"));
        if is_told { Ok(details) } else { Err(details) }
    })
    .await;
    assert!(details[0].contains("admission: new orders are refused"), "{details:?}");
    assert!(health.is_ready(), "cancellations, and those that come again, are to be sent here");

    let text = metrics.text().unwrap();
    let value = |series: &str| metric(&text, series);
    assert_eq!(value("orders_edge_refused_total{behind=\"shown\"}"), Some(1.0), "{text}");
    assert_eq!(value("orders_edge_refused_total{behind=\"paid\"}"), Some(0.0), "from the start");
    assert_eq!(value("orders_edge_limit{step=\"shown\"}"), Some(10.0), "{text}");
    assert_eq!(value("orders_edge_limit{step=\"paid\"}"), None, "it is not crowded");
    let waited = "orders_step_wait_duration_seconds_count{step=\"shown\"}";
    assert_eq!(value(waited), Some(20.0), "{text}");
    assert_eq!(strangers(ServiceName::Orders, &text), Vec::<String>::new());

    show(&edge, &waiting, Status::Requested, 1);
    hand.advance(5 * SECOND);
    wait_for("health to be well again", PATIENCE, async || {
        let details = health.details();
        if details.is_empty() { Ok(()) } else { Err(details) }
    })
    .await;
    shutdown.cancel();
}

#[tokio::test]
async fn what_is_in_flight_is_bounded_and_cancellations_have_places_of_their_own() {
    const PLACES: usize = 3;
    let edge = Edge::admitting(Admission::new(BOUNDS, PLACES)).await;
    edge.log.stall();
    let placing: Vec<_> = (0..PLACES)
        .map(|_| {
            let request = edge.order(&tea_and_mug()).send();
            tokio::spawn(async move { request.await.unwrap().status() })
        })
        .collect();
    wait_for("the orders to be under way", PATIENCE, async || {
        let stalled = edge.log.stalled();
        if stalled == PLACES { Ok(()) } else { Err(stalled) }
    })
    .await;
    let response = place(&edge).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    let problem = body(response).await;
    assert!(problem["detail"].as_str().unwrap().contains("3 orders are being placed"), "{problem}");

    let path = format!("/orders/{}/cancellation", order_id(1));
    let cancelling = tokio::spawn(edge.post(&path).send());
    wait_for("the cancellation to be sent", PATIENCE, async || {
        let stalled = edge.log.stalled();
        if stalled == PLACES + 1 { Ok(()) } else { Err(stalled) }
    })
    .await;
    edge.log.go_on();
    assert_eq!(cancelling.await.unwrap().unwrap().status(), StatusCode::ACCEPTED);
    for placed in placing {
        assert_eq!(placed.await.unwrap(), StatusCode::ACCEPTED);
    }
    assert_eq!(place(&edge).await.status(), StatusCode::ACCEPTED, "the places are free again");
}
