//! Settings of the bank.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;

use service_kit::{
    LogFormat,
    config::{loopback, socket_addr},
};

/// The bank's own port.
const PORT: u16 = 8087;

/// The bank that the shop's payments service charges: a simulator with faults on demand.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Config {
    /// Address to serve on; by default HTTP_ADDR, and without that 127.0.0.1:8087.
    #[arg(long, env = "BANK_ADDR", value_parser = socket_addr)]
    pub bank_addr: Option<SocketAddr>,

    /// Address to serve on, under the name that every service has for it.
    #[arg(long, env = "HTTP_ADDR", value_parser = socket_addr)]
    pub http_addr: Option<SocketAddr>,

    /// Folder of the journal. It is the bank's memory, not a cache: deleting it forgets all
    /// charges.
    #[arg(long, env = "BANK_DATA_DIR", default_value = ".shop/bank")]
    pub data_dir: PathBuf,

    /// How log lines are written.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,
}

impl Config {
    /// The address to serve on.
    pub fn addr(&self) -> SocketAddr {
        self.bank_addr.or(self.http_addr).unwrap_or_else(|| loopback(PORT))
    }
}
