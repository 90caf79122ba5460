//! `GET /orders/{id}` and its timeline.

use super::{
    App,
    wait::{WaitQuery, wait_for},
};
use crate::views::{order::OrderView, timeline::TimelineView};
use axum::{extract::State, response::Response};
use contracts::OrderId;
use serde::Deserialize;
use service_kit::{Problem, ValidPath, ValidQuery};
use utoipa::IntoParams;

/// Which order.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OrderPath {
    /// The order's id.
    #[param(value_type = String, format = "uuid")]
    id: OrderId,
}

/// The order as it is now
///
/// An order whose command was refused is shown as `refused`, with the reasons. Nothing is shown
/// until orders has taken the command up, which is after its 202: say what to wait for.
#[utoipa::path(
    get,
    path = "/orders/{id}",
    params(OrderPath, WaitQuery),
    responses(
        (status = 200, body = OrderView),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn show(
    State(app): State<App>,
    ValidPath(OrderPath { id }): ValidPath<OrderPath>,
    ValidQuery(query): ValidQuery<WaitQuery>,
) -> Result<Response, Problem> {
    wait_for::<OrderView>(&app, id, &query).await
}

/// Every transition of the order, with its place in the log
///
/// With `min_version` set to one more than the last one seen, an order can be followed live.
#[utoipa::path(
    get,
    path = "/orders/{id}/timeline",
    params(OrderPath, WaitQuery),
    responses(
        (status = 200, body = TimelineView),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn timeline(
    State(app): State<App>,
    ValidPath(OrderPath { id }): ValidPath<OrderPath>,
    ValidQuery(query): ValidQuery<WaitQuery>,
) -> Result<Response, Problem> {
    wait_for::<TimelineView>(&app, id, &query).await
}
