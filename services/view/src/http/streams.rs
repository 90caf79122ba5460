//! [`Streams`]: the open event streams of this instance, a bounded number.

use axum::{
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use service_kit::{Problem, Readiness, Shutdown};
use std::{convert::Infallible, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
};

/// A comment after so much silence tells the client, and what is between, that the stream lives.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// A client that has not taken an event for so long is left, and may come again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Events that wait for a client.
const EVENTS_WAITING_MAX: usize = 64;

/// How long a client should wait before it comes again.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// The open streams. Clones share them.
#[derive(Debug, Clone)]
pub struct Streams {
    max: usize,
    places: Arc<Semaphore>,
    begin: mpsc::Sender<Write>,
}

/// What writes one stream, to its end.
type Write = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where streams are written: see [`Writers::run`].
#[derive(Debug)]
pub struct Writers(mpsc::Receiver<Write>);

/// Room for one stream.
pub(super) struct Place {
    permit: OwnedSemaphorePermit,
    begin: mpsc::Sender<Write>,
}

/// The way to one client.
pub(super) struct Out(mpsc::Sender<Event>);

impl Streams {
    /// No stream yet, and never more than `max`; what writes them is to be run.
    pub fn new(max: usize) -> (Self, Writers) {
        let (begin, writers) = mpsc::channel(max);
        (Self { max, places: Arc::new(Semaphore::new(max)), begin }, Writers(writers))
    }

    /// How many streams there are.
    pub fn len(&self) -> usize {
        self.max - self.places.available_permits()
    }

    /// Whether there is no stream.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Room for one more.
    ///
    /// # Errors
    /// 503 when there is none.
    pub(super) fn place(&self) -> Result<Place, Problem> {
        let full = |_| {
            let max = self.max;
            Problem::unavailable(format!("{max} event streams are open: as many as may be"))
        };
        let permit = Arc::clone(&self.places).try_acquire_owned().map_err(full)?;
        Ok(Place { permit, begin: self.begin.clone() })
    }
}

impl Writers {
    /// Write the streams, until `shutdown`.
    ///
    /// # Errors
    /// When one of them panics.
    pub async fn run(mut self, check: Readiness, shutdown: Shutdown) -> anyhow::Result<()> {
        check.up();
        let mut writing = JoinSet::new();
        loop {
            tokio::select! {
                Some(write) = self.0.recv() => drop(writing.spawn(write)),
                Some(ended) = writing.join_next() => ended?,
                () = shutdown.cancelled() => return Ok(()),
            }
        }
    }
}

impl Place {
    /// A stream of `first` and of what `write` sends. It ends with `write`, with the client and
    /// with the service; so does its place.
    ///
    /// # Errors
    /// 503 when the service stops.
    pub(super) fn stream<W>(
        self,
        first: Event,
        write: impl FnOnce(Out) -> W,
    ) -> Result<Response, Problem>
    where
        W: Future<Output = Option<()>> + Send + 'static,
    {
        let (sender, mut receiver) = mpsc::channel(EVENTS_WAITING_MAX);
        // It is empty, so there is room.
        let _ = sender.try_send(first);
        let (client, write, permit) = (sender.clone(), write(Out(sender)), self.permit);
        let write = Box::pin(async move {
            let _permit = permit;
            tokio::select! {
                _ = write => {}
                () = client.closed() => {}
            }
        });
        // Each has a place, so there is room for it.
        let begun = self.begin.try_send(write);
        begun.map_err(|_| Problem::unavailable("the service is stopping"))?;
        let events = futures::stream::poll_fn(move |context| {
            receiver.poll_recv(context).map(|event| event.map(Ok::<_, Infallible>))
        });
        Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response())
    }
}

impl Out {
    /// None if the client has gone, or has not taken an event for [`PATIENCE`].
    pub(super) async fn send(&self, event: Event) -> Option<()> {
        self.0.send_timeout(event, PATIENCE).await.ok()
    }
}

/// The id of the last event in `Last-Event-ID`, if there is one.
pub(super) fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get("last-event-id")?;
    // What is no text is no id either.
    Some(id.to_str().unwrap_or("?")).filter(|id| !id.is_empty())
}
