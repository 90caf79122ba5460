//! The databases, their roles, and what change data capture needs in them.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::processes::site::Site;

const ROLES: &str = include_str!("../../../debezium/roles.sql");
const CATALOG: &str = include_str!("../../../debezium/catalog.sql");
const PAYMENTS: &str = include_str!("../../../debezium/payments.sql");
const DATABASES: &str = include_str!("../../../debezium/databases.sql");

/// Makes what is missing.
pub(crate) async fn ensure(site: &Site) -> Result<()> {
    sql(site, "postgres", &format!("{ROLES}\n{DATABASES}")).await?;
    tokio::try_join!(sql(site, "catalog", CATALOG), sql(site, "payments", PAYMENTS))?;
    Ok(())
}

/// Runs a script; the first error ends it.
async fn sql(site: &Site, database: &str, script: &str) -> Result<()> {
    let mut psql = Command::new(site.postgres.program("psql"))
        .args(["-qX", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", &site.database_url(database)])
        .env("PGOPTIONS", "--client-min-messages=warning")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot run psql")?;
    let mut stdin = psql.stdin.take().context("psql was started with a pipe")?;
    // psql may end at the first error, before it has read all; its exit says so below.
    let _ = stdin.write_all(script.as_bytes()).await;
    drop(stdin);
    let output = psql.wait_with_output().await?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "setting up database {database}: {}", stderr.trim());
    Ok(())
}
