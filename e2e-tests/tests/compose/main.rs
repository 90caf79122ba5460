//! The shop in containers is the shop without them: versions, settings and ports of
//! `docker-compose.yml` against those that `./shop up` uses. What differs on purpose is named here,
//! and there in a comment.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod secured;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use client::{PORTS, ProcessStatus, SERVICES, State, metrics};
use contracts::ServiceName;
use serde_json::{Map, Value};

const MEMORY_MAX_MB: u64 = 3 * 1024;

/// What the profile `observability` may take beside the shop.
const OBSERVABILITY_MAX_MB: u64 = 1024;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn services() -> Map<String, Value> {
    let compose: Value = serde_saphyr::from_str(&read("docker-compose.yml")).unwrap();
    compose["services"].as_object().unwrap().clone()
}

/// Whether it is what looks at the shop, and not a part of it.
fn observes(service: &Value) -> bool {
    service["profiles"].as_array().is_some_and(|all| all.contains(&"observability".into()))
}

/// `key=value` lines, without those that hold a placeholder: addresses and folders differ by
/// nature.
fn properties(path: &str) -> BTreeMap<String, String> {
    let text = read(path);
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.starts_with('#') && !line.contains("{{"))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().trim_matches('\'').to_owned()))
        .collect()
}

fn environment(service: &Value) -> BTreeMap<String, String> {
    let of = service["environment"].as_object().unwrap();
    of.iter().map(|(key, value)| (key.clone(), text(value))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What follows `before` in `text`, up to `after`.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let start = text.find(before).unwrap_or_else(|| panic!("no `{before}`")) + before.len();
    text[start..].split(after).next().unwrap()
}

/// The version of a Maven dependency.
fn maven(pom: &str, artifact: &str) -> String {
    let pom = read(pom);
    let after = between(&pom, &format!("<artifactId>{artifact}</artifactId>"), "</dependency>");
    between(after, "<version>", "</version>").to_owned()
}

fn tag(image: &str) -> &str {
    image.rsplit_once(':').unwrap().1
}

#[test]
fn images_have_the_versions_of_the_native_shop() {
    let services = services();
    let image = |name: &str| services[name]["image"].as_str().unwrap();
    assert_eq!(tag(image("kafka")), maven("deploy/kafka/pom.xml", "kafka_2.13"));
    let install = read("deploy/native/src/install.rs");
    let registry = between(&install, "io.apicurio:apicurio-registry-app:", ":");
    assert_eq!(tag(image("registry")), registry);
    assert_eq!(image("databases"), image("postgres"));

    let connect = read("deploy/debezium/Dockerfile");
    let base = between(&connect, "ARG CONNECT_IMAGE=", "\n");
    assert_eq!(tag(base), maven("deploy/debezium/pom.xml", "debezium-connector-postgres"));
    let converter = "apicurio-registry-utils-converter";
    let version = maven("deploy/debezium/pom.xml", converter);
    assert_eq!(maven("deploy/debezium/converter.xml", converter), version);

    let toolchain = read("rust-toolchain.toml");
    let channel = between(&toolchain, "channel = \"", "\"");
    let dockerfile = read("deploy/docker/Dockerfile");
    let rust = tag(between(&dockerfile, "ARG RUST_IMAGE=", "\n")).replace("-bookworm", "");
    assert!(channel.starts_with(&rust), "rust-toolchain.toml has {channel}, the Dockerfile {rust}");
}

#[test]
fn every_image_is_pinned() {
    for (name, service) in services() {
        let image = service["image"].as_str().unwrap();
        let pinned = image.contains(':') && !image.ends_with(":latest");
        assert!(pinned, "{name}: {image}");
    }
}

#[test]
fn kafka_has_the_settings_of_the_native_shop() {
    const DIFFERENT: [&str; 1] = ["listener.security.protocol.map"];
    let kafka = environment(&services()["kafka"]);
    let native = properties("deploy/kafka/server.properties");
    assert!(native.len() > 10);
    for (key, value) in native.iter().filter(|(key, _)| !DIFFERENT.contains(&key.as_str())) {
        let name = format!("KAFKA_{}", key.replace('.', "_").to_uppercase());
        assert_eq!(kafka.get(&name), Some(value), "{name}");
    }
    let process = read("deploy/native/src/processes/kafka.rs");
    assert_eq!(kafka["CLUSTER_ID"], between(&process, "CLUSTER_ID: &str = \"", "\""));
    assert!(process.contains(&kafka["KAFKA_HEAP_OPTS"]));
}

#[test]
fn postgres_has_the_settings_of_the_native_shop() {
    const DIFFERENT: [&str; 2] = ["listen_addresses", "unix_socket_directories"];
    let services = services();
    let command: BTreeSet<_> =
        services["postgres"]["command"].as_array().unwrap().iter().map(text).collect();
    let native = properties("deploy/debezium/postgresql.conf");
    assert!(native.len() > 5);
    for (key, value) in native.iter().filter(|(key, _)| !DIFFERENT.contains(&key.as_str())) {
        let found = command.iter().any(|word| **word == format!("{key}={value}"));
        assert!(found, "{key}={value} is not among {command:?}");
    }
}

#[test]
fn connect_has_the_settings_of_the_native_shop() {
    // The image has names of its own for these.
    const OWN_NAME: [(&str, &str); 6] = [
        ("group.id", "GROUP_ID"),
        ("key.converter", "KEY_CONVERTER"),
        ("value.converter", "VALUE_CONVERTER"),
        ("config.storage.topic", "CONFIG_STORAGE_TOPIC"),
        ("offset.storage.topic", "OFFSET_STORAGE_TOPIC"),
        ("status.storage.topic", "STATUS_STORAGE_TOPIC"),
    ];
    let connect = environment(&services()["connect"]);
    let native = properties("deploy/debezium/connect.properties");
    assert!(native.len() > 10);
    for (key, value) in native {
        let own = OWN_NAME.iter().find(|(property, _)| *property == key);
        let name = match own {
            Some((_, name)) => (*name).to_owned(),
            None => format!("CONNECT_{}", key.replace('.', "_").to_uppercase()),
        };
        assert_eq!(connect.get(&name), Some(&value), "{name}");
    }
    let process = read("deploy/native/src/processes/connect.rs");
    assert!(process.contains(&connect["HEAP_OPTS"]));
}

#[test]
fn every_port_has_its_default_a_variable_and_the_loopback_interface() {
    let (mut defaults, mut observing) = (BTreeMap::new(), BTreeMap::new());
    for (name, service) in services() {
        let defaults = if observes(&service) { &mut observing } else { &mut defaults };
        for port in service["ports"].as_array().into_iter().flatten().map(text) {
            let (host, _) = port.rsplit_once(':').unwrap();
            let variable = format!("127.0.0.1:${{{}_PORT:-", name.to_uppercase());
            assert!(host.starts_with(&variable), "{name}: {port}");
            defaults.insert(name.clone(), between(host, ":-", "}").parse::<u16>().unwrap());
        }
    }
    // Not for programs outside of the shop; and what only a shop of processes has.
    let inner = ["smtp", "controller", "workshop"];
    let native = PORTS.iter().filter(|(name, _)| !inner.contains(name));
    let native: BTreeMap<_, _> = native.map(|(name, port)| ((*name).to_owned(), *port)).collect();
    assert_eq!(defaults, native);
    let names: Vec<_> = observing.keys().map(String::as_str).collect();
    assert_eq!(names, ["grafana", "prometheus"]);
    assert!(observing.values().all(|port| !native.values().any(|taken| taken == port)));
}

#[test]
fn the_whole_shop_fits_into_three_gigabytes() {
    let (mut total, mut observing) = (0, 0);
    for (name, service) in services() {
        // Jobs end before the others need all of theirs.
        if service["restart"] == "no" {
            continue;
        }
        let limit = service["mem_limit"].as_str().unwrap_or_else(|| panic!("{name}: no limit"));
        let limit = limit.strip_suffix('m').unwrap().parse::<u64>().unwrap();
        *if observes(&service) { &mut observing } else { &mut total } += limit;
    }
    assert!(total <= MEMORY_MAX_MB, "{total} MB");
    assert!((1..=OBSERVABILITY_MAX_MB).contains(&observing), "{observing} MB");
}

#[test]
fn our_programs_run_with_nothing_that_they_do_not_need() {
    // All that are built from our Dockerfile, by the name of their image.
    let is_ours = |service: &Value| {
        let image = service["image"].as_str().unwrap();
        image.starts_with("murmuration/") && image != "murmuration/connect:local"
    };
    let services = services();
    let ours: BTreeMap<_, _> = services.iter().filter(|(_, service)| is_ours(service)).collect();
    let jobs = ["topics", "schemas", "connectors", "stock", "catalog", "caretaker", "librarian"];
    for name in SERVICES.iter().chain(&["bank"]).chain(&jobs) {
        assert!(ours.contains_key(&(*name).to_owned()), "{name} is none of {:?}", ours.keys());
    }
    for (name, service) in ours {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(text(&service["cap_drop"]), r#"["ALL"]"#, "{name}");
        assert!(service["user"].is_null(), "{name}: the user is the image's");
        // What it may write to: its state, and a /tmp of a size.
        let tmpfs: Vec<_> = service["tmpfs"].as_array().unwrap().iter().map(text).collect();
        assert!(tmpfs.iter().all(|tmpfs| tmpfs.contains(":size=")), "{name}: {tmpfs:?}");
        for volume in service["volumes"].as_array().into_iter().flatten().map(text) {
            assert!(volume.ends_with(":/var/lib/murmuration"), "{name}: {volume}");
        }
    }
}

#[test]
fn the_images_of_our_programs_run_as_a_user_without_rights_and_hold_one_program() {
    let dockerfile = read("deploy/docker/Dockerfile");
    let program = between(&dockerfile, " AS program\n", "\nFROM ");
    let user = between(program, "\nUSER ", "\n").split(':').next().unwrap();
    assert!(user.parse::<u32>().is_ok_and(|user| user >= 10_000), "a number, as {user}");
    let copied: Vec<_> = program.lines().filter(|line| line.starts_with("COPY ")).collect();
    assert_eq!(copied.len(), 2, "a program and its empty state folder: {copied:?}");
    // Nothing after it is root again, and nothing is run in it while it is built.
    assert_eq!(dockerfile.matches("\nUSER ").count(), 1);
    let (_, after) = dockerfile.split_once(" AS program\n").unwrap();
    assert!(!after.contains("\nRUN "), "{after}");
    // What is built does not depend on where.
    assert!(dockerfile.contains("deploy/supply-chain/build.sh"));
}

#[test]
fn no_container_can_gain_rights_or_reach_its_host() {
    for (name, service) in services() {
        assert_eq!(text(&service["security_opt"]), r#"["no-new-privileges:true"]"#, "{name}");
        let ways_out = ["privileged", "cap_add", "devices", "network_mode", "pid", "ipc", "userns"];
        for way_out in ways_out {
            assert!(service.get(way_out).is_none(), "{name}: {way_out}");
        }
        for volume in service["volumes"].as_array().into_iter().flatten().map(text) {
            // Of the host, only what is ours, and only to read it.
            let is_the_hosts = volume.starts_with(['/', '.', '~']);
            let is_to_read = volume.starts_with("./deploy/") && volume.ends_with(":ro");
            assert!(!is_the_hosts || is_to_read, "{name}: {volume}");
        }
    }
}

#[test]
fn what_is_no_job_comes_back() {
    let jobs = ["databases", "topics", "schemas", "connectors", "stock", "catalog"];
    for (name, service) in services() {
        let policy = if jobs.contains(&name.as_str()) { "no" } else { "unless-stopped" };
        assert_eq!(service["restart"], policy, "{name}");
    }
}

/// Prometheus scrapes each service that runs by default, with the labels that a shop of processes
/// has, and loads the alerts.
#[test]
fn what_observes_the_shop_is_told_where_it_is() {
    let services = services();
    let config: Value = serde_saphyr::from_str(&read("deploy/prometheus/prometheus.yml")).unwrap();
    let names: Vec<_> = ServiceName::by_default().map(ServiceName::as_str).collect();
    let url = |name: &&str| ((*name).to_owned(), format!("http://{name}:8080"));
    let state = State {
        dir: "/".into(),
        pid: 0,
        ports: BTreeMap::new(),
        urls: names.iter().map(url).collect(),
        project: None,
        partitions: 3,
        build: None,
        profile: None,
    };
    let rules = Path::new("../alerts/shop.yml");
    let processes: Vec<_> = names.iter().map(|name| ProcessStatus::new(name, 8080)).collect();
    let native = metrics::config(&state, &processes, rules, metrics::INTERVAL);
    let native: Value = serde_saphyr::from_str(&native).unwrap();
    for part in ["global", "rule_files"] {
        assert_eq!(config[part], native[part], "{part}");
    }
    let job = |config: &Value| config["scrape_configs"][0].clone();
    assert_eq!(job(&config)["job_name"], job(&native)["job_name"]);
    let targets = |config: &Value| -> BTreeSet<String> {
        let targets = job(config)["static_configs"].as_array().unwrap().clone();
        targets.iter().map(Value::to_string).collect()
    };
    assert_eq!(targets(&config), targets(&native));

    let sources = read("deploy/grafana/provisioning/datasources/murmuration.yml");
    let sources: Value = serde_saphyr::from_str(&sources).unwrap();
    for source in sources["datasources"].as_array().unwrap() {
        let uid = source["uid"].as_str().unwrap();
        assert_eq!(source["url"], format!("http://{uid}:{}", port_of(uid)));
        assert!(observes(&services[uid]), "{uid}");
    }
    let endpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    for name in SERVICES {
        assert!(environment(&services[name]).contains_key(endpoint), "{name}");
    }
    assert!(read("deploy/docker/up.sh").contains("http://tempo:4318/v1/traces"));
    assert!(read("deploy/tempo/tempo.yml").contains(r#"endpoint: "0.0.0.0:4318""#));
}

/// Where Grafana reaches it within the containers' network.
fn port_of(name: &str) -> u16 {
    let tempo = read("deploy/tempo/tempo.yml");
    match name {
        "tempo" => between(&tempo, "http_listen_port: ", " ").parse().unwrap(),
        _ => 9090,
    }
}

#[test]
fn what_is_mounted_is_there() {
    let mut mounted = 0;
    for (name, service) in services() {
        for volume in service["volumes"].as_array().into_iter().flatten().map(text) {
            if let Some(path) = volume.strip_prefix("./") {
                let path = path.split(':').next().unwrap();
                let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
                assert!(here.exists(), "{name}: {path}");
                assert!(volume.ends_with(":ro"), "{name}: {volume}");
                mounted += 1;
            }
        }
    }
    assert!(mounted >= 5, "{mounted}");
}

/// What `./shop up --docker` says on a machine whose `docker` is this script; none: there is no
/// `docker`.
fn up_with(docker: Option<&str>) -> String {
    let bin = tempfile::tempdir().unwrap();
    for tool in ["bash", "dirname", "awk", "grep"] {
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|folder| folder.join(tool))
            .find(|path| path.exists());
        std::os::unix::fs::symlink(found.unwrap(), bin.path().join(tool)).unwrap();
    }
    if let Some(script) = docker {
        let path = bin.path().join("docker");
        fs::write(&path, format!("#!/bin/sh\ncase \"$*\" in\n{script}\nesac\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/docker/up.sh");
    let output = Command::new(script).env("PATH", bin.path()).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_keeps_the_containers_from_coming_up_is_said_beforehand_with_the_way_out() {
    const MEMORY: &str = "'compose version'*) echo v2.40.3;;\ninfo*) echo 4294967296;;";
    let says = |docker: Option<&str>, words: &[&str]| {
        let said = up_with(docker);
        assert!(words.iter().all(|word| said.contains(word)), "{words:?} in: {said}");
    };
    says(None, &["no docker", "./shop up"]);
    let no_engine = "version*) echo 'Cannot connect to the daemon' >&2; exit 1;;";
    says(Some(no_engine), &["Cannot connect to the daemon", "group docker"]);
    says(Some("'compose version'*) exit 1;;"), &["docker-compose-plugin"]);
    for old in ["2.20.3", "v1.29.2"] {
        let old_compose = format!("'compose version'*) echo {old};;");
        says(Some(&old_compose), &[&format!("Compose {old}"), "2.24 or later"]);
    }
    let compose = "'compose version'*) echo 2.40.3;;";
    says(Some(&format!("{compose}\n'buildx version') exit 1;;")), &["docker-buildx-plugin"]);
    says(Some(&format!("{compose}\ninfo*) echo 1073741824;;")), &["1024 MB", "2800 MB"]);
    says(Some(&format!("{compose}\ninfo*) exit 1;;")), &["has 0 MB"]);

    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let config = format!("'compose config') printf '  orders:\\n      published: \"{port}\"\\n';;");
    let wanted = format!("port {port}, wanted by orders, is taken");
    says(Some(&format!("{MEMORY}\n{config}")), &[&wanted, "ORDERS_PORT=N"]);

    let sick = "'compose ps --all'*) echo 'orders Exited (64) 1 second ago';;\n\
                'compose logs'*) echo 'HTTP_ADDR is no address';;\n'compose up'*) exit 1;;";
    let told = ["orders: Exited (64)", "HTTP_ADDR is no address", "did not come up"];
    says(Some(&format!("{MEMORY}\n'compose config') ;;\n{sick}")), &told);
}

/// `.dockerignore` leaves the tests out of what the images are built from, so cargo would not find
/// a test that a manifest names.
#[test]
fn no_manifest_names_a_file_that_the_build_of_the_images_leaves_out() {
    assert!(read(".dockerignore").lines().any(|line| line == "**/tests"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut manifests = Vec::new();
    for folder in ["shared", "services", "deploy", "e2e-tests"] {
        for entry in fs::read_dir(root.join(folder)).unwrap().flatten() {
            manifests.push(entry.path().join("Cargo.toml"));
        }
    }
    manifests.retain(|manifest| manifest.exists());
    assert!(manifests.len() > 20, "{manifests:?}");
    for manifest in manifests {
        let text = fs::read_to_string(&manifest).unwrap();
        assert!(!text.contains("[[test]]"), "{} names a test", manifest.display());
    }
}
