//! [`Home`]: the PostgreSQL server that the system has, and where its data is.
//!
//! PostgreSQL refuses to run as root: then it runs as the user `postgres` that the package made.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use client::{Dirs, Progress};
use nix::unistd::{User, geteuid};

/// The folders of the server's programs and data, and its user.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    bin: PathBuf,
    pub(super) data: PathBuf,
    pub(super) user: Option<(u32, u32)>,
}

impl Home {
    /// Finds the server's programs, and a folder that its user can reach.
    pub(crate) fn find(dirs: &Dirs, progress: &Progress) -> Result<Self> {
        let bin = find_bin()?;
        let data = dirs.data().join("postgres");
        if !geteuid().is_root() {
            return Ok(Self { bin, data, user: None });
        }
        let postgres = User::from_name("postgres")?.context(
            "PostgreSQL does not run as root, and there is no user `postgres`: run as another user",
        )?;
        let user = Some((postgres.uid.as_raw(), postgres.gid.as_raw()));
        if let Some(closed) = closed_folder(&dirs.data()) {
            let elsewhere = dirs.postgres_elsewhere();
            progress.step(
                "postgres",
                format!(
                    "the user postgres may not pass {}: its data is in {}",
                    closed.display(),
                    elsewhere.display()
                ),
            );
            std::fs::create_dir_all(&elsewhere)?;
            if !data.is_symlink() {
                std::os::unix::fs::symlink(&elsewhere, &data)?;
            }
            return Ok(Self { bin, data: elsewhere, user });
        }
        Ok(Self { bin, data, user })
    }

    /// The path of one of the server's programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }
}

/// The first folder on the way to `path` that others may not pass through.
fn closed_folder(path: &Path) -> Option<PathBuf> {
    const OTHERS_MAY_PASS: u32 = 0o001;
    let mut ancestors: Vec<&Path> = path.ancestors().collect();
    ancestors.reverse();
    let closed =
        |dir: &&Path| std::fs::metadata(dir).is_ok_and(|meta| meta.mode() & OTHERS_MAY_PASS == 0);
    ancestors.into_iter().find(closed).map(Path::to_owned)
}

/// The folder with `initdb` and `postgres`: Debian keeps them per version and out of PATH.
fn find_bin() -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .map(|(version, path)| (version, path.join("bin")))
        .filter(|(version, bin)| *version >= 15 && bin.join("initdb").exists())
        .collect();
    found.sort();
    if let Some((_, bin)) = found.pop() {
        return Ok(bin);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    match std::env::split_paths(&path).find(|dir| dir.join("initdb").exists()) {
        Some(bin) => Ok(bin),
        None => bail!("no PostgreSQL server (15 or later): `./shop` or apt-get installs it"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_that_others_may_not_pass_is_found() {
        let root = std::env::temp_dir().join(format!("shop-closed-{}", std::process::id()));
        let inner = root.join("closed/inner");
        std::fs::create_dir_all(&inner).unwrap();
        let closed = root.join("closed");
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(closed_folder(&inner), Some(closed));
        std::fs::remove_dir_all(&root).unwrap();
    }
}
