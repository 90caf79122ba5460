//! [`Site`]: the folders, ports and programs that the processes of one shop are made from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use client::{Dirs, Health};

use super::postgres_home::Home;
use crate::install::Artifacts;
use crate::settings::EnvSetting;
use crate::supervisor::{ProcessSpec, Signal};
use crate::template::render;

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

    pub(crate) fn registry_url(&self) -> String {
        format!("{}/apis/ccompat/v7", self.http("registry"))
    }

    pub(crate) fn database_url(&self, database: &str) -> String {
        format!("postgres://shop@127.0.0.1:{}/{database}", self.port("postgres"))
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
