//! `shop up`: runs a shop until a signal or a request ends it.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use client::{Dirs, Progress, State};
use native::{Beside, EnvSetting, PortSetting, Scale, UpOptions, With};
use streams::partition;
use workshop::Workshop;

use super::detach;
use super::status::what_next;

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum PortChoice {
    /// The documented ports
    Default,
    /// Free ports for all processes, so that two shops run side by side
    Auto,
}

/// How to start a shop.
#[derive(Args, Debug)]
pub(crate) struct UpArgs {
    /// The folder of the shop
    #[arg(long, env = "SHOP_DIR", default_value = ".shop")]
    dir: PathBuf,
    /// Return when the shop is healthy, and leave it running
    #[arg(short, long)]
    detach: bool,
    /// Delete all data of the shop before the start
    #[arg(long)]
    fresh: bool,
    /// Which ports to use
    #[arg(long, value_enum, default_value = "default")]
    ports: PortChoice,
    /// Move one port; may be repeated
    #[arg(long, value_name = "NAME=PORT")]
    port: Vec<PortSetting>,
    /// Start N instances of a service; may be repeated
    #[arg(long, value_name = "SERVICE=N")]
    scale: Vec<Scale>,
    /// How many partitions the topics have, 3 to 48; what the data has if left out, and 3 in a new
    /// shop. It cannot be changed later
    #[arg(long, value_name = "N", env = partition::SETTING)]
    #[arg(value_parser = partition::parse_count)]
    partitions: Option<i32>,
    /// Start a service that is off by default, and require its check of every order; may be
    /// repeated
    #[arg(long, value_name = "SERVICE")]
    with: Vec<With>,
    /// Set a variable of a service; may be repeated
    #[arg(long, value_name = "SERVICE.KEY=VALUE")]
    env: Vec<EnvSetting>,
    /// With logins, access control and TLS: Kafka's users and their rights come from the tables of
    /// the choreography, each database has its own role, and the passwords are in DIR/secrets
    #[arg(long)]
    secured: bool,
    /// Give the page its Workshop: fault switches, dead letters, views, the auditor at a button
    #[arg(long, conflicts_with_all = ["infra_only", "auth", "secured"])]
    demo: bool,
    /// Start Kafka, registry, Connect, PostgreSQL and the mail sink only
    #[arg(long)]
    infra_only: bool,
    /// End the shop when stdin is closed, so that its parent cannot leave it behind
    #[arg(long)]
    until_stdin_closes: bool,
    /// Wipe the data at the end; the logs stay
    #[arg(long)]
    forget: bool,
    /// Run it all in containers: `docker compose up`, with clear words when that cannot be
    #[arg(long, conflicts_with_all = ["dir", "detach", "fresh", "ports", "port", "scale"])]
    #[arg(conflicts_with_all = ["env", "infra_only", "demo"])]
    docker: bool,
    /// Run release builds, which the script builds first: minutes the first time
    #[arg(long, conflicts_with = "docker")]
    release: bool,
    /// Callers of the services need a token: `./shop token` issues one. The other commands show
    /// one by themselves
    #[arg(long)]
    auth: bool,
    /// This process was started by --detach
    #[arg(long, hide = true)]
    detached: bool,
}

impl UpArgs {
    /// Whether `--detach` has started this process.
    pub(crate) fn detached(&self) -> bool {
        self.detached
    }
}

/// Does it.
///
/// # Errors
/// When the shop does not start: the message says which process, and why.
pub(crate) async fn run(args: UpArgs) -> Result<()> {
    if args.docker {
        bail!("`--docker` is done by the script ./shop")
    }
    if args.release && client::build() != "release" {
        bail!("`--release` is done by the script ./shop: these are debug builds")
    }
    if args.detach {
        return detach::run(&args.dir).await;
    }
    let (infra_only, auth) = (args.infra_only, args.auth);
    let options = UpOptions {
        dir: args.dir,
        fresh: args.fresh,
        ports_auto: args.ports == PortChoice::Auto,
        port: args.port,
        scale: args.scale,
        with: args.with,
        env: args.env,
        secured: args.secured,
        partitions: args.partitions,
        infra_only,
        until_stdin_closes: args.until_stdin_closes,
        forget: args.forget,
        detached: args.detached,
        auth: args.auth,
        demo: args.demo,
    };
    let demo = args.demo;
    native::up(options, Front { infra_only, auth, demo, workshop: None }).await
}

/// What this program does beside the shop: it says what can be done next, and serves the Workshop.
struct Front {
    infra_only: bool,
    auth: bool,
    demo: bool,
    workshop: Option<Workshop>,
}

impl Beside for Front {
    async fn begin(&mut self, dirs: &Dirs, state: &State, progress: Progress) -> Result<()> {
        if self.demo {
            self.workshop = Some(Workshop::begin(dirs, state, progress).await?);
            progress.step(workshop::NAME, format!("ready on port {}", state.ports[workshop::NAME]));
        }
        Ok(())
    }

    fn ready(&mut self, state: &State) {
        if !self.infra_only {
            print!("{}", what_next(state));
            if self.auth {
                println!("callers need a token: `./shop token ada` or `./shop token --staff`");
            }
        }
    }

    async fn end(&mut self) {
        if let Some(workshop) = self.workshop.take() {
            workshop.end().await;
        }
    }
}
