//! The view over HTTP: queries, the page, and what operators do with the lean views.

mod batons;
mod catalog;
mod customers;
mod etag;
mod events;
mod flocks;
mod looks;
mod orders;
mod page;
mod questions;
mod streams;
mod topology;
mod views;
mod wait;

pub use batons::LastBatons;
pub use page::Page;
pub use streams::{Streams, Writers};

use crate::{
    feed::Feed,
    freshness::Freshness,
    rebuild::Rebuilds,
    views::{OfOrder, ViewName, is_missing, order::OrderView, owner, timeline::TimelineView},
};
use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use contracts::{OrderId, ids::InvalidId};
use looks::Looks;
use serde::Serialize;
use service_kit::{
    Access, Caller, Guarded, Limits, Problem, Routes, Shutdown, openapi, postgres::Database,
    waiters::Waiters,
};
use sqlx::PgPool;
use std::future::Future;
use utoipa::{OpenApi, ToSchema, openapi::OpenApi as Document};
use utoipa_axum::routes;

/// How far the view is behind the log, in milliseconds.
const STALENESS: HeaderName = HeaderName::from_static("view-staleness-ms");

/// What the handlers need.
#[derive(Clone)]
pub struct App {
    /// Where the answers are.
    pub database: Database,
    /// The waiting requests.
    pub waiters: Waiters<OrderId, ()>,
    /// How they look.
    pub looks: OrderLooks,
    /// What waits where.
    pub batons: LastBatons,
    /// The transitions as they come.
    pub feed: Feed,
    /// The clients that get them.
    pub streams: Streams,
    /// What browsers get.
    pub page: Page,
    /// How old the answers are.
    pub freshness: Freshness,
    /// Who rebuilds views.
    pub rebuilds: Rebuilds,
    /// Ends every wait.
    pub shutdown: Shutdown,
}

/// The looks of waiting requests.
#[derive(Debug, Clone, Default)]
pub struct OrderLooks {
    orders: Looks<OrderView>,
    timelines: Looks<TimelineView>,
}

#[derive(OpenApi)]
#[openapi(info(
    title = "view",
    description = "Questions about orders, customers, products and sales. Each answer has the \
        header View-Staleness-Ms: how far the view is behind the log, by its slowest partition."
))]
struct Api;

impl App {
    /// What `look` reads in the tables of `views`; 503 while one of these is dropped.
    async fn read<T, F>(&self, views: &[ViewName], look: impl Fn() -> F) -> Result<T, Problem>
    where
        F: Future<Output = sqlx::Result<T>>,
    {
        let mut again = true;
        loop {
            let error = match self.database.read(&look).await {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            if error.downcast_ref::<sqlx::Error>().is_some_and(is_missing) {
                match views::missing(self, views).await? {
                    Some(missing) => return Err(missing),
                    // By now it is there again.
                    None if std::mem::take(&mut again) => continue,
                    None => {}
                }
            }
            return Err(self.database.problem(&error));
        }
    }

    /// What a view shows of an order, if the caller may see it; else what it shows of an order that
    /// there is not, and not sooner.
    async fn find<V: OfOrder>(&self, caller: &Caller, id: OrderId) -> Result<Option<V>, Problem> {
        let found = self.read(V::NEEDS, || V::find(self.pool(), id)).await?;
        self.shown(caller, id, found).await
    }

    /// What was found of an order, if the caller may see it.
    async fn shown<V>(
        &self,
        caller: &Caller,
        id: OrderId,
        found: Option<V>,
    ) -> Result<Option<V>, Problem> {
        if caller.sees_all() {
            return Ok(found);
        }
        let owner = self.read(owner::NEEDS, || owner::find(self.pool(), id)).await?;
        Ok(found.filter(|_| owner.is_some_and(|owner| caller.may_see(&owner))))
    }

    /// The connections, for what [`App::read`] is given.
    fn pool(&self) -> &PgPool {
        self.database.pool()
    }
}

/// What the server takes on: requests that wait do not take the place of other questions, and an
/// event stream takes none.
pub fn limits(waiters_max: usize) -> Limits {
    let defaults = Limits::default();
    Limits { in_flight_max: waiters_max + defaults.in_flight_max, ..defaults }
}

/// The routes of the view, with their document at `/openapi.json` and `/docs`.
///
/// # Errors
/// When the OpenAPI document cannot be written.
pub fn router(app: App) -> anyhow::Result<Guarded> {
    let page = app.page.router();
    let staleness = from_fn_with_state(app.freshness.clone(), tell_staleness);
    let routes = api().guarded(app).layer(from_fn(etag::tag)).layer(staleness);
    Ok(routes.merge(page).merge(openapi::router(&document())?))
}

/// The OpenAPI document of this service.
pub fn document() -> Document {
    let mut document = api().document();
    etag::document(&mut document);
    openapi::complete(document)
}

fn api() -> Routes<App> {
    use Access::{Owner, Public, Staff};
    Routes::new(Api::openapi())
        .with(Public, routes!(index))
        .with(Owner, routes!(orders::show))
        .with(Owner, routes!(orders::timeline))
        .with(Staff, routes!(events::all))
        .with(Owner, routes!(events::of_order))
        .with(Staff, routes!(customers::list))
        .with(Owner, routes!(customers::orders))
        .with(Public, routes!(catalog::products))
        .with(Public, routes!(catalog::product))
        .with(Staff, routes!(catalog::sales))
        .with(Public, routes!(topology::show))
        .with(Staff, routes!(batons::show))
        .with(Staff, routes!(views::list))
        .with(Staff, routes!(views::show, views::remove))
        .with(Staff, routes!(views::rebuild))
        .with(Staff, routes!(questions::list))
        .with(Staff, routes!(questions::ask))
}

/// What there is to ask for.
#[derive(Serialize, ToSchema)]
struct Index {
    service: &'static str,
    resources: &'static [&'static str],
}

