//! The view: see README.md.

use service_kit::Telemetry;
use std::process::ExitCode;
use view::{config::Config, service};

fn main() -> ExitCode {
    let config: Config = service_kit::parse_config();
    let telemetry = Telemetry::init("view", &config.common);
    service_kit::run(telemetry, |shutdown| async move {
        service::start(&config, shutdown).await?.stopped().await
    })
}
