//! `Prefer: wait=N`: a client that wants the outcome gets it, or is let go in time.

use contracts::{
    Order, Reason, Status,
    orders::{CommandRefused, OrderCommand},
};
use orders::http::waiters::{Goal, Outcome, Waiters};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use service_kit::waiters::Full;
use testkit::{PATIENCE, wait_for};

use crate::{
    edge::{Edge, WAITERS_MAX, body, tea_and_mug},
    fixtures::{NOW, command_id, order_at, order_id},
};

/// An order at `status` that `command` has made, or is about.
pub(crate) fn order_of(command: &OrderCommand, status: Status) -> Order {
    let order = order_at(status, 1);
    Order { order_id: command.order_id(), placed_by: command.command_id(), ..order }
}

pub(crate) fn refusal(command: &OrderCommand, check: &str, code: &str) -> CommandRefused {
    CommandRefused {
        customer_id: None,
        command_id: command.command_id(),
        order_id: command.order_id(),
        command: command.name().into(),
        reasons: vec![Reason::new(check, code, "because")],
        order_version: None,
        refused_at: NOW,
    }
}

async fn place(edge: &Edge) -> Response {
    edge.order(&tea_and_mug()).header("Prefer", "wait=30").send().await.unwrap()
}

async fn cancel(edge: &Edge) -> Response {
    let path = format!("/orders/{}/cancellation", order_id(1));
    edge.post(&path).header("Prefer", "wait=30").send().await.unwrap()
}

/// What a client gets whose order ends at `status`.
async fn placed(status: Status) -> (StatusCode, Value) {
    let edge = Edge::start().await;
    let waiters = edge.waiters.clone();
    edge.react(move |command| {
        // On its way the order is seen, too; that is no outcome.
        waiters.on_view(order_of(command, Status::Requested));
        waiters.on_view(order_of(command, status));
    });
    let response = place(&edge).await;
    assert_eq!(response.headers()["preference-applied"], "wait=30");
    assert!(response.headers().contains_key("location"));
    (response.status(), body(response).await)
}

#[tokio::test]
async fn a_confirmed_order_is_shown_as_the_view_would() {
    let (status, order) = placed(Status::Confirmed).await;
    assert_eq!((status, &order["status"]), (StatusCode::CREATED, &"confirmed".into()));
    assert_eq!(order["version"], 4);
    assert_eq!(order["customer_id"], "ada");
    assert_eq!(order["lines"][0]["total_minor"], 1780);
    assert_eq!(order["lines"][0]["name"], "The TEA");
    assert_eq!(order["total"]["amount_minor"], 3230);
    assert_eq!(order["payment"]["status"], "captured");
    assert_eq!(order["requested_at"], "2023-11-14T22:13:20.000Z");
}

#[tokio::test]
async fn an_order_that_ends_otherwise_is_a_problem_with_reasons() {
    for (end, status, code) in [
        (Status::Rejected, StatusCode::UNPROCESSABLE_ENTITY, "order_rejected"),
        (Status::Cancelled, StatusCode::CONFLICT, "order_cancelled"),
        (Status::Refunded, StatusCode::CONFLICT, "order_refunded"),
    ] {
        let (answered, problem) = placed(end).await;
        assert_eq!((answered, &problem["code"]), (status, &code.into()), "{end}");
        assert_eq!(problem["reasons"][0]["code"], "card_declined", "{problem:#}");
        assert!(problem["order_id"].is_string());
    }
}

