//! A private PostgreSQL, with the server that the system has.
//!
//! It trusts every connection, listens on 127.0.0.1 only, and holds nothing but demo data. PostgreSQL
//! refuses to run as root: then it runs as the user `postgres` that the package made.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::{User, geteuid};
use tokio::process::Command;

use super::Site;
use crate::progress::Progress;
use crate::settings::{Dirs, fingerprint};
use crate::supervisor::{PartSpec, Signal, health::Health};

const SETTINGS: &str = include_str!("../../../debezium/postgresql.conf");

/// Where the server's programs and data are, and whom it runs as.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    bin: PathBuf,
    data: PathBuf,
    user: Option<(u32, u32)>,
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
            let elsewhere = elsewhere(dirs);
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

/// Where the data is when the user `postgres` cannot reach the shop's folder.
pub(crate) fn elsewhere(dirs: &Dirs) -> PathBuf {
    let name = format!("murmuration-{:016x}", fingerprint(&dirs.root().to_string_lossy()));
    Path::new("/var/tmp").join(name)
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

/// Makes the database cluster on the first start, and says what to run.
pub(crate) async fn prepare(site: &Site) -> Result<PartSpec> {
    let home = &site.postgres;
    if !home.data.join("PG_VERSION").exists() {
        init(home).await?;
    }
    let settings = home.data.join("postgresql.conf");
    std::fs::write(&settings, site.render(SETTINGS)?)?;
    if let Some((uid, gid)) = home.user {
        chown(&settings, Some(uid), Some(gid))?;
    }
    let port = site.port("postgres");
    Ok(PartSpec {
        name: "postgres".into(),
        service: "postgres".into(),
        program: home.program("postgres"),
        args: vec!["-D".into(), home.data.to_string_lossy().into_owned()],
        env: BTreeMap::new(),
        cwd: home.data.clone(),
        user: home.user,
        port,
        health: Health::Sql { psql: home.program("psql"), port },
        // "Fast shutdown": ends sessions instead of waiting for them.
        stop_signal: Signal::SIGINT,
        grace: Duration::from_secs(15),
    })
}

async fn init(home: &Home) -> Result<()> {
    if home.data.exists() {
        // What an interrupted first start left.
        std::fs::remove_dir_all(&home.data)?;
    }
    std::fs::create_dir_all(&home.data)?;
    std::fs::set_permissions(&home.data, std::fs::Permissions::from_mode(0o700))?;
    let mut command = Command::new(home.program("initdb"));
    command.args(["--username=shop", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]);
    command.arg("--no-sync").arg("-D").arg(&home.data);
    if let Some((uid, gid)) = home.user {
        chown(&home.data, Some(uid), Some(gid))?;
        command.uid(uid).gid(gid);
    }
    let output = command.stdin(Stdio::null()).current_dir("/").output().await?;
    let text = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "initdb failed:\n{}", String::from_utf8_lossy(&text));
    Ok(())
}

#[cfg(test)]
mod tests {
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
