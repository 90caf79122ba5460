//! [`State`]: the file by which the other commands find a running shop.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use streams::partition;

use crate::dirs::Dirs;
use crate::passfile::with_password;
use crate::processes::HOST;

/// What a healthy shop says about itself in `shop.json`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct State {
    /// The folder of the shop.
    pub dir: PathBuf,
    /// The supervisor's process; 0 when there is none on this machine, as with containers.
    pub pid: u32,
    /// Ports by process: `orders`, `kafka`, ...
    pub ports: BTreeMap<String, u16>,
    /// Where each process is reached: base URLs for HTTP, `host:port` for SMTP and Kafka (with a
    /// login in a secured shop, as [`streams::Cluster`] writes it), connection strings
    /// (`postgres.payments`) for databases, and one entry (`orders-1`) per further instance.
    pub urls: BTreeMap<String, String>,
    /// The Compose project, when the processes are containers.
    #[serde(default)]
    pub project: Option<String>,
    /// How many partitions its topics have.
    #[serde(default = "default_partitions")]
    pub partitions: i32,
    /// How our programs were built: [`build`]. Not known of containers.
    #[serde(default)]
    pub build: Option<String>,
    /// Whom it lets in. Not known of containers.
    #[serde(default)]
    pub profile: Option<Profile>,
}

/// Whom a shop lets in.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Profile {
    /// Kafka, PostgreSQL and Connect ask for logins.
    pub secured: bool,
    /// The services ask callers for a token.
    pub auth: bool,
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { secured, auth } = self;
        f.write_str(match secured {
            true => "secured: Kafka, PostgreSQL and Connect ask for logins",
            false => "open: Kafka, PostgreSQL and Connect take all who come",
        })?;
        f.write_str(match auth {
            true => "; callers need a token (./shop token)",
            false => "; callers need no token",
        })
    }
}

fn default_partitions() -> i32 {
    partition::DEFAULT
}

/// How this program was built, and with it all of ours: `debug` or `release`.
#[must_use]
pub const fn build() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}

/// Where each process is reached, by its port: the addresses of a [`State`].
#[must_use]
pub fn urls_at(ports: &BTreeMap<String, u16>) -> BTreeMap<String, String> {
    let mut urls = BTreeMap::new();
    for (name, port) in ports {
        match name.as_str() {
            "kafka" | "smtp" => {
                urls.insert(name.clone(), format!("{HOST}:{port}"));
            }
            "registry" => {
                urls.insert(name.clone(), format!("http://{HOST}:{port}/apis/ccompat/v7"));
            }
            "postgres" => {
                for database in ["catalog", "payments", "view"] {
                    let url = format!("postgres://shop@{HOST}:{port}/{database}");
                    urls.insert(format!("postgres.{database}"), url);
                }
            }
            // Kafka's own, and what a shop has only if it is asked for it.
            "controller" | "workshop" => {}
            _ => {
                urls.insert(name.clone(), format!("http://{HOST}:{port}"));
            }
        }
    }
    urls
}

impl State {
    /// Reads the state file of the shop in `dirs`.
    ///
    /// # Errors
    /// When no shop is up there; the message says how to start or find one.
    pub fn read(dirs: &Dirs) -> Result<Self> {
        let path = dirs.state();
        let Ok(text) = std::fs::read_to_string(&path) else {
            bail!(
                "no running shop in {}, nor in containers: start one with `./shop up` or \
                 `docker compose up`, or say where it is with --dir DIR",
                dirs.root().display()
            );
        };
        let state: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged", path.display()))?;
        state.with_passwords()
    }

    /// The same with the passwords of databases and of Connect, which the file does not have: it
    /// names the files that do.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn with_passwords(mut self) -> Result<Self> {
        for url in self.urls.values_mut().filter(|url| url.contains("passfile=")) {
            *url = with_password(url)?;
        }
        Ok(self)
    }

    /// Writes the state file as a whole: readers see the old one or the new one.
    ///
    /// # Errors
    /// When the folder is not writable.
    pub fn write(&self, dirs: &Dirs) -> Result<()> {
        let temporary = dirs.root().join("shop.json.new");
        std::fs::write(&temporary, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(&temporary, dirs.state())?;
        Ok(())
    }

    /// Where Kafka is for one who may do everything there; in an open shop that is everyone.
    ///
    /// # Errors
    /// When the shop has no Kafka.
    pub fn kafka_admin(&self) -> Result<&str> {
        self.urls.get("kafka.admin").map_or_else(|| self.url("kafka"), |url| Ok(url))
    }

    /// `database` for PostgreSQL's super user, who may end the sessions of others; in an open shop
    /// that is everyone.
    ///
    /// # Errors
    /// When the shop has no such database.
    pub fn postgres_admin(&self, database: &str) -> Result<&str> {
        let admin = self.urls.get(&format!("postgres.admin.{database}"));
        admin.map_or_else(|| self.url(&format!("postgres.{database}")), |url| Ok(url))
    }

    /// Where `process` is reached.
    ///
    /// # Errors
    /// When the shop has no such process.
    pub fn url(&self, process: &str) -> Result<&str> {
        self.urls.get(process).map(String::as_str).with_context(|| {
            let known: Vec<_> = self.urls.keys().map(String::as_str).collect();
            format!("the shop has no `{process}`; it has {}", known.join(", "))
        })
    }
}
