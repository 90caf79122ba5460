//! Twice what the shop holds: what it refuses, what it keeps, and how soon it is well again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use client::{Manners, OrderClient};
use contracts::OrderId;
use load::journal::{Reply, Stories, Story};
use load::mix::Mix;
use load::report::latencies;
use load::{Load, Settings};
use tokio_util::sync::CancellationToken;

use crate::steady::{orders_in, whole};
use crate::{Figures, Ground};

/// How many times as much as it holds; and again, as long as nothing is refused.
const TIMES: f64 = 2.0;
/// How often at most.
const DRILLS_MAX: u32 = 3;
/// How often the view is asked, and a cancellation sent, while the shop is overloaded.
const ASK_EVERY: Duration = Duration::from_millis(100);
const CANCEL_EVERY: Duration = Duration::from_millis(500);
/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// When accepted orders have not ended by then, they are said not to end.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);
/// The shop should be well again by then.
const RECOVERED_WITHIN: Duration = Duration::from_secs(10);
/// An order that takes no longer than this shows a shop that is well.
const WELL: Duration = Duration::from_secs(1);
/// Memory may grow by this share, and by so much, before it counts as growth: an idle shop has less
/// in its buffers.
const GROWTH: (u64, u64) = (2, 100);

/// What was seen, and what of it must not be.
#[derive(Debug, Default)]
pub struct Drill {
    /// What was measured.
    pub figures: Figures,
    /// A line for each promise that was not kept.
    pub wrong: Vec<String>,
}

/// Places twice `held` orders per second for `seconds`, and twice as many as then if none is
/// refused: a shop that holds a rate within a bound of latency may take more without it.
/// `on_drill` hears of each rate. What must not be counts in all of them.
///
/// # Errors
/// When the shop does not answer at all.
pub async fn overload(
    ground: &Ground,
    held: f64,
    seconds: u64,
    mut on_drill: impl FnMut(String),
) -> Result<Drill> {
    let (mut rate, mut all) = (held, Drill::default());
    for _ in 0..DRILLS_MAX {
        rate *= TIMES;
        let drill = drill(ground, rate, seconds).await?;
        all.figures = drill.figures;
        all.wrong.extend(drill.wrong);
        let refused = all.figures.get("overload.refused_per_s").unwrap_or(0.0);
        on_drill(format!("{rate:.0}/s offered, {refused:.0}/s refused"));
        if refused > 0.0 {
            return Ok(all);
        }
    }
    all.wrong_if(true, || format!("nothing was refused at {rate:.0}/s: this was no overload"));
    Ok(all)
}

/// Places `rate` orders per second for `seconds`. Customers whose order is refused leave.
async fn drill(ground: &Ground, rate: f64, seconds: u64) -> Result<Drill> {
    let settings = Settings {
        seed: fastrand::u64(..),
        mix: Mix::default(),
        orders: orders_in(rate, seconds),
        rate,
        manners: Manners::Leaves,
    };
    let before = Processes::look(ground).await?;
    let known = ground.confirm_one().await?;
    let stop = CancellationToken::new();
    let (asked, cancelled) = (Arc::new(Asked::default()), Arc::new(Asked::default()));
    let client = ground.client()?;
    tokio::spawn(ask(client.clone(), known, Arc::clone(&asked), stop.clone()));
    tokio::spawn(cancel(client, known, Arc::clone(&cancelled), stop.clone()));

    let mut load = Load::start(ground.state(), settings).await?;
    let peak_mb = peak_until_placed(ground, &mut load).await?;
    let ended = Instant::now();
    let is_settled = load.all_settled(SETTLED_WITHIN).await;
    let settled_s = ended.elapsed().as_secs_f64();
    let recovered = until_well(ground, ended).await;
    stop.cancel();

    let stories = load.journal().look(Clone::clone);
    let after = Processes::look(ground).await?;
    let mut drill = Drill::default();
    drill.orders(&stories, rate);
    drill.figures.add("overload.settled_after_s", settled_s);
    drill
        .wrong_if(!is_settled, || format!("orders have not ended {settled_s:.0} s after the load"));
    drill.recovery(recovered);
    drill.answers("questions", &asked);
    drill.answers("cancellations", &cancelled);
    drill.processes(&before, &after, peak_mb);
    drill.audit(ground).await;
    Ok(drill)
}

