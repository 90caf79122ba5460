//! Long polling: look, and if the order is not there yet, wait for a change and look again.

use super::{App, looks::Looks, out_of_range};
use crate::{
    domain::goal::{Goal, Milestone, Standing},
    views::OfOrder,
};
use axum::{
    Json,
    http::{HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};
use contracts::OrderId;
use serde::Deserialize;
use service_kit::{Caller, Problem};
use std::time::Duration;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

const TIMEOUT_MS_DEFAULT: u64 = 10_000;
const TIMEOUT_MS_MAX: u64 = 60_000;

/// Set to `true` on the answer to a wait that ran out before its goal was reached.
const WAIT_TIMED_OUT: HeaderName = HeaderName::from_static("wait-timed-out");

/// What to wait for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WaitQuery {
    /// Wait until the order's checks are done (`validated`) or it has ended (`settled`).
    #[param(inline, example = "settled")]
    pub(super) wait: Option<WaitFor>,
    /// Wait until at least this version is shown: read your own writes.
    #[param(maximum = 4_294_967_295_u32)]
    pub(super) min_version: Option<u32>,
    /// How long, in milliseconds: 0 to 60000, by default 10000. When it is over, the answer is
    /// what is there, with the header `Wait-Timed-Out: true`.
    #[param(maximum = 60_000)]
    pub(super) timeout: Option<u64>,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum WaitFor {
    Validated,
    Settled,
}

impl WaitQuery {
    fn goal(&self) -> Goal {
        let milestone = self.wait.map(|wait| match wait {
            WaitFor::Validated => Milestone::Validated,
            WaitFor::Settled => Milestone::Settled,
        });
        Goal { milestone, min_version: self.min_version.map(i64::from) }
    }

    fn timeout(&self) -> Result<Duration, Problem> {
        let timeout_ms = self.timeout.unwrap_or(TIMEOUT_MS_DEFAULT);
        if timeout_ms > TIMEOUT_MS_MAX {
            let detail = format!("must be between 0 and {TIMEOUT_MS_MAX} milliseconds");
            return Err(out_of_range("timeout", detail));
        }
        Ok(Duration::from_millis(timeout_ms))
    }
}

/// What a view shows of an order, as soon as the order has come as far as `query` wants, or else
/// when the time is over or the process is asked to stop; 404 if nothing is known of it.
pub(super) async fn wait_for<V: OfOrder + Clone>(
    app: &App,
    (looks, caller): (&Looks<V>, &Caller),
    order_id: OrderId,
    query: &WaitQuery,
) -> Result<Response, Problem> {
    let (found, timed_out) = look_until(app, (looks, caller), order_id, query).await?;
    let mut response = match found {
        Some(view) => Json(view).into_response(),
        None => {
            Problem::not_found(format!("nothing is known of the order {order_id}")).into_response()
        }
    };
    if timed_out {
        response.headers_mut().insert(WAIT_TIMED_OUT, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// What is found, and whether the wait for more ran out.
async fn look_until<V: OfOrder + Clone>(
    app: &App,
    (looks, caller): (&Looks<V>, &Caller),
    order_id: OrderId,
    query: &WaitQuery,
) -> Result<(Option<V>, bool), Problem> {
    let (goal, timeout) = (query.goal(), query.timeout()?);
    if !goal.is_set() {
        return Ok((app.find(caller, order_id).await?, false));
    }
    let mut waiter = app
        .waiters
        .register(order_id, |()| true)
        .map_err(|full| Problem::unavailable(format!("{full}; ask again, or without waiting")))?;
    let deadline = Instant::now() + timeout;
    let mut timed_out = false;
    loop {
        let found = looks.find(app, order_id).await?;
        let found = app.shown(caller, order_id, found).await?;
        let standing = found.as_ref().map_or(Standing::Unknown, V::standing);
        let is_reached = goal.is_reached(standing);
        if is_reached || timed_out {
            return Ok((found, !is_reached));
        }
        // The last look comes after the time is over, so that also a lost connection to the
        // database's notifications costs patience only, and never shows an old state.
        tokio::select! {
            () = waiter.news() => {}
            () = tokio::time::sleep_until(deadline) => timed_out = true,
            () = app.shutdown.cancelled() => timed_out = true,
        }
    }
}