#[tokio::test]
async fn a_refused_order_is_a_problem() {
    for (check, code, status) in [
        ("lines[0].sku", "inactive_sku", StatusCode::UNPROCESSABLE_ENTITY),
        ("order_id", "idempotency_key_reused", StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let edge = Edge::start().await;
        let waiters = edge.waiters.clone();
        edge.react(move |command| {
            // The other request of the same key has an order; it is not this one's outcome.
            let other = Order { placed_by: command_id(99), ..order_of(command, Status::Confirmed) };
            waiters.on_view(other);
            waiters.on_refusal(refusal(command, check, code));
        });
        let response = place(&edge).await;
        assert_eq!(response.status(), status);
        let problem = body(response).await;
        assert_eq!(problem["reasons"][0]["code"], code, "{problem:#}");
    }
}

#[tokio::test]
async fn a_key_of_another_request_is_refused_in_the_answer_itself() {
    let edge = Edge::start().await;
    let waiters = edge.waiters.clone();
    edge.react(move |command| {
        let other = Order { placed_by: command_id(99), ..order_of(command, Status::Requested) };
        waiters.on_view(other);
        waiters.on_refusal(refusal(command, "order_id", "idempotency_key_reused"));
    });
    let response = edge.order(&tea_and_mug()).header("Idempotency-Key", "1").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem = body(response).await;
    assert_eq!(problem["code"], "idempotency_key_reused", "{problem:#}");
}

#[tokio::test]
async fn a_request_with_a_key_is_accepted_as_soon_as_its_order_shows() {
    let edge = Edge::start().await;
    let waiters = edge.waiters.clone();
    edge.react(move |command| waiters.on_view(order_of(command, Status::Requested)));
    let response = edge.order(&tea_and_mug()).header("Idempotency-Key", "1").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(edge.waiters.count(), 0);
}

#[tokio::test]
async fn a_cancellation_waits_for_the_end_of_the_order() {
    for end in [Status::Cancelled, Status::Refunded] {
        let edge = Edge::start().await;
        let waiters = edge.waiters.clone();
        edge.react(move |command| {
            waiters.on_view(order_of(command, Status::RefundDue));
            waiters.on_view(order_of(command, end));
        });
        let response = cancel(&edge).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(body(response).await["status"], end.as_str());
    }
}

#[tokio::test]
async fn a_refused_cancellation_is_a_conflict() {
    let edge = Edge::start().await;
    let waiters = edge.waiters.clone();
    edge.react(move |command| {
        waiters.on_view(order_of(command, Status::Confirmed));
        waiters.on_refusal(refusal(command, "status", "already_confirmed"));
    });
    let response = cancel(&edge).await;
    assert_eq!(response.status(), StatusCode::CONFLICT);
    let problem = body(response).await;
    assert_eq!(problem["code"], "cancellation_refused");
    assert_eq!(problem["reasons"][0]["code"], "already_confirmed");
}

#[tokio::test]
async fn when_the_time_is_over_the_command_is_still_accepted() {
    let edge = Edge::start().await;
    let request = edge.order(&tea_and_mug()).header("Prefer", "respond-async, wait=0");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(response.headers()["preference-applied"], "wait=0");
    assert_eq!(edge.waiters.count(), 0);
    let response = edge.order(&tea_and_mug()).header("Prefer", "wait=soon").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert!(!response.headers().contains_key("preference-applied"), "nonsense is ignored");
}

#[tokio::test]
async fn a_repeated_request_is_answered_with_the_outcome_that_has_been() {
    let edge = Edge::start().await;
    let waiters = edge.waiters.clone();
    edge.react(move |command| waiters.on_view(order_of(command, Status::Confirmed)));
    let post = || edge.order(&tea_and_mug()).header("Idempotency-Key", "k");
    assert_eq!(post().send().await.unwrap().status(), StatusCode::ACCEPTED);
    edge.react(|_| {});
    let response = post().header("Prefer", "wait=30").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn too_many_waiters_are_sent_away_and_a_gone_client_leaves_room() {
    let edge = Edge::start().await;
    let mut waiting = Vec::new();
    for _ in 0..WAITERS_MAX {
        let request = edge.order(&tea_and_mug()).header("Prefer", "wait=60");
        waiting.push(tokio::spawn(async move { request.send().await.unwrap().status() }));
    }
    let waiters = edge.waiters.clone();
    let count_is = async |expected: usize| {
        wait_for("the number of waiters", PATIENCE, || async {
            if waiters.count() == expected { Ok(()) } else { Err(waiters.count()) }
        })
        .await;
    };
    count_is(WAITERS_MAX).await;
    let response = place(&edge).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(edge.log.commands.lock().unwrap().len(), WAITERS_MAX, "it was not sent");
    waiting.pop().unwrap().abort();
    count_is(WAITERS_MAX - 1).await;
    edge.shutdown.cancel();
    let last = waiting.pop().unwrap().await.unwrap();
    assert_eq!(last, StatusCode::ACCEPTED, "let go when the service stops");
}

#[tokio::test]
async fn each_waiter_hears_of_its_own_command_only() {
    let waiters = Waiters::new(3);
    let register = |order, command, goal| {
        waiters.register(order_id(order), command_id(command), goal).ok().unwrap()
    };
    let mut placed = register(1, 1, Goal::Placed);
    let mut cancelled = register(1, 2, Goal::Cancelled);
    let other = register(2, 3, Goal::Placed);
    assert!(matches!(
        waiters.register(order_id(3), command_id(4), Goal::Placed).err(),
        Some(Full(3))
    ));
    waiters.on_view(Order { placed_by: command_id(1), ..order_at(Status::Confirmed, 1) });
    assert!(matches!(placed.outcome().await, Outcome::Settled(_)));
    drop(placed);
    assert_eq!(waiters.count(), 2);
    let command = OrderCommand::from(crate::fixtures::cancel(1, 2));
    waiters.on_refusal(refusal(&command, "status", "already_confirmed"));
    assert!(matches!(cancelled.outcome().await, Outcome::Refused(_)));
    drop((cancelled, other));
    assert_eq!(waiters.count(), 0);
}