/// What there is to ask for
///
/// A browser, which asks for `text/html`, gets the page.
#[utoipa::path(get, path = "/", responses((status = 200, body = Index)))]
async fn index(State(app): State<App>, headers: HeaderMap) -> Response {
    let mut response = match page::wants_html(&headers) {
        true => app.page.index(&headers),
        false => Json(INDEX).into_response(),
    };
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
    response
}

const INDEX: Index = Index {
    service: "view",
    resources: &[
        "/orders/{id}?wait=validated|settled&min_version={version}&timeout={ms}",
        "/orders/{id}?version={version}",
        "/orders/{id}?at={time}",
        "/orders/{id}/timeline?wait=validated|settled&min_version={version}&timeout={ms}",
        "/orders/{id}/events?after={version}",
        "/events?after={position}&latest={1..1000}&singles={1..1000}",
        "/customers?limit={1..100}&after={customer_id}",
        "/customers/{id}/orders?limit={1..100}&before={order_id}",
        "/products?limit={1..1000}&after={sku}",
        "/products/{sku}",
        "/sales?limit={1..1000}&after={sku}",
        "/batons",
        "/topology",
        "/questions",
        "/questions/{name}?limit={1..1000}",
        "/docs",
        "/views",
        "/views/{name}",
        "/openapi.json",
        "/health/ready",
    ],
};

/// Adds how far the view is behind.
async fn tell_staleness(
    State(freshness): State<Freshness>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    if let Some(ms) = freshness.staleness_ms() {
        response.headers_mut().insert(STALENESS, HeaderValue::from(ms));
    }
    response
}

/// The id in the path's parameter `field`.
fn path_id<T: TryFrom<String, Error = InvalidId>>(
    field: &'static str,
    text: String,
) -> Result<T, Problem> {
    T::try_from(text).map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, "invalid_path", "The path is not valid").field(
            field,
            "invalid",
            error.to_string(),
        )
    })
}

/// A parameter that has the right form and the wrong value.
fn out_of_range(field: &'static str, detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_query", "The query string is not valid").field(
        field,
        "out_of_range",
        detail,
    )
}

/// `limit`, if it is between 1 and `max`.
fn checked_limit(limit: Option<u32>, default: u32, max: u32) -> Result<u32, Problem> {
    let limit = limit.unwrap_or(default);
    if (1..=max).contains(&limit) {
        return Ok(limit);
    }
    Err(out_of_range("limit", format!("must be between 1 and {max}")))
}
