//! Kafka Connect with Debezium.

use anyhow::Result;
use client::Health;

use super::site::{Site, java};
use crate::supervisor::ProcessSpec;

const WORKER: &str = include_str!("../../../debezium/connect.properties");

/// What to run.
pub(crate) fn spec(site: &Site) -> Result<ProcessSpec> {
    let config = site.write_config("connect.properties", WORKER)?;
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
    let args = args.iter().map(ToString::to_string).collect();
    let health = Health::Http(format!("{}/connectors", site.http("connect")));
    Ok(java("connect", site.port("connect"), site, args, health))
}
