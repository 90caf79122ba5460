//! The mail sink: this program's own `mail-sink` command.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use client::Health;

use super::site::Site;
use crate::supervisor::{ProcessSpec, Signal};

/// What to run.
pub(crate) fn spec(site: &Site) -> Result<ProcessSpec> {
    let address = |port: &str| format!("127.0.0.1:{}", site.port(port));
    let args = ["mail-sink", "--smtp", &address("smtp"), "--http", &address("mail")];
    Ok(ProcessSpec {
        name: "mail".into(),
        service: "mail".into(),
        program: std::env::current_exe()?,
        args: args.iter().map(ToString::to_string).collect(),
        env: BTreeMap::new(),
        cwd: site.dirs.root().to_owned(),
        user: None,
        port: site.port("mail"),
        health: Health::Http(format!("{}/readyz", site.http("mail"))),
        stop_signal: Signal::SIGTERM,
        grace: Duration::from_secs(2),
    })
}
