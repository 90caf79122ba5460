//! `GET /batons`: what waits where.

use super::App;
use crate::views::batons::{self, Batons};
use axum::{Json, extract::State};
use service_kit::Problem;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};

/// How long an answer is good for others.
const FRESH: Duration = Duration::from_secs(1);

/// The last answer and when it was found. However many ask, the database is asked once a second,
/// and by one at a time. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct LastBatons(Arc<Mutex<Option<(Instant, Batons)>>>);

/// What waits where: how many open orders there are in each status, and the oldest of them
///
/// Who holds the baton of an order may write what happens next, and no other service. Where orders
/// gather, or one grows old, a service is slow or away. The answer may be a second old.
#[utoipa::path(
    get,
    path = "/batons",
    operation_id = "batons",
    responses(
        (status = 200, body = Batons),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn show(State(app): State<App>) -> Result<Json<Batons>, Problem> {
    let mut last = app.batons.0.lock().await;
    if let Some((at, batons)) = &*last
        && at.elapsed() < FRESH
    {
        return Ok(Json(batons.clone()));
    }
    let found = app.read(batons::NEEDS, || batons::find(app.pool())).await?;
    *last = Some((Instant::now(), found.clone()));
    Ok(Json(found))
}
