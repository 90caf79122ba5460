//! [`Pace`]: what comes faster than a person can follow comes as numbers.
//!
//! A client says how many single transitions it wants in a second. Those above that number come
//! twice a second as one event `flock`: the transitions that are alike, each kind with its number
//! and its latest one. So a picture of the whole shop costs the same at any rate.

use crate::{feed, views::events::EventView};
use axum::response::sse::Event;
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;
use utoipa::ToSchema;

/// How long transitions are gathered.
const EVERY: Duration = Duration::from_millis(500);

/// Transitions that came too fast to be told one by one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FlockView {
    /// All of them.
    transitions: usize,
    /// By kind: the first steps of an order come first.
    alike: Vec<AlikeView>,
}

/// Transitions of one kind: of the same writer, to the same status, by causes of the same topic.
#[derive(Debug, Serialize, ToSchema)]
struct AlikeView {
    /// How many.
    count: usize,
    /// The latest of them.
    #[serde(flatten)]
    last: EventView,
}

/// What makes transitions alike: where they come from and where they lead.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    transition: String,
    status: String,
    writer: String,
    cause_topic: Option<String>,
    /// The service before the writer.
    through: Option<String>,
}

/// How fast a client wants single transitions, and those that wait to be told together.
#[derive(Debug)]
pub(super) struct Pace {
    /// Single transitions of each [`EVERY`].
    singles: usize,
    left: usize,
    until: Instant,
    alike: BTreeMap<Kind, (usize, feed::Event)>,
    last: Option<feed::Event>,
}

impl Pace {
    /// At most `singles` single transitions per second, and at least one of each half second.
    pub(super) fn new(singles: u32) -> Self {
        let singles = (singles as usize / 2).max(1);
        let (alike, last) = (BTreeMap::new(), None);
        Self { singles, left: singles, until: Instant::now() + EVERY, alike, last }
    }

    /// The event, if it is to be told by itself.
    pub(super) fn admit(&mut self, event: feed::Event) -> Option<feed::Event> {
        let is_alone = self.last.is_none();
        if is_alone && Instant::now() >= self.until {
            self.begin();
        }
        // A client goes on after the last id that it has seen, so none may pass the flock.
        if is_alone && self.left > 0 {
            self.left -= 1;
            return Some(event);
        }
        self.last = Some(event.clone());
        let (count, last) = self.alike.entry(kind(event.view())).or_insert((0, event.clone()));
        *count += 1;
        *last = event;
        None
    }

    /// When the flock is to leave; none if there is none.
    pub(super) fn leaves_at(&self) -> Option<Instant> {
        self.last.as_ref().map(|_| self.until)
    }

    /// The flock as an event; none if there is none.
    pub(super) fn leave(&mut self) -> Option<Event> {
        self.begin();
        let id = self.last.take()?.position.to_string();
        let alike = std::mem::take(&mut self.alike).into_values();
        let view =
            |(count, last): (usize, feed::Event)| AlikeView { count, last: last.view().clone() };
        let mut alike: Vec<_> = alike.map(view).collect();
        alike.sort_by_key(|alike| alike.last.transition.version);
        let transitions = alike.iter().map(|alike| alike.count).sum();
        Event::default().event("flock").id(id).json_data(FlockView { transitions, alike }).ok()
    }

    fn begin(&mut self) {
        self.left = self.singles;
        self.until = Instant::now() + EVERY;
    }
}

fn kind(event: &EventView) -> Kind {
    let transition = &event.transition;
    let cause = transition.causation_id.as_deref();
    let topic = cause.and_then(|id| id.rsplitn(3, '/').nth(2)).map(str::to_owned);
    let through = transition.lineage.iter().rev().nth(1);
    let through = through.and_then(|hop| hop.split('@').next()).map(str::to_owned);
    Kind {
        transition: transition.transition.clone(),
        status: transition.status.clone(),
        writer: transition.writer.clone(),
        cause_topic: topic,
        through,
    }
}
