//! `shop logs`: the log of one process, or of all instances of a service.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;

use client::containers::Project;
use client::log::tail;
use client::{Dirs, Found, State, process_called};

/// Prints the last `lines` lines of a log, and goes on with new ones when `follow` is set.
pub(crate) async fn run(dir: &Path, name: &str, follow: bool, lines: usize) -> Result<()> {
    let dirs = Dirs::at(dir);
    match Found::at(dir).await? {
        Found::Containers(project, _) => of_container(&project, name, follow, lines).await,
        Found::Here(_) => match State::read(&dirs).ok().and_then(|state| state.project) {
            Some(project) => of_container(&Project::new(project), name, follow, lines).await,
            None => of_process(&dirs, name, follow, lines).await,
        },
        Found::Somewhere(_) => {
            bail!("this shop was started elsewhere: its logs are there, `./shop logs --dir DIR`")
        }
    }
}

/// Docker has them.
async fn of_container(project: &Project, name: &str, follow: bool, lines: usize) -> Result<()> {
    let found = project.find(name).await?;
    let first = found.first().context("`find` returns what it finds")?;
    let lines = lines.to_string();
    let mut docker = Command::new("docker");
    docker.args(["logs", "--tail", &lines]).args(follow.then_some("--follow")).arg(&first.id);
    let status = docker.status().await.context("cannot run `docker`")?;
    ensure!(status.success(), "docker logs of {} failed ({status})", first.name);
    Ok(())
}

async fn of_process(dirs: &Dirs, name: &str, follow: bool, lines: usize) -> Result<()> {
    // The first instance of a service goes by both names, as for `stop` and `kill`.
    let path = dirs.log_of(process_called(name));
    let Ok(mut file) = File::open(&path) else {
        let entries = std::fs::read_dir(dirs.logs()).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut known: Vec<_> =
            names.filter_map(|name| name.strip_suffix(".log").map(str::to_owned)).collect();
        known.sort();
        bail!("no log of `{name}` in {}; there are {}", dirs.logs().display(), known.join(", "));
    };
    println!("{}", tail(&path, lines)?);
    if !follow {
        return Ok(());
    }
    let mut at = file.seek(SeekFrom::End(0))?;
    loop {
        if std::fs::metadata(&path).is_ok_and(|now| now.len() < at) {
            // A new file took its place.
            file = File::open(&path)?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        std::io::stdout().write_all(&bytes)?;
        at = file.stream_position()?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
