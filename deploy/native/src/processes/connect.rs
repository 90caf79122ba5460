//! Kafka Connect with Debezium.

use anyhow::Result;
use client::Health;

use super::site::{Site, java};
use crate::supervisor::ProcessSpec;

const WORKER: &str = include_str!("../../../debezium/connect.properties");
const SECURED: &str = include_str!("../../../debezium/connect-secured.properties");
/// Who may send requests to it.
pub(crate) const LOGIN: &str = include_str!("../../../debezium/connect-login.conf");

/// What to run.
pub(crate) fn spec(site: &Site) -> Result<ProcessSpec> {
    let settings = match site.secrets {
        Some(_) => format!("{WORKER}\n{SECURED}"),
        None => WORKER.to_owned(),
    };
    let config = site.write_config("connect.properties", &settings)?;
    let mut options = Vec::new();
    if site.secrets.is_some() {
        let login = site.write_config("connect-login.conf", LOGIN)?;
        options.push(format!("-Djava.security.auth.login.config={}", login.display()));
    }
    let args = [
        "-Xmx384m",
        "-XX:TieredStopAtLevel=1",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.log.io.debezium.connector=info",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-cp",
        &format!("{}/*", site.artifacts.connect.display()),
        "org.apache.kafka.connect.cli.ConnectDistributed",
        &config.to_string_lossy(),
    ];
    options.extend(args.map(ToString::to_string));
    let health = Health::Http(format!("{}/connectors", site.connect_url()?));
    Ok(java("connect", site.port("connect"), site, options, health))
}
