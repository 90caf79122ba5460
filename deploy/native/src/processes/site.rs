//! [`Site`]: the folders, ports and programs that the processes of one shop are made from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use client::{Dirs, Health, urls_at, with_password};

use super::postgres_home::Home;
use crate::install::Artifacts;
use crate::secrets::{ADMIN, DATABASE_ADMIN, REST, REST_USER, Secrets};
use crate::settings::EnvSetting;
use crate::supervisor::{ProcessSpec, Signal};
use crate::template::render;

/// The principal of a person at `./shop`, in Kafka and in PostgreSQL.
const OPERATOR: &str = "operator";
/// The principal that makes topics and keeps schemas.
pub(crate) const PROVISION: &str = "provision";

/// Everything that the processes of one shop are made from.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) dirs: Dirs,
    pub(crate) ports: BTreeMap<String, u16>,
    pub(crate) artifacts: Artifacts,
    pub(crate) postgres: Home,
    pub(crate) env: Vec<EnvSetting>,
    /// The checks that orders requires of validators that were asked for, each once.
    pub(crate) extra_checks: BTreeSet<&'static str>,
    /// The keys of callers, if these need a token.
    pub(crate) jwks: Option<PathBuf>,
    /// The passwords and keys, of a secured shop.
    pub(crate) secrets: Option<Secrets>,
    /// Whether the page has its Workshop.
    pub(crate) demo: bool,
    /// The folder with the executables of the services.
    pub(crate) bin: PathBuf,
}

impl Site {
    pub(crate) fn port(&self, name: &str) -> u16 {
        *self.ports.get(name).expect("every name in the code is in PORTS")
    }

    pub(crate) fn http(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}", self.port(name))
    }

    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port("kafka"))
    }

    /// Where Kafka is for `user`, with its login in a secured shop.
    pub(crate) fn kafka(&self, user: &str) -> String {
        let bootstrap = self.bootstrap();
        match &self.secrets {
            Some(secrets) => secrets.kafka(&bootstrap, user).to_string(),
            None => bootstrap,
        }
    }

    pub(crate) fn registry_url(&self) -> String {
        format!("{}/apis/ccompat/v7", self.http("registry"))
    }

    /// The connection string of a database for the super user.
    pub(crate) fn database_url(&self, database: &str) -> String {
        self.database_url_of(database, DATABASE_ADMIN)
    }

    /// The connection string of a database for `role` in a secured shop: libpq finds its password
    /// in a file, and so does [`client::State`].
    pub(crate) fn database_url_of(&self, database: &str, role: &str) -> String {
        let url = self.database_url_without_password(database, role);
        match &self.secrets {
            Some(secrets) => format!("{url}?passfile={}", secrets.passfile(role).display()),
            None => url,
        }
    }

    /// The same for a service, which finds the file by `DATABASE_PASSWORD_FILE`. In an open shop
    /// every service logs in as the super user.
    pub(crate) fn database_url_without_password(&self, database: &str, role: &str) -> String {
        let role = if self.secrets.is_some() { role } else { DATABASE_ADMIN };
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port("postgres"))
    }

    /// The base URL of Connect, with the password in a secured shop: for a client, not for a log.
    pub(crate) fn connect_url(&self) -> Result<String> {
        with_password(&self.connect_url_without_password())
    }

    fn connect_url_without_password(&self) -> String {
        match &self.secrets {
            Some(secrets) => {
                let (port, file) = (self.port("connect"), secrets.passfile(REST));
                format!("http://{REST_USER}@127.0.0.1:{port}?passfile={}", file.display())
            }
            None => self.http("connect"),
        }
    }

    /// Where everything is for a person at `./shop`.
    pub(crate) fn urls(&self) -> BTreeMap<String, String> {
        let mut urls = urls_at(&self.ports);
        if self.secrets.is_some() {
            urls.insert("kafka".to_owned(), self.kafka(OPERATOR));
            urls.insert("kafka.admin".to_owned(), self.kafka(ADMIN));
            urls.insert("kafka.provision".to_owned(), self.kafka(PROVISION));
            urls.insert("connect".to_owned(), self.connect_url_without_password());
            for database in ["catalog", "payments", "view"] {
                let (url, admin) =
                    (format!("postgres.{database}"), format!("postgres.admin.{database}"));
                urls.insert(url, self.database_url_of(database, OPERATOR));
                urls.insert(admin, self.database_url_of(database, DATABASE_ADMIN));
            }
        }
        urls
    }

    /// A program of ours that serves its health on `port`, and has 15 s to end.
    pub(crate) fn program(
        &self,
        service: &str,
        program: &str,
        port: u16,
        env: BTreeMap<String, String>,
    ) -> ProcessSpec {
        ProcessSpec {
            name: service.to_owned(),
            service: service.to_owned(),
            program: self.bin.join(program),
            args: Vec::new(),
            env,
            cwd: self.dirs.root().to_owned(),
            user: None,
            port,
            health: Health::Http(format!("http://127.0.0.1:{port}/health/ready")),
            stop_signal: Signal::SIGTERM,
            grace: Duration::from_secs(15),
        }
    }

    /// The ports, hosts and folders of this shop, by the names of placeholders.
    pub(crate) fn lookup(&self, name: &str) -> Option<String> {
        match name.split_once('.')? {
            ("port", process) => self.ports.get(process).map(u16::to_string),
            ("dir", "data") => Some(self.dirs.data().to_string_lossy().into_owned()),
            ("dir", "secrets") => Some(self.secrets.as_ref()?.dir().to_string_lossy().into_owned()),
            ("jaas", "admin") => self.secrets.as_ref().map(jaas_admin),
            (_, "host") => Some("127.0.0.1".to_owned()),
            _ => None,
        }
    }

    /// Fills in the ports, hosts and folders of this shop.
    pub(crate) fn render(&self, template: &str) -> Result<String> {
        render(template, |name| self.lookup(name))
    }

    /// Writes a rendered configuration file and says where.
    pub(crate) fn write_config(&self, name: &str, template: &str) -> Result<PathBuf> {
        let path = self.dirs.config().join(name);
        let text = self.render(template).with_context(|| format!("in {name}"))?;
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// The variables that `--env` gives to a service.
    pub(crate) fn env_of(&self, service: &str) -> BTreeMap<String, String> {
        let of_service = self.env.iter().filter(|setting| setting.service == service);
        of_service.map(|setting| (setting.key.clone(), setting.value.clone())).collect()
    }
}

/// What logs the node in as itself, and knows it when it comes.
fn jaas_admin(secrets: &Secrets) -> String {
    let password = format!("${{dir:{}:{ADMIN}}}", secrets.dir().display());
    format!(
        "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"{ADMIN}\" \
         password=\"{password}\" user_{ADMIN}=\"{password}\";"
    )
}

/// A Java server: its options, class path, main class and arguments.
pub(crate) fn java(
    name: &str,
    port: u16,
    site: &Site,
    args: Vec<String>,
    health: Health,
) -> ProcessSpec {
    let home = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
    let program = home.filter(|java| java.exists()).unwrap_or_else(|| PathBuf::from("java"));
    let mut options = vec!["-XX:+UseSerialGC".to_owned(), "-Xshare:auto".to_owned()];
    options.extend(args);
    ProcessSpec {
        name: name.to_owned(),
        service: name.to_owned(),
        program,
        args: options,
        env: BTreeMap::new(),
        cwd: site.dirs.root().to_owned(),
        user: None,
        port,
        health,
        stop_signal: Signal::SIGTERM,
        grace: Duration::from_secs(10),
    }
}
