//! A private PostgreSQL, with the server that the system has.
//!
//! It listens on 127.0.0.1 only, and holds nothing but demo data. It trusts every connection, but
//! in a secured shop.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, ensure};
use client::Health;
use tokio::process::Command;

use super::site::Site;
use crate::secrets::DATABASE_ADMIN;
use crate::supervisor::{ProcessSpec, Signal};
use client::private_file::write;

const SETTINGS: &str = include_str!("../../../debezium/postgresql.conf");

/// Makes the database cluster on the first start, and says what to run.
pub(crate) async fn prepare(site: &Site) -> Result<ProcessSpec> {
    let home = &site.postgres;
    if !home.data.join("PG_VERSION").exists() {
        init(site).await?;
    }
    let settings = home.data.join("postgresql.conf");
    std::fs::write(&settings, site.render(SETTINGS)?)?;
    if let Some((uid, gid)) = home.user {
        chown(&settings, Some(uid), Some(gid))?;
    }
    let port = site.port("postgres");
    Ok(ProcessSpec {
        name: "postgres".into(),
        service: "postgres".into(),
        program: home.program("postgres"),
        args: vec!["-D".into(), home.data.to_string_lossy().into_owned()],
        env: BTreeMap::new(),
        cwd: home.data.clone(),
        user: home.user,
        port,
        health: Health::Sql { psql: home.program("psql"), url: site.database_url("postgres") },
        // "Fast shutdown": ends sessions instead of waiting for them.
        stop_signal: Signal::SIGINT,
        grace: Duration::from_secs(15),
    })
}

async fn init(site: &Site) -> Result<()> {
    let home = &site.postgres;
    if home.data.exists() {
        // What an interrupted first start left.
        std::fs::remove_dir_all(&home.data)?;
    }
    std::fs::create_dir_all(&home.data)?;
    std::fs::set_permissions(&home.data, std::fs::Permissions::from_mode(0o700))?;
    let mut command = Command::new(home.program("initdb"));
    command.args(["--encoding=UTF8", "--locale=C.UTF-8", "--username", DATABASE_ADMIN]);
    // Its folder is PostgreSQL's alone, which may run as another user.
    let password_file = home.data.with_extension("password");
    match &site.secrets {
        Some(secrets) => {
            write(&password_file, secrets.role_password(DATABASE_ADMIN)?.as_bytes())?;
            command.args(["--auth=scram-sha-256", "--pwfile"]).arg(&password_file);
        }
        None => drop(command.arg("--auth=trust")),
    }
    command.arg("--no-sync").arg("-D").arg(&home.data);
    if let Some((uid, gid)) = home.user {
        chown(&home.data, Some(uid), Some(gid))?;
        if password_file.exists() {
            chown(&password_file, Some(uid), Some(gid))?;
        }
        command.uid(uid).gid(gid);
    }
    let output = command.stdin(Stdio::null()).current_dir("/").output().await;
    if password_file.exists() {
        std::fs::remove_file(&password_file)?;
    }
    let output = output?;
    let text = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "initdb failed:\n{}", String::from_utf8_lossy(&text));
    Ok(())
}
