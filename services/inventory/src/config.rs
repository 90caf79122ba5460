//! Settings of inventory.

use clap::Parser;
use service_kit::CommonConfig;
use std::net::SocketAddr;

/// The default port of inventory.
const PORT: u16 = contracts::ServiceName::Inventory.spec().port;

/// Holds stock for orders, gives it back, lets it leave.
#[derive(Clone, Debug, Parser)]
#[command(name = "inventory", version)]
pub struct Config {
    /// The settings of every service.
    #[command(flatten)]
    pub common: CommonConfig,
}

impl Config {
    /// The address to serve on.
    pub fn addr(&self) -> SocketAddr {
        self.common.http_addr(PORT)
    }
}
