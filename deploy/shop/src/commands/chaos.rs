//! `shop chaos`: a shop under load in which things break, and the verdict on it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use auditor::Verdict;
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::load::{minutes, orders_in, rate};
use crate::chaos::act::Breaker;
use crate::chaos::plan::{self, Plan};
use crate::chaos::recovery::{Happened, recovery};
use crate::chaos::{report, timeline};
use crate::cli::Place;
use crate::client::{Shop, StartOptions};
use crate::ending::told_to_end;
use crate::evidence::audit_at_rest;
use crate::load::journal::Stories;
use crate::load::mix::Mix;
use crate::load::{self, Load};
use crate::progress::Progress;
use crate::settings::{Dirs, service_of};

/// A deadline is a minute, and what was held up by the last fault may need another one.
const SETTLED_WITHIN: Duration = Duration::from_secs(180);
/// What follows from an order's end, such as its mail, is waited for so long: email may have to catch up with
/// everything that was held up. A verdict with nothing on its way does not depend on it.
const AUDIT_GRACE: Duration = Duration::from_secs(120);
const AUDIT_PATIENCE: Duration = Duration::from_secs(180);
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// What to break, and where.
#[derive(Args, Debug)]
pub(crate) struct ChaosArgs {
    /// The same seed breaks the same things at the same times; drawn if left out
    #[arg(long)]
    seed: Option<u64>,
    /// For how many minutes, 0.7 to 1440
    #[arg(long, default_value_t = 1.0, value_parser = chaos_minutes)]
    minutes: f64,
    /// Orders per second
    #[arg(long, default_value_t = 10.0, value_parser = rate)]
    rate: f64,
    /// How often each kind of order comes, as in `shop load`
    #[arg(long, default_value_t, value_name = "KIND=WEIGHT,...")]
    mix: Mix,
    /// Write a picture of the run: orders per second, and the faults
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Only show what would be broken, and when
    #[arg(long)]
    plan: bool,
    /// Break the shop that runs in --dir, instead of one that is started for it
    #[arg(long)]
    running: bool,
    /// Keep the folder of the shop that was started; without this it is kept when the verdict is not clean
    #[arg(long, conflicts_with = "running")]
    keep: bool,
    #[command(flatten)]
    place: Place,
}

fn chaos_minutes(text: &str) -> Result<f64, String> {
    let shortest = plan::LENGTH_MIN.as_secs_f64() / 60.0;
    let asked = minutes(text)?;
    if asked < shortest {
        return Err(format!("must be at least {shortest:.2}, or there is no time for a fault"));
    }
    Ok(asked)
}

/// Does it.
///
/// # Errors
/// When the verdict is not clean, or it was interrupted.
pub(crate) async fn run(args: ChaosArgs) -> Result<()> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(0..=u64::from(u32::MAX)));
    let length = Duration::from_secs_f64(args.minutes * 60.0);
    let plan = Plan::draw(seed, length);
    if args.plan {
        print!("{plan}");
        return Ok(());
    }
    let orders = orders_in(args.minutes, args.rate)?;
    if let Some(file) = &args.svg {
        check_writable(file)?;
    }
    let progress = Progress::start();
    progress
        .step("chaos", format!("{} faults in {} min, --seed {seed}", plan.0.len(), args.minutes));
    let stop = interrupted()?;
    let ground = Ground::prepare(&args, seed, &stop, progress).await?;
    let settings = load::Settings { seed, mix: args.mix, orders, rate: args.rate };
    let run = Run::through(&ground, plan, settings, &stop, progress).await?;
    print!("{}", run.report());
    if let Some(file) = &args.svg {
        let title =
            format!("./shop chaos --seed {seed} --minutes {} --rate {}", args.minutes, args.rate);
        std::fs::write(file, run.picture(&title))
            .with_context(|| format!("cannot write {}", file.display()))?;
        progress.step("chaos", format!("the picture is in {}", file.display()));
    }
    let verdict = run.verdict(stop.is_cancelled());
    ground.leave(args.keep, verdict.is_ok(), progress).await?;
    verdict?;
    println!("verdict: clean");
    Ok(())
}

/// So that five minutes of chaos do not end with a picture that cannot be written.
fn check_writable(file: &Path) -> Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let is_there = folder.is_none_or(Path::is_dir) && !file.is_dir();
    ensure!(is_there, "--svg {}: not a file in a folder that exists", file.display());
    Ok(())
}

/// Cancelled by the first Ctrl-C or SIGTERM; a second one ends the process at once, and its shop with it.
fn interrupted() -> Result<CancellationToken> {
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    let first = told_to_end(false, false)?;
    tokio::spawn(async move {
        let why = first.await;
        eprintln!("{why}: the shop is mended and ended in order; once more to end at once");
        cancel.cancel();
        if let Ok(second) = told_to_end(false, false) {
            second.await;
            std::process::exit(130);
        }
    });
    Ok(stop)
}

/// The shop that is broken.
struct Ground {
    shop: Shop,
    dirs: Dirs,
    is_own: bool,
    /// How many instances a running shop had before.
    instances_before: Vec<(&'static str, u16)>,
}

impl Ground {
    async fn prepare(
        args: &ChaosArgs,
        seed: u64,
        stop: &CancellationToken,
        progress: Progress,
    ) -> Result<Self> {
        if args.running {
            return Self::running(args.place.dir(), progress).await;
        }
        let dir =
            std::env::temp_dir().join(format!("murmuration-chaos-{seed}-{}", std::process::id()));
        progress.step("chaos", format!("starting a shop in {}", dir.display()));
        let scale = plan::INSTANCES.map(|(service, instances)| (service.to_owned(), instances));
        let options = StartOptions {
            scale: scale.to_vec(),
            dir: Some(dir.clone()),
            ..StartOptions::default()
        };
        let shop = stop.run_until_cancelled(Shop::start(options)).await;
        let shop = shop.context("interrupted before the shop was ready")??;
        progress.step("chaos", "the shop is ready");
        Ok(Self { shop, dirs: Dirs::at(&dir), is_own: true, instances_before: Vec::new() })
    }

