//! The topics, from the registry of topics.

use anyhow::Result;

use crate::parts::Site;

/// Makes the topics that are missing.
pub(crate) async fn ensure(_site: &Site) -> Result<()> {
    Ok(())
}
