//! The shop of a test in containers: the same docker-compose.yml as every shop in containers,
//! started by testcontainers as a project of its own, on free ports.
//!
//! [`keep`] is a program of its own, `shop-in-containers`, as the supervisor of the native shop is
//! one: a test starts it, talks to it by the control socket, and cannot leave it behind, however
//! the test ends. It ends when its stdin closes, and takes its containers, network and volumes
//! along. What a killed keeper leaves is removed by the next one.

mod keeper;
mod leftovers;
mod model;

use anyhow::{Context, Result};
use client::{Dirs, containers::Project, control};
use keeper::Keeper;
pub use leftovers::sweep;
pub use model::Model;
use native::{EnvSetting, Ports, Scale, told_to_end};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use testcontainers::compose::DockerCompose;
use tokio::task::JoinHandle;

/// What becomes of `docker compose up`.
type Up = (DockerCompose, Result<()>);

/// What to keep: the arguments that a test gives to `shop up`, as far as containers know them.
#[derive(clap::Parser, Debug)]
#[command(name = "shop-in-containers", about = "Keeps the shop of a test in containers")]
pub struct Arguments {
    /// Always `up`.
    #[arg(value_parser = ["up"])]
    _command: String,
    /// Always `auto`.
    #[arg(long = "ports", value_parser = ["auto"])]
    _ports: String,
    /// The folder of the shop
    #[arg(long)]
    dir: PathBuf,
    /// Kafka, registry, Connect, PostgreSQL and mail server only
    #[arg(long)]
    infra_only: bool,
    /// Start N instances of a service; may be repeated
    #[arg(long, value_name = "SERVICE=N")]
    scale: Vec<Scale>,
    /// Set a variable of a service; may be repeated
    #[arg(long, value_name = "SERVICE.KEY=VALUE")]
    env: Vec<EnvSetting>,
    /// End the shop when stdin is closed
    #[arg(long)]
    until_stdin_closes: bool,
    /// Containers keep nothing beyond their end
    #[arg(long = "forget")]
    _forget: bool,
}

/// The file that says how each process runs as a container.
#[must_use]
pub fn compose_file() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests are a folder of the repository").join("docker-compose.yml")
}

/// Keep a shop until a signal or a request ends it, and then remove it.
///
/// # Errors
/// When the shop does not start, or something of it cannot be removed.
pub async fn keep(arguments: Arguments) -> Result<()> {
    let mut end = told_to_end(arguments.until_stdin_closes, false)?;
    let dirs = Dirs::create(&arguments.dir)?;
    let _lock = dirs.take_lock()?;
    for name in sweep().await? {
        println!("removed what a killed test left: {name}");
    }
    let ports = Ports::choose(true, &[])?;
    let first = ports.block().context("`auto` takes a block of ports")?;
    let project = leftovers::project_of(first);
    let mut model = Model::resolve(&compose_file(), project.name(), ports.all()).await?;
    if arguments.infra_only {
        model.servers_only()?;
    }
    for EnvSetting { service, key, value } in &arguments.env {
        model.set_env(service, key, value)?;
    }
    let keeper = Arc::new(Keeper::new(dirs.clone(), project.clone(), model, ports)?);
    control::serve(&dirs.control_socket(), Arc::clone(&keeper))?;
    let compose = DockerCompose::with_local_client(&[keeper.file()])
        .with_project_name(project.name())
        // It would give up after a minute; and a job that has done its work would be an error.
        .with_wait(false);
    let mut up = tokio::spawn(up(compose));
    let mut running = None;
    let outcome = tokio::select! {
        outcome = live(&mut up, &mut running, &keeper, &arguments.scale) => outcome,
        why = &mut end => { println!("{why}"); Ok(()) }
        () = keeper.stop.cancelled() => { println!("asked to stop"); Ok(()) }
    };
    let _ = std::fs::remove_file(dirs.state());
    keeper.save_logs().await;
    // At once, as nothing of it is kept: Compose would ask each process to end, and wait.
    remove(&project, up).await?;
    if let Some(compose) = running {
        compose.down().await?;
    }
    let _ = std::fs::remove_file(dirs.control_socket());
    outcome
}

async fn up(mut compose: DockerCompose) -> Up {
    let result = compose.up().await;
    (compose, result.map_err(anyhow::Error::from))
}

/// Wait until the shop is open, say so, and wait for ever; the caller ends it.
async fn live(
    up: &mut JoinHandle<Up>,
    running: &mut Option<DockerCompose>,
    keeper: &Keeper,
    scale: &[Scale],
) -> Result<()> {
    let (compose, result) = up.await?;
    *running = Some(compose);
    result?;
    keeper.wait_healthy().await?;
    for Scale { service, instances } in scale {
        keeper.scale(service, *instances).await?;
    }
    keeper.write_state().await?;
    println!("ready");
    std::future::pending().await
}

/// Remove the project, also while it is being made: `docker compose up` goes on whatever becomes of
/// us, and fails when its containers vanish.
async fn remove(project: &Project, up: JoinHandle<Up>) -> Result<()> {
    while !up.is_finished() {
        // What is made at this moment cannot always be removed; the next round does.
        let _ = project.remove().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    project.remove().await.map(drop)
}
