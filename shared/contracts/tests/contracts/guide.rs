//! The guides in `docs/` name each file that their worked example touches.

use contracts::ServiceName;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A guide with its worked example.
struct Guide {
    page: &'static str,
    /// Where the example may be mentioned, besides in prose and in tests.
    searched: &'static [&'static str],
    /// The folder that is the example's own: it is not searched.
    own: &'static str,
    /// Whether a text mentions the example.
    mentions: fn(&str) -> bool,
}

/// A new service.
const SERVICE: Guide = Guide {
    page: "docs/adding-a-service.md",
    searched: &["Cargo.toml", "Cargo.lock", "docker-compose.yml", "schemas", "shared", "deploy"],
    own: "services/fraud",
    mentions: |text| text.to_lowercase().contains(ServiceName::Fraud.as_str()),
};

/// A new field. The runtime is left out, as it knows no shop.
const FIELD: Guide = Guide {
    page: "docs/adding-a-field.md",
    searched: &[
        "schemas",
        "shared/contracts",
        "shared/auditor",
        "services",
        "deploy",
        "e2e-tests/simulation",
    ],
    own: "",
    mentions: |text| text.lines().any(names_the_field),
};

/// Whether a line of code has the field `note` or its type: as a word or the end of one, no
/// function, no beginning of a message.
fn names_the_field(line: &str) -> bool {
    let is_code = !line.trim_start().starts_with("//");
    is_code
        && ["note", "Note"].iter().any(|name| {
            line.match_indices(name).any(|(at, _)| {
                let (before, after) = (&line[..at], &line[at + name.len()..]);
                let message = before.ends_with('"') && after.starts_with(": ");
                !before.ends_with(char::is_alphanumeric)
                    && !after.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '(')
                    && !message
            })
        })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

impl Guide {
    /// The paths in the steps of the guide that lead from the root.
    fn steps(&self) -> BTreeSet<String> {
        let guide = fs::read_to_string(root().join(self.page)).unwrap();
        let steps = guide.split("## The steps").nth(1).and_then(|rest| rest.split("\n## ").next());
        let named = steps.unwrap().split('`').skip(1).step_by(2);
        let paths = named.filter(|name| !name.contains(' ') && root().join(name).exists());
        paths.map(|path| path.trim_end_matches('/').to_owned()).collect()
    }

    fn mentioned_in(&self, path: &Path) -> bool {
        fs::read_to_string(path).is_ok_and(|text| (self.mentions)(&text))
    }

    /// Every file below `path` that mentions the example and is no test.
    fn search(&self, path: PathBuf, found: &mut BTreeSet<String>) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["tests", "target"].contains(&name.as_str()) {
                let entries = fs::read_dir(path).unwrap();
                entries.for_each(|entry| self.search(entry.unwrap().path(), found));
            }
        } else if !name.ends_with(".md") && self.mentioned_in(&path) {
            found.insert(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
        }
    }

    /// That the steps are the files that mention the example: these.
    fn check(&self) -> BTreeSet<String> {
        let steps = self.steps();
        let files = steps.iter().filter(|step| !step.contains("/tests/"));
        for step in files.filter(|step| root().join(step).is_file()) {
            assert!(self.mentioned_in(&root().join(step)), "{step} has nothing of the example");
        }
        let mut found = BTreeSet::new();
        self.searched.iter().for_each(|path| self.search(root().join(path), &mut found));
        let is_step = |file: &&String| steps.iter().any(|step| Path::new(file).starts_with(step));
        let missing: Vec<_> = found.iter().filter(|file| !is_step(file)).collect();
        assert!(missing.is_empty(), "no step of {} names {missing:?}", self.page);
        assert!(self.own.is_empty() || steps.contains(self.own), "{} is no step", self.own);
        found
    }
}

#[test]
fn every_step_to_a_service_names_a_file_of_the_example_and_none_is_missing() {
    let (found, steps) = (SERVICE.check(), SERVICE.steps());
    assert!(found.len() >= 6, "{found:?}");
    for step in ["docker-compose.yml", "Cargo.lock", "docs/choreography.md"] {
        assert!(steps.contains(step), "{step} is no step");
    }
}

#[test]
fn every_step_to_a_field_names_a_file_of_the_example_and_none_is_missing() {
    let found = FIELD.check();
    assert!(found.len() >= 15, "{found:?}");
}

#[test]
fn a_field_is_told_from_other_words() {
    for field in
        ["    note: Note,", "\"name\": \"note\",", "ADD COLUMN note text", "(10, \"orders_note\","]
    {
        assert!(names_the_field(field), "{field}");
    }
    for other in ["sim.note(actor)", "// note: as", "\"note: {remark}\"", "notes", "note_sent"] {
        assert!(!names_the_field(other), "{other}");
    }
}
