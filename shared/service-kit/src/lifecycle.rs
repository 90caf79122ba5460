//! The tasks and threads of a service: each has a name and a health check, and the lifecycle
//! notices and awaits its end.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::anyhow;
use parking_lot::Mutex;
use streams::{Meters, clock::Reading, meter::CHECKS, refusals};
use tokio::{sync::watch, task::JoinError, time::timeout};
use tokio_util::task::TaskTracker;

use crate::{
    callers::{CallerSettings, Callers, Guarded},
    health::{Health, Readiness},
    http::{Limits, serve},
    metrics::Metrics,
    run::Shutdown,
};

/// How long the parts may take to end once they were asked to. It is below the 15 s after which
/// whatever runs the process kills it, so that the log can still say what hangs.
const STOP_TIMEOUT: Duration = Duration::from_secs(12);

/// Owns every task and thread of a service.
///
/// A part runs until the shutdown. The first one that ends before, panics or fails stops all
/// others, and the service with an error that names it. Clones register parts with the same owner.
///
/// ```no_run
/// # use service_kit::{CallerSettings, Guarded, Lifecycle, Limits, Running, Shutdown};
/// async fn start(shutdown: Shutdown) -> anyhow::Result<Running> {
///     let lifecycle = Lifecycle::new(shutdown);
///     lifecycle.task("clock", |check, shutdown| async move {
///         check.up();
///         shutdown.cancelled().await;
///         Ok(())
///     });
///     let (addr, callers) = (([127, 0, 0, 1], 8080).into(), CallerSettings::default());
///     let serving = lifecycle.serve((addr, &callers), Guarded::default(), Limits::default());
///     Ok(serving.await?.registered())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Lifecycle {
    health: Health,
    metrics: Metrics,
    shutdown: Shutdown,
    tracker: TaskTracker,
    parts: Arc<Mutex<Parts>>,
}

/// Says that something lives, to [`Lifecycle::pulse`].
#[derive(Debug)]
pub struct Pulse(watch::Sender<()>);

impl Pulse {
    /// It does.
    pub fn beat(&self) {
        self.0.send_replace(());
    }
}

#[derive(Debug, Default)]
struct Parts {
    running: Vec<&'static str>,
    /// What ended the service, if it was not the shutdown.
    failure: Option<anyhow::Error>,
}

/// A service that answers, but has parts still to register: it is not ready before
/// [`Serving::registered`].
#[derive(Debug)]
#[must_use = "the service becomes ready with `registered`"]
pub struct Serving {
    running: Running,
    check: Readiness,
}

/// A service that serves. The parts go on if this handle is dropped.
#[derive(Debug)]
pub struct Running {
    lifecycle: Lifecycle,
    local_addr: SocketAddr,
}

impl Lifecycle {
    /// No parts yet. They end at `shutdown`, which the first failure of a part cancels as well.
    pub fn new(shutdown: Shutdown) -> Self {
        let (health, metrics) = (Health::new(), Metrics::of_process());
        let checks = health.clone();
        metrics.meters().observe(&CHECKS, move |tell| checks.states(tell));
        refusals::show(&metrics.meters());
        Self { health, metrics, shutdown, tracker: TaskTracker::new(), parts: Arc::default() }
    }

    /// The checks of the service: one per part, and those that it adds itself.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// What takes the measurements of the service, for `GET /metrics`.
    pub fn meters(&self) -> Meters {
        self.metrics.meters()
    }

    /// What ends the parts.
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Serves `routes`, as [`serve`](crate::serve) does, as the part `http`.
    ///
    /// Call it before the parts that take something over from another process: a second copy of a
    /// service, which fails at the address, must not fence the first one. Until
    /// [`Serving::registered`] it is not ready, as it has not said yet what it waits for.
    ///
    /// If callers need a token, the part `callers` reads the keys of their issuer.
    ///
    /// # Errors
    /// Fails if the address cannot be listened on; the message names the setting to change.
    pub async fn serve(
        &self,
        (addr, callers): (SocketAddr, &CallerSettings),
        routes: Guarded,
        limits: Limits,
    ) -> anyhow::Result<Serving> {
        let (callers, keys) = Callers::new(callers);
        let check = self.health.check("http");
        let told = (&self.health, &self.metrics, &callers);
        let server = serve(addr, routes, told, limits, self.shutdown()).await?;
        if let Some(keys) = keys {
            self.task("callers", |check, shutdown| keys.run(check, shutdown));
        }
        let local_addr = server.local_addr();
        self.watch("http", check.clone(), server.stopped());
        let running = Running { lifecycle: self.clone(), local_addr };
        Ok(Serving { running, check })
    }

    /// Runs a task. It keeps its check up to date, and ends with `Ok` when the shutdown that it is
    /// given is cancelled.
    pub fn task<F>(&self, name: &'static str, body: impl FnOnce(Readiness, Shutdown) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let check = self.health.check(name);
        let body = body(check.clone(), self.shutdown());
        self.watch(name, check, body);
    }

    /// Watches a thread, such as that of a processor. Its check follows `status` as `judge` says:
    /// up, degraded with a remark, or down with the reason. `ended` gives how it has ended.
    pub fn thread<S>(
        &self,
        name: &'static str,
        status: watch::Receiver<S>,
        judge: impl Fn(&S) -> Result<Option<String>, String> + Send + Sync + 'static,
        ended: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) where
        S: Send + Sync + 'static,
    {
        self.task(name, |check, _| async move {
            let follow = check.follow(status, judge);
            let mut ended = std::pin::pin!(ended);
            tokio::select! {
                ended = &mut ended => ended,
                // The thread has reported its last status.
                () = follow => ended.await,
            }
        });
    }

