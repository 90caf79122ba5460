//! Carries out the faults of a [`Plan`], and undoes them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use client::control::{Request, ask};
use client::{
    Dirs, HEALTHY_WITHIN, ProcessState, ProcessStatus, Progress, State, process_called, service_of,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::fault::{Act, BankFault, ConnectorFault, MailFault};
use super::plan::{CONNECTORS, DATABASES, Fault, INSTANCES, Plan, usual_instances};
use super::recovery::Happened;
use super::servers::{Litter, Servers};

/// A killed Kafka under load, with a service behind it that waits for it.
const HEALED_WITHIN: Duration = HEALTHY_WITHIN;
/// How often a connector is cut off again.
const CUT_EVERY: Duration = Duration::from_millis(500);

/// Breaks a native shop, through the control socket of its supervisor and the interfaces of the
/// servers.
#[derive(Clone, Debug)]
pub struct Breaker {
    /// Who breaks it, for the progress.
    who: &'static str,
    socket: PathBuf,
    servers: Servers,
    /// Garbage that was written and not swept up yet.
    litter: Arc<Mutex<Vec<Litter>>>,
    /// Ends every fault before its time.
    stop: CancellationToken,
    progress: Progress,
}

impl Breaker {
    /// A breaker of the shop in `dirs`, until `stop`.
    ///
    /// # Errors
    /// When a server is missing.
    pub fn new(
        who: &'static str,
        dirs: &Dirs,
        state: &State,
        stop: CancellationToken,
        progress: Progress,
    ) -> Result<Self> {
        let (servers, litter) = (Servers::of(state)?, Arc::default());
        Ok(Self { who, socket: dirs.control_socket(), servers, litter, stop, progress })
    }

    /// Carries out the plan, its times counted from `begin`; what happened, in the order of its
    /// begin.
    ///
    /// Returns when every fault is over, or those that had begun are when it is stopped.
    pub(super) async fn carry_out(&self, plan: Plan, begin: Instant) -> Vec<Happened> {
        let mut under_way = JoinSet::new();
        for fault in plan.0 {
            let breaker = self.clone();
            under_way.spawn(async move {
                let wait = tokio::time::sleep_until((begin + fault.at).into());
                breaker.stop.run_until_cancelled(wait).await?;
                Some(breaker.one(&fault).await)
            });
        }
        let mut happened: Vec<_> = under_way.join_all().await.into_iter().flatten().collect();
        happened.sort_by_key(|fault| fault.begin);
        happened
    }

    /// Causes one fault at once, and undoes it when its time is over or the breaker is stopped.
    pub async fn one(&self, fault: &Fault) -> Happened {
        let there = self.there(&fault.act).await;
        let begin = Instant::now();
        self.progress.step(self.who, &fault.act);
        let done = match there {
            Ok(run) => self.begin_and_end(fault, begin, run).await,
            Err(absent) => Err(absent),
        };
        let failed = done.err().map(|error| format!("{error:#}"));
        let end = Instant::now();
        match &failed {
            Some(why) => self.progress.step(self.who, format!("{}: {why}", fault.act)),
            None => self.progress.step(self.who, format!("{} is over", fault.act)),
        }
        Happened { act: fault.act.clone(), begin, end, failed }
    }

    /// Waits for a process that is not there to be killed or frozen: it was killed before and is
    /// about to start again, or a scaling has not brought it back yet, because other faults held it
    /// up. Which run of it that is.
    async fn there(&self, act: &Act) -> Result<Option<String>> {
        let (Act::Kill(name) | Act::Freeze(name)) = act else { return Ok(None) };
        let runs = |process: &ProcessStatus| process.state == ProcessState::Running;
        Ok(self.once(name, runs).await?.run)
    }

    /// Waits until the process called `name` is as it should be.
    async fn once(
        &self,
        name: &str,
        is_so: impl Fn(&ProcessStatus) -> bool + Send + Sync,
    ) -> Result<ProcessStatus> {
        let find = |processes: Vec<ProcessStatus>| {
            let mut processes = processes.into_iter();
            let process = processes
                .find(|process| process.name == process_called(name))
                .ok_or("it is not there")?;
            let last = format!("it is {:?}, healthy: {:?}", process.state, process.healthy);
            is_so(&process).then_some(process).ok_or(last)
        };
        self.until(&self.stop, find).await
    }

    /// Looks at all processes until `look` has what it wants, or `given_up`; then what it said last
    /// is the error.
    async fn until<T>(
        &self,
        given_up: &CancellationToken,
        look: impl Fn(Vec<ProcessStatus>) -> Result<T, String> + Send,
    ) -> Result<T> {
        let started = Instant::now();
        loop {
            let last = match look(self.processes().await?) {
                Ok(found) => return Ok(found),
                Err(last) => last,
            };
            ensure!(started.elapsed() < HEALED_WITHIN && !given_up.is_cancelled(), "{last}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn begin_and_end(
        &self,
        fault: &Fault,
        begin: Instant,
        run: Option<String>,
    ) -> Result<()> {
        let until = async |end: Instant| {
            // When it is cut short, it is undone all the same.
            let _ = self.stop.run_until_cancelled(tokio::time::sleep_until(end.into())).await;
        };
        let lasts = || until(begin + fault.lasts);
        // A server that other faults hold up is asked again; what it then does lasts as long.
        let lasts_from_now = || until(Instant::now() + fault.lasts);
        let (servers, good_day) = (&self.servers, &json!({}));
        match &fault.act {
            Act::Kill(name) => {
                self.ask(Request::Kill { name: name.clone(), restart: true }).await?;
                // It may be frozen, or scaled away, before it is well; at the end every process has
                // to be.
                let is_back =
                    |process: &ProcessStatus| process.healthy == Some(true) && process.run != run;
                let _ = self.once(name, is_back).await;
                Ok(())
            }
            Act::Freeze(name) => {
                self.ask(Request::Pause { name: name.clone() }).await?;
                lasts().await;
                self.ask(Request::Resume { name: name.clone() }).await
            }
            Act::Stop(name) => {
                self.ask(Request::Stop { name: name.clone() }).await?;
                lasts().await;
                self.ask(Request::Start { name: name.clone(), env: BTreeMap::new() }).await
            }
            Act::Scale { service, to } => {
                let scale = |instances| Request::Scale { service: service.clone(), instances };
                self.scale(fault, scale(*to)).await;
                lasts().await;
                self.scale(fault, scale(usual_instances(service))).await;
                Ok(())
            }
            Act::Bank(bad_day) => {
                servers.bank(&faults_of(*bad_day)).await?;
                lasts().await;
                self.mend(|| servers.bank(good_day)).await
            }
            Act::Mail(bad_day) => {
                let faults = mail_faults_of(*bad_day);
                self.insist(|| servers.mail(&faults)).await?;
                lasts_from_now().await;
                self.mend(|| servers.mail(good_day)).await
            }
            Act::Connector { name, fault: ConnectorFault::CutOff } => {
                self.cut_off(name, fault.lasts).await
            }
            Act::Connector { name, fault } => {
                let what = if *fault == ConnectorFault::Paused { "pause" } else { "stop" };
                self.insist(|| servers.connector(name, what)).await?;
                lasts_from_now().await;
                self.mend(|| servers.connector(name, "resume")).await
            }
            Act::ReadOnly(database) => {
                self.insist(|| servers.read_only(database, true)).await?;
                lasts_from_now().await;
                self.mend(|| servers.read_only(database, false)).await
            }
            Act::Garbage { topic, bytes } => {
                let litter = Litter::on(topic)?;
                self.insist(|| servers.litter(&litter, *bytes)).await?;
                self.litter.lock().unwrap_or_else(PoisonError::into_inner).push(litter);
                Ok(())
            }
        }
    }

    /// Ends the sessions of a connector again and again.
    async fn cut_off(&self, connector: &str, lasts: Duration) -> Result<()> {
        let database = if connector == "catalog" { "catalog" } else { "payments" };
        self.insist(|| self.servers.cut_off(database)).await?;
        let end = Instant::now() + lasts;
        while Instant::now() < end && !self.stop.is_cancelled() {
            let next = end.min(Instant::now() + CUT_EVERY);
            let _ = self.stop.run_until_cancelled(tokio::time::sleep_until(next.into())).await;
            let _ = self.servers.cut_off(database).await;
        }
        Ok(())
    }

    /// Tries until a server does it, which other faults may hold up.
    async fn insist<Attempt>(&self, attempt: impl Fn() -> Attempt) -> Result<()>
    where
        Attempt: Future<Output = Result<()>>,
    {
        try_until(&self.stop, attempt).await
    }

    /// The same for what has to be undone, also when the run is cut short.
    async fn mend<Attempt>(&self, attempt: impl Fn() -> Attempt) -> Result<()>
    where
        Attempt: Future<Output = Result<()>>,
    {
        try_until(&CancellationToken::new(), attempt).await
    }

    /// A new instance waits for what other faults have taken away. That it is not ready in time is
    /// told, and is no failure: it goes on to start, and when nothing breaks any more every process
    /// has to be healthy.
    async fn scale(&self, fault: &Fault, request: Request) {
        if let Err(late) = self.ask(request).await {
            let why = format!("{late:#}");
            let why = why.lines().next().unwrap_or_default();
            self.progress.step(self.who, format!("{}: {why}", fault.act));
        }
    }

    /// Ends everything that a cut or failed fault may have left, and waits until every process is
    /// healthy.
    ///
    /// # Errors
    /// When a process is not healthy in time: its name and its state.
    pub(super) async fn heal(&self) -> Result<()> {
        for process in self.processes().await? {
            if process.state == ProcessState::Paused {
                self.ask(Request::Resume { name: process.name }).await?;
            }
        }
        let all_well = |processes: Vec<ProcessStatus>| {
            let (seconds, ill) = (HEALED_WITHIN.as_secs(), ill(&processes));
            if ill.is_empty() {
                return Ok(());
            }
            Err(format!("not healthy after {seconds} s: {}", ill.join(", ")))
        };
        // Also a run that was cut short is mended.
        self.until(&CancellationToken::new(), all_well).await?;
        let (servers, good_day) = (&self.servers, &json!({}));
        self.mend(|| servers.bank(good_day)).await?;
        self.mend(|| servers.mail(good_day)).await?;
        for name in CONNECTORS {
            self.mend(|| servers.connector(name, "resume")).await?;
        }
        for database in DATABASES {
            self.mend(|| servers.read_only(database, false)).await?;
        }
        Ok(())
    }

    /// Discards the dead letters of the garbage that was written, as an operator does: as soon as
    /// every reader of its topic has put it aside.
    ///
    /// # Errors
    /// When a reader does not in time.
    pub(super) async fn sweep(&self) -> Result<()> {
        let litter =
            std::mem::take(&mut *self.litter.lock().unwrap_or_else(PoisonError::into_inner));
        for one in litter {
            let swept = Mutex::new(0);
            self.mend(|| async {
                let letters = self.servers.sweep(&one).await?;
                *swept.lock().unwrap_or_else(PoisonError::into_inner) += letters;
                Ok(())
            })
            .await?;
            let letters = swept.into_inner().unwrap_or_else(PoisonError::into_inner);
            let what = format!("{letters} dead letters of garbage on {} discarded", one.topic.name);
            self.progress.step(self.who, what);
        }
        Ok(())
    }

    async fn processes(&self) -> Result<Vec<ProcessStatus>> {
        ask(&self.socket, &Request::Status).await?.processes()
    }

    async fn ask(&self, request: Request) -> Result<()> {
        ask(&self.socket, &request).await.map(drop)
    }
}

/// Tries until `attempt` succeeds, or `given_up`; then its last error.
async fn try_until<Attempt>(
    given_up: &CancellationToken,
    attempt: impl Fn() -> Attempt,
) -> Result<()>
where
    Attempt: Future<Output = Result<()>>,
{
    const PAUSE: Duration = Duration::from_millis(200);
    let started = Instant::now();
    while let Err(error) = attempt().await {
        if started.elapsed() > HEALED_WITHIN || given_up.is_cancelled() {
            return Err(error);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// The processes that are not healthy, and the services that have not as many instances as usual.
fn ill(processes: &[ProcessStatus]) -> Vec<String> {
    let sick =
        processes.iter().filter(|process| process.healthy != Some(true)).map(|p| p.name.clone());
    let scaled = INSTANCES.iter().filter_map(|(service, wanted)| {
        let count =
            processes.iter().filter(|process| service_of(&process.name) == *service).count();
        let told = format!("{service} with {count} of {wanted} instances");
        (count != usize::from(*wanted)).then_some(told)
    });
    sick.chain(scaled).collect()
}

/// What `PUT /faults` of the bank simulator takes.
fn faults_of(bad_day: BankFault) -> Value {
    match bad_day {
        BankFault::Declines => json!({ "declined_customers": ["ada", "grace", "alan", "declan"] }),
        BankFault::LostAnswers => json!({ "timeout_rate": 0.33 }),
        BankFault::LostRequests => json!({ "lost_before_rate": 0.33 }),
        BankFault::Latency => json!({ "latency_ms": { "min": 200, "max": 1500 } }),
        BankFault::Errors => json!({ "error_rate": 0.33 }),
        BankFault::Outage => json!({ "outage": true }),
    }
}

/// What `PUT /faults` of the mail sink takes.
fn mail_faults_of(bad_day: MailFault) -> Value {
    match bad_day {
        MailFault::Slow => json!({ "end_latency_ms": 4000 }),
        MailFault::Greylists => json!({ "greylist": { "seconds": 60 } }),
    }
}
