//! `docs/adding-a-service.md` names each file that a new service touches, by its worked example.

use contracts::ServiceName;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The worked example.
const EXAMPLE: &str = ServiceName::Fraud.as_str();

/// Where a service of the shop may be named, besides in its own crate and in prose.
const SEARCHED: [&str; 6] =
    ["Cargo.toml", "Cargo.lock", "docker-compose.yml", "schemas", "shared", "deploy"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The paths in the steps of the guide that lead from the root.
fn steps() -> BTreeSet<String> {
    let guide = fs::read_to_string(root().join("docs/adding-a-service.md")).unwrap();
    let steps = guide.split("## The steps").nth(1).and_then(|rest| rest.split("\n## ").next());
    let named = steps.unwrap().split('`').skip(1).step_by(2);
    let paths = named.filter(|name| !name.contains(' ') && root().join(name).exists());
    paths.map(|path| path.trim_end_matches('/').to_owned()).collect()
}

fn mentions(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.to_lowercase().contains(EXAMPLE))
}

/// Every file below `path` that mentions the example and is no test.
fn mentioning(path: PathBuf, found: &mut BTreeSet<String>) {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    if path.is_dir() {
        if !["tests", "target"].contains(&name.as_str()) {
            fs::read_dir(path).unwrap().for_each(|entry| mentioning(entry.unwrap().path(), found));
        }
    } else if !name.ends_with(".md") && mentions(&path) {
        found.insert(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
    }
}

#[test]
fn every_step_names_a_file_of_the_example_and_none_is_missing() {
    let steps = steps();
    for step in steps.iter().filter(|step| !step.ends_with(EXAMPLE)) {
        assert!(mentions(&root().join(step)), "{step} has nothing of {EXAMPLE}");
    }
    let mut found = BTreeSet::new();
    SEARCHED.iter().for_each(|path| mentioning(root().join(path), &mut found));
    let is_step = |file: &&String| steps.iter().any(|step| Path::new(file).starts_with(step));
    let missing: Vec<_> = found.iter().filter(|file| !is_step(file)).collect();
    assert!(missing.is_empty(), "no step of docs/adding-a-service.md names {missing:?}");
    assert!(found.len() >= 6, "{found:?}");
    for step in ["services/fraud", "docker-compose.yml", "Cargo.lock", "docs/choreography.md"] {
        assert!(steps.contains(step), "{step} is no step");
    }
}
