//! `GET /orders/{id}` and its timeline.

use super::{
    App,
    wait::{WaitQuery, look_until},
};
use crate::{
    domain::goal::Standing,
    views::{
        order::{self, OrderView},
        timeline::{self, TimelineView},
    },
};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
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

/// What is there, or 404.
struct Answer<T> {
    order_id: OrderId,
    value: Option<T>,
}

impl<T> IntoResponse for Answer<T>
where
    Json<T>: IntoResponse,
{
    fn into_response(self) -> Response {
        match self.value {
            Some(value) => Json(value).into_response(),
            None => Problem::not_found(format!("nothing is known of the order {}", self.order_id))
                .into_response(),
        }
    }
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
    let look = || async {
        let value = app.read(|| order::find(app.pool(), id)).await?;
        Ok(Answer { order_id: id, value })
    };
    let standing = |answer: &Answer<OrderView>| {
        answer.value.as_ref().map_or(Standing::Unknown, OrderView::standing)
    };
    Ok(look_until(&app, id, &query, look, standing).await?.into_response())
}

/// Every transition of the order, and where it stands in the log
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
    let look = || async {
        let value = app.read(|| timeline::find(app.pool(), id)).await?;
        Ok(Answer { order_id: id, value })
    };
    let standing = |answer: &Answer<TimelineView>| {
        answer.value.as_ref().map_or(Standing::Unknown, TimelineView::standing)
    };
    Ok(look_until(&app, id, &query, look, standing).await?.into_response())
}
