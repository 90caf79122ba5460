//! [`Keeper`]: answers the control socket of a shop in containers.

use super::model::Model;
use anyhow::{Context, Result, ensure};
use client::{
    Dirs, SERVICES, State,
    containers::{Container, Project, docker},
    control::{self, Reply, Request},
    urls_at,
};
use native::Ports;
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
};
use streams::partition;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// What was asked for on top of the model.
struct Wishes {
    model: Model,
    ports: Ports,
    /// By process: the variables of its last start.
    env: BTreeMap<String, BTreeMap<String, String>>,
}

/// A shop in containers, and its keeper.
pub(super) struct Keeper {
    dirs: Dirs,
    project: Project,
    file: PathBuf,
    wishes: Mutex<Wishes>,
    /// Cancelled when the shop shall end.
    pub(super) stop: CancellationToken,
}

impl control::Keeper for Keeper {
    async fn handle(&self, request: Request) -> Reply {
        let done = match request {
            Request::Down => {
                self.stop.cancel();
                Ok(Reply::Done)
            }
            Request::Start { name, env } => self.start(&name, &env).await.map(|()| Reply::Done),
            Request::Restart { name } => self.restart(&name).await.map(|()| Reply::Done),
            Request::Scale { service, instances } => {
                self.scale(&service, instances).await.map(|()| Reply::Done)
            }
            other => self.project.handle(other).await,
        };
        done.unwrap_or_else(|error| Reply::Error(format!("{error:#}")))
    }
}

impl Keeper {
    /// The keeper of `project`, which is not started yet.
    ///
    /// # Errors
    /// When the folder is not writable.
    pub(super) fn new(dirs: Dirs, project: Project, model: Model, ports: Ports) -> Result<Self> {
        let file = dirs.config().join("compose.json");
        model.write(&file)?;
        let wishes = Mutex::new(Wishes { model, ports, env: BTreeMap::new() });
        Ok(Self { dirs, project, file, wishes, stop: CancellationToken::new() })
    }

    /// The Compose file of this shop.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Wait until every process is healthy.
    ///
    /// # Errors
    /// When one is not in time, with the end of its log.
    pub(super) async fn wait_healthy(&self) -> Result<()> {
        for container in self.project.containers().await? {
            self.project.wait_healthy(&container.name).await?;
        }
        Ok(())
    }

    /// Tell the test where everything is.
    ///
    /// # Errors
    /// When Docker does not answer or the folder is not writable.
    pub(super) async fn write_state(&self) -> Result<()> {
        let ports = self.project.ports().await?;
        let state = State {
            dir: self.dirs.root().to_owned(),
            pid: std::process::id(),
            urls: urls_at(&ports),
            ports,
            project: Some(self.project.name().to_owned()),
            partitions: partition::count(),
            build: None,
            profile: None,
        };
        state.write(&self.dirs)
    }

    /// Run this many instances of a service, and wait for new ones to be healthy.
    ///
    /// # Errors
    /// When there is no such service, or an instance does not become healthy.
    pub(super) async fn scale(&self, service: &str, instances: u16) -> Result<()> {
        ensure!(SERVICES.contains(&service), "`{service}` is no service");
        ensure!((1..=9).contains(&instances), "instances are 1 to 9");
        let present = self.project.find(service).await?;
        for surplus in present.iter().skip(usize::from(instances)) {
            self.save_log(surplus).await;
            docker(&["stop", &surplus.id]).await?;
            docker(&["rm", "--force", &surplus.id]).await?;
        }
        let first = u16::try_from(present.len()).context("more instances than ports")?;
        for number in first..instances {
            let name = format!("{service}-{number}");
            {
                let mut wishes = self.wishes.lock().await;
                let port = wishes.ports.extra()?;
                wishes.model.add_instance(service, &name, number, port)?;
            }
            self.make(&name).await?;
            self.project.wait_healthy(&name).await?;
        }
        if self.dirs.state().exists() {
            self.write_state().await?;
        }
        Ok(())
    }

    /// Start the stopped ones of a process, with `env` on top of their own variables: until the
    /// next start.
    async fn start(&self, name: &str, env: &BTreeMap<String, String>) -> Result<()> {
        for container in
            self.project.find(name).await?.iter().filter(|process| process.is_stopped())
        {
            let before = self.wishes.lock().await.env.insert(container.name.clone(), env.clone());
            if before.unwrap_or_default() != *env {
                self.save_log(container).await;
                self.make(&container.name).await?;
            }
        }
        self.project.start(name).await
    }

    async fn restart(&self, name: &str) -> Result<()> {
        self.project.stop(name).await?;
        self.start(name, &BTreeMap::new()).await
    }

    /// Let Compose make a container from the model, in place of one that has other settings.
    async fn make(&self, name: &str) -> Result<()> {
        let wishes = self.wishes.lock().await;
        let mut model = wishes.model.clone();
        for (process, env) in &wishes.env {
            for (key, value) in env {
                model.set_env(process, key, value)?;
            }
        }
        model.write(&self.file)?;
        self.compose(&["up", "--detach", "--no-deps", name]).await.map(drop)
    }

    /// `docker compose ARGS` for this project.
    async fn compose(&self, args: &[&str]) -> Result<String> {
        let file = self.file.to_string_lossy();
        let project = ["compose", "--project-name", self.project.name(), "--file", &file];
        docker(&[&project[..], args].concat()).await
    }

    /// Write the logs of all processes into the folder, as a native shop does, and the end of all
    /// logs, those of the jobs included, into one file.
    pub(super) async fn save_logs(&self) {
        let all = self.compose(&["logs", "--no-color", "--timestamps", "--tail", "500"]).await;
        let all = all.unwrap_or_else(|error| format!("{error:#}"));
        let _ = std::fs::write(self.dirs.log_of("compose"), all);
        let containers = self.project.containers().await.unwrap_or_default();
        futures::future::join_all(containers.iter().map(|process| self.save_log(process))).await;
    }

    /// Only the reader of a failure misses an unavailable log.
    async fn save_log(&self, container: &Container) {
        const LINES_MAX: usize = 20_000;
        let text = container.log(LINES_MAX).await.unwrap_or_default();
        let path = self.dirs.log_of(&container.name);
        if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(path) {
            let _ = writeln!(file, "{text}");
        }
    }
}
