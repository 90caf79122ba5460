//! `GET /events` and `GET /orders/{id}/events`: transitions as server-sent events.
//!
//! The id of an event is all that a client needs to go on, at any instance: the position in the log
//! of orders, or the version of the order. A stream that ends leads to a new request with that id.

use super::{
    App,
    flocks::{FlockView, Pace},
    orders::OrderPath,
    out_of_range,
    streams::{Out, RETRY, last_event_id},
};
use crate::{
    domain::position::Position,
    feed::{self, Follower},
    views::{
        ViewName,
        events::{self, EventView},
        order::OrderView,
        timeline::TimelineView,
    },
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response, sse::Event},
};
use contracts::OrderId;
use serde::{Deserialize, Serialize};
use service_kit::{Caller, Problem, ValidPath, ValidQuery, Waiter, telemetry::about_order};
use std::str::FromStr;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

/// Most earlier transitions to begin with.
const LATEST_MAX: u32 = 1000;

/// Most single transitions of a second that a client may want.
const SINGLES_MAX: u32 = 1000;

/// What `/events` are taken from.
const FEED: &[ViewName] = &[ViewName::Timeline];

/// The id of the only event of an order that was refused.
const REFUSED: &str = "refused";

/// Where to begin.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// After the event with this id: for clients that cannot set `Last-Event-ID`. That counts more.
    #[param(pattern = "^0:-?[0-9]+(,[0-9]+:-?[0-9]+)*$", example = "0:12,1:-1,2:7")]
    after: Option<String>,
    /// With so many of the latest transitions: 1 to 1000. Without this and without an id, with the
    /// next one.
    #[param(minimum = 1, maximum = 1000)]
    latest: Option<u32>,
    /// At most so many single transitions a second, 1 to 1000. Those above come twice a second as
    /// one event `flock`: how many of each kind, with the latest of it. Without this, each comes.
    #[param(minimum = 1, maximum = 1000)]
    singles: Option<u32>,
}

/// What an event of `/events` has.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is what the document says")]
enum FlockOrEvent {
    /// The data of `transition`.
    Transition(Box<EventView>),
    /// The data of `flock`.
    Flock(FlockView),
}

/// Where to begin.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OrderEventsQuery {
    /// After this version: for clients that cannot set `Last-Event-ID`, which counts more. Without
    /// both, with the first version.
    #[param(example = "2")]
    after: Option<String>,
}