    /// Listens for signs of life of something that the service can do without for a while: its
    /// check is degraded, with `why` as its detail, while the last one is older than `silence_max`.
    /// It goes by the moments at which they are heard here, so that no two clocks have to agree.
    pub fn pulse(&self, name: &'static str, silence_max: Duration, why: &'static str) -> Pulse {
        let (beat, mut heard) = watch::channel(());
        self.task(name, |check, shutdown| async move {
            check.up();
            loop {
                let next = tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    next = timeout(silence_max, heard.changed()) => next,
                };
                match next {
                    Ok(Ok(())) => check.up(),
                    // What sends the beats has ended, and says so itself.
                    Ok(Err(_)) => {
                        shutdown.cancelled().await;
                        return Ok(());
                    }
                    Err(_) => check.degraded(why),
                }
            }
        });
        Pulse(beat)
    }

    /// Watches the thread that keeps this process in step with the log's time, as the part `clock`:
    /// down while that is not known, degraded while this host's clock is off.
    pub fn clock(
        &self,
        mut readings: watch::Receiver<Reading>,
        ended: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.task("clock", |check, _| async move {
            let follow = async {
                loop {
                    let reading = readings.borrow_and_update().clone();
                    match (reading.problem(), reading.warning()) {
                        (Some(problem), _) => check.down(problem),
                        (None, Some(warning)) => check.degraded(warning),
                        (None, None) => check.up(),
                    }
                    if readings.changed().await.is_err() {
                        return;
                    }
                }
            };
            let mut ended = std::pin::pin!(ended);
            tokio::select! {
                ended = &mut ended => ended,
                // The thread has told its last reading.
                () = follow => ended.await,
            }
        });
    }

    /// Runs what other parts have to wait for, and registers them: the one kind of part that may
    /// end before the shutdown, with `Ok`. Its check is down until then.
    pub fn start_up<F>(&self, body: impl FnOnce(Readiness, Self) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let check = self.health.check("start-up");
        let body = body(check.clone(), self.clone());
        let done = check.clone();
        self.track("start-up", check, body, move |_| {
            done.up();
            Ok(())
        });
    }

    /// Waits for the shutdown, and then until every part has ended, or for 12 s.
    ///
    /// # Errors
    /// Which part failed first and why, or which parts did not end in time.
    pub async fn stopped(self) -> anyhow::Result<()> {
        self.shutdown.cancelled().await;
        self.tracker.close();
        let in_time = timeout(STOP_TIMEOUT, self.tracker.wait()).await.is_ok();
        let mut parts = self.parts.lock();
        if !in_time {
            let (late, limit_s) = (parts.running.join(", "), STOP_TIMEOUT.as_secs());
            parts.fail(anyhow!("not ended within {limit_s} s: {late}"));
        }
        parts.failure.take().map_or(Ok(()), Err)
    }

    /// Spawns `body`, which runs until the shutdown.
    fn watch(
        &self,
        name: &'static str,
        check: Readiness,
        body: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.track(name, check, body, |lifecycle| match lifecycle.shutdown.is_cancelled() {
            true => Ok(()),
            false => Err(anyhow!("it has ended before the shutdown")),
        });
    }

    /// Spawns `body` and notices its end, which is well if it is `Ok` and `judge` agrees.
    fn track(
        &self,
        name: &'static str,
        check: Readiness,
        body: impl Future<Output = anyhow::Result<()>> + Send + 'static,
        judge: impl FnOnce(&Self) -> anyhow::Result<()> + Send + 'static,
    ) {
        self.parts.lock().running.push(name);
        let lifecycle = self.clone();
        // A task of its own, so that a panic becomes a value.
        let body = tokio::spawn(body);
        self.tracker.spawn(async move {
            let ended = body.await.unwrap_or_else(|error: JoinError| Err(error.into()));
            let ended = ended.and_then(|()| judge(&lifecycle));
            let mut parts = lifecycle.parts.lock();
            if let Some(index) = parts.running.iter().position(|running| *running == name) {
                parts.running.remove(index);
            }
            if let Err(error) = ended {
                check.down(format!("failed: {error:#}"));
                parts.fail(error.context(format!("{name} has failed")));
                lifecycle.shutdown.cancel();
            }
        });
    }
}

impl Parts {
    /// The first failure is the cause of the end; the others may follow from it.
    fn fail(&mut self, error: anyhow::Error) {
        match &self.failure {
            None => self.failure = Some(error),
            Some(_) => tracing::error!("{error:#}"),
        }
    }
}

impl Serving {
    /// Every part is registered: from now on the service is ready when they are.
    pub fn registered(self) -> Running {
        self.check.up();
        self.running
    }

    /// The address that it listens on: with the real port, if port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.running.local_addr
    }
}

impl Running {
    /// The address that it listens on: with the real port, if port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Waits for the end, as [`Lifecycle::stopped`] does.
    ///
    /// # Errors
    /// Which part failed first and why, or which parts did not end in time.
    pub async fn stopped(self) -> anyhow::Result<()> {
        self.lifecycle.stopped().await
    }
}
