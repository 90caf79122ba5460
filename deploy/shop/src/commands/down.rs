//! `shop down`: ends a running shop, and whatever a killed one left.

use std::path::Path;

use anyhow::Result;
use client::Found;
use native::Ended;

/// Ends the shop in `dir`; that there is none is fine.
pub(crate) async fn run(dir: &Path) -> Result<()> {
    let ended = native::down(dir).await?;
    println!("{ended}");
    if let Ended::Nothing(_) = ended
        // It is not ours to end.
        && let Ok(Found::Containers(project, _)) = Found::at(dir).await
    {
        println!("`docker compose -p {} down` ends the one in containers", project.name());
    }
    Ok(())
}
