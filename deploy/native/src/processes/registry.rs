//! The schema registry: Apicurio, with its storage in an H2 file.
//!
//! Schema ids are in every record, so they must outlive the registry's process. `kafkasql` storage
//! would keep them in Kafka and `postgresql` in our database, but then the registry could not start
//! without the other, and an outage of one would be an outage of both. The file starts as fast as
//! memory does. `WRITE_DELAY=0` makes a registered schema survive `kill -9`: H2 would write it half
//! a second later.

use anyhow::Result;
use client::Health;

use super::site::{Site, java};
use crate::install::jar_ending;
use crate::supervisor::ProcessSpec;

/// What to run.
pub(crate) fn spec(site: &Site) -> Result<ProcessSpec> {
    let port = site.port("registry");
    let jar = jar_ending(&site.artifacts.registry, "-runner.jar")?;
    let args = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-jar", &jar.to_string_lossy()];
    let args = args.iter().map(ToString::to_string).collect();
    let health = Health::Http(format!("{}/subjects", site.registry_url()));
    let mut spec = java("registry", port, site, args, health);
    let file = site.dirs.data().join("registry/registry");
    let url = format!("jdbc:h2:file:{};DB_CLOSE_ON_EXIT=FALSE;WRITE_DELAY=0", file.display());
    for (key, value) in [
        ("APICURIO_STORAGE_KIND", "sql"),
        ("APICURIO_STORAGE_SQL_KIND", "h2"),
        ("APICURIO_DATASOURCE_URL", &url),
        ("QUARKUS_HTTP_HOST", "127.0.0.1"),
        ("QUARKUS_HTTP_PORT", &port.to_string()),
        ("QUARKUS_LOG_LEVEL", "WARN"),
        ("QUARKUS_HTTP_ACCESS_LOG_ENABLED", "false"),
    ] {
        spec.env.insert(key.to_owned(), value.to_owned());
    }
    Ok(spec)
}