/// Transitions of all orders, as they come to be shown
///
/// Each event `transition` has the position in the log as its id: send it as `Last-Event-ID` to go
/// on after it, at any instance. Transitions of one order come in their order, each once for a
/// position. A stream whose client takes nothing for 10 s ends. With `singles`, what comes faster
/// is an event `flock`; the transitions before the request are always single.
#[utoipa::path(
    get,
    path = "/events",
    operation_id = "events",
    params(
        EventsQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "the id of the last event seen"),
    ),
    responses(
        (status = 200, body = FlockOrEvent, content_type = "text/event-stream"),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn all(
    State(app): State<App>,
    headers: HeaderMap,
    ValidQuery(query): ValidQuery<EventsQuery>,
) -> Result<Response, Problem> {
    let after: Option<Position> = last_id(&headers, query.after.as_deref())?;
    if query.latest.is_some_and(|latest| !(1..=LATEST_MAX).contains(&latest)) {
        return Err(out_of_range("latest", format!("must be between 1 and {LATEST_MAX}")));
    }
    if query.singles.is_some_and(|singles| !(1..=SINGLES_MAX).contains(&singles)) {
        return Err(out_of_range("singles", format!("must be between 1 and {SINGLES_MAX}")));
    }
    let place = app.streams.place()?;
    let end = app.read(FEED, || events::end(app.pool())).await?;
    let begin = match (after, query.latest) {
        // A position beyond the end is from another log, such as that of a shop before `--fresh`.
        (Some(after), _) => after.up_to(&end),
        (None, Some(count)) => app.read(FEED, || events::before_latest(app.pool(), count)).await?,
        (None, None) => end.clone(),
    };
    let first = Event::default().id(begin.to_string()).retry(RETRY);
    let follower = app.feed.follow(begin);
    match query.singles.map(Pace::new) {
        None => place.stream(first, |out| follow_all(follower, out)),
        Some(pace) => place.stream(first, |out| follow_at(pace, follower, end, out)),
    }
}

async fn follow_all(mut follower: Follower, out: Out) -> Option<()> {
    loop {
        // Without the database, the client comes again, and then hears how long it should wait.
        let news = follower.next().await.ok()?;
        if news.is_empty() {
            return None;
        }
        for event in news {
            out.send(single(&event)).await?;
        }
    }
}

/// The same at a pace, for what comes after `end`.
async fn follow_at(mut pace: Pace, mut follower: Follower, end: Position, out: Out) -> Option<()> {
    loop {
        let news = match pace.leaves_at() {
            None => follower.next().await,
            Some(at) => match tokio::time::timeout_at(at, follower.next()).await {
                Ok(news) => news,
                Err(_) => {
                    out.send(pace.leave()?).await?;
                    continue;
                }
            },
        };
        let news = news.ok()?;
        if news.is_empty() {
            return None;
        }
        for event in news {
            let is_past = end.includes(&event.position);
            let event = if is_past { Some(event) } else { pace.admit(event) };
            if let Some(event) = event {
                out.send(single(&event)).await?;
            }
        }
        // News may come so fast that there is no time in between.
        if pace.leaves_at().is_some_and(|at| at <= Instant::now()) {
            out.send(pace.leave()?).await?;
        }
    }
}

fn single(event: &feed::Event) -> Event {
    let data = Event::default().event("transition").id(event.position.to_string());
    data.data(event.json())
}

/// Transitions of one order, from the first one to its end
///
/// Each event `transition` has the version as its id: send it as `Last-Event-ID` to go on after it,
/// at any instance. An order that was refused has one event, `refused`, with the order as in
/// `GET /orders/{id}`. After the last event the stream ends, and 204 tells a client that asks
/// for more to stop. An order that the view does not know yet is waited for.
#[utoipa::path(
    get,
    path = "/orders/{id}/events",
    operation_id = "order_events",
    params(
        OrderPath,
        OrderEventsQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "the id of the last event seen"),
    ),
    responses(
        (status = 200, body = EventView, content_type = "text/event-stream"),
        (status = 204, description = "the order has ended, and there is nothing after this event"),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn of_order(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ValidPath(OrderPath { id }): ValidPath<OrderPath>,
    ValidQuery(query): ValidQuery<OrderEventsQuery>,
) -> Result<Response, Problem> {
    about_order(id);
    let after: Option<Seen> = last_id(&headers, query.after.as_deref())?;
    let seen = match after {
        None => 0,
        Some(Seen::Version(version)) => version,
        Some(Seen::Refused) => return Ok(StatusCode::NO_CONTENT.into_response()),
    };
    let place = app.streams.place()?;
    // It has a place among the streams.
    let waiter = app.waiters.register_besides(id, |()| true);
    let known: Option<TimelineView> = app.find(&caller, id).await?;
    let last = known.as_ref().and_then(|timeline| timeline.transitions.last());
    if last.is_some_and(|last| last.is_terminal() && last.version <= seen) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let first = Event::default().id(seen.to_string()).retry(RETRY);
    let order = OrderStream { app: app.clone(), caller, id, waiter, seen };
    place.stream(first, |out| order.run(known, out))
}

/// What the id of an order's event says.
enum Seen {
    Version(i64),
    Refused,
}

impl FromStr for Seen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(version @ 0..) => Ok(Self::Version(version)),
            _ if text == REFUSED => Ok(Self::Refused),
            _ => Err("expected a version of the order, as in the id of an event: 2"),
        }
    }
}

struct OrderStream {
    app: App,
    caller: Caller,
    id: OrderId,
    waiter: Waiter<OrderId, ()>,
    seen: i64,
}

impl OrderStream {
    async fn run(mut self, mut known: Option<TimelineView>, out: Out) -> Option<()> {
        loop {
            if let Some(timeline) = known {
                if timeline.transitions.is_empty() {
                    return self.refused(&out).await;
                }
                for transition in timeline.transitions {
                    if transition.version <= self.seen {
                        continue;
                    }
                    self.seen = transition.version;
                    let is_terminal = transition.is_terminal();
                    let event = Event::default().event("transition").id(self.seen.to_string());
                    let view = EventView { order_id: self.id, transition };
                    out.send(event.json_data(view).ok()?).await?;
                    if is_terminal {
                        return None;
                    }
                }
            }
            self.waiter.news().await;
            let (app, id) = (&self.app, self.id);
            let found = app.looks.timelines.find(app, id).await.ok()?;
            known = app.shown(&self.caller, id, found).await.ok()?;
        }
    }

    async fn refused(&self, out: &Out) -> Option<()> {
        let order: OrderView = self.app.find(&self.caller, self.id).await.ok()??;
        let event = Event::default().event(REFUSED).id(REFUSED);
        out.send(event.json_data(order).ok()?).await
    }
}

/// The id in `Last-Event-ID`, or else in the parameter `after`.
fn last_id<T: FromStr<Err: ToString>>(
    headers: &HeaderMap,
    after: Option<&str>,
) -> Result<Option<T>, Problem> {
    let (field, text) = match (last_event_id(headers), after) {
        (Some(id), _) => ("Last-Event-ID", id),
        (None, Some(after)) => ("after", after),
        (None, None) => return Ok(None),
    };
    let invalid = |error: T::Err| {
        Problem::new(StatusCode::BAD_REQUEST, "invalid_event_id", "The event id is not valid")
            .field(field, "invalid", error.to_string())
    };
    text.parse().map(Some).map_err(invalid)
}
