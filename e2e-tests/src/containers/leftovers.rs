//! The Compose projects of tests: their names tell whether a keeper still runs.
//!
//! A project is named after the block of ports that it uses, and its keeper holds the lock of
//! that block while it runs. So a project whose block is not locked is a leftover: of a
//! keeper that was killed, or of a machine that was switched off.

use anyhow::Result;
use client::{
    containers::{PROJECT_LABEL, Project, docker},
    fingerprint,
};
use native::PortBlock;
use std::collections::BTreeSet;

/// The project that uses the block of ports that begins with `first`.
pub(super) fn project_of(first: u16) -> Project {
    Project::new(format!("{}{first}", prefix()))
}

/// Projects of this machine and its folder of locks: others, and other users, who share the engine,
/// have other locks.
fn prefix() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let place = format!("{} {}", host.trim(), PortBlock::locks().display());
    format!("murmuration-test-{:08x}-", fingerprint(&place) >> 32)
}

/// Remove the projects without a keeper; their names. A project that cannot be removed yet, as
/// a killed program is still creating it, is reported and left to the next call.
///
/// # Errors
/// When Docker does not answer.
pub async fn sweep() -> Result<Vec<String>> {
    let mut removed = Vec::new();
    for name in projects().await? {
        let first = name.strip_prefix(&prefix()).and_then(|first| first.parse().ok());
        let Some(first) = first else { continue };
        // Held while it is removed, so that no shop starts on these ports meanwhile.
        let Some(_block) = PortBlock::lock(first)? else { continue };
        match Project::new(&name).remove().await {
            Ok(_) => removed.push(name),
            Err(error) => eprintln!("{name}, which nobody keeps, is left for now: {error:#}"),
        }
    }
    Ok(removed)
}

/// The names of all Compose projects, by what is left of them.
async fn projects() -> Result<BTreeSet<String>> {
    let label = format!("{{{{.Label {PROJECT_LABEL:?}}}}}");
    let mut names = BTreeSet::new();
    for list in [&["ps", "--all"][..], &["network", "ls"], &["volume", "ls"]] {
        let filter = format!("label={PROJECT_LABEL}");
        let args = [list, &["--filter", &filter, "--format", &label]].concat();
        names.extend(docker(&args).await?.split_whitespace().map(str::to_owned));
    }
    Ok(names)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test a panic is the message")]
mod tests {
    use super::*;
    use client::containers::answers;

    /// Needs Docker, and no image.
    #[tokio::test]
    async fn what_nobody_keeps_is_removed_and_what_somebody_keeps_stays() {
        if let Err(error) = answers().await {
            eprintln!("nothing to sweep: {error:#}");
            return;
        }
        let (kept, left) = (PortBlock::take().unwrap(), PortBlock::take().unwrap());
        let (kept_project, left_project) = (project_of(kept.first()), project_of(left.first()));
        for project in [&kept_project, &left_project] {
            let label = format!("{PROJECT_LABEL}={}", project.name());
            docker(&["volume", "create", "--label", &label]).await.unwrap();
        }
        drop(left);
        sweep().await.unwrap();
        let now = projects().await.unwrap();
        assert!(now.contains(kept_project.name()), "{now:?}");
        assert!(!now.contains(left_project.name()), "{now:?}");
        assert_eq!(kept_project.remove().await.unwrap(), 1);
    }
}
