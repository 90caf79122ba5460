//! Kafka: one KRaft node that is broker and controller.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use client::Health;
use tokio::process::Command;

use super::site::{Site, java};
use crate::supervisor::ProcessSpec;

const SERVER: &str = include_str!("../../../kafka/server.properties");
const SECURED: &str = include_str!("../../../kafka/secured.properties");
const LOG4J: &str = include_str!("../../../kafka/log4j2.properties");
/// Any 16 bytes in base64; the same for every shop, as each has its own data folder.
const CLUSTER_ID: &str = "bXVybXVyYXRpb24tMDAwMQ";

/// Formats the data folder on the first start, and says what to run.
pub(crate) async fn prepare(site: &Site) -> Result<ProcessSpec> {
    let settings = match site.secrets {
        Some(_) => format!("{SERVER}\n{SECURED}"),
        None => SERVER.to_owned(),
    };
    let config = site.write_config("kafka.properties", &settings)?;
    let log4j = site.write_config("kafka-log4j2.properties", LOG4J)?;
    let port = site.port("kafka");
    let arguments = |heap: &str, rest: &[&str]| {
        let mut args = vec![
            heap.to_owned(),
            format!("-Dlog4j2.configurationFile={}", log4j.display()),
            "-cp".to_owned(),
            format!("{}/*", site.artifacts.kafka.display()),
        ];
        args.extend(rest.iter().map(ToString::to_string));
        args
    };
    let config = config.to_string_lossy();
    if !site.dirs.data().join("kafka/meta.properties").exists() {
        let format =
            ["kafka.tools.StorageTool", "format", "--standalone", "-t", CLUSTER_ID, "-c", &config];
        let mut args = arguments("-Xmx128m", &format);
        args.insert(0, "-XX:TieredStopAtLevel=1".to_owned());
        let tool = java("kafka", port, site, args, Health::Tcp(port));
        let output = Command::new(&tool.program)
            .args(&tool.args)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .context("cannot run java: `./shop` installs it")?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        ensure!(output.status.success(), "formatting Kafka's data folder failed:\n{text}");
    }
    let mut args = arguments("-Xmx512m", &["kafka.Kafka", &config]);
    if cfg!(debug_assertions) {
        // For tries and tests it must start quickly and idle cheaply; what is measured may compile
        // as long as it likes.
        args.insert(0, "-XX:TieredStopAtLevel=1".to_owned());
    }
    Ok(java("kafka", port, site, args, Health::Tcp(port)))
}
