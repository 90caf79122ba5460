//! [`Run`]: a shop under load in which the faults of a plan happen, and the verdict on it.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use auditor::Verdict;
use client::Progress;
use evidence::audit_at_rest;
use tokio_util::sync::CancellationToken;

use super::act::Breaker;
use super::ground::Ground;
use super::plan::Plan;
use super::recovery::{Happened, recovery};
use super::{page, report, timeline};
use crate::generator::{Load, Settings};
use crate::journal::Stories;
use crate::report::{progress as progress_line, summary};

/// A deadline is a minute, and what was held up by the last fault may need another one.
const SETTLED_WITHIN: Duration = Duration::from_secs(180);
/// What follows from an order's end, such as its mail, is waited for so long: email may have to
/// catch up with everything that was held up. A verdict with nothing on its way does not depend on
/// it.
const AUDIT_GRACE: Duration = Duration::from_secs(120);
const AUDIT_PATIENCE: Duration = Duration::from_secs(180);
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// What happened.
#[derive(Debug)]
pub struct Run {
    begin: Instant,
    /// When every order had ended, or was not waited for any more.
    end: Instant,
    stories: Stories,
    faults: Vec<Happened>,
    healed: Result<()>,
    /// Whether the dead letters of garbage came, and could be discarded.
    swept: Result<()>,
    /// What the auditor says of the whole shop.
    audited: Result<Verdict>,
}

impl Run {
    /// Breaks the shop under load, mends it, and waits until every order has ended.
    ///
    /// # Errors
    /// When the load cannot be put on the shop at all.
    pub async fn through(
        ground: &Ground,
        plan: Plan,
        settings: Settings,
        stop: &CancellationToken,
        progress: Progress,
    ) -> Result<Self> {
        let state = ground.shop.state();
        let breaker = Breaker::new("chaos", &ground.dirs, state, stop.clone(), progress)?;
        let mut load = Load::start(state, settings).await?;
        let begin = Instant::now();
        let faults = breaker.carry_out(plan, begin);
        let faults = with_progress(&load, faults, progress).await;
        if stop.is_cancelled() {
            load.stop_placing();
        }
        with_progress_until(stop, &mut load).await?;
        progress
            .step("chaos", "nothing breaks any more; waiting for every process and every order");
        let healed = breaker.heal().await;
        with_progress(&load, load.all_settled(SETTLED_WITHIN), progress).await;
        progress.step("chaos", load.journal().look(progress_line));
        let end = Instant::now();
        let swept = breaker.sweep().await;
        let audited = audit_at_rest(state, AUDIT_GRACE, AUDIT_PATIENCE, auditor::audit).await;
        let stories = load.journal().look(Clone::clone);
        Ok(Self { begin, end, stories, faults, healed, swept, audited })
    }

    /// The orders, the faults and what the auditor says, for a terminal.
    #[must_use]
    pub fn report(&self) -> String {
        let audited =
            self.audited.as_ref().map_or_else(|error| format!("{error:#}"), Verdict::to_string);
        format!("\n{}\n{audited}\n", self.tables())
    }

    fn tables(&self) -> String {
        let seen =
            self.faults.iter().map(|fault| (fault.clone(), recovery(fault, &self.stories.orders)));
        let seen: Vec<_> = seen.collect();
        let (faults, kinds) = (report::faults(self.begin, &seen), report::kinds(&seen));
        format!("{}\n{faults}\n{kinds}", summary(&self.stories))
    }

    /// The run as one HTML file, which needs no other.
    #[must_use]
    pub fn html(&self, title: &str, is_interrupted: bool) -> String {
        let shown = page::Shown {
            title,
            begin: self.begin,
            end: self.end,
            stories: &self.stories.orders,
            faults: &self.faults,
            tables: self.tables(),
            audited: self.audited.as_ref().map_err(|error| format!("{error:#}")),
            wrong: self.wrong(is_interrupted),
        };
        shown.page()
    }

    /// The run as SVG.
    #[must_use]
    pub fn picture(&self, title: &str) -> String {
        timeline::draw(title, self.begin, &self.stories.orders, &self.faults)
    }

    /// Whether everything is as it should be.
    ///
    /// # Errors
    /// With everything that is not.
    pub fn verdict(&self, is_interrupted: bool) -> Result<()> {
        let wrong = self.wrong(is_interrupted);
        if wrong.is_empty() {
            Ok(())
        } else {
            bail!("verdict: NOT clean\n  {}", wrong.join("\n  "))
        }
    }

    fn wrong(&self, is_interrupted: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        if is_interrupted {
            wrong.push("it was interrupted: this is a part of the run".to_owned());
        }
        let under_way = self.stories.orders.iter().filter(|story| story.is_under_way()).count();
        if under_way > 0 {
            wrong.push(format!("{under_way} orders have not ended"));
        }
        if self.stories.troubles > 0 {
            wrong.push(format!("{} answers were not what they should be", self.stories.troubles));
        }
        for ill in [&self.healed, &self.swept].into_iter().filter_map(|done| done.as_ref().err()) {
            wrong.push(format!("{ill:#}"));
        }
        match &self.audited {
            Err(error) => wrong.push(format!("the shop could not be audited: {error:#}")),
            Ok(verdict) if !verdict.is_clean() => {
                wrong.push(format!("the audit found {} violations", verdict.violation_count()));
            }
            Ok(verdict) if verdict.pending() > 0 => {
                let (pending, waited) = (verdict.pending(), AUDIT_PATIENCE.as_secs());
                wrong.push(format!("{pending} effects are still on their way after {waited} s"));
            }
            Ok(_) => {}
        }
        let undone = self.faults.iter().filter_map(|fault| {
            Some(format!("{} could not be done: {}", fault.act, fault.failed.as_ref()?))
        });
        wrong.extend(undone);
        wrong
    }
}

/// Prints the state of the orders from time to time while `work` goes on.
async fn with_progress<T>(load: &Load, work: impl Future<Output = T>, progress: Progress) -> T {
    let mut work = std::pin::pin!(work);
    let mut tick =
        tokio::time::interval_at((Instant::now() + PROGRESS_EVERY).into(), PROGRESS_EVERY);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = tick.tick() => progress.step("load", load.journal().look(progress_line)),
        }
    }
}

/// Waits until every order is answered. An interruption ends the placing of further ones.
async fn with_progress_until(stop: &CancellationToken, load: &mut Load) -> Result<()> {
    if stop.run_until_cancelled(load.placed()).await.is_none() {
        load.stop_placing();
    }
    load.placed().await
}
