//! The command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio_util::sync::CancellationToken;

use crate::commands::{
    audit, chaos, detach, dlq, down, load, logs, order, provision, status, topics, up,
};
use crate::find::Found;
use crate::order_client::OrderClient;
use crate::progress::Progress;
use crate::settings::{EnvSetting, PortSetting, Scale};
use crate::supervisor::control::Request;

/// Runs the whole shop on this machine without Docker, and looks into a running one.
#[derive(Debug, Parser)]
#[command(name = "shop", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the shop: Kafka, registry, Connect, PostgreSQL, mail sink, bank and services
    Up(UpArgs),
    /// Fetch the servers that `up` would fetch, once, into the cache that all shops share
    Fetch,
    /// End a running shop
    Down(Place),
    /// Show every part: process, port, state, restarts, memory
    Status(Place),
    /// Show the log of a part
    Logs {
        /// A process, such as orders, orders-1, kafka
        name: String,
        /// Go on with new lines
        #[arg(short, long)]
        follow: bool,
        /// How many lines of the past
        #[arg(short = 'n', long, default_value_t = 100)]
        lines: usize,
        #[command(flatten)]
        place: Place,
    },
    /// Place an order and follow it until it is settled
    Order(OrderArgs),
    /// Place many orders of all kinds at a steady rate, and measure
    Load(load::LoadArgs),
    /// Break a shop under load at random, see how it recovers, and judge it
    Chaos(chaos::ChaosArgs),
    /// Show the choreography: every topic, who writes it and who reads it
    Topics,
    /// Look at the records that a service could not handle, and deal with them
    Dlq(DlqArgs),
    /// Check every law of the shop against its log, its books, its mails and its views
    Audit {
        #[command(flatten)]
        options: audit::Options,
        #[command(flatten)]
        place: Place,
    },
    /// Stop a part until it is started again
    Stop(Named),
    /// Start a stopped part
    Start {
        #[command(flatten)]
        named: Named,
        /// A variable on top of the part's own; may be repeated
        #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
        env: Vec<(String, String)>,
    },
    /// Stop and start a part
    Restart(Named),
    /// Kill a part as `kill -9` does; it comes back by itself
    Kill {
        #[command(flatten)]
        named: Named,
        /// Leave it dead
        #[arg(long)]
        stay: bool,
    },
    /// Suspend a part (SIGSTOP)
    Pause(Named),
    /// Resume a suspended part
    Resume(Named),
    /// Run N instances of a service
    Scale {
        /// Such as orders=2
        #[arg(value_name = "SERVICE=N")]
        scale: Scale,
        #[command(flatten)]
        place: Place,
    },
    /// Make servers that are started otherwise, such as containers, into a shop, step by step
    Provision(provision::ProvisionArgs),
    /// Receive mails and show them (the shop starts this by itself)
    MailSink {
        /// Where SMTP listens
        #[arg(long, default_value = "127.0.0.1:1025")]
        smtp: std::net::SocketAddr,
        /// Where the page and the API listen
        #[arg(long, default_value = "127.0.0.1:8025")]
        http: std::net::SocketAddr,
    },
}

/// Which shop is meant.
#[derive(Args, Clone, Debug)]
pub(crate) struct Place {
    /// The folder of the shop
    #[arg(long, env = "SHOP_DIR", default_value = ".shop")]
    dir: PathBuf,
}

