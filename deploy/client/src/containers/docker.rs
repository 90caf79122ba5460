//! Docker, by its command line: what it says of containers, as data.

use std::collections::{BTreeMap, HashMap};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tokio::process::Command;

/// The label by which Compose knows the project of a container, a network or a volume.
pub const PROJECT_LABEL: &str = "com.docker.compose.project";

/// What `docker inspect` says of a container, as far as it is of use here.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    pub(super) id: String,
    #[serde(default)]
    pub(super) restart_count: u32,
    pub(super) state: State,
    pub(super) config: Config,
    pub(super) host_config: HostConfig,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct State {
    /// created, running, paused, restarting, removing, exited, dead.
    pub(super) status: String,
    #[serde(default)]
    pub(super) pid: u32,
    #[serde(default)]
    pub(super) started_at: String,
    pub(super) health: Option<Health>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Health {
    /// starting, healthy, unhealthy.
    pub(super) status: String,
    #[serde(default)]
    pub(super) log: Option<Vec<Probe>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Probe {
    #[serde(default)]
    pub(super) output: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Config {
    #[serde(default)]
    pub(super) labels: HashMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HostConfig {
    /// By the container's port, such as `8080/tcp`.
    #[serde(default)]
    pub(super) port_bindings: Option<BTreeMap<String, Option<Vec<Binding>>>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Binding {
    #[serde(default)]
    pub(super) host_port: String,
}

/// Runs `docker ARGS`; returns what it prints.
///
/// # Errors
/// When there is no `docker`, it does not end within three minutes, or it fails: with what it says.
pub async fn docker<Arg: AsRef<str>>(args: &[Arg]) -> Result<String> {
    docker_within(PATIENCE, args).await
}

async fn docker_within<Arg: AsRef<str>>(patience: Duration, args: &[Arg]) -> Result<String> {
    let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
    let output = run(patience, &args).await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "docker {}: {}", args.join(" "), said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Longer than any process may take to stop.
const PATIENCE: Duration = Duration::from_secs(180);

/// A caller that only looks for an engine has another way to go.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

async fn run(patience: Duration, args: &[&str]) -> Result<Output> {
    let output = Command::new("docker").args(args).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(patience, output).await;
    let output =
        output.with_context(|| format!("docker {}: no end in {patience:?}", args.join(" ")))?;
    output.context("cannot run `docker`")
}

/// Whether a Docker engine answers.
///
/// # Errors
/// When it does not within five seconds: with what `docker` says.
pub async fn answers() -> Result<()> {
    docker_within(ANSWER_PATIENCE, &["version", "--format", "{{.Server.Version}}"]).await.map(drop)
}

/// The ids that `docker LIST -q` prints of what belongs to a Compose project.
pub(super) async fn ids_of(list: &[&str], project: &str) -> Result<Vec<String>> {
    let filter = format!("label={PROJECT_LABEL}={project}");
    let args = [list, &["-q", "--filter", &filter]].concat();
    Ok(docker(&args).await?.split_whitespace().map(str::to_owned).collect())
}

/// What Docker says of these containers. One that is removed meanwhile is left out.
pub(super) async fn inspect(ids: &[String]) -> Result<Vec<Inspected>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let args: Vec<&str> = ["inspect", "--type", "container"]
        .into_iter()
        .chain(ids.iter().map(String::as_str))
        .collect();
    // It fails when one is gone, and prints the others all the same.
    let output = run(PATIENCE, &args).await?;
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("docker inspect: {}", said.trim()))
}

/// The last lines of what a container has written, stdout and stderr.
pub(super) async fn log(id: &str, lines: usize) -> Result<String> {
    let output = run(PATIENCE, &["logs", "--tail", &lines.to_string(), id]).await?;
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
}

/// The memory of running containers in MB, by their ids.
pub(super) async fn memory_mb(ids: &[String]) -> Result<HashMap<String, u64>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let options = ["stats", "--no-stream", "--no-trunc", "--format", "{{.ID}} {{.MemUsage}}"];
    let args: Vec<&str> = options.into_iter().chain(ids.iter().map(String::as_str)).collect();
    Ok(docker(&args).await?.lines().filter_map(memory_line).collect())
}

/// `ID 36.5MiB / 128MiB`.
fn memory_line(line: &str) -> Option<(String, u64)> {
    let (id, usage) = line.split_once(' ')?;
    let used = usage.split('/').next()?.trim();
    let unit_at = used.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = used.split_at(unit_at);
    let bytes_per_unit = match unit {
        "B" => 1.0,
        "kB" => 1e3,
        "KiB" => 1024.0,
        "MB" => 1e6,
        "MiB" => 1024.0 * 1024.0,
        "GB" => 1e9,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let bytes: f64 = number.parse::<f64>().ok()? * bytes_per_unit;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to some 10^6")]
    let megabytes = (bytes / (1024.0 * 1024.0)).ceil() as u64;
    Some((id.to_owned(), megabytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_any_unit_and_rounded_up() {
        let of = |usage: &str| memory_line(&format!("abc {usage} / 1GiB")).map(|(_, mb)| mb);
        assert_eq!(of("36.5MiB"), Some(37));
        assert_eq!(of("1.5GiB"), Some(1536));
        assert_eq!(of("900KiB"), Some(1));
        assert_eq!(of("0B"), Some(0));
        assert_eq!(memory_line("abc -- / --"), None);
    }
}
