//! The bank simulator: the external system.

use std::collections::BTreeMap;
use std::time::Duration;

use client::Health;

use super::site::Site;
use crate::supervisor::{ProcessSpec, Signal};

/// What to run.
pub(crate) fn spec(site: &Site) -> ProcessSpec {
    let port = site.port("bank");
    let mut env = BTreeMap::from([
        ("HTTP_ADDR".to_owned(), format!("127.0.0.1:{port}")),
        ("BANK_DATA_DIR".to_owned(), site.dirs.data().join("bank").to_string_lossy().into_owned()),
    ]);
    env.extend(site.env_of("bank"));
    ProcessSpec {
        name: "bank".into(),
        service: "bank".into(),
        program: site.bin.join("bank-simulator"),
        args: Vec::new(),
        env,
        cwd: site.dirs.root().to_owned(),
        user: None,
        port,
        health: Health::Http(format!("http://127.0.0.1:{port}/health/ready")),
        stop_signal: Signal::SIGTERM,
        grace: Duration::from_secs(5),
    }
}
