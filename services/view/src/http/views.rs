//! `/views`: what operators do with the lean views: look at them, rebuild one, drop one.

use super::App;
use crate::{
    adapters::{self, ViewStatus},
    views::ViewName,
};
use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use service_kit::{Problem, ValidPath};
use utoipa::{IntoParams, ToSchema};

/// The lean views.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Views {
    /// In the order in which a batch is folded into them.
    views: Vec<ViewStatus>,
}

/// Which view.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ViewPath {
    /// Its name.
    #[param(example = "timeline")]
    name: String,
}

async fn all(app: &App) -> Result<Vec<ViewStatus>, Problem> {
    adapters::list(&app.database).await.map_err(|error| app.database.problem(&error))
}

async fn one(app: &App, view: ViewName) -> Result<ViewStatus, Problem> {
    let found = all(app).await?.into_iter().find(|status| status.name == view.as_str());
    found.ok_or_else(|| Problem::unavailable(format!("the view {view} is not made yet")))
}

fn named(name: &str) -> Result<ViewName, Problem> {
    name.parse().map_err(Problem::not_found)
}

/// Why there is no answer from `views`: the first of them that has no tables.
pub(super) async fn missing(app: &App, views: &[ViewName]) -> Result<Option<Problem>, Problem> {
    let is_ours = |status: &ViewStatus| views.iter().any(|view| view.as_str() == status.name);
    let missing = all(app).await?.into_iter().find(|one| is_ours(one) && one.state == "dropped");
    Ok(missing.map(|status| {
        let name = &status.name;
        let (detail, seconds) = match &status.rebuild {
            None => {
                let out = format!("`./shop view rebuild {name}` fills it again from the log");
                (format!("the view `{name}` is dropped: {out}"), 10)
            }
            Some(rebuild) => {
                let left = rebuild.seconds_left.unwrap_or(10.0).clamp(1.0, 600.0).ceil();
                let read = format!("{} records read, about {left} s left", rebuild.records);
                (format!("the view `{name}` is being rebuilt: {read}"), left as u32)
            }
        };
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "view_dropped", "The view is not there")
            .detail(detail)
            .retry_after(seconds)
            .with("view", name.clone())
    }))
}

/// The lean views: what they are made of, and how far a rebuild is
#[utoipa::path(
    get,
    path = "/views",
    operation_id = "views",
    responses(
        (status = 200, body = Views),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(State(app): State<App>) -> Result<Json<Views>, Problem> {
    Ok(Json(Views { views: all(&app).await? }))
}

/// One of the lean views
#[utoipa::path(
    get,
    path = "/views/{name}",
    operation_id = "view",
    params(ViewPath),
    responses(
        (status = 200, body = ViewStatus),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn show(
    State(app): State<App>,
    ValidPath(ViewPath { name }): ValidPath<ViewPath>,
) -> Result<Json<ViewStatus>, Problem> {
    one(&app, named(&name)?).await.map(Json)
}

/// Rebuild a view from the beginning of the log, while the present one serves
///
/// One of the instances does it, and goes on after a restart. Asked again, nothing changes.
#[utoipa::path(
    post,
    path = "/views/{name}/rebuild",
    operation_id = "rebuild_view",
    params(ViewPath),
    responses(
        (status = 202, body = ViewStatus, description = "`GET /views/{name}` shows the progress"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn rebuild(
    State(app): State<App>,
    ValidPath(ViewPath { name }): ValidPath<ViewPath>,
) -> Result<Response, Problem> {
    let view = named(&name)?;
    let wanted = adapters::want(&app.database, view).await;
    wanted.map_err(|error| app.database.problem(&error))?;
    app.rebuilds.look();
    let mut answer = (StatusCode::ACCEPTED, Json(one(&app, view).await?)).into_response();
    if let Ok(location) = HeaderValue::try_from(format!("/views/{view}")) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    Ok(answer)
}

/// Drop a view, and its rebuild if there is one
///
/// What it answers is 503 until it was rebuilt; the other views serve on.
#[utoipa::path(
    delete,
    path = "/views/{name}",
    operation_id = "drop_view",
    params(ViewPath),
    responses(
        (status = 200, body = ViewStatus),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn remove(
    State(app): State<App>,
    ValidPath(ViewPath { name }): ValidPath<ViewPath>,
) -> Result<Json<ViewStatus>, Problem> {
    let view = named(&name)?;
    let dropped = adapters::drop_view(&app.database, view).await;
    dropped.map_err(|error| app.database.problem(&error))?;
    one(&app, view).await.map(Json)
}
