//! What can be asked of a shop in containers: the same as of a native one.

use anyhow::{Result, bail, ensure};

use super::docker::docker;
use super::project::{Container, Project};
use crate::control::{Reply, Request};
use crate::status::ProcessState;

impl Project {
    /// Does what is asked, with Docker alone: a process keeps the settings that Compose gave it.
    ///
    /// # Errors
    /// When there is no such process, Docker fails, or only Compose can do it; then the command is
    /// named.
    pub async fn handle(&self, request: Request) -> Result<Reply> {
        match request {
            Request::Status => return Ok(Reply::Processes(self.status().await?)),
            Request::Stop { name } => self.stop(&name).await?,
            Request::Start { name, env } => {
                ensure!(
                    env.is_empty(),
                    "variables of a shop in containers are set in docker-compose.yml, or in an \
                     override of it; then `{}`",
                    self.compose("up -d")
                );
                self.start(&name).await?;
            }
            Request::Restart { name } => {
                self.stop(&name).await?;
                self.start(&name).await?;
            }
            Request::Kill { name, restart } => self.kill(&name, restart).await?,
            Request::Pause { name } => self.pause(&name).await?,
            Request::Resume { name } => self.resume(&name).await?,
            Request::Scale { service, .. } => bail!(
                "in containers a further instance is a Compose service of its own: in an override \
                 of docker-compose.yml, let `{service}-1` extend `{service}`, with INSTANCE=1 and \
                 a volume and a port of its own; then `{}`",
                self.compose("up -d")
            ),
            Request::Down => {
                bail!("the shop runs in containers: `{}` ends it", self.compose("down"))
            }
        }
        Ok(Reply::Done)
    }

    /// The command of Compose for this project.
    fn compose(&self, command: &str) -> String {
        format!("docker compose -p {} {command}", self.name())
    }

    /// Stops a process in order; Docker kills it when the grace that Compose gave it is over.
    ///
    /// # Errors
    /// When there is no such process, or Docker fails.
    pub async fn stop(&self, name: &str) -> Result<()> {
        self.resume(name).await?;
        on(&["stop"], &self.find(name).await?).await
    }

    /// Starts a process if it is stopped, and waits until it is healthy.
    ///
    /// # Errors
    /// When there is no such process, or it does not become healthy within a minute.
    pub async fn start(&self, name: &str) -> Result<()> {
        let mut stopped = self.find(name).await?;
        stopped.retain(Container::is_stopped);
        on(&["start"], &stopped).await?;
        self.wait_healthy(name).await
    }

    /// Kills a process as `kill -9` does. Docker takes that for a wish and does not start it again,
    /// whatever the restart policy: for `restart`, it is started here.
    async fn kill(&self, name: &str, restart: bool) -> Result<()> {
        let mut living = self.find(name).await?;
        living.retain(|container| !container.is_stopped());
        on(&["kill"], &living).await?;
        if restart {
            on(&["start"], &living).await?;
        }
        Ok(())
    }

    async fn pause(&self, name: &str) -> Result<()> {
        self.each_in(name, ProcessState::Running, "pause").await
    }

    async fn resume(&self, name: &str) -> Result<()> {
        self.each_in(name, ProcessState::Paused, "unpause").await
    }

    async fn each_in(&self, name: &str, state: ProcessState, command: &str) -> Result<()> {
        let mut containers = self.find(name).await?;
        containers.retain(|container| container.state() == state);
        on(&[command], &containers).await
    }
}

async fn on(command: &[&str], containers: &[Container]) -> Result<()> {
    if containers.is_empty() {
        return Ok(());
    }
    let ids = containers.iter().map(|container| container.id.as_str());
    let args: Vec<&str> = command.iter().copied().chain(ids).collect();
    docker(&args).await.map(drop)
}
