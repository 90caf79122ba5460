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
const SECURED_ROLES: &str = include_str!("../../../debezium/secured-roles.sql");
const SECURED_CATALOG: &str = include_str!("../../../debezium/secured-catalog.sql");
const SECURED_SCHEMA: &str = include_str!("../../../debezium/secured-schema.sql");

/// Makes what is missing.
pub(crate) async fn ensure(site: &Site) -> Result<()> {
    if site.secrets.is_none() {
        sql(site, "postgres", &format!("{ROLES}\n{DATABASES}")).await?;
        tokio::try_join!(sql(site, "catalog", CATALOG), sql(site, "payments", PAYMENTS))?;
        return Ok(());
    }
    sql(site, "postgres", &format!("{ROLES}\n{DATABASES}\n{SECURED_ROLES}")).await?;
    let catalog = format!("{CATALOG}\n{SECURED_CATALOG}");
    let payments = format!("{PAYMENTS}\n{SECURED_SCHEMA}");
    tokio::try_join!(
        sql(site, "catalog", &catalog),
        sql(site, "payments", &payments),
        sql(site, "view", SECURED_SCHEMA)
    )?;
    Ok(())
}

/// Runs a script; the first error ends it.
async fn sql(site: &Site, database: &str, script: &str) -> Result<()> {
    let secrets = site.secrets.as_ref().map(|secrets| secrets.dir().to_string_lossy());
    let secrets = format!("secrets={}", secrets.unwrap_or_default());
    let mut psql = Command::new(site.postgres.program("psql"))
        .args(["-qX", "-v", "ON_ERROR_STOP=1", "-v", &secrets, "-o", "/dev/null"])
        .arg(site.database_url(database))
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

#[cfg(test)]
mod tests {
    use contracts::{ids::NAME_LENGTH_MAX, limits};
    use streams::limits::{MESSAGE_BYTES_MAX, RECORD_BYTES_MAX, VALUE_BYTES_MAX};

    use super::*;

    const CONNECTORS: [&str; 2] = [
        include_str!("../../../debezium/catalog.json"),
        include_str!("../../../debezium/payments-outbox.json"),
    ];

    #[test]
    fn the_catalog_takes_what_the_contracts_allow() {
        let rows =
            CATALOG.lines().filter_map(|line| line.trim().strip_prefix("('")?.split_once("', '"));
        let bounds: Vec<_> = rows
            .filter_map(|(table, rest)| {
                let (column, bytes) = rest.split_once("', ")?;
                Some((table, column, bytes.trim_end_matches([')', ',']).parse().ok()?))
            })
            .collect();
        let expected: [(&str, &str, usize); 8] = [
            ("products", "sku", NAME_LENGTH_MAX),
            ("products", "name", limits::PRODUCT_NAME_BYTES_MAX),
            ("products", "description", limits::DESCRIPTION_BYTES_MAX),
            ("products", "currency", limits::CURRENCY_BYTES_MAX),
            ("products", "picture", limits::PICTURE_BYTES_MAX),
            ("customers", "customer_id", NAME_LENGTH_MAX),
            ("customers", "name", limits::CUSTOMER_NAME_BYTES_MAX),
            ("customers", "email", limits::EMAIL_BYTES_MAX),
        ];
        assert_eq!(bounds, expected);
    }

    /// Services read what a connector cuts a row to, and its producer takes it: its limit is the
    /// topics'; what payments writes is not cut.
    #[test]
    fn the_connectors_carry_what_the_topics_take() {
        let setting = |config: &str, name: &str| -> usize {
            let config: serde_json::Value = serde_json::from_str(config).unwrap();
            config[name].as_str().unwrap().parse().unwrap()
        };
        for config in CONNECTORS {
            let request = setting(config, "producer.override.max.request.size");
            assert_eq!(request, MESSAGE_BYTES_MAX);
            assert!(setting(config, "transforms.size.max.bytes") + 100_000 < request);
        }
        let [catalog, outbox] =
            CONNECTORS.map(|config| setting(config, "transforms.size.max.bytes"));
        let row = limits::PICTURE_BYTES_MAX + limits::DESCRIPTION_BYTES_MAX + 2000;
        assert!(row < catalog && catalog < VALUE_BYTES_MAX);
        // A row has its key and its headers as text, which may take three times the bytes.
        assert!(RECORD_BYTES_MAX + 100_000 < outbox);
    }

    /// The constraints of the outbox leave room for the largest dead letter.
    #[test]
    fn the_outbox_takes_what_payments_may_write() {
        let sql = include_str!("../../../../services/payments/migrations/0003_sizes.sql");
        let bound = |what: &str| -> usize {
            let rest = sql.split(what).nth(1).unwrap().split("<= ").nth(1).unwrap();
            rest.split(')').next().unwrap().parse().unwrap()
        };
        assert_eq!(bound("octet_length(payload)"), VALUE_BYTES_MAX);
        assert_eq!(bound("octet_length(aggregateid)"), 4 * streams::limits::KEY_BYTES_MAX);
        assert!(bound("octet_length(concat(") >= 19 * 3 * streams::limits::HEADER_BYTES_MAX);
    }
}