impl Place {
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

#[derive(Args, Debug)]
struct Named {
    /// A service (all its instances), one instance (orders-0, orders-1), or kafka, registry, connect,
    /// postgres, mail, bank
    name: String,
    #[command(flatten)]
    place: Place,
}

#[derive(Args, Debug)]
struct OrderArgs {
    /// What to order, such as TEA=2 MUG=1
    #[arg(required = true, value_name = "SKU=QUANTITY")]
    lines: Vec<order::Line>,
    /// Who orders: ada, grace, alan, or declan whom the bank always declines
    #[arg(long, default_value = "ada")]
    customer: String,
    /// Give up after this many seconds
    #[arg(long, default_value_t = 90)]
    patience_s: u64,
    /// Where orders listens, when not the shop in --dir
    #[arg(long, env = "ORDERS_URL")]
    orders_url: Option<String>,
    /// Where the view listens, when not the shop in --dir
    #[arg(long, env = "VIEW_URL")]
    view_url: Option<String>,
    #[command(flatten)]
    place: Place,
}

impl OrderArgs {
    async fn run(self) -> Result<()> {
        let client = match (self.orders_url, self.view_url) {
            (Some(orders), Some(view)) => OrderClient::new(&orders, &view)?,
            (orders, view) => {
                let state = Found::at(&self.place.dir).await?.state()?;
                let orders = orders.as_deref().map_or_else(|| state.url("orders"), Ok)?;
                let view = view.as_deref().map_or_else(|| state.url("view"), Ok)?;
                OrderClient::new(orders, view)?
            }
        };
        let patience = Duration::from_secs(self.patience_s);
        order::run(&client, &self.customer, &self.lines, patience).await
    }
}

#[derive(Args, Debug)]
struct DlqArgs {
    #[command(subcommand)]
    action: dlq::Action,
    /// Where Kafka listens, when not the shop in --dir
    #[arg(long, env = "KAFKA_BOOTSTRAP", global = true)]
    kafka: Option<String>,
    /// The folder of the shop
    #[arg(long, env = "SHOP_DIR", default_value = ".shop", global = true)]
    dir: PathBuf,
}

impl DlqArgs {
    async fn run(self) -> Result<()> {
        let bootstrap = match self.kafka {
            Some(kafka) => kafka,
            None => Found::at(&self.dir).await?.state()?.url("kafka")?.to_owned(),
        };
        // The calls block on Kafka.
        tokio::task::spawn_blocking(move || dlq::run(&bootstrap, self.action)).await?
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum PortChoice {
    /// The documented ports
    Default,
    /// Free ports for all parts, so that two shops run side by side
    Auto,
}

/// How to start a shop.
#[derive(Args, Debug)]
pub(crate) struct UpArgs {
    /// The folder of the shop
    #[arg(long, env = "SHOP_DIR", default_value = ".shop")]
    pub(crate) dir: PathBuf,
    /// Return when the shop is healthy, and leave it running
    #[arg(short, long)]
    detach: bool,
    /// Forget everything that the shop remembers, and start anew
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Which ports to use
    #[arg(long, value_enum, default_value = "default")]
    ports: PortChoice,
    /// Move one port; may be repeated
    #[arg(long, value_name = "NAME=PORT")]
    pub(crate) port: Vec<PortSetting>,
    /// Start N instances of a service; may be repeated
    #[arg(long, value_name = "SERVICE=N")]
    pub(crate) scale: Vec<Scale>,
    /// Set a variable of a service; may be repeated
    #[arg(long, value_name = "SERVICE.KEY=VALUE")]
    pub(crate) env: Vec<EnvSetting>,
    /// Start Kafka, registry, Connect, PostgreSQL and the mail sink only
    #[arg(long)]
    pub(crate) infra_only: bool,
    /// End the shop when stdin is closed: whoever started it cannot leave it behind
    #[arg(long)]
    pub(crate) until_stdin_closes: bool,
    /// Wipe the data at the end; the logs stay
    #[arg(long)]
    pub(crate) forget: bool,
    /// Run it all in containers: `docker compose up`, with clear words when that cannot be
    #[arg(long, conflicts_with_all = ["dir", "detach", "fresh", "ports", "port", "scale", "env", "infra_only"])]
    docker: bool,
    /// This process was started by --detach
    #[arg(long, hide = true)]
    pub(crate) detached: bool,
}

impl UpArgs {
    pub(crate) fn ports_auto(&self) -> bool {
        self.ports == PortChoice::Auto
    }
}

/// Runs a command; errors are told on stderr.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    if matches!(&cli.command, Command::Up(args) if args.detached) {
        // Leaves the terminal's session, so that closing the terminal does not end the shop. It fails
        // only when this process leads a session already.
        let _ = nix::unistd::setsid();
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(dispatch(cli.command));
    // Reading stdin blocks a thread that nothing can interrupt.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            audit::exit_code(&error)
        }
    }
}

async fn dispatch(command: Command) -> Result<()> {
    match command {
        Command::Up(args) if args.docker => {
            anyhow::bail!("`--docker` is done by the script ./shop")
        }
        Command::Up(args) if args.detach => detach::run(&args.dir).await,
        Command::Up(args) => up::run(args).await,
        Command::Fetch => crate::install::artifacts(&Progress::start()).await.map(drop),
        Command::Down(place) => down::run(&place.dir).await,
        Command::Status(place) => status::run(&Found::at(&place.dir).await?).await,
        Command::Logs { name, follow, lines, place } => {
            logs::run(&place.dir, &name, follow, lines).await
        }
        Command::Order(args) => args.run().await,
        Command::Load(args) => load::run(args).await,
        Command::Audit { options, place } => audit::run(&place.dir, &options).await,
        Command::Chaos(args) => chaos::run(args).await,
        Command::Dlq(args) => args.run().await,
        Command::Topics => {
            topics::run();
            Ok(())
        }
        Command::Stop(named) => tell(&named.place, Request::Stop { name: named.name }).await,
        Command::Start { named, env } => {
            let env = env.into_iter().collect();
            tell(&named.place, Request::Start { name: named.name, env }).await
        }
        Command::Restart(named) => tell(&named.place, Request::Restart { name: named.name }).await,
        Command::Kill { named, stay } => {
            tell(&named.place, Request::Kill { name: named.name, restart: !stay }).await
        }
        Command::Pause(named) => tell(&named.place, Request::Pause { name: named.name }).await,
        Command::Resume(named) => tell(&named.place, Request::Resume { name: named.name }).await,
        Command::Scale { scale, place } => {
            let Scale { service, instances } = scale;
            tell(&place, Request::Scale { service, instances }).await
        }
        Command::Provision(args) => provision::run(args).await,
        Command::MailSink { smtp, http } => {
            let stop = CancellationToken::new();
            crate::mail_sink::serve(smtp, http, stop).await
        }
    }
}

/// Asks the running shop for something, and shows how it stands after.
async fn tell(place: &Place, request: Request) -> Result<()> {
    let shop = Found::at(&place.dir).await?;
    shop.ask(request).await?;
    status::run(&shop).await
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or(format!("`{text}` is not KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
