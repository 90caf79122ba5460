//! `shop logs`: the log of one process, or of all instances of a service.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
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

/// Docker has them: as JSON, for whatever collects them. This is for people.
async fn of_container(project: &Project, name: &str, follow: bool, lines: usize) -> Result<()> {
    let found = project.find(name).await?;
    let first = found.first().context("`find` returns what it finds")?;
    let lines = lines.to_string();
    let mut docker = Command::new("docker");
    docker.args(["logs", "--tail", &lines]).args(follow.then_some("--follow")).arg(&first.id);
    let docker = docker.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn();
    let mut docker = docker.context("cannot run `docker`")?;
    let (out, err) = (docker.stdout.take(), docker.stderr.take());
    let (out, err) = (out.context("stdout is piped")?, err.context("stderr is piped")?);
    // Servers write on both.
    tokio::try_join!(print_readable(out), print_readable(err))?;
    let status = docker.wait().await?;
    ensure!(status.success(), "docker logs of {} failed ({status})", first.name);
    Ok(())
}

async fn print_readable(lines: impl AsyncRead + Unpin) -> Result<()> {
    let mut lines = BufReader::new(lines).split(b'\n');
    while let Some(line) = lines.next_segment().await? {
        let line = String::from_utf8_lossy(&line);
        // A reader that has gone away, such as `head`, has seen enough.
        if writeln!(std::io::stdout(), "{}", readable(&line)).is_err() {
            break;
        }
    }
    Ok(())
}

/// A line of ours as text: when, how bad, where, what, and the fields. Any other line as it is.
fn readable(line: &str) -> String {
    let Ok(Value::Object(mut fields)) = serde_json::from_str::<Map<_, _>>(line).map(Value::Object)
    else {
        return line.to_owned();
    };
    let known = ["timestamp", "level", "target", "message"];
    if !known.iter().all(|name| fields.get(*name).is_some_and(Value::is_string)) {
        return line.to_owned();
    }
    let mut text = |name: &str| match fields.remove(name) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    let [at, level, target, message] = known.map(&mut text);
    let mut line = format!("{at} {level:>5} {target}: {message}");
    for (name, value) in fields {
        line.push_str(&format!(" {name}={value}"));
    }
    line
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_json_is_shown_as_text_and_any_other_as_it_is() {
        let line = r#"{"level":"WARN","message":"dead letter: no","order_id":"m-1",
            "record":"orders/0/7","target":"streams::engine",
            "timestamp":"2026-11-27T07:00:00.000000Z"}"#;
        let text = "2026-11-27T07:00:00.000000Z  WARN streams::engine: dead letter: no \
                    order_id=\"m-1\" record=\"orders/0/7\"";
        assert_eq!(readable(&line.replace('\n', " ")), text);
        for other in ["[kafka] started", r#"{"level":"INFO"}"#, "{", "7", ""] {
            assert_eq!(readable(other), other);
        }
    }
}
