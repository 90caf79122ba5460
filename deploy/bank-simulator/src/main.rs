//! The bank simulator: see README.md.

use std::process::ExitCode;

use bank_simulator::Config;
use service_kit::Telemetry;

fn main() -> ExitCode {
    let config: Config = service_kit::parse_config();
    let telemetry = Telemetry::start("bank-simulator", 0, config.log_format);
    service_kit::run(telemetry, |shutdown| async move {
        bank_simulator::start(&config, shutdown).await?.stopped().await
    })
}