    /// The plan wants two instances of some services, so a running shop gets them.
    async fn running(dir: &Path, progress: Progress) -> Result<Self> {
        let mut shop = Shop::attach(dir)?;
        let parts = shop.status().await.context("only a shop of `./shop up` can be broken")?;
        let mut instances_before = Vec::new();
        for (service, wanted) in plan::INSTANCES {
            let count = parts.iter().filter(|part| service_of(&part.name) == service).count();
            instances_before.push((service, u16::try_from(count).context("too many instances")?));
            progress.step("chaos", format!("scaling {service} from {count} to {wanted}"));
            shop.scale(service, wanted).await?;
        }
        Ok(Self { shop, dirs: Dirs::at(dir), is_own: false, instances_before })
    }

    /// Ends a shop that was started for this, and says where it is when it is kept.
    async fn leave(self, keep: bool, is_clean: bool, progress: Progress) -> Result<()> {
        let Self { mut shop, dirs, is_own, instances_before } = self;
        for (service, instances) in instances_before {
            shop.scale(service, instances).await?;
        }
        drop(shop);
        if !is_own {
            return Ok(());
        }
        if keep || !is_clean {
            let dir = dirs.root().display();
            let again = format!("./shop up --dir {dir} --ports auto");
            progress.step("chaos", format!("data and logs are in {dir}; {again} starts it again"));
            return Ok(());
        }
        super::up::wipe(&dirs)?;
        std::fs::remove_dir_all(dirs.root()).context("the shop's folder cannot be removed")
    }
}

/// What happened.
struct Run {
    begin: Instant,
    stories: Stories,
    faults: Vec<Happened>,
    healed: Result<()>,
    /// What the auditor says of the whole shop.
    audited: Result<Verdict>,
}

impl Run {
    /// Breaks the shop under load, mends it, and waits until every order has ended.
    async fn through(
        ground: &Ground,
        plan: Plan,
        settings: load::Settings,
        stop: &CancellationToken,
        progress: Progress,
    ) -> Result<Self> {
        let state = ground.shop.state();
        let breaker = Breaker::new(&ground.dirs, state, stop.clone(), progress)?;
        let mut load = Load::start(state, settings).await?;
        let begin = Instant::now();
        let faults = breaker.carry_out(plan, begin);
        let faults = with_progress(&load, faults, progress).await;
        if stop.is_cancelled() {
            load.stop_placing();
        }
        with_progress_until(stop, &mut load).await?;
        progress.step("chaos", "nothing breaks any more; waiting for every part and every order");
        let healed = breaker.heal().await;
        with_progress(&load, load.all_settled(SETTLED_WITHIN), progress).await;
        progress.step("chaos", load.journal().look(load::report::progress));
        let audited = audit_at_rest(state, AUDIT_GRACE, AUDIT_PATIENCE, auditor::audit).await;
        let stories = load.journal().look(Clone::clone);
        Ok(Self { begin, stories, faults, healed, audited })
    }

    fn report(&self) -> String {
        let seen =
            self.faults.iter().map(|fault| (fault.clone(), recovery(fault, &self.stories.orders)));
        let seen: Vec<_> = seen.collect();
        let (faults, kinds) = (report::faults(self.begin, &seen), report::kinds(&seen));
        let audited =
            self.audited.as_ref().map_or_else(|error| format!("{error:#}"), Verdict::to_string);
        format!("\n{}\n{faults}\n{kinds}\n{audited}\n", load::report::summary(&self.stories))
    }

    fn picture(&self, title: &str) -> String {
        timeline::draw(title, self.begin, &self.stories.orders, &self.faults)
    }

    /// Everything that is not as it should be, in one error.
    fn verdict(&self, is_interrupted: bool) -> Result<()> {
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
        if let Err(ill) = &self.healed {
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
        if wrong.is_empty() {
            Ok(())
        } else {
            bail!("verdict: NOT clean\n  {}", wrong.join("\n  "))
        }
    }
}

/// Says from time to time how the orders stand while `work` goes on.
async fn with_progress<T>(load: &Load, work: impl Future<Output = T>, progress: Progress) -> T {
    let mut work = std::pin::pin!(work);
    let mut tick =
        tokio::time::interval_at((Instant::now() + PROGRESS_EVERY).into(), PROGRESS_EVERY);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = tick.tick() => progress.step("load", load.journal().look(load::report::progress)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_too_short_for_a_fault_is_refused() {
        assert!(chaos_minutes("0.5").unwrap_err().contains("at least 0.67"));
        assert_eq!(chaos_minutes("1"), Ok(1.0));
    }

    #[test]
    fn a_picture_goes_into_a_folder_that_exists() {
        assert!(check_writable(Path::new("chaos.svg")).is_ok());
        let folder = std::env::temp_dir();
        assert!(check_writable(&folder.join("chaos.svg")).is_ok());
        for wrong in [folder.clone(), folder.join("no-such-folder/chaos.svg")] {
            let error = check_writable(&wrong).unwrap_err().to_string();
            assert!(error.contains("--svg"), "{error}");
        }
    }
}
