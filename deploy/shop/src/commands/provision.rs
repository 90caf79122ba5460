//! `shop provision`: what makes started servers into a shop, one step at a time, for servers that
//! another program has started: containers, or a cluster. Every step may be repeated.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use capture::Addresses;
use client::{Badge, Development, Found, Progress, with_password};
use native::provision::{
    catalog, connectors,
    schemas::{self, Places},
    stock, topics,
};

use super::place;

/// How long to wait before a server is asked again.
const PAUSE: Duration = Duration::from_millis(250);

/// One step, and how long to wait for its server.
#[derive(Args, Debug)]
pub(crate) struct ProvisionArgs {
    #[command(subcommand)]
    step: Step,
    /// Give up when the server does not do it within this many seconds
    #[arg(long, default_value_t = 120, global = true)]
    patience_s: u64,
}

#[derive(Debug, Subcommand)]
enum Step {
    /// Make the passwords and keys of a secured shop in containers that are missing, in the folder
    /// `secrets` of --dir
    Secrets {
        #[command(flatten)]
        shop: place::Place,
        /// The folder in which containers see the files
        #[arg(long, default_value = "/run/secrets")]
        seen_at: String,
    },
    /// Make the topics that are missing
    Topics {
        /// Where Kafka listens
        #[arg(long, env = "KAFKA_BOOTSTRAP", default_value = "127.0.0.1:9092")]
        kafka: String,
    },
    /// Register the schemas that are missing, with the ids that the log has for them
    Schemas {
        /// Where Kafka listens: the log keeps the ids. When left out, that of the shop in --dir
        #[arg(long, env = "KAFKA_BOOTSTRAP")]
        kafka: Option<String>,
        /// Base URL of Apicurio's Confluent compatible API. When left out, as above
        #[arg(long, env = "SCHEMA_REGISTRY_URL")]
        registry: Option<String>,
        /// Base URL of Kafka Connect, whose connectors remember ids; with a login as that of
        /// `connectors`. When left out, as above
        #[arg(long, value_parser = with_password_of)]
        connect: Option<Secret>,
        #[command(flatten)]
        shop: place::Place,
        /// Then go on for ever, and keep the ids of new schemas in the log
        #[arg(long)]
        watch: bool,
    },
    /// Register the Debezium connectors and wait until they run
    Connectors {
        /// Base URL of Kafka Connect; `http://USER@HOST:PORT?passfile=FILE` with a login
        #[arg(long, default_value = "http://127.0.0.1:8086", value_parser = with_password_of)]
        connect: Secret,
        /// The folder with the passwords, here and where Connect runs: each connector logs in, and
        /// --watch looks at the databases as `operator`
        #[arg(long)]
        secrets: Option<PathBuf>,
        /// Where Connect reaches PostgreSQL
        #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5433")]
        postgres: Place,
        /// Where Connect reaches Apicurio Registry
        #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8085")]
        registry: Place,
        /// Then go on for ever, restart what fails, and say what is wrong with the capture
        #[arg(long)]
        watch: bool,
        /// Where Kafka listens, for --watch
        #[arg(long, env = "KAFKA_BOOTSTRAP", default_value = "127.0.0.1:9092")]
        kafka: String,
    },
    /// Put the first stock of the demo products into the warehouse
    Stock {
        /// Base URL of inventory
        #[arg(long, default_value = "http://127.0.0.1:8081")]
        inventory: String,
        /// The folder with the key of the issuer, if callers need a token
        #[arg(long)]
        secrets: Option<PathBuf>,
    },
    /// Wait until orders knows the demo products and customers
    Catalog {
        /// Base URL of orders; once per instance
        #[arg(long, default_value = "http://127.0.0.1:8080")]
        orders: Vec<String>,
        /// The folder with the key of the issuer, if callers need a token
        #[arg(long)]
        secrets: Option<PathBuf>,
    },
}

