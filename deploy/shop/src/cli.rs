//! The command line.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use client::Found;
use client::control::Request;
use native::Scale;
use streams::partition;
use tokio_util::sync::CancellationToken;

use crate::commands::place::Place;
use crate::commands::{
    acls, audit, bench, cdc, chaos, dlq, down, load, logs, metrics, order, provision, status,
    token, topics, up, view,
};

/// Runs the whole shop on this machine without Docker, and looks into a running one.
#[derive(Debug, Parser)]
#[command(name = "shop", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the shop: Kafka, registry, Connect, PostgreSQL, mail sink, bank and services
    Up(up::UpArgs),
    /// Fetch the servers that `up` would fetch, once, into the cache that all shops share
    Fetch,
    /// End a running shop
    Down(Place),
    /// Show every process: name, port, state, restarts, memory; and what is wrong
    Status(Place),
    /// Show the log of a process
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
    Order(order::OrderArgs),
    /// Place many orders of all kinds at a steady rate, and measure
    Load(load::LoadArgs),
    /// Break a shop under load at random, see how it recovers, and judge it
    Chaos(chaos::ChaosArgs),
    /// Measure a fresh shop of release builds, next to the limits of the machine
    Bench(bench::BenchArgs),
    /// Print a configuration of Prometheus that scrapes this shop and loads its alerts
    Metrics(metrics::MetricsArgs),
    /// Issue a token, with which a caller shows who they are to a shop that runs with --auth
    Token(token::TokenArgs),
    /// Show the choreography: every topic with its writers and readers
    Topics,
    /// Print who may do what on a Kafka with access control, as lines for kafka-acls.sh
    Acls {
        /// As KafkaUser resources of Strimzi instead
        #[arg(long)]
        strimzi: bool,
    },
    /// Look at the records that a service could not handle, and deal with them
    Dlq(dlq::DlqArgs),
    /// Look at change data capture, and make up for what it lost
    Cdc(cdc::CdcArgs),
    /// Look at the lean views, rebuild them from the log, drop one
    View(view::ViewArgs),
    /// Check every law of the shop against its log, its books, its mails and its views
    Audit {
        #[command(flatten)]
        options: audit::Options,
        #[command(flatten)]
        place: Place,
    },
    /// Stop a process until it is started again
    Stop(Named),
    /// Start a stopped process
    Start {
        #[command(flatten)]
        named: Named,
        /// A variable on top of the process's own; may be repeated
        #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
        env: Vec<(String, String)>,
    },
    /// Stop and start a process
    Restart(Named),
    /// Kill a process as `kill -9` does; it comes back by itself
    Kill {
        #[command(flatten)]
        named: Named,
        /// Leave it dead
        #[arg(long)]
        stay: bool,
    },
    /// Suspend a process (SIGSTOP)
    Pause(Named),
    /// Resume a suspended process
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

#[derive(Args, Debug)]
struct Named {
    /// A service (all its instances), one instance (orders-0, orders-1), or kafka, registry,
    /// connect, postgres, mail, bank
    name: String,
    #[command(flatten)]
    place: Place,
}

/// Runs a command and prints errors to stderr.
#[must_use]
pub(crate) fn run(cli: Cli) -> ExitCode {
    if matches!(&cli.command, Command::Up(args) if args.detached()) {
        // Leaves the terminal's session, so that closing the terminal does not end the shop. It
        // fails only when this process leads a session already.
        let _ = nix::unistd::setsid();
    }
    if let Err(error) = take_partitions() {
        eprintln!("{error}");
        return ExitCode::FAILURE;
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

/// What the variable says of the shop that is meant: for one of which only the ports are known.
fn take_partitions() -> Result<(), String> {
    if let Ok(text) = std::env::var(partition::SETTING) {
        partition::set_count(partition::parse_count(&text)?);
    }
    Ok(())
}

async fn dispatch(command: Command) -> Result<()> {
    match command {
        Command::Up(args) => up::run(args).await,
        Command::Fetch => native::fetch().await,
        Command::Down(place) => down::run(place.dir()).await,
        Command::Status(place) => status::run(&Found::at(place.dir()).await?).await,
        Command::Logs { name, follow, lines, place } => {
            logs::run(place.dir(), &name, follow, lines).await
        }
        Command::Order(args) => order::run(args).await,
        Command::Load(args) => load::run(args).await,
        Command::Audit { options, place } => audit::run(place.dir(), &options).await,
        Command::Chaos(args) => chaos::run(args).await,
        Command::Bench(args) => bench::run(args).await,
        Command::Dlq(args) => dlq::run(args).await,
        Command::View(args) => view::run(args).await,
        Command::Cdc(args) => cdc::run(args).await,
        Command::Metrics(args) => metrics::run(args).await,
        Command::Token(args) => token::run(&args),
        Command::Topics => {
            topics::run();
            Ok(())
        }
        Command::Acls { strimzi } => {
            acls::run(strimzi);
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
            mail_sink::serve(smtp, http, stop).await
        }
    }
}

/// Sends a request to the running shop, and shows its processes afterwards.
async fn tell(place: &Place, request: Request) -> Result<()> {
    let shop = Found::at(place.dir()).await?;
    shop.ask(request).await?;
    status::table(&shop).await
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
