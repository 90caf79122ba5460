//! The email service: see README.md.

use email::{config::Config, service};
use service_kit::Telemetry;
use std::process::ExitCode;

fn main() -> ExitCode {
    let config: Config = service_kit::parse_config();
    let telemetry = Telemetry::init("email", &config.common);
    service_kit::run(telemetry, |shutdown| async move {
        service::start(&config, shutdown).await?.stopped().await
    })
}
