//! [`Found`]: the shop that a command means, however it runs.
//!
//! The shop in the folder comes first, while its supervisor lives. Then the one that `docker
//! compose up` has started, then one that answers on the usual ports; a line on stderr says so.
//! What moves the ports of `docker-compose.yml` (`ORDERS_PORT`, ...), its project
//! (`COMPOSE_PROJECT_NAME`) and its `PARTITIONS` count here as well.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result, bail};
use streams::partition;

use crate::containers::{Project, answers};
use crate::control::{Reply, Request, ask};
use crate::dirs::Dirs;
use crate::health::Health;
use crate::processes::{HOST, PORTS};
use crate::state::{State, urls_at};
use crate::status::{ProcessState, ProcessStatus};

/// The project that docker-compose.yml names.
const PROJECT: &str = "murmuration";

/// A shop that a command means.
#[derive(Debug)]
pub enum Found {
    /// The one in the folder: its control socket answers.
    Here(Dirs),
    /// A Compose project.
    Containers(Project, State),
    /// A shop of which only the ports are known.
    Somewhere(State),
}

impl Found {
    /// The shop in `dir`, else the one in containers, else one on the usual ports, else what is
    /// left in `dir`.
    ///
    /// # Errors
    /// When Docker fails, or a variable that moves a port is no port.
    pub async fn at(dir: &Path) -> Result<Self> {
        let dirs = Dirs::at(dir);
        if UnixStream::connect(dirs.control_socket()).is_ok() {
            return Ok(Self::Here(dirs));
        }
        let name = std::env::var("COMPOSE_PROJECT_NAME").unwrap_or_else(|_| PROJECT.to_owned());
        let project = Project::new(name);
        if answers().await.is_ok() && !project.containers().await?.is_empty() {
            eprintln!("(the shop in containers, Compose project {})", project.name());
            let state = state(&dirs, project.ports().await?, Some(project.name()));
            return Ok(Self::Containers(project, state));
        }
        let ports = usual_ports(|name| std::env::var(name).ok())?;
        let state = state(&dirs, ports, None);
        if Health::Http(format!("{}/health/live", state.url("orders")?)).check().await.is_ok() {
            eprintln!("(a shop on the usual ports)");
            return Ok(Self::Somewhere(state));
        }
        // A killed supervisor may have left its shop running, and its state file tells where.
        Ok(Self::Here(dirs))
    }

    /// Where its processes are reached. From now on this process takes topics to have as many
    /// partitions as those of this shop.
    ///
    /// # Errors
    /// When there is no shop, or it is not ready; the message says how to start or find one.
    pub fn state(&self) -> Result<State> {
        let state = match self {
            Self::Here(dirs) => State::read(dirs)?,
            Self::Containers(_, state) | Self::Somewhere(state) => state.clone(),
        };
        partition::set_count(state.partitions);
        Ok(state)
    }

    /// Sends the request to the keeper.
    ///
    /// # Errors
    /// When it cannot be done; the message says what can.
    pub async fn ask(&self, request: Request) -> Result<Reply> {
        match (self, request) {
            (Self::Here(dirs), request) => ask(&dirs.control_socket(), &request).await,
            (Self::Containers(project, _), request) => project.handle(request).await,
            (Self::Somewhere(state), Request::Status) => Ok(Reply::Processes(look(state).await)),
            (Self::Somewhere(_), _) => bail!(
                "only the ports of this shop are known, not its keeper: run this command with the \
                 --dir DIR of its `./shop up`, or use `docker compose`"
            ),
        }
    }
}

fn state(dirs: &Dirs, ports: BTreeMap<String, u16>, project: Option<&str>) -> State {
    State {
        dir: dirs.root().to_owned(),
        pid: 0,
        urls: urls_at(&ports),
        ports,
        project: project.map(str::to_owned),
        partitions: partition::count(),
        build: None,
        profile: None,
    }
}

/// The documented ports, moved by `ORDERS_PORT` and the like.
fn usual_ports(variable: impl Fn(&str) -> Option<String>) -> Result<BTreeMap<String, u16>> {
    let port = |(name, default): (&str, u16)| {
        let key = format!("{}_PORT", name.to_uppercase());
        let port = match variable(&key) {
            Some(text) => text.parse().with_context(|| format!("{key}={text} is not a port"))?,
            None => default,
        };
        Ok((name.to_owned(), port))
    };
    PORTS.into_iter().map(port).collect()
}

/// The state of a shop by its ports alone: the processes that answer.
async fn look(state: &State) -> Vec<ProcessStatus> {
    let looks = state.ports.iter().filter_map(|(name, port)| {
        let http = |path: &str| Health::Http(format!("http://{HOST}:{port}{path}"));
        let health = match name.as_str() {
            // Not reached from outside in every way of running.
            "controller" | "smtp" | "workshop" => return None,
            "kafka" | "postgres" => Health::Tcp(*port),
            "registry" => http("/apis/ccompat/v7/subjects"),
            "connect" => http("/connectors"),
            "mail" => http("/readyz"),
            _ => http("/health/ready"),
        };
        let (name, port) = (name.clone(), *port);
        Some(async move {
            let healthy = health.check().await.is_ok();
            let state = match Health::Tcp(port).check().await {
                Ok(()) => ProcessState::Running,
                Err(_) => ProcessState::Stopped,
            };
            ProcessStatus { state, healthy: Some(healthy), ..ProcessStatus::new(&name, port) }
        })
    });
    let looks: Vec<_> = looks.map(tokio::spawn).collect();
    let mut processes = Vec::new();
    for look in looks {
        processes.extend(look.await);
    }
    processes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_ports_are_moved_by_the_variables_of_the_compose_file() {
        let moved = |name: &str| (name == "ORDERS_PORT").then(|| "18080".to_owned());
        let ports = usual_ports(moved).unwrap();
        assert_eq!((ports["orders"], ports["view"]), (18_080, 8084));
        let wrong = usual_ports(|name| (name == "KAFKA_PORT").then(|| "kafka".to_owned()));
        assert_eq!(wrong.unwrap_err().to_string(), "KAFKA_PORT=kafka is not a port");
    }

    #[tokio::test]
    async fn a_shop_whose_supervisor_lives_is_the_one_in_the_folder() {
        let folder = std::env::temp_dir().join(format!("shop-found-{}", std::process::id()));
        let dirs = Dirs::create(&folder).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(dirs.control_socket()).unwrap();
        assert!(matches!(Found::at(&folder).await, Ok(Found::Here(_))));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
