//! [`start`]: the shop of a test, in containers where Docker answers, else as processes of this
//! machine.

use crate::containers::{Model, compose_file};
use anyhow::{Context, Result, bail, ensure};
use client::{
    Shop, StartOptions,
    containers::{answers, docker},
    program,
};
use std::collections::BTreeMap;

/// The images of our own programs.
const OURS: &str = "murmuration/";
/// The label that tells from which sources an image of ours is: what `sources.sh` printed when it
/// was built.
const SOURCES: &str = "murmuration.sources";

/// Ten minutes, in milliseconds.
const DEADLINE_MS: &str = "600000";

/// `options`, and orders with ten minutes until their deadline: none ends by it because the machine
/// is slow, or a server takes long to come back. Tests of deadlines set their own.
#[must_use]
pub fn unhurried(mut options: StartOptions) -> StartOptions {
    options.env.push(("orders".into(), "ORDER_DEADLINE_MS".into(), DEADLINE_MS.into()));
    options
}

/// Start a shop, and say on stderr which way it runs: the one that `SHOP_TESTS` names (`docker`,
/// `native`); else containers, when Docker answers and has all images, ours from these very
/// sources; else processes.
///
/// With `SHOP_TESTS_SECURED=1` it is a secured one.
///
/// # Errors
/// When `SHOP_TESTS` asks for what this machine has not, or the shop does not start.
pub async fn start(options: StartOptions) -> Result<Shop> {
    let wish = std::env::var("SHOP_TESTS").unwrap_or_default();
    let (in_containers, why) = match wish.as_str() {
        "native" => (false, "as SHOP_TESTS says".to_owned()),
        "docker" => {
            let built = have_images().await.context("SHOP_TESTS=docker cannot be done here")?;
            let note = stale(&built).await.unwrap_or_default();
            let note = note.map_or(String::new(), |why| format!(", though {why}"));
            (true, format!("as SHOP_TESTS says{note}"))
        }
        "" => match ready().await {
            Ok(None) => (true, "Docker has the images of these sources".to_owned()),
            Ok(Some(why)) => (false, format!("{why}: `./shop test --docker` builds and uses them")),
            Err(error) => (false, format!("{error:#}")),
        },
        other => bail!("SHOP_TESTS={other}: it is `docker`, `native`, or not set"),
    };
    let secured = options.secured || secured()?;
    let options = StartOptions { secured, ..options };
    ensure!(!(secured && in_containers), "SHOP_TESTS_SECURED=1 is for SHOP_TESTS=native");
    if !in_containers {
        eprintln!("the tests run against processes of this machine: {why}");
        return Shop::start(options).await;
    }
    eprintln!("the tests run against containers: {why}");
    let keeper = program()?.with_file_name("shop-in-containers");
    ensure!(keeper.exists(), "no {}: `cargo build -p e2e-tests` makes it", keeper.display());
    Shop::start(StartOptions { keeper: Some(keeper), ..options }).await
}

/// Whether the shops of the tests are secured ones.
///
/// # Errors
/// When `SHOP_TESTS_SECURED` is neither 0 nor 1.
pub fn secured() -> Result<bool> {
    match std::env::var("SHOP_TESTS_SECURED").unwrap_or_default().as_str() {
        "" | "0" => Ok(false),
        "1" => Ok(true),
        other => bail!("SHOP_TESTS_SECURED={other}: it is 1, 0, or not set"),
    }
}

/// Why the images that are there should not be used unasked; none when they may.
async fn ready() -> Result<Option<String>> {
    stale(&have_images().await?).await
}

/// See that Docker answers, on this machine, and has every image; by ours, the sources that they
/// are from.
async fn have_images() -> Result<BTreeMap<String, String>> {
    answers().await.context("no Docker engine answers")?;
    let endpoint =
        docker(&["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]).await?;
    ensure!(
        ["unix://", "npipe://"].iter().any(|local| endpoint.trim().starts_with(local)),
        "the engine at {} publishes ports on its own loopback interface, out of reach from here",
        endpoint.trim()
    );
    let model = Model::resolve(&compose_file(), "murmuration-test", &BTreeMap::new()).await?;
    let (mut ours, mut missing) = (BTreeMap::new(), Vec::new());
    let label = format!("{{{{index .Config.Labels {SOURCES:?}}}}}");
    for image in model.images() {
        match docker(&["image", "inspect", "--format", &label, &image]).await {
            Ok(sources) if image.starts_with(OURS) => {
                ours.insert(image, sources.trim().to_owned());
            }
            Ok(_) => {}
            Err(_) => missing.push(image),
        }
    }
    let command = match missing.iter().all(|image| image.starts_with(OURS)) {
        true => "docker compose build",
        false => "docker compose pull --ignore-buildable && docker compose build",
    };
    ensure!(missing.is_empty(), "missing images: {}; `{command}` gets them", missing.join(", "));
    Ok(ours)
}

/// The image that is not from the sources as they are now, when there is one.
async fn stale(ours: &BTreeMap<String, String>) -> Result<Option<String>> {
    let script = compose_file().with_file_name("deploy/docker/sources.sh");
    let output = tokio::process::Command::new(&script).output().await;
    let output = output.with_context(|| format!("cannot run {}", script.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", script.display(), said.trim());
    let now = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let other = ours.iter().find(|(_, sources)| **sources != now);
    Ok(other.map(|(image, _)| format!("the image {image} is not from these sources")))
}
