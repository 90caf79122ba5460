//! [`Ground`]: the shop that is broken.

use std::path::Path;

use anyhow::{Context, Result};
use client::{Dirs, Progress, Shop, StartOptions, service_of};
use tokio_util::sync::CancellationToken;

use super::plan;

/// The shop that is broken.
#[derive(Debug)]
pub struct Ground {
    pub(super) shop: Shop,
    pub(super) dirs: Dirs,
    is_own: bool,
    /// How many instances a running shop had before.
    instances_before: Vec<(&'static str, u16)>,
}

impl Ground {
    /// Starts a shop of its own, a `secured` one or an open one, in a folder for temporary files.
    ///
    /// # Errors
    /// When it does not become healthy, or is interrupted by `stop` before that.
    pub async fn start(
        seed: u64,
        secured: bool,
        stop: &CancellationToken,
        progress: Progress,
    ) -> Result<Self> {
        let dir =
            std::env::temp_dir().join(format!("murmuration-chaos-{seed}-{}", std::process::id()));
        progress.step("chaos", format!("starting a shop in {}", dir.display()));
        let scale = plan::INSTANCES.map(|(service, instances)| (service.to_owned(), instances));
        let options = StartOptions {
            scale: scale.to_vec(),
            secured,
            dir: Some(dir.clone()),
            ..StartOptions::default()
        };
        let shop = stop.run_until_cancelled(Shop::start(options)).await;
        let shop = shop.context("interrupted before the shop was ready")??;
        progress.step("chaos", "the shop is ready");
        Ok(Self { shop, dirs: Dirs::at(&dir), is_own: true, instances_before: Vec::new() })
    }

    /// The shop that runs in `dir`. A plan wants two instances of some services, so it gets them.
    ///
    /// # Errors
    /// When there is none, it is no native one, or a new instance does not become healthy.
    pub async fn running(dir: &Path, progress: Progress) -> Result<Self> {
        let mut shop = Shop::attach(dir)?;
        let processes = shop.status().await.context("only a shop of `./shop up` can be broken")?;
        let mut instances_before = Vec::new();
        for (service, wanted) in plan::INSTANCES {
            let count =
                processes.iter().filter(|process| service_of(&process.name) == service).count();
            instances_before.push((service, u16::try_from(count).context("too many instances")?));
            progress.step("chaos", format!("scaling {service} from {count} to {wanted}"));
            shop.scale(service, wanted).await?;
        }
        Ok(Self { shop, dirs: Dirs::at(dir), is_own: false, instances_before })
    }

    /// Ends a shop that was started for this, and says where it is when it is kept: when asked to,
    /// or when the verdict is not clean.
    ///
    /// # Errors
    /// When a running shop does not get back the instances that it had, or the folder cannot be
    /// removed.
    pub async fn leave(self, keep: bool, is_clean: bool, progress: Progress) -> Result<()> {
        let Self { mut shop, dirs, is_own, instances_before } = self;
        for (service, instances) in instances_before {
            shop.scale(service, instances).await?;
        }
        drop(shop);
        if !is_own {
            return Ok(());
        }
        if keep || !is_clean {
            let dir = dirs.root().display();
            let again = format!("./shop up --dir {dir} --ports auto");
            progress.step("chaos", format!("data and logs are in {dir}; {again} starts it again"));
            return Ok(());
        }
        dirs.wipe()?;
        std::fs::remove_dir_all(dirs.root()).context("the shop's folder cannot be removed")
    }
}