/// A URL that may have a password in it, which is not for a log.
#[derive(Clone)]
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(client::place(&self.0))
    }
}

fn with_password_of(url: &str) -> Result<Secret, String> {
    with_password(url).map(Secret).map_err(|error| format!("{error:#}"))
}

/// A `HOST:PORT`.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Place {
    host: String,
    port: u16,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not HOST:PORT, such as 127.0.0.1:5433");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
        if host.is_empty() || host.contains('/') {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

/// Does one step, as often as its server needs to be asked.
///
/// # Errors
/// When it is not done in time, with the last reason.
pub(crate) async fn run(args: ProvisionArgs) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    // The first process of a container is not ended by a signal that it does not listen to.
    tokio::select! {
        result = step(args.step, Duration::from_secs(args.patience_s)) => result,
        _ = terminate.recv() => Ok(()),
    }
}

async fn step(step: Step, patience: Duration) -> Result<()> {
    let progress = Progress::start();
    match step {
        Step::Secrets { shop, seen_at } => {
            native::secrets_for_containers(shop.dir(), &seen_at)?;
            progress.step("secrets", format!("are in {}", shop.dir().join("secrets").display()));
        }
        Step::Topics { kafka } => {
            let made = patiently(patience, progress, "kafka", || topics::ensure(&kafka)).await?;
            progress.step("kafka", format!("topics are there, {made} of them new"));
        }
        Step::Schemas { kafka, registry, connect, shop, watch } => {
            let connect = connect.map(|Secret(url)| url);
            let places = places(kafka, registry, connect, &shop).await?;
            let ensure = || schemas::ensure(&places);
            let given_back = patiently(patience, progress, "registry", ensure).await?;
            progress.step("registry", schemas::told(given_back));
            if given_back > 0 {
                schemas::forget(&places).await?;
            }
            if watch {
                schemas::keep(places, progress, CancellationToken::new()).await;
            }
        }
        Step::Connectors {
            connect: Secret(connect),
            secrets,
            postgres,
            registry,
            watch,
            kafka,
        } => {
            let secrets = secrets.as_deref();
            let addresses = match watch {
                true => Some(addresses(kafka, &connect, &postgres, &registry, secrets)?),
                false => None,
            };
            let lookup = |name: &str| place_of(name, &postgres, &registry, secrets);
            let connect = connectors::Connect::new(connect, lookup)?;
            connect.wait_running(patience).await?;
            progress.step("connect", "connectors run");
            if let Some(addresses) = addresses {
                let for_ever = CancellationToken::new;
                tokio::join!(
                    connectors::keep_running(connect, progress, for_ever()),
                    capture::watch(addresses, progress, for_ever()),
                );
            }
        }
        Step::Stock { inventory, secrets } => {
            stock::ensure(&inventory, &badge(secrets)?, patience).await?;
            progress.step("inventory", "has its first stock");
        }
        Step::Catalog { orders, secrets } => {
            catalog::known(&orders, &badge(secrets)?, patience).await?;
            progress.step("orders", "knows the catalog");
        }
    }
    Ok(())
}

/// Of staff, if there is an issuer in `secrets`; else what `SHOP_TOKEN` says.
fn badge(secrets: Option<PathBuf>) -> Result<Badge> {
    match secrets {
        Some(folder) => Badge::staff_by(&Development::in_folder(folder)),
        None => Ok(Badge::given()),
    }
}

/// Where the parts of change data capture are reached from here.
fn addresses(
    kafka: String,
    connect: &str,
    postgres: &Place,
    registry: &Place,
    secrets: Option<&Path>,
) -> Result<Addresses> {
    let (role, query) = match secrets {
        Some(folder) => {
            ("operator", format!("?passfile={}", folder.join("pgpass.operator").display()))
        }
        None => ("shop", String::new()),
    };
    let Place { host, port } = postgres;
    let database =
        |name: &str| with_password(&format!("postgres://{role}@{host}:{port}/{name}{query}"));
    Ok(Addresses {
        kafka,
        registry: format!("http://{}:{}/apis/ccompat/v7", registry.host, registry.port),
        connect: connect.to_owned(),
        catalog: database("catalog")?,
        payments: database("payments")?,
    })
}

