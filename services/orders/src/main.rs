//! The orders service: see README.md.

use std::process::ExitCode;

use orders::Config;
use service_kit::Telemetry;

fn main() -> ExitCode {
    let config: Config = service_kit::parse_config();
    let telemetry = Telemetry::init("orders", &config.common);
    service_kit::run(telemetry, |shutdown| async move {
        orders::start(&config, shutdown).await?.stopped().await
    })
}
