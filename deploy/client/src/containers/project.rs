//! [`Project`]: the processes of a shop that run as containers of one Compose project.
//!
//! A Compose service has the name of its process. The second container of a service is `orders-1`,
//! be it by `docker compose up --scale` or as a Compose service of that name.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use tokio::time::Instant;

use super::docker::{self, Inspected, docker, ids_of, inspect, memory_mb};
use crate::processes::{HEALTHY_WITHIN, PORTS, SERVICES, process_called, service_of};
use crate::status::{ProcessState, ProcessStatus};

const SERVICE_LABEL: &str = "com.docker.compose.service";
const NUMBER_LABEL: &str = "com.docker.compose.container-number";
/// The processes that are no services, as `status` shows them: what others need comes first.
const SERVERS: [&str; 6] = ["kafka", "registry", "connect", "postgres", "mail", "bank"];
/// The mail server has two ports, inside of its container and perhaps outside.
const MAIL_PAGE: &str = "8025/tcp";
const MAIL_SMTP: &str = "1025/tcp";

/// A Compose project that is a shop.
#[derive(Clone, Debug)]
pub struct Project {
    name: String,
}

/// One container that is a part of the shop: not one of the jobs that prepare it.
#[derive(Clone, Debug)]
pub struct Container {
    /// The name of the process: `kafka`, `orders`, `orders-1`.
    pub name: String,
    /// Its id, 64 hexadecimal digits.
    pub id: String,
    inspected: Inspected,
}

impl Project {
    /// The Compose project `name`, which need not exist.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The containers that are processes of the shop, whatever they do; none when there is no such
    /// project.
    ///
    /// # Errors
    /// When Docker does not answer.
    pub async fn containers(&self) -> Result<Vec<Container>> {
        let ids = ids_of(&["ps", "--all", "--no-trunc"], &self.name).await?;
        let mut found: Vec<_> =
            inspect(&ids).await?.into_iter().filter_map(Container::of).collect();
        let order = |name: &str| {
            let all = SERVERS.iter().chain(&SERVICES);
            all.into_iter().position(|process| *process == service_of(name))
        };
        found.sort_by_key(|container| (order(&container.name), container.name.clone()));
        Ok(found)
    }

    /// The containers that `name` means: all of a service (`orders`), or one of it (`orders-0` is
    /// the first, `orders-1` the next).
    ///
    /// # Errors
    /// When there is none; the message lists what there is.
    pub async fn find(&self, name: &str) -> Result<Vec<Container>> {
        let all = self.containers().await?;
        let names: Vec<_> = all.iter().map(|container| container.name.clone()).collect();
        let meant = |container: &Container| {
            container.name == process_called(name) || service_of(&container.name) == name
        };
        let found: Vec<_> = all.into_iter().filter(meant).collect();
        ensure!(!found.is_empty(), "no process `{name}`; there are {}", names.join(", "));
        Ok(found)
    }

    /// The ports on this machine by the names of [`PORTS`], and of further instances by theirs.
    ///
    /// # Errors
    /// When Docker does not answer.
    pub async fn ports(&self) -> Result<BTreeMap<String, u16>> {
        let containers = self.containers().await?;
        let mut ports = BTreeMap::new();
        for container in &containers {
            let smtp = container.published(MAIL_SMTP).map(|port| ("smtp".to_owned(), port));
            ports.extend(smtp);
            ports.extend(container.port().map(|port| (container.name.clone(), port)));
        }
        Ok(ports)
    }

    /// What every process does.
    ///
    /// # Errors
    /// When Docker does not answer.
    pub async fn status(&self) -> Result<Vec<ProcessStatus>> {
        let containers = self.containers().await?;
        let running =
            containers.iter().filter(|container| container.state() == ProcessState::Running);
        let ids: Vec<_> = running.map(|container| container.id.clone()).collect();
        // One may end between the two questions; then its memory is not of interest any more.
        let memory = memory_mb(&ids).await.unwrap_or_default();
        let status = |container: &Container| ProcessStatus {
            memory_mb: memory.get(&container.id).copied(),
            ..container.status()
        };
        Ok(containers.iter().map(status).collect())
    }