impl Drill {
    fn wrong_if(&mut self, is_wrong: bool, what: impl FnOnce() -> String) {
        if is_wrong {
            self.wrong.push(what());
        }
    }

    fn orders(&mut self, stories: &Stories, rate: f64) {
        let count = |is: fn(&Story) -> bool| {
            whole(stories.orders.iter().filter(|story| is(story)).count() as u64)
        };
        let accepted = count(|story| story.accepted().is_some());
        let refused = count(|story| story.reply.is_some_and(|(_, reply)| reply.is_busy()));
        let unanswered = count(|story| matches!(story.reply, None | Some((_, Reply::None))));
        let span = stories.orders.len() as f64 / rate;
        let figures = &mut self.figures;
        figures.add("overload.offered_per_s", rate);
        figures.add("overload.accepted_per_s", accepted / span);
        figures.add("overload.refused_per_s", refused / span);
        for latency in latencies(&stories.orders) {
            if ["accepted", "settled"].contains(&latency.to) {
                let name = |what: &str| format!("overload.to_{}_{what}_ms", latency.to);
                figures.add(name("p50"), latency.p50_ms);
                figures.add(name("p99"), latency.p99_ms);
            }
        }
        let told = stories.advice.iter().filter_map(|(seconds, n)| Some(((*seconds)?, *n)));
        let told: BTreeMap<u64, u64> = told.collect();
        if let (Some((from, _)), Some((to, _))) = (told.first_key_value(), told.last_key_value()) {
            figures.add("overload.retry_after_min_s", whole(*from));
            figures.add("overload.retry_after_max_s", whole(*to));
        }
        let silent = stories.advice.get(&None).copied().unwrap_or(0);
        self.wrong_if(silent > 0, || format!("{silent} were refused without a Retry-After"));
        self.wrong_if(unanswered > 0.0, || format!("{unanswered} orders were not answered"));
        let troubles = stories.troubles;
        self.wrong_if(troubles > 0, || {
            format!("{troubles} answers were not what they should be: {:?}", stories.told)
        });
    }

    fn recovery(&mut self, recovered: Option<Duration>) {
        let within = RECOVERED_WITHIN.as_secs();
        match recovered {
            Some(after) => {
                self.figures.add("overload.recovered_after_s", after.as_secs_f64());
                self.wrong_if(after > RECOVERED_WITHIN, || {
                    format!("well again after {:.1} s, not {within}", after.as_secs_f64())
                });
            }
            None => self.wrong.push("the shop does not become well again".to_owned()),
        }
    }

    fn answers(&mut self, what: &str, asked: &Asked) {
        let mut took = asked.took.lock().unwrap_or_else(PoisonError::into_inner).clone();
        took.sort_unstable();
        let at = |percent: usize| took.get(took.len().saturating_sub(1) * percent / 100);
        for (name, percent) in [("p50_ms", 50), ("p99_ms", 99), ("max_ms", 100)] {
            let ms = at(percent).map_or(0.0, |took| took.as_secs_f64() * 1e3);
            self.figures.add(format!("overload.{what}_{name}"), ms);
        }
        self.figures.add(format!("overload.{what}_answered"), whole(took.len() as u64));
        let failed = asked.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.wrong_if(!failed.is_empty() || took.is_empty(), || {
            let first = failed.first().map_or("none was sent", String::as_str);
            format!("{} {what} were not answered; the first: {first}", failed.len())
        });
    }

