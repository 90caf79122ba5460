//! `POST /orders/{id}/cancellation`.

use axum::{extract::State, http::HeaderMap, response::Response};
use contracts::{CustomerId, OrderId, Timestamp, orders::CancelOrder};
use serde::Deserialize;
use service_kit::{Caller, Problem, ValidPath};

use super::{
    App, answer::Accepted, edge::carry_out, idempotency, representation::OrderBody, waiters::Goal,
};

/// Which order.
#[derive(Debug, Deserialize)]
pub(super) struct OrderPath {
    id: OrderId,
}

/// Cancel an order.
///
/// It is possible until the order is confirmed. While the payment is under way the cancellation is
/// remembered, and the money goes back if it was captured.
#[utoipa::path(
    post,
    path = "/orders/{id}/cancellation",
    params(
        ("id" = String, Path, format = "uuid", description = "the order, a UUID"),
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,255}$",
            description = "1 to 255 visible ASCII characters; the same key gives the same command"),
        ("Prefer" = Option<String>, Header,
            description = "`wait=N`: wait up to N seconds, 60 at most, for the outcome (RFC 7240)"),
    ),
    responses(
        (status = 200, body = OrderBody, description = "waited for: cancelled, money given back"),
        (status = 202, body = Accepted, description = "the command is in the log"),
        (status = 400, body = Problem, description = "the id is no UUID"),
        (status = 409, body = Problem,
            description = "waited for: refused, as there is no such order, or it has ended"),
        (status = 422, body = Problem, description = "the key is not valid"),
        (status = 503, body = Problem, description = "not now; `Retry-After` says when"),
    )
)]
pub(super) async fn cancel_order(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ValidPath(OrderPath { id }): ValidPath<OrderPath>,
) -> Result<Response, Problem> {
    // A subject that cannot be a customer has no order.
    let customer_id = caller.customer().map(str::parse::<CustomerId>).transpose();
    let customer_id = customer_id.map_err(|_| Problem::forbidden())?;
    let command_id = idempotency::cancel_order(&headers, id, customer_id.as_ref())?;
    let issued_at = Timestamp::now();
    let command = CancelOrder { command_id, order_id: id, issued_at, customer_id };
    carry_out(&app, (&caller, &headers), command.into(), Goal::Cancelled).await
}
