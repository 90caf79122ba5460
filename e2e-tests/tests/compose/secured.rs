//! The secured shop in containers is that of processes: each setting that `./shop up --secured
//! --auth` gives is in `docker-compose.secured.yml`, no password is, and who needs a server reaches
//! it, and no other.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{ServiceName, acls::principals, services::Dependency};
use serde_json::{Map, Value};

use super::{environment, read, services as open_services, text};

/// Where a container sees the files that it is given.
const SEEN_AT: &str = "/run/secrets";

fn file() -> Value {
    // A tag of Compose: of the file below, nothing stays.
    let text = read("docker-compose.secured.yml").replace("!reset ", "");
    serde_saphyr::from_str(&text).unwrap()
}

fn services() -> Map<String, Value> {
    file()["services"].as_object().unwrap().clone()
}

fn list(service: &Value, name: &str) -> BTreeSet<String> {
    service[name].as_array().into_iter().flatten().map(text).collect()
}

/// The settings of a file of properties, as a container has them.
fn properties(path: &str) -> BTreeMap<String, String> {
    let admin = "org.apache.kafka.common.security.plain.PlainLoginModule required \
                 username=\"admin\" password=\"${dir:/run/secrets:admin}\" \
                 user_admin=\"${dir:/run/secrets:admin}\";";
    let all = read(path).replace("{{dir.secrets}}", SEEN_AT).replace("{{jaas.admin}}", admin);
    let lines = all.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The variables of a service, as its process sees them: `$$` is Compose's `$`.
fn variables(service: &Value) -> BTreeMap<String, String> {
    let all = environment(service).into_iter();
    all.map(|(key, value)| (key, value.replace("$$", "$"))).collect()
}

#[test]
fn kafka_has_the_settings_of_the_secured_native_shop() {
    // Containers come by INTERNAL, and programs of the host by EXTERNAL.
    const OWN: [&str; 4] = [
        "listeners",
        "advertised.listeners",
        "listener.security.protocol.map",
        "inter.broker.listener.name",
    ];
    let kafka = variables(&services()["kafka"]);
    let native = properties("deploy/kafka/secured.properties");
    assert!(native.len() > 15, "{native:?}");
    for (key, value) in native.iter().filter(|(key, _)| !OWN.contains(&key.as_str())) {
        let listeners = match key.contains("sasl_ssl") {
            true => &["internal", "external"][..],
            false => &[""],
        };
        for listener in listeners {
            let key = key.replace("sasl_ssl", listener).replace('-', "___").replace('.', "_");
            let name = format!("KAFKA_{}", key.to_uppercase());
            assert_eq!(kafka.get(&name), Some(value), "{name}");
        }
    }
    let protocols = &kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"];
    assert!(protocols.split(',').all(|one| one.ends_with(":SASL_SSL")), "{protocols}");
}

#[test]
fn connect_has_the_settings_of_the_secured_native_shop() {
    let connect = variables(&services()["connect"]);
    let native = properties("deploy/debezium/connect-secured.properties");
    assert!(native.len() > 15, "{native:?}");
    for (key, value) in &native {
        let name = format!("CONNECT_{}", key.replace('.', "_").to_uppercase());
        assert_eq!(connect.get(&name), Some(value), "{name}");
    }
    assert!(connect["KAFKA_OPTS"].contains("/run/secrets/connect.login.conf"));
}

/// Each variable that the native shop sets because it is secured or asks for tokens.
#[test]
fn the_services_have_the_settings_of_the_secured_native_shop() {
    let source = read("deploy/native/src/processes/services.rs");
    let names = source.split("set(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let secured = ["KAFKA_", "JW", "METRICS_ACCESS", "DATABASE_"];
    let names: BTreeSet<_> = names
        .filter(|name| *name != "KAFKA_BOOTSTRAP")
        .filter(|name| secured.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    assert!(names.len() > 8, "{names:?}");
    let services = services();
    for service in ServiceName::ALL {
        let row = service.spec();
        let has_database =
            row.waits_for.iter().any(|needed| matches!(needed, Dependency::Postgres(_)));
        let name = service.as_str();
        let given = variables(&services[name]);
        for wanted in names.iter().filter(|it| has_database || !it.starts_with("DATABASE_")) {
            assert!(given.contains_key(*wanted), "{name} has no {wanted}");
        }
        assert_eq!(given["KAFKA_SASL_USERNAME"], name);
        assert_eq!(given["KAFKA_SASL_PASSWORD_FILE"], format!("{SEEN_AT}/{name}"));
        assert_eq!(given["JWT_ISSUER"], client::ISSUER);
        assert_eq!(given["JWT_AUDIENCE"], client::AUDIENCE);
        if has_database {
            assert!(given["DATABASE_URL"].starts_with(&format!("postgres://{name}@")), "{name}");
            assert_eq!(given["DATABASE_PASSWORD_FILE"], format!("{SEEN_AT}/postgres.{name}"));
        }
    }
}

#[test]
fn no_secret_is_in_the_file_and_each_is_given_to_those_who_name_it() {
    let file = file();
    let known = file["secrets"].as_object().unwrap();
    for (name, secret) in known {
        let path = secret["file"].as_str().unwrap();
        assert!(path.ends_with(&format!("}}/secrets/{name}")), "{name}: {path}");
    }
    let mut used = BTreeSet::new();
    for (name, service) in services() {
        let given = list(&service, "secrets");
        for one in &given {
            assert!(known.contains_key(one), "{name}: {one} is no secret of the file");
        }
        let told = service.to_string();
        for path in told.split("/run/secrets/").skip(1) {
            let end = path.find(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c));
            let wanted = path[..end.unwrap_or(path.len())].trim_end_matches('.');
            assert!(given.contains(wanted), "{name} names {wanted} and is given {given:?}");
        }
        for of_provider in told.split("dir:/run/secrets:").skip(1) {
            let wanted = of_provider.split('}').next().unwrap();
            assert!(given.contains(wanted), "{name} names {wanted} and is given {given:?}");
        }
        for (key, value) in service["environment"].as_object().into_iter().flatten() {
            let is_reference = text(value).contains("/run/secrets") || text(value).is_empty();
            let is_secret = key.contains("PASSWORD") || key.contains("SECRET");
            assert!(!is_secret || is_reference, "{name}: {key}={value}");
        }
        used.extend(given);
    }
    let names: BTreeSet<String> = known.keys().cloned().collect();
    assert_eq!(used, names, "each secret must be given to a container");
    // A service has its own, and no login of another one.
    for user in principals().iter().map(|user| user.name) {
        let having = services().into_iter().filter(|(_, it)| list(it, "secrets").contains(user));
        let having: BTreeSet<_> = having.map(|(name, _)| name).collect();
        let expected: &[&str] = match user {
            "catalog-connector" | "outbox-connector" => &["connect"],
            "provision" => &["librarian", "schemas", "topics"],
            "operator" => &["caretaker"],
            own => &[own],
        };
        let expected: BTreeSet<_> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(having, expected, "{user}");
    }
}

/// Containers reach each other when they are on one network, whatever port they mean.
#[test]
fn what_needs_a_server_reaches_it_and_no_other() {
    let services = services();
    let on = |name: &str| list(&services[name], "networks");
    let meeting = |one: &str| -> BTreeSet<&str> {
        let others = services.keys().map(String::as_str).filter(|other| *other != one);
        others.filter(|other| !on(one).is_disjoint(&on(other))).collect()
    };
    let observing = ["prometheus", "tempo"];
    for service in ServiceName::ALL {
        let mut expected = BTreeSet::from(["kafka", "registry"]);
        for needed in service.spec().waits_for {
            expected.insert(match needed {
                Dependency::Postgres(_) => "postgres",
                Dependency::Bank => "bank",
                Dependency::Smtp => "mail",
            });
        }
        // The job that waits for it.
        expected.extend(match service {
            ServiceName::Orders => Some("catalog"),
            ServiceName::Inventory => Some("stock"),
            _ => None,
        });
        if service.spec().runs_by_default() {
            expected.extend(observing);
        }
        assert_eq!(meeting(service.as_str()), expected, "{service:?}");
    }
    let servers = ["kafka", "postgres", "registry"];
    let its_own = ["caretaker", "connectors", "librarian"];
    let expected: BTreeSet<_> = servers.into_iter().chain(its_own).collect();
    assert_eq!(meeting("connect"), expected);
    for name in ["registry", "connect"] {
        assert_eq!(services[name]["ports"], Value::Array(vec![]), "{name} publishes none");
    }
    // A network without a way out publishes no port.
    let file = file();
    let is_closed = |network: &String| file["networks"][network]["internal"] == true;
    for name in open_services().keys().filter(|name| services[*name]["ports"].is_null()) {
        let publishes = open_services()[name]["ports"].is_array();
        assert!(!publishes || !on(name).iter().all(is_closed), "{name} publishes a port");
    }
}

#[test]
fn what_is_new_in_the_file_runs_with_nothing_that_it_does_not_need() {
    let (open, mut new) = (open_services(), BTreeSet::new());
    for (name, service) in services() {
        for forbidden in ["privileged", "cap_add", "devices", "pid", "ipc"] {
            assert!(service.get(forbidden).is_none(), "{name}: {forbidden}");
        }
        if open.contains_key(&name) {
            assert!(service.get("user").is_none() && service.get("cap_drop").is_none(), "{name}");
            continue;
        }
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(text(&service["cap_drop"]), r#"["ALL"]"#, "{name}");
        assert_eq!(text(&service["security_opt"]), r#"["no-new-privileges:true"]"#, "{name}");
        assert_eq!(service["restart"], "no", "{name} is a job");
        new.insert(name);
    }
    assert_eq!(new, BTreeSet::from(["access", "secrets"].map(str::to_owned)));
    for name in open.keys() {
        assert!(services().contains_key(name), "{name} would be on a network of all");
    }
}