    fn processes(&mut self, before: &Processes, after: &Processes, peak_mb: u64) {
        let figures = &mut self.figures;
        figures.add("overload.services_before_mb", whole(before.services_mb));
        figures.add("overload.services_peak_mb", whole(peak_mb));
        figures.add("overload.services_after_mb", whole(after.services_mb));
        let most = before.services_mb * GROWTH.0 + GROWTH.1;
        self.wrong_if(peak_mb > most, || {
            format!("the services grew from {} to {peak_mb} MB", before.services_mb)
        });
        self.wrong_if(before.runs != after.runs, || "a process was started again".to_owned());
    }

    async fn audit(&mut self, ground: &Ground) {
        match ground.audit().await {
            Ok(verdict) => {
                let (violations, pending) = (verdict.violation_count(), verdict.pending());
                self.figures.add("overload.audit_violations", whole(violations as u64));
                self.wrong_if(violations > 0, || format!("the audit: {verdict}"));
                self.wrong_if(pending > 0, || format!("{pending} effects are still on their way"));
            }
            Err(error) => self.wrong.push(format!("{error:#}")),
        }
    }
}

/// The memory of the services, and which run of each process goes on.
struct Processes {
    services_mb: u64,
    runs: BTreeMap<String, Option<String>>,
}

impl Processes {
    async fn look(ground: &Ground) -> Result<Self> {
        let status = ground.shop().status().await?;
        let runs = status.into_iter().map(|process| (process.name, process.run)).collect();
        Ok(Self { services_mb: ground.services_mb().await?, runs })
    }
}

/// Waits until every order is answered; the most memory that the services had meanwhile.
async fn peak_until_placed(ground: &Ground, load: &mut Load) -> Result<u64> {
    let mut peak = 0;
    let mut placed = std::pin::pin!(load.placed());
    loop {
        tokio::select! {
            placed = &mut placed => {
                placed?;
                return Ok(peak);
            }
            () = tokio::time::sleep(LOOK_EVERY) => peak = ground.services_mb().await?.max(peak),
        }
    }
}

/// How long after `ended` an order was the first to be confirmed as fast as in a shop that is
/// well.
async fn until_well(ground: &Ground, ended: Instant) -> Option<Duration> {
    while ended.elapsed() < SETTLED_WITHIN {
        let begun = Instant::now();
        if ground.confirm_one().await.is_ok() && begun.elapsed() <= WELL {
            return Some(ended.elapsed());
        }
    }
    None
}

/// The answers to one kind of request.
#[derive(Debug, Default)]
struct Asked {
    took: Mutex<Vec<Duration>>,
    failed: Mutex<Vec<String>>,
}

impl Asked {
    fn note(&self, begun: Instant, answered: Result<(), String>) {
        match answered {
            Ok(()) => {
                let mut took = self.took.lock().unwrap_or_else(PoisonError::into_inner);
                took.push(begun.elapsed());
            }
            Err(why) => self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(why),
        }
    }
}

/// Asks the view for an order again and again.
async fn ask(client: OrderClient, order: OrderId, asked: Arc<Asked>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(ASK_EVERY)).await.is_some() {
        let begun = Instant::now();
        let answered = match client.order(order).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err("the view does not know the order any more".to_owned()),
            Err(error) => Err(format!("{error:#}")),
        };
        asked.note(begun, answered);
    }
}

/// Sends cancellations of an order that has ended. They are refused later, but accepted first.
async fn cancel(client: OrderClient, order: OrderId, sent: Arc<Asked>, stop: CancellationToken) {
    let mut n = 0_u64;
    while stop.run_until_cancelled(tokio::time::sleep(CANCEL_EVERY)).await.is_some() {
        n += 1;
        let (begun, key) = (Instant::now(), format!("overload-{n}"));
        let mut refused = None;
        let first = |why| refused = refused.or(Some(why));
        let answered = client.cancel(order, &key, Duration::from_secs(30), first).await;
        let answered = match (answered, refused) {
            (Ok(answer), None) if answer.status == 202 => Ok(()),
            (Ok(answer), None) => Err(answer.problem()),
            (Ok(_), Some(why)) => Err(format!("not now: {why}")),
            (Err(error), _) => Err(format!("{error:#}")),
        };
        sent.note(begun, answered);
    }
}
