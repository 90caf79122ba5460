//! The servers from Maven: fetched once into a cache that all shops of this user share.
//!
//! Each artifact is fetched into a temporary folder and renamed, so the cache holds whole ones
//! only; the name holds a hash of what was asked for, so a changed version is a new entry.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use client::{Progress, fingerprint};
use tokio::process::Command;

const KAFKA_POM: &str = include_str!("../../kafka/pom.xml");
const CONNECT_POM: &str = include_str!("../../debezium/pom.xml");
const REGISTRY: &str = "io.apicurio:apicurio-registry-app:3.0.9:tar.gz:all";
/// Registries of artifacts hiccup; three attempts outlive that without hiding a real failure.
const ATTEMPTS: u32 = 3;

/// Where the servers are.
#[derive(Clone, Debug)]
pub(crate) struct Artifacts {
    /// The folder with Kafka's jars.
    pub(crate) kafka: PathBuf,
    /// The folder with the jars of Connect and Debezium.
    pub(crate) connect: PathBuf,
    /// The unpacked registry.
    pub(crate) registry: PathBuf,
}

/// Fetches the servers that [`up()`](crate::up()) would fetch, once, into the cache that all shops
/// share.
///
/// # Errors
/// When Maven is missing or fails three times, or the cache is not writable.
pub async fn fetch() -> Result<()> {
    artifacts(&Progress::start()).await.map(drop)
}

/// The folder with Kafka's jars, for a broker with settings of its own.
///
/// # Errors
/// As [`fetch`].
pub async fn kafka_jars() -> Result<PathBuf> {
    artifacts(&Progress::start()).await.map(|artifacts| artifacts.kafka)
}

/// Finds the servers in the cache, or fetches them.
pub(crate) async fn artifacts(progress: &Progress) -> Result<Artifacts> {
    let cache = cache_dir()?;
    std::fs::create_dir_all(&cache)
        .with_context(|| format!("cannot make the cache {}", cache.display()))?;
    // Two shops that start for the first time must not fetch everything twice.
    let lock = File::create(cache.join("lock"))?;
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
    let kafka = entry(&cache, "kafka", KAFKA_POM);
    let connect = entry(&cache, "connect", CONNECT_POM);
    let registry = entry(&cache, "registry", REGISTRY);
    if !kafka.exists() {
        progress.step("kafka", "fetching Kafka with Maven (43 MB, once)");
        install(&kafka, |dir| copy_dependencies(dir, KAFKA_POM)).await?;
    }
    if !connect.exists() {
        progress.step("connect", "fetching Connect and Debezium with Maven (44 MB, once)");
        install(&connect, |dir| copy_dependencies(dir, CONNECT_POM)).await?;
    }
    if !registry.exists() {
        progress.step("registry", "fetching Apicurio Registry with Maven (109 MB, once)");
        install(&registry, unpack_registry).await?;
    }
    drop(lock);
    Ok(Artifacts { kafka, connect, registry })
}

fn cache_dir() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(cache) = set("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(cache).join("murmuration"));
    }
    let home = set("HOME").context("neither XDG_CACHE_HOME nor HOME is set: nowhere to cache")?;
    Ok(PathBuf::from(home).join(".cache/murmuration"))
}

fn entry(cache: &Path, name: &str, what: &str) -> PathBuf {
    cache.join(format!("{name}-{:016x}", fingerprint(what)))
}

/// Runs `fetch` on a temporary folder beside `target` and renames it to `target` when it is whole.
async fn install<F, Fetched>(target: &Path, fetch: F) -> Result<()>
where
    F: Fn(PathBuf) -> Fetched,
    Fetched: Future<Output = Result<()>>,
{
    let temporary = target.with_extension("partial");
    let mut attempt = 1;
    loop {
        if temporary.exists() {
            std::fs::remove_dir_all(&temporary)?;
        }
        std::fs::create_dir_all(&temporary)?;
        match fetch(temporary.clone()).await {
            Ok(()) => break,
            Err(error) if attempt == ATTEMPTS => return Err(error),
            Err(_) => attempt += 1,
        }
    }
    std::fs::rename(&temporary, target)
        .with_context(|| format!("cannot put {} in place", target.display()))
}

async fn copy_dependencies(dir: PathBuf, pom: &'static str) -> Result<()> {
    let file = dir.join("pom.xml");
    std::fs::write(&file, pom)?;
    let output = format!("-DoutputDirectory={}", dir.display());
    let file = file.to_string_lossy();
    maven(&dir, &["-f", &file, "dependency:copy-dependencies", &output]).await
}

async fn unpack_registry(dir: PathBuf) -> Result<()> {
    let artifact = format!("-Dartifact={REGISTRY}");
    let output = format!("-DoutputDirectory={}", dir.display());
    maven(&dir, &["dependency:copy", &artifact, &output]).await?;
    let archive = jar_ending(&dir, ".tar.gz")?;
    run(Command::new("tar").arg("xzf").arg(&archive).current_dir(&dir), "tar").await?;
    std::fs::remove_file(archive)?;
    Ok(())
}

/// The one file in `dir` whose name ends with `ending`.
pub(crate) fn jar_ending(dir: &Path, ending: &str) -> Result<PathBuf> {
    let entries = std::fs::read_dir(dir)?.flatten().map(|entry| entry.path());
    let mut found = entries.filter(|path| path.to_string_lossy().ends_with(ending));
    found.next().with_context(|| format!("no file ending in {ending} in {}", dir.display()))
}

async fn maven(dir: &Path, args: &[&str]) -> Result<()> {
    let mut command = Command::new("mvn");
    command.args(["-q", "-B"]).args(args).current_dir(dir);
    run(&mut command, "mvn").await
}

async fn run(command: &mut Command, name: &str) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("cannot run {name}: `./shop` installs what is missing"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    bail!("{name} failed ({}):\n{}", output.status, String::from_utf8_lossy(&text).trim())
}