    /// Waits until the containers that `name` means are healthy.
    ///
    /// # Errors
    /// When they are not within [`HEALTHY_WITHIN`]: with what their health check says, and the end
    /// of their log.
    pub async fn wait_healthy(&self, name: &str) -> Result<()> {
        let started = Instant::now();
        loop {
            let containers = self.find(name).await?;
            let Some(ill) = containers.iter().find(|container| !container.is_healthy()) else {
                return Ok(());
            };
            if started.elapsed() >= HEALTHY_WITHIN {
                let (seconds, seen) = (HEALTHY_WITHIN.as_secs(), ill.seen());
                let log = ill.log(20).await.unwrap_or_default();
                bail!(
                    "{} is not healthy after {seconds} s: {seen}\nthe end of its log:\n{log}",
                    ill.name
                );
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Removes everything that Docker keeps for the project: containers, networks, volumes. Returns
    /// how many there were.
    ///
    /// # Errors
    /// When Docker does not answer, or something cannot be removed.
    pub async fn remove(&self) -> Result<usize> {
        let lists: [(&[&str], &[&str]); 3] = [
            (&["ps", "--all"], &["rm", "--force", "--volumes"]),
            (&["network", "ls"], &["network", "rm"]),
            (&["volume", "ls"], &["volume", "rm", "--force"]),
        ];
        let mut removed = 0;
        for (list, remove) in lists {
            let ids = ids_of(list, &self.name).await?;
            if !ids.is_empty() {
                let args: Vec<&str> =
                    remove.iter().copied().chain(ids.iter().map(String::as_str)).collect();
                docker(&args).await?;
                removed += ids.len();
            }
        }
        Ok(removed)
    }
}

impl Container {
    /// None for a job, such as the one that makes the topics.
    fn of(inspected: Inspected) -> Option<Self> {
        let label = |name: &str| inspected.config.labels.get(name);
        let service = label(SERVICE_LABEL)?;
        let known = SERVERS.iter().chain(&SERVICES).any(|process| *process == service_of(service));
        let number: u32 = label(NUMBER_LABEL).and_then(|number| number.parse().ok()).unwrap_or(1);
        let name = match number {
            0 | 1 => service.clone(),
            further => format!("{service}-{}", further - 1),
        };
        known.then(|| Self { name, id: inspected.id.clone(), inspected })
    }

    /// What it is an instance of: `orders`.
    #[must_use]
    pub fn service(&self) -> &str {
        service_of(&self.name)
    }

    /// Whether it was stopped, or has ended and stays so.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.state() == ProcessState::Stopped
    }

    /// The last lines of what it has written, stdout and stderr, oldest first.
    ///
    /// # Errors
    /// When Docker does not answer.
    pub async fn log(&self, lines: usize) -> Result<String> {
        docker::log(&self.id, lines).await
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> ProcessState {
        match self.inspected.state.status.as_str() {
            "running" => ProcessState::Running,
            "paused" => ProcessState::Paused,
            "restarting" => ProcessState::Restarting,
            _ => ProcessState::Stopped,
        }
    }

    /// It runs and its health check agrees; without one, running is all that can be seen.
    fn is_healthy(&self) -> bool {
        let health = self.inspected.state.health.as_ref();
        self.state() == ProcessState::Running
            && health.is_none_or(|health| health.status == "healthy")
    }

    /// What was seen instead of health.
    fn seen(&self) -> String {
        let state = &self.inspected.state;
        let probes = state.health.as_ref().and_then(|health| health.log.as_ref());
        let last = probes.and_then(|probes| probes.last()).map_or("", |probe| probe.output.trim());
        let health = state.health.as_ref().map_or("", |health| health.status.as_str());
        format!("{} {health} {last}", state.status).trim_end().to_owned()
    }

    /// The port on this machine of a port inside, such as `8025/tcp`.
    fn published(&self, inner: &str) -> Option<u16> {
        let bindings = self.inspected.host_config.port_bindings.as_ref()?.get(inner)?.as_ref()?;
        bindings.iter().find_map(|binding| binding.host_port.parse().ok())
    }

    /// The port that it is known by on this machine.
    fn port(&self) -> Option<u16> {
        if self.name == "mail" {
            return self.published(MAIL_PAGE);
        }
        let bindings = self.inspected.host_config.port_bindings.as_ref()?;
        bindings.keys().find_map(|inner| self.published(inner))
    }

    fn status(&self) -> ProcessStatus {
        let running = self.state() == ProcessState::Running;
        let state = &self.inspected.state;
        let default =
            PORTS.iter().find(|(process, _)| *process == self.name).map(|(_, port)| *port);
        ProcessStatus {
            pid: Some(state.pid).filter(|pid| *pid > 0),
            run: running.then(|| format!("{}@{}", short(&self.id), state.started_at)),
            state: self.state(),
            healthy: Some(self.is_healthy()),
            restarts: self.inspected.restart_count,
            ..ProcessStatus::new(&self.name, self.port().or(default).unwrap_or(0))
        }
    }
}

/// The first digits of an id: what `docker ps` shows.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(
        service: &str,
        number: u32,
        status: &str,
        health: Option<&str>,
    ) -> Option<Container> {
        let inspected = serde_json::json!({
            "Id": "0123456789abcdef",
            "RestartCount": 2,
            "State": {
                "Status": status, "Pid": 4711, "StartedAt": "2026-01-01T00:00:00Z",
                "Health": health.map(|status| serde_json::json!({ "Status": status, "Log": null })),
            },
            "Config": { "Labels": {
                (SERVICE_LABEL): service, (NUMBER_LABEL): number.to_string(),
            } },
            "HostConfig": { "PortBindings": {
                "1025/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "11025" }],
                "8025/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "18025" }],
            } },
        });
        Container::of(serde_json::from_value(inspected).unwrap())
    }

    #[test]
    fn a_container_is_named_after_its_process_and_a_job_is_none() {
        let name =
            |service: &str, number| container(service, number, "running", None).map(|c| c.name);
        assert_eq!(name("orders", 1).as_deref(), Some("orders"));
        assert_eq!(name("orders", 2).as_deref(), Some("orders-1"));
        assert_eq!(name("orders-1", 1).as_deref(), Some("orders-1"));
        assert_eq!(name("topics", 1), None);
    }

    #[test]
    fn health_is_that_of_the_check_where_there_is_one() {
        let healthy = |status, health| container("mail", 1, status, health).unwrap().is_healthy();
        assert!(healthy("running", Some("healthy")) && healthy("running", None));
        assert!(!healthy("running", Some("starting")) && !healthy("exited", Some("healthy")));
        assert!(!healthy("paused", None));
    }

    #[test]
    fn a_status_tells_one_run_from_the_next_and_has_the_port_on_this_machine() {
        let status = container("mail", 1, "running", Some("healthy")).unwrap().status();
        assert_eq!(status.run.as_deref(), Some("0123456789ab@2026-01-01T00:00:00Z"));
        assert_eq!((status.port, status.restarts, status.pid), (18025, 2, Some(4711)));
        let stopped = container("mail", 1, "exited", None).unwrap();
        assert!(stopped.is_stopped() && stopped.status().run.is_none());
    }
}
