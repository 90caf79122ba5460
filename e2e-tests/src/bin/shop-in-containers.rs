//! `shop-in-containers`: keeps the shop of a test in containers, see [`e2e_tests::containers`].

use clap::Parser;
use e2e_tests::containers::{Arguments, keep};

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let result = runtime.block_on(keep(Arguments::parse()));
    // Reading stdin blocks a thread that nothing can interrupt.
    runtime.shutdown_background();
    result
}
