//! `GET /orders/{id}`, now or as it was, and its timeline.

use super::{
    App, out_of_range,
    wait::{WaitFor, WaitQuery, wait_for},
};
use crate::views::{
    ViewName,
    order::OrderView,
    timeline::TimelineView,
    versions::{self, Past},
};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use contracts::{OrderId, Timestamp};
use serde::Deserialize;
use service_kit::{Caller, Problem, ValidPath, ValidQuery, telemetry::about_order};
use utoipa::IntoParams;

/// Which order.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OrderPath {
    /// The order's id.
    #[param(value_type = String, format = "uuid")]
    pub(super) id: OrderId,
}

/// Which state of the order, and what to wait for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ShowQuery {
    /// As in the timeline.
    #[param(inline, example = "settled")]
    wait: Option<WaitFor>,
    /// As in the timeline.
    #[param(maximum = 4_294_967_295_u32)]
    min_version: Option<u32>,
    /// As in the timeline.
    #[param(maximum = 60_000)]
    timeout: Option<u64>,
    /// The order as it was after this transition, 1 for the first. Not with `wait` or
    /// `min_version`, as the past does not change.
    #[param(maximum = 4_294_967_295_u32)]
    version: Option<u32>,
    /// The order as it was at this time, RFC 3339. Not with `version`, `wait` or `min_version`.
    #[param(format = "date-time", example = "2026-11-21T10:12:38.253Z")]
    at: Option<String>,
}

impl ShowQuery {
    /// The past that is asked for, if it is not the present.
    fn past(&self) -> Result<Option<Past>, Problem> {
        let waits = self.wait.is_some() || self.min_version.is_some();
        let (field, past) = match (self.version, &self.at) {
            (None, None) => return Ok(None),
            (Some(version), None) => ("version", Past::Version(i64::from(version))),
            (_, Some(at)) => {
                let at: jiff::Timestamp = at.parse().map_err(|_| {
                    let detail = "must be a time such as 2026-11-21T10:12:38.253Z".to_owned();
                    out_of_range("at", detail)
                })?;
                ("at", Past::At(Timestamp(at.as_millisecond())))
            }
        };
        if waits || (self.version.is_some() && self.at.is_some()) {
            let detail = "goes with neither `wait`, `min_version` nor another past".to_owned();
            return Err(out_of_range(field, detail));
        }
        Ok(Some(past))
    }
}

/// The order as it is now, or as it was
///
/// An order whose command was refused is shown as `refused`, with the reasons. Nothing is shown
/// until orders has taken the command up, which is after its 202: say what to wait for.
#[utoipa::path(
    get,
    path = "/orders/{id}",
    operation_id = "order",
    params(OrderPath, ShowQuery),
    responses(
        (status = 200, body = OrderView),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn show(
    State(app): State<App>,
    caller: Caller,
    ValidPath(OrderPath { id }): ValidPath<OrderPath>,
    ValidQuery(query): ValidQuery<ShowQuery>,
) -> Result<Response, Problem> {
    about_order(id);
    let Some(past) = query.past()? else {
        let ShowQuery { wait, min_version, timeout, .. } = query;
        let query = WaitQuery { wait, min_version, timeout };
        return wait_for(&app, (&app.looks.orders, &caller), id, &query).await;
    };
    let order = app.read(&[ViewName::Versions], || versions::find(app.pool(), id, past)).await?;
    let none = || Problem::not_found(format!("nothing is kept of the order {id} at this point"));
    let is_theirs = |order: &OrderView| {
        let owner = order.customer_id.as_deref();
        owner.map_or(caller.sees_all(), |owner| caller.may_see(owner))
    };
    order.filter(is_theirs).map(|order| Json(order).into_response()).ok_or_else(none)
}

/// Every transition of the order, with its place in the log
///
/// With `min_version` set to one more than the last one seen, an order can be followed live.
#[utoipa::path(
    get,
    path = "/orders/{id}/timeline",
    operation_id = "order_timeline",
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
    caller: Caller,
    ValidPath(OrderPath { id }): ValidPath<OrderPath>,
    ValidQuery(query): ValidQuery<WaitQuery>,
) -> Result<Response, Problem> {
    about_order(id);
    wait_for(&app, (&app.looks.timelines, &caller), id, &query).await
}