/// Where the servers are: as given, else those of the shop.
async fn places(
    kafka: Option<String>,
    registry: Option<String>,
    connect: Option<String>,
    shop: &place::Place,
) -> Result<Places> {
    if let (Some(kafka), Some(registry)) = (&kafka, &registry) {
        return Ok(Places { kafka: kafka.clone(), registry: registry.clone(), connect });
    }
    let state = Found::at(shop.dir()).await?.state()?;
    // Of a secured shop, the login that may keep schemas: the operator's may not.
    let login =
        if state.urls.contains_key("kafka.provision") { "kafka.provision" } else { "kafka" };
    let url = |given: Option<String>, process| match given {
        Some(given) => anyhow::Ok(given),
        None => Ok(state.url(process)?.to_owned()),
    };
    Ok(Places {
        kafka: url(kafka, login)?,
        registry: url(registry, "registry")?,
        connect: Some(url(connect, "connect")?),
    })
}

/// The value of a placeholder in a connector's template.
fn place_of(
    name: &str,
    postgres: &Place,
    registry: &Place,
    secrets: Option<&Path>,
) -> Option<String> {
    match name {
        "dir.secrets" => secrets.map(|folder| folder.to_string_lossy().into_owned()),
        "postgres.host" => Some(postgres.host.clone()),
        "port.postgres" => Some(postgres.port.to_string()),
        "registry.host" => Some(registry.host.clone()),
        "port.registry" => Some(registry.port.to_string()),
        _ => None,
    }
}

/// Tries until `attempt` succeeds, and says each new reason why it does not yet.
async fn patiently<T, Attempt>(
    patience: Duration,
    progress: Progress,
    server: &str,
    attempt: impl Fn() -> Attempt,
) -> Result<T>
where
    Attempt: Future<Output = Result<T>>,
{
    let started = Instant::now();
    let mut told = String::new();
    loop {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        if started.elapsed() > patience {
            let waited = patience.as_secs();
            return Err(error).with_context(|| format!("gave up on {server} after {waited} s"));
        }
        let why = format!("{error:#}");
        if why != told {
            progress.step(server, format!("not yet: {why}"));
            told = why;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use anyhow::bail;

    use super::*;

    #[test]
    fn a_place_is_a_host_and_a_port() {
        let place: Place = "registry:8080".parse().unwrap();
        assert_eq!((place.host.as_str(), place.port), ("registry", 8080));
        for wrong in ["registry", "registry:", ":8080", "registry:0", "http://registry:8080"] {
            assert!(wrong.parse::<Place>().unwrap_err().contains("HOST:PORT"), "{wrong}");
        }
    }

    #[test]
    fn every_placeholder_of_the_connectors_is_known() {
        let (postgres, registry) =
            ("postgres:5432".parse().unwrap(), "registry:8080".parse().unwrap());
        for secrets in [None, Some(Path::new("/run/secrets"))] {
            let lookup = |name: &str| place_of(name, &postgres, &registry, secrets);
            connectors::Connect::new("http://connect:8083".into(), lookup).unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_late_is_waited_for_and_one_that_does_not_come_is_named() {
        let patience = Duration::from_secs(5);
        let tries = Cell::new(0);
        let third = || async {
            tries.set(tries.get() + 1);
            if tries.get() < 3 { bail!("no broker") } else { Ok(tries.get()) }
        };
        let progress = Progress::start();
        assert_eq!(patiently(patience, progress, "kafka", third).await.unwrap(), 3);

        let never = || async { bail!("no broker") };
        let error = patiently::<(), _>(Duration::ZERO, progress, "kafka", never).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "gave up on kafka after 0 s: no broker");
    }
}
