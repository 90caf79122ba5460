//! [`start`]: the shop of a test, in containers where Docker answers, else as processes of this machine.

use crate::containers::{Model, compose_file};
use anyhow::{Context, Result, bail, ensure};
use chrono::DateTime;
use shop::{
    client::{Shop, StartOptions, program},
    containers::{answers, docker},
};
use std::{collections::BTreeMap, path::PathBuf, time::SystemTime};

/// The images of our own programs.
const OURS: &str = "murmuration/";

/// Start a shop, and say on stderr which way it runs: the one that `SHOP_TESTS` names (`docker`, `native`);
/// else containers, when Docker answers and has all images, ours no older than the sources; else processes.
///
/// # Errors
/// When `SHOP_TESTS` asks for what this machine has not, or the shop does not start.
pub async fn start(options: StartOptions) -> Result<Shop> {
    let wish = std::env::var("SHOP_TESTS").unwrap_or_default();
    let (in_containers, why) = match wish.as_str() {
        "native" => (false, "as SHOP_TESTS says".to_owned()),
        "docker" => {
            let built = have_images().await.context("SHOP_TESTS=docker cannot be done here")?;
            let note = match older_than_sources(&built)? {
                Some(file) => format!(", though the images are older than {}", file.display()),
                None => String::new(),
            };
            (true, format!("as SHOP_TESTS says{note}"))
        }
        "" => match ready().await {
            Ok(()) => (true, "Docker answers and has the images".to_owned()),
            Err(error) => (false, format!("{error:#}")),
        },
        other => bail!("SHOP_TESTS={other}: it is `docker`, `native`, or not set"),
    };
    if !in_containers {
        eprintln!("the tests run against processes of this machine: {why}");
        return Shop::start(options).await;
    }
    eprintln!("the tests run against containers: {why}");
    let keeper = program()?.with_file_name("shop-in-containers");
    ensure!(keeper.exists(), "no {}: `cargo build -p e2e-tests` makes it", keeper.display());
    Shop::start(StartOptions { keeper: Some(keeper), ..options }).await
}

/// Whether the shop can run in containers as the sources are now.
async fn ready() -> Result<()> {
    let built = have_images().await?;
    if let Some(file) = older_than_sources(&built)? {
        let file = file.display();
        bail!("the images are older than {file}: `./shop test --docker` builds and uses them");
    }
    Ok(())
}

/// See that Docker answers, on this machine, and has every image; when ours were made.
async fn have_images() -> Result<Vec<SystemTime>> {
    answers().await.context("no Docker engine answers")?;
    let endpoint =
        docker(&["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]).await?;
    ensure!(
        ["unix://", "npipe://"].iter().any(|local| endpoint.trim().starts_with(local)),
        "the engine at {} publishes ports on its own loopback interface, out of reach from here",
        endpoint.trim()
    );
    let model = Model::resolve(&compose_file(), "murmuration-test", &BTreeMap::new()).await?;
    let (mut ours, mut missing) = (Vec::new(), Vec::new());
    for image in model.images() {
        let created = ["image", "inspect", "--format", "{{.Created}}", &image];
        let found = docker(&created).await;
        match found {
            Ok(created) if image.starts_with(OURS) => {
                ours.push(DateTime::parse_from_rfc3339(created.trim())?.into())
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

/// A file that was changed after the first of the images was built.
fn older_than_sources(built: &[SystemTime]) -> Result<Option<PathBuf>> {
    let root = compose_file().parent().context("the file is in a folder")?.to_owned();
    let sources = ["Cargo.lock", "schemas", "shared", "services", "deploy"];
    let mut paths: Vec<PathBuf> = sources.iter().map(|name| root.join(name)).collect();
    while let Some(path) = paths.pop() {
        let meta = std::fs::metadata(&path).with_context(|| path.display().to_string())?;
        let changed = meta.modified()?;
        if !meta.is_dir() && built.iter().any(|built| *built < changed) {
            return Ok(Some(path.strip_prefix(&root)?.to_owned()));
        }
        // Tests are not in the images.
        if meta.is_dir() && path.file_name() != Some("tests".as_ref()) {
            for entry in std::fs::read_dir(&path)? {
                paths.push(entry?.path());
            }
        }
    }
    Ok(None)
}
