//! [`Admission`]: new orders are refused early when those before them wait too long, instead of
//! being accepted into a queue in which they would end by their deadline.
//!
//! The bottleneck is mostly behind orders: Kafka, inventory, payments, the bank, the view. So this
//! instance follows the orders that it has accepted through the announcements of the view, to their
//! end, and the [`Gate`] judges each step of their way. ARCHITECTURE.md has the reasons.

mod gate;
mod tracked;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use contracts::{
    Order,
    metrics::{EDGE_LIMIT, EDGE_REFUSED, EDGE_WAITING, STEP_WAIT},
    orders::{CommandRefused, OrderCommand, PlaceOrder},
};
use parking_lot::Mutex;
use service_kit::{Problem, Readiness, Shutdown};
use streams::Meters;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use gate::{Bounds, Crowd, Gate, Step};
use tracked::Tracked;

/// How often the check is brought up to date.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// The last refusal is news for so long.
const NEWS: Duration = Duration::from_secs(5);
/// When to come again if too many requests are in flight: they are answered within about a second.
const RETRY_IN_FLIGHT_S: f64 = 2.0;
/// The label of refusals because of requests in flight.
const IN_FLIGHT: &str = "in_flight";

/// The time since some moment; it never goes back.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Who may place an order now. Clones share it.
#[derive(Clone)]
pub struct Admission {
    clock: Clock,
    state: Arc<Mutex<State>>,
    places: Arc<Semaphore>,
    in_flight_max: usize,
    meters: Meters,
}

struct State {
    gate: Gate,
    tracked: Tracked,
    /// The last refusal, and when it was.
    refused: Option<(Duration, String)>,
}

/// Room for one request that places an order.
#[must_use]
pub(super) struct Admitted {
    _place: OwnedSemaphorePermit,
}

/// A command on its way to the log. Dropped before that, as with its client's connection, it is
/// not tracked.
pub(super) struct Sending<'a> {
    /// None for what is not tracked.
    tracks: Option<(&'a Admission, &'a PlaceOrder)>,
}

impl Admission {
    /// Nothing is on its way; at most `in_flight_max` requests may place an order at a time.
    pub fn new(bounds: Bounds, in_flight_max: usize) -> Self {
        let (gate, tracked) = (Gate::new(bounds), Tracked::default());
        let begun = Instant::now();
        Self {
            clock: Arc::new(move || begun.elapsed()),
            state: Arc::new(Mutex::new(State { gate, tracked, refused: None })),
            places: Arc::new(Semaphore::new(in_flight_max)),
            in_flight_max,
            meters: Meters::default(),
        }
    }

