//! Which shop a command means.

use std::path::{Path, PathBuf};

use clap::Args;

/// Which shop is meant.
#[derive(Args, Clone, Debug)]
pub(crate) struct Place {
    /// The folder of the shop
    #[arg(long, env = "SHOP_DIR", default_value = ".shop")]
    dir: PathBuf,
}

impl Place {
    /// The folder of the shop.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}
