//! Tests of the code itself: sizes, dependencies between crates, imports of the domain, links
//! that lead somewhere. A new rule costs a few lines.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod imports;
mod pages;
mod security;
mod tasks;

use contracts::ServiceName;
use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const FILE_LINES_MAX: usize = 500;
const MAIN_LINES_MAX: usize = 60;
const COLUMNS_MAX: usize = 100;
/// What runs every service in one process: a simulation, a model, what they share, and what sends
/// bytes into all of them.
const WHOLE_SHOPS: [&str; 5] = [
    "e2e-tests/simulation",
    "e2e-tests/model",
    "e2e-tests/teller",
    "e2e-tests/fuzz",
    "e2e-tests/micro-benchmarks",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file of ours with this extension, with its text and its path below the root.
fn files(extension: &str) -> Vec<(String, String)> {
    let (mut found, mut folders) = (Vec::new(), vec![root()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let below = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push((below, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "no .{extension} files");
    found
}

fn assert_none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn files_and_lines_are_short() {
    let mut broken = Vec::new();
    for (path, text) in files("rs") {
        let lines = text.lines().count();
        let max = if path.ends_with("src/main.rs") { MAIN_LINES_MAX } else { FILE_LINES_MAX };
        if lines > max {
            broken.push(format!("{path}: {lines} lines, {max} at most"));
        }
        for (number, line) in text.lines().enumerate() {
            let is_table = line.trim_start().starts_with("//! |");
            if line.chars().count() > COLUMNS_MAX && !line.contains("http") && !is_table {
                broken.push(format!("{path}:{}: over {COLUMNS_MAX} columns", number + 1));
            }
        }
    }
    assert_none("short files, short lines", &broken);
}

#[test]
fn nothing_is_left_unfinished() {
    let marks = [concat!("FIX", "ME"), concat!("XX", "X"), concat!("TO", "DO"), "#[ignore"];
    let mut broken = Vec::new();
    let this = |path: &str| path.ends_with("tidy/main.rs");
    for (path, text) in files("rs").into_iter().filter(|(path, _)| !this(path)) {
        for mark in marks.iter().filter(|mark| text.contains(**mark)) {
            broken.push(format!("{path}: {mark}"));
        }
    }
    assert_none("finished", &broken);
}

#[test]
fn no_crate_reaches_where_it_must_not() {
    let mut broken = Vec::new();
    for (path, text) in files("toml").into_iter().filter(|(path, _)| path.ends_with("/Cargo.toml"))
    {
        let (normal, _) = text.split_once("[dev-dependencies]").unwrap_or((&text, ""));
        let depends: BTreeSet<_> =
            normal.lines().filter_map(|l| l.split(['.', ' ']).next()).collect();
        let own = path.strip_suffix("/Cargo.toml").unwrap();
        // They run all services in one process; no crate depends on them.
        let services = ServiceName::ALL.into_iter().filter(|_| !WHOLE_SHOPS.contains(&own));
        for service in services.filter(|service| depends.contains(service.as_str())) {
            broken.push(format!("{own} depends on the service {service}"));
        }
        // The page of the simulation has nothing else to show.
        let is_play = |whole: &&&str| own == "e2e-tests/play" && **whole == "simulation";
        let wholes = ["simulation", "model"];
        for whole in wholes.iter().filter(|w| depends.contains(**w) && !is_play(w)) {
            broken.push(format!("{own} depends on the {whole}"));
        }
        if depends.contains("rdkafka") && own != "shared/streams-kafka" {
            broken.push(format!("{own} depends on rdkafka, which is streams-kafka's alone"));
        }
        if ["shared/contracts", "shared/streams", "shared/streams-sim"].contains(&own) {
            for io in ["rdkafka", "reqwest", "axum", "sqlx", "streams-kafka"] {
                if depends.contains(io) {
                    broken.push(format!("{own} depends on {io}"));
                }
            }
        }
        let runtime = ["shared/streams", "shared/streams-sim"].contains(&own);
        for shop in ["contracts", "auditor"].iter().filter(|shop| depends.contains(**shop)) {
            if runtime {
                broken.push(format!("{own} depends on {shop}: it must know no shop"));
            }
        }
    }
    assert_none("dependencies", &broken);
}

/// What decides, and what runs all of it in one process, is built without any of these.
const WITHOUT_IO: [&str; 5] = ["streams", "streams-sim", "contracts", "simulation", "model"];
const IO: [&str; 8] =
    ["rdkafka", "rdkafka-sys", "sqlx", "axum", "hyper", "reqwest", "lettre", "service-kit"];

#[test]
fn what_decides_is_built_without_io() {
    let mut broken = Vec::new();
    for own in WITHOUT_IO {
        let cargo = env::var("CARGO").unwrap();
        let mut tree = Command::new(cargo);
        tree.args(["tree", "--offline", "--locked", "--prefix", "none", "--format", "{p}"]);
        tree.args(["--edges", "normal,build", "--package", own]).current_dir(root());
        // The features that it asks for by itself, whatever the build around this test unifies.
        tree.env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION");
        let output = tree.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tree = String::from_utf8(output.stdout).unwrap();
        let built: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        assert!(built.contains(own), "{own} is not in its own tree: {tree}");
        let io = IO.iter().filter(|io| built.contains(**io));
        broken.extend(io.map(|io| format!("{own} is built with {io}")));
    }
    assert_none("no IO where decisions are", &broken);
}

/// The layers, from the lowest to the highest: a crate depends on its own layer and on those below.
const LAYERS: [&str; 4] = ["shared", "services", "deploy", "e2e-tests"];

#[test]
fn dependencies_point_downwards() {
    let manifests: Vec<_> =
        files("toml").into_iter().filter(|(path, _)| path.ends_with("/Cargo.toml")).collect();
    let layer_of = |path: &str| LAYERS.iter().position(|layer| path.starts_with(layer));
    // A crate has the name of its folder.
    let name_of = |path: &str| path.rsplit('/').nth(1).unwrap_or_default().to_owned();
    let layers: Vec<_> =
        manifests.iter().map(|(path, _)| (name_of(path), layer_of(path).unwrap())).collect();
    let mut broken = Vec::new();
    for (path, text) in &manifests {
        let own = layer_of(path).unwrap();
        let depends: BTreeSet<_> =
            text.lines().filter_map(|l| l.split(['.', ' ']).next()).collect();
        let above = layers.iter().filter(|(_, layer)| *layer > own);
        for (name, layer) in above.filter(|(name, _)| depends.contains(name.as_str())) {
            broken.push(format!("{path} depends on {name} in {}", LAYERS[*layer]));
        }
    }
    assert_none("arrows point downwards", &broken);
}

#[test]
fn every_service_has_the_same_skeleton() {
    let mut broken = Vec::new();
    for service in ServiceName::ALL.map(ServiceName::as_str) {
        for file in ["README.md", "src/main.rs", "src/lib.rs", "src/config.rs", "src/topology.rs"] {
            let path = root().join("services").join(service).join(file);
            if !path.is_file() {
                broken.push(format!("services/{service}/{file} is missing"));
            }
        }
        for folder in ["src/domain", "src/handlers"] {
            let inputs = root().join("services").join(service).join("src/inputs");
            if folder == "src/handlers" && inputs.is_dir() {
                continue;
            }
            if !root().join("services").join(service).join(folder).is_dir() {
                broken.push(format!("services/{service}/{folder} is missing"));
            }
        }
    }
    assert_none("the same skeleton in each service", &broken);
}
