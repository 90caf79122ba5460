//! The fraud service: see README.md.

use fraud::{Config, service};
use service_kit::Telemetry;
use std::process::ExitCode;

fn main() -> ExitCode {
    let config: Config = service_kit::parse_config();
    let telemetry = Telemetry::init("fraud", &config.common);
    service_kit::run(telemetry, |shutdown| async move {
        service::start(&config, shutdown).await?.stopped().await
    })
}
