//! The orders service: see README.md.

use std::process::ExitCode;

use orders::{config::Config, service};
use service_kit::Telemetry;

fn main() -> ExitCode {
    let config: Config = service_kit::parse_config();
    let telemetry = Telemetry::init("orders", &config.common);
    service_kit::run(telemetry, |shutdown| async move {
        service::start(&config, shutdown).await?.stopped().await
    })
}