    /// The same by another clock, before it is used.
    #[must_use]
    pub fn timed_by(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// The same, with what it does measured.
    #[must_use]
    pub fn measured(self, meters: Meters) -> Self {
        for what in Step::ALL.map(Step::as_str).into_iter().chain([IN_FLIGHT]) {
            meters.count(&EDGE_REFUSED, &[what], 0);
        }
        let waiting = self.clone();
        meters.observe(&EDGE_WAITING, move |tell| {
            let state = waiting.state.lock();
            Step::ALL.into_iter().for_each(|step| {
                tell(&[step.as_str()], number(state.gate.waiting(step)));
            });
        });
        let limits = self.clone();
        meters.observe(&EDGE_LIMIT, move |tell| {
            let (now, mut state) = (limits.now(), limits.state.lock());
            for step in Step::ALL {
                if let Some(limit) = state.gate.limit(step, now) {
                    tell(&[step.as_str()], number(limit));
                }
            }
        });
        Self { meters, ..self }
    }

    /// Room for a request that places an order.
    ///
    /// # Errors
    /// 503: come again later.
    pub(super) fn admit(&self) -> Result<Admitted, Problem> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.meters.count(&EDGE_REFUSED, &[IN_FLIGHT], 1);
            let detail = format!("{} orders are being placed at this moment", self.in_flight_max);
            self.state.lock().refused = Some((self.now(), detail.clone()));
            let seconds = RETRY_IN_FLIGHT_S * (0.5 + fastrand::f64());
            return Err(overloaded(detail, Duration::from_secs_f64(seconds)));
        };
        let now = self.now();
        let crowd = {
            let mut state = self.state.lock();
            let Err(crowd) = state.gate.admit(now, fastrand::f64()) else {
                return Ok(Admitted { _place: place });
            };
            state.refused = Some((now, told(&crowd)));
            crowd
        };
        self.meters.count(&EDGE_REFUSED, &[crowd.step.as_str()], 1);
        Err(overloaded(told(&crowd), crowd.retry_after))
    }

    /// `command` is about to be sent.
    pub(super) fn sending<'a>(&'a self, command: &'a OrderCommand) -> Sending<'a> {
        let OrderCommand::PlaceOrder(place) = command else { return Sending { tracks: None } };
        let state = &mut *self.state.lock();
        let is_tracked = state.tracked.begin(place.order_id, self.now(), &mut state.gate);
        Sending { tracks: is_tracked.then_some((self, place)) }
    }

    /// The view shows `order`.
    pub fn on_view(&self, order: &Order) {
        let state = &mut *self.state.lock();
        let passed = state.tracked.shown(order, self.now(), &mut state.gate);
        self.measure(passed);
    }

    /// A command was refused.
    pub fn on_refusal(&self, refusal: &CommandRefused) {
        let state = &mut *self.state.lock();
        let passed = state.tracked.refused(refusal.order_id, self.now(), &mut state.gate);
        self.measure(passed);
    }

    /// Keeps `check` in step, until `shutdown`: degraded while orders are refused.
    pub async fn tell(self, check: Readiness, shutdown: Shutdown) {
        let mut since = None;
        loop {
            match (self.refusing(), since) {
                (Some(why), None) => {
                    tracing::warn!("new orders are refused: {why}");
                    check.degraded(format!("new orders are refused: {why}"));
                    since = Some(Instant::now());
                }
                (Some(why), Some(_)) => check.degraded(format!("new orders are refused: {why}")),
                (None, Some(began)) => {
                    let for_s = began.elapsed().as_secs();
                    tracing::info!("new orders are accepted again, after {for_s} s");
                    check.up();
                    since = None;
                }
                (None, None) => check.up(),
            }
            let pause = tokio::time::sleep(LOOK_INTERVAL);
            if shutdown.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    /// Why orders are refused, if they were a moment ago.
    fn refusing(&self) -> Option<String> {
        let state = self.state.lock();
        let (at, why) = state.refused.as_ref()?;
        (self.now().saturating_sub(*at) < NEWS).then(|| why.clone())
    }

    fn measure(&self, passed: Option<(Step, Duration)>) {
        if let Some((step, waited)) = passed {
            self.meters.record(&STEP_WAIT, &[step.as_str()], waited.as_secs_f64());
        }
    }

    fn now(&self) -> Duration {
        (self.clock)()
    }
}

impl Sending<'_> {
    /// It is in the log.
    pub(super) fn acknowledged(mut self) {
        if let Some((admission, place)) = self.tracks.take() {
            let now = admission.now();
            admission.state.lock().tracked.acknowledged(place.order_id, now);
        }
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        if let Some((admission, place)) = self.tracks.take() {
            let state = &mut *admission.state.lock();
            state.tracked.forget(place.order_id, &mut state.gate);
        }
    }
}

fn told(crowd: &Crowd) -> String {
    let Crowd { step, waiting, limit, per_s, .. } = crowd;
    let what = match step {
        Step::Shown => "to be shown",
        Step::Checked => "for their checks",
        Step::Paid => "for their payment",
        Step::Closed => "for their end",
    };
    format!(
        "{waiting} orders wait {what}, of {limit} that may: {per_s:.0} of them go on in a second"
    )
}

fn overloaded(detail: String, retry_after: Duration) -> Problem {
    let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
    Problem::overloaded(detail, u32::try_from(seconds).unwrap_or(u32::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn number(n: usize) -> f64 {
    n as f64
}
