//! `POST /orders`.

use axum::{extract::State, http::HeaderMap, response::Response};
use contracts::{
    CustomerId, Sku, Timestamp,
    orders::{Note, PlaceOrder, RequestedLine},
};
use serde::{Deserialize, Serialize};
use service_kit::{Caller, Problem, ValidJson, json::whole};
use utoipa::ToSchema;

use super::{
    App,
    answer::{self, Accepted},
    edge::carry_out,
    idempotency,
    representation::OrderBody,
    waiters::Goal,
};
use crate::domain::place_order::price;

/// What is ordered. Prices and names are the shop's to set.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaceOrderBody {
    /// The customer.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9._-]{1,64}$", example = "ada")]
    customer_id: CustomerId,
    /// 1 to 50 lines, each sku once.
    #[schema(min_items = 1, max_items = 50)]
    lines: Vec<LineBody>,
    /// What the shop should know, in the customer's words: no control characters but line feed and
    /// tab.
    // Left out when it is empty: a request without it stays the command that it was before there
    // were notes.
    #[serde(default, skip_serializing_if = "Note::is_empty")]
    #[schema(value_type = Option<String>, max_length = 500, example = "ring twice")]
    #[schema(pattern = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$")]
    note: Note,
}

/// One product.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RequestedLine)]
struct LineBody {
    /// Which one.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9._-]{1,64}$", example = "TEA")]
    sku: Sku,
    /// 1 to 1000 pieces.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 1000, example = 2)]
    quantity: i64,
}

/// Place an order.
///
/// The answer comes as soon as the command is safe; what becomes of it can be seen at `Location`,
/// or is waited for with `Prefer: wait=N`.
#[utoipa::path(
    post,
    path = "/orders",
    request_body = PlaceOrderBody,
    params(
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,255}$",
            description = "1 to 255 visible ASCII characters; a customer's key gives one order"),
        ("Prefer" = Option<String>, Header,
            description = "`wait=N`: wait up to N seconds, 60 at most, for the outcome (RFC 7240)"),
    ),
    responses(
        (status = 201, body = OrderBody, description = "waited for: the order is confirmed"),
        (status = 202, body = Accepted, description = "the command is in the log"),
        (status = 400, body = Problem, description = "the body is not JSON"),
        (status = 409, body = Problem,
            description = "waited for: the order was cancelled"),
        (status = 413, body = Problem, description = "the body is too large"),
        (status = 422, body = Problem,
            description = "members are wrong, the key belongs to another request, \
                or waited for: the order was rejected"),
        (status = 503, body = Problem, description = "not now; `Retry-After` says when"),
    )
)]
pub(super) async fn place_order(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ValidJson(body): ValidJson<PlaceOrderBody>,
) -> Result<Response, Problem> {
    if !caller.may_see(body.customer_id.as_str()) {
        return Err(Problem::forbidden());
    }
    if !app.catalog.is_ready() {
        return Err(Problem::unavailable("the catalog has not been read yet"));
    }
    // Held until the answer: what is in flight is bounded, and leaves room for cancellations.
    let _admitted = app.admission.admit()?;
    let command = command(&headers, body)?;
    let excerpt = app.catalog.excerpt(&command.customer_id, &command.lines);
    price(&command.customer_id, &command.lines, &excerpt)
        .map_err(|reasons| answer::invalid(&reasons))?;
    carry_out(&app, (&caller, &headers), command.into(), Goal::Placed).await
}

fn command(headers: &HeaderMap, body: PlaceOrderBody) -> Result<PlaceOrder, Problem> {
    // Written again rather than as it came: blanks and the order of members make no other command.
    let canonical = serde_json::to_vec(&body).map_err(|error| Problem::internal(&error.into()))?;
    let (order_id, command_id) = idempotency::place_order(headers, &body.customer_id, &canonical)?;
    let PlaceOrderBody { customer_id, lines, note } = body;
    let lines = lines.into_iter().map(requested).collect();
    let command = PlaceOrder::new(command_id, order_id, customer_id, lines, Timestamp::now());
    Ok(PlaceOrder { note, ..command })
}

/// A quantity beyond 32 bits stays out of range.
fn requested(LineBody { sku, quantity }: LineBody) -> RequestedLine {
    let beyond = if quantity < 0 { i32::MIN } else { i32::MAX };
    RequestedLine { sku, quantity: i32::try_from(quantity).unwrap_or(beyond) }
}
