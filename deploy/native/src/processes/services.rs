//! The services, each in one or more instances.

use std::collections::BTreeMap;
use std::path::Path;

use contracts::{ServiceName, services::Dependency};
use streams::{Cluster, cluster::Login, partition};

use super::site::Site;
use crate::supervisor::ProcessSpec;

/// What to run for instance `instance` of `service`, which listens on `port`.
pub(crate) fn spec(site: &Site, service: &str, instance: u16, port: u16) -> ProcessSpec {
    let name = name_of(service, instance);
    let state = site.dirs.data().join("state").join(&name);
    let mut env = BTreeMap::new();
    let file = |path: &Path| path.to_string_lossy().into_owned();
    let mut set = |key: &str, value: String| env.insert(key.to_owned(), value);
    set("HTTP_ADDR", format!("127.0.0.1:{port}"));
    set("KAFKA_BOOTSTRAP", site.bootstrap());
    if let Some(secrets) = &site.secrets {
        let Cluster { protocol, login, ca_file, .. } = secrets.kafka(&site.bootstrap(), service);
        set("KAFKA_SECURITY_PROTOCOL", protocol.as_str().to_owned());
        if let Some(Login { username, password_file, .. }) = login {
            set("KAFKA_SASL_USERNAME", username);
            set("KAFKA_SASL_PASSWORD_FILE", file(&password_file));
        }
        if let Some(ca_file) = ca_file {
            set("KAFKA_CA_FILE", file(&ca_file));
        }
    }
    set("SCHEMA_REGISTRY_URL", site.registry_url());
    set("INSTANCE", instance.to_string());
    set(partition::SETTING, partition::count().to_string());
    set("STATE_DIR", state.to_string_lossy().into_owned());
    // Its log is a file, which a person reads with `./shop logs`.
    set("LOG_FORMAT", "text".to_owned());
    if service == ServiceName::Orders.as_str() {
        set("VIEW_URL", site.http("view"));
        let checks: Vec<_> = site.extra_checks.iter().copied().collect();
        set("EXTRA_CHECKS", checks.join(","));
    }
    if service == ServiceName::View.as_str() {
        set("ORDERS_URL", site.http("orders"));
        if site.demo {
            set("WORKSHOP_URL", site.http("workshop"));
        }
    }
    if let Some(jwks) = &site.jwks {
        set("JWT_ISSUER", client::ISSUER.to_owned());
        set("JWT_AUDIENCE", client::AUDIENCE.to_owned());
        set("JWKS_FILE", jwks.to_string_lossy().into_owned());
        // They listen on the loopback address alone, and Prometheus has no token.
        set("METRICS_ACCESS", "public".to_owned());
    }
    let row = service.parse::<ServiceName>().map(ServiceName::spec);
    for dependency in row.iter().flat_map(|row| row.waits_for) {
        match dependency {
            Dependency::Postgres(database) => {
                if let Some(secrets) = &site.secrets {
                    set("DATABASE_PASSWORD_FILE", file(&secrets.role_file(service)));
                }
                set("DATABASE_URL", site.database_url_without_password(database, service))
            }
            Dependency::Bank => set("BANK_URL", site.http("bank")),
            Dependency::Smtp => set("SMTP_ADDR", format!("127.0.0.1:{}", site.port("smtp"))),
        };
    }
    env.extend(site.env_of(service));
    ProcessSpec { name, ..site.program(service, service, port, env) }
}

/// The name of a process: `orders` for the first, `orders-1` for the next.
pub(crate) fn name_of(service: &str, instance: u16) -> String {
    if instance == 0 { service.to_owned() } else { format!("{service}-{instance}") }
}
