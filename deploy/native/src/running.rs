//! A shop that runs: its processes, and what can be done to them while it does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::{Context, Result};
use client::control::{Keeper, Reply, Request};
use client::{ProcessStatus, Profile, SERVICES, State, service_of};
use streams::partition;
use tokio_util::sync::CancellationToken;

use crate::ports::Ports;
use crate::processes::services;
use crate::processes::site::Site;
use crate::settings::Scale;
use crate::supervisor::{Process, Supervisor, cpu_ms, memory_mb};

/// A shop that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) site: Site,
    pub(crate) supervisor: Supervisor,
    /// Cancelled when the shop shall end.
    pub(crate) stop: CancellationToken,
    ports: Mutex<Ports>,
    state: Mutex<State>,
}

/// What is done to each process that a name means.
#[derive(Clone, Copy)]
enum Act {
    Stop,
    Kill { restart: bool },
    Pause,
    Resume,
}

impl Running {
    pub(crate) fn new(site: Site, ports: Ports) -> Self {
        let mut urls = site.urls();
        if site.demo {
            urls.insert("workshop".to_owned(), site.http("workshop"));
        }
        let state = State {
            dir: site.dirs.root().to_owned(),
            pid: std::process::id(),
            ports: ports.all().clone(),
            urls,
            project: None,
            partitions: partition::count(),
            build: Some(client::build().to_owned()),
            profile: Some(Profile { secured: site.secrets.is_some(), auth: site.jwks.is_some() }),
        };
        Self {
            supervisor: Supervisor::new(site.dirs.clone()),
            site,
            stop: CancellationToken::new(),
            ports: Mutex::new(ports),
            state: Mutex::new(state),
        }
    }

    async fn each(&self, name: &str, act: Act) -> Result<Reply> {
        for process in self.supervisor.find(name)? {
            match act {
                Act::Stop => process.stop().await,
                Act::Kill { restart } => process.kill(restart).await,
                Act::Pause => process.pause().await,
                Act::Resume => process.resume().await,
            }
        }
        Ok(Reply::Done)
    }

    async fn restart(&self, name: &str) -> Result<Reply> {
        self.each(name, Act::Stop).await?;
        self.supervisor.start(name, &BTreeMap::new()).await?;
        Ok(Reply::Done)
    }

    /// Starts or stops instances until `scale.instances` of the service run, and waits for new
    /// ones.
    pub(crate) async fn scale(&self, scale: &Scale) -> Result<()> {
        let service = &scale.service;
        anyhow::ensure!(SERVICES.contains(&service.as_str()), "`{service}` is no service");
        anyhow::ensure!((1..=9).contains(&scale.instances), "instances are 1 to 9");
        let present = self.supervisor.find(service).unwrap_or_default();
        let keep = usize::from(scale.instances);
        for process in present.iter().skip(keep) {
            self.supervisor.remove(process).await;
            self.state().urls.remove(&process.spec().name);
        }
        let first = u16::try_from(present.len()).context("more instances than ports")?;
        for instance in first..scale.instances {
            let process = self.launch_service(service, instance)?;
            self.supervisor.wait_healthy(&process).await?;
        }
        if self.site.dirs.state().exists() {
            self.write_state()?;
        }
        Ok(())
    }

    /// Starts one instance of a service; the first has the service's port, others a free one.
    pub(crate) fn launch_service(&self, service: &str, instance: u16) -> Result<Arc<Process>> {
        let port = match instance {
            0 => self.site.port(service),
            _ => self.ports.lock().expect("no code panics while it holds the ports").extra()?,
        };
        let spec = services::spec(&self.site, service, instance, port);
        self.state().urls.insert(spec.name.clone(), format!("http://127.0.0.1:{port}"));
        Ok(self.supervisor.launch(spec))
    }

    /// The base URL of every instance of a service.
    pub(crate) fn instances_of(&self, service: &str) -> Vec<String> {
        let state = self.state();
        let ours = state.urls.iter().filter(|(name, _)| service_of(name) == service);
        ours.map(|(_, url)| url.clone()).collect()
    }

    /// Tells the other commands where everything is.
    pub(crate) fn write_state(&self) -> Result<()> {
        self.state().write(&self.site.dirs)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds the state")
    }

    async fn status(&self) -> Vec<ProcessStatus> {
        let looks = self.supervisor.processes().into_iter().map(|process| {
            tokio::spawn(async move {
                let mut status = process.status();
                status.healthy = Some(process.health().await.is_ok());
                status.memory_mb = status.pid.and_then(memory_mb);
                status.cpu_ms = status.pid.and_then(cpu_ms);
                status
            })
        });
        let mut all = Vec::new();
        for look in looks.collect::<Vec<_>>() {
            all.extend(look.await);
        }
        all
    }
}

impl Keeper for Running {
    async fn handle(&self, request: Request) -> Reply {
        let result = match request {
            Request::Status => Ok(Reply::Processes(self.status().await)),
            Request::Down => {
                self.stop.cancel();
                Ok(Reply::Done)
            }
            Request::Start { name, env } => {
                self.supervisor.start(&name, &env).await.map(|()| Reply::Done)
            }
            Request::Restart { name } => self.restart(&name).await,
            Request::Stop { name } => self.each(&name, Act::Stop).await,
            Request::Kill { name, restart } => self.each(&name, Act::Kill { restart }).await,
            Request::Pause { name } => self.each(&name, Act::Pause).await,
            Request::Resume { name } => self.each(&name, Act::Resume).await,
            Request::Scale { service, instances } => {
                let scale = Scale { service, instances };
                self.scale(&scale).await.map(|()| Reply::Done)
            }
        };
        result.unwrap_or_else(|error| Reply::Error(format!("{error:#}")))
    }
}
