//! `shop chaos`: a shop under load in which things break, and the verdict on it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use client::{Manners, Progress};
use load::Settings;
use load::chaos::plan::{self, Plan};
use load::chaos::{Ground, Run};
use load::mix::Mix;
use native::told_to_end;
use tokio_util::sync::CancellationToken;

use super::load::{minutes, orders_in, rate};
use super::place::Place;

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
    /// Write the run as one HTML file: faults over rate and p99, orders that could not be seen, and
    /// each violation with the story of its order
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Only show what would be broken, and when
    #[arg(long)]
    plan: bool,
    /// Start a secured shop for it: with logins, access control and TLS
    #[arg(long, conflicts_with = "running")]
    secured: bool,
    /// Break the shop that runs in --dir, instead of one that is started for it
    #[arg(long)]
    running: bool,
    /// Keep the folder of the shop that was started; without this it is kept when the verdict is
    /// not clean
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
    for (option, file) in [("--svg", &args.svg), ("--html", &args.html)] {
        file.as_deref().map_or(Ok(()), |file| check_writable(option, file))?;
    }
    let progress = Progress::start();
    progress
        .step("chaos", format!("{} faults in {} min, --seed {seed}", plan.0.len(), args.minutes));
    let stop = interrupted()?;
    let ground = match args.running {
        true => Ground::running(args.place.dir(), progress).await?,
        false => Ground::start(seed, args.secured, &stop, progress).await?,
    };
    let manners = Manners::Patient;
    let settings = Settings { seed, mix: args.mix, orders, rate: args.rate, manners };
    let run = Run::through(&ground, plan, settings, &stop, progress).await?;
    print!("{}", run.report());
    let title =
        format!("./shop chaos --seed {seed} --minutes {} --rate {}", args.minutes, args.rate);
    let write = |file: &Path, text: String| {
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        progress.step("chaos", format!("the run is in {}", file.display()));
        anyhow::Ok(())
    };
    if let Some(file) = &args.svg {
        write(file, run.picture(&title))?;
    }
    if let Some(file) = &args.html {
        write(file, run.html(&title, stop.is_cancelled()))?;
    }
    let verdict = run.verdict(stop.is_cancelled());
    ground.leave(args.keep, verdict.is_ok(), progress).await?;
    verdict?;
    println!("verdict: clean");
    Ok(())
}

/// So that five minutes of chaos do not end with a file that cannot be written.
fn check_writable(option: &str, file: &Path) -> Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let is_there = folder.is_none_or(Path::is_dir) && !file.is_dir();
    ensure!(is_there, "{option} {}: not a file in a folder that exists", file.display());
    Ok(())
}

/// Cancelled by the first Ctrl-C or SIGTERM; a second one ends the process at once, and its shop
/// with it.
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
        assert!(check_writable("--svg", Path::new("chaos.svg")).is_ok());
        let folder = std::env::temp_dir();
        assert!(check_writable("--html", &folder.join("chaos.html")).is_ok());
        for wrong in [folder.clone(), folder.join("no-such-folder/chaos.svg")] {
            let error = check_writable("--html", &wrong).unwrap_err().to_string();
            assert!(error.contains("--html"), "{error}");
        }
    }
}
