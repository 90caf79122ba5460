//! The users of a secured Kafka, and what each may do.

use std::fmt::Write as _;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use client::Health;
use contracts::acls::{principals, text};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::processes::site::{Site, java};
use crate::secrets::Secrets;

const TOOL: &str = include_str!("../../../kafka/Access.java");
/// The login of the super user, for [`TOOL`].
pub(crate) const LOGIN: &str = include_str!("../../../kafka/admin.properties");

/// What [`TOOL`] reads: each user with its password, and the rules of `contracts`.
///
/// # Errors
/// When a password cannot be read or written.
pub(crate) fn input(secrets: &Secrets) -> Result<String> {
    let mut input = String::new();
    for user in principals() {
        writeln!(input, "user {} {}", user.name, secrets.password(user.name)?)?;
        for call in text::arguments(&user) {
            writeln!(input, "{}", call.join(" "))?;
        }
    }
    Ok(input)
}

/// Makes the users with the passwords of `secrets`, and the rules of `contracts`. Gives what was
/// done, for people.
///
/// # Errors
/// When Kafka refuses it, with what the tool has said.
pub(crate) async fn ensure(site: &Site, secrets: &Secrets) -> Result<String> {
    let input = input(secrets)?;
    let source = site.write_config("Access.java", TOOL)?;
    let login = site.write_config("kafka-admin.properties", LOGIN)?;
    let args = [
        "-XX:TieredStopAtLevel=1",
        "-Xmx128m",
        "-cp",
        &format!("{}/*", site.artifacts.kafka.display()),
        &source.to_string_lossy(),
        &site.bootstrap(),
        &login.to_string_lossy(),
    ];
    let args = args.iter().map(ToString::to_string).collect();
    let port = site.port("kafka");
    let tool = java("kafka", port, site, args, Health::Tcp(port));
    let mut tool = Command::new(&tool.program)
        .args(&tool.args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot run java: `./shop` installs it")?;
    let mut stdin = tool.stdin.take().context("it was started with a pipe")?;
    // It may end at its first error, before it has read all; its exit says so below.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = tool.wait_with_output().await?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(
        output.status.success(),
        "making the users of Kafka (a JDK is needed, 17 or later):\n{}",
        said.trim()
    );
    Ok(said.lines().last().unwrap_or_default().to_owned())
}
