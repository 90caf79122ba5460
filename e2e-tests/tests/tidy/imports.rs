//! What files import: the domain from an allow list, and no file of a crate in a circle.

use super::{assert_none, files};
use std::collections::{BTreeMap, BTreeSet};

/// Crates that a domain may name; besides, its own modules below `crate::domain`.
const PURE: [&str; 6] = ["std", "core", "contracts", "serde", "thiserror", "uuid"];
/// Paths of `std` and `uuid` that have an effect or a clock.
const IMPURE: [&str; 9] = [
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "Uuid::n",
];

/// Circles that there are, each as one import `from -> to` that closes it. It must only shrink.
const CIRCLES_ALLOWED: [&str; 8] = [
    // The table of services names topics, and a topic's readers follow from the table.
    "shared/contracts: owns -> services",
    "shared/contracts: services -> owns",
    "shared/contracts: services -> topics",
    "shared/contracts: topics -> services",
    "services/email: inputs::view_updated -> mailer",
    "services/email: mailer -> processor",
    "services/email: processor -> inputs::view_updated",
    "services/email: processor -> mailer",
];

/// The text without its comments and its tests.
fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Every path that a `use` names, its braces multiplied out.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let uses = code.split(['\n', ';', '{', '}']).filter_map(|part| {
        let at = part.trim_start();
        let at = ["pub(crate) ", "pub(super) ", "pub "]
            .iter()
            .find_map(|visible| at.strip_prefix(visible))
            .unwrap_or(at);
        at.strip_prefix("use ").map(|_| at)
    });
    for start in uses {
        let offset = start.as_ptr() as usize - code.as_ptr() as usize + "use ".len();
        let tree: String = code[offset..].split(';').next().unwrap_or_default().into();
        multiply(&tree.split_whitespace().collect::<Vec<_>>().join(" "), "", &mut found);
    }
    found
}

fn multiply(tree: &str, prefix: &str, found: &mut Vec<String>) {
    let (mut depth, mut start) = (0, 0);
    let mut branches = Vec::new();
    for (at, sign) in tree.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                branches.push(&tree[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    branches.push(&tree[start..]);
    for branch in branches.iter().map(|b| b.trim()).filter(|branch| !branch.is_empty()) {
        match branch.split_once('{') {
            Some((stem, rest)) => {
                multiply(rest.trim_end_matches('}').trim(), &format!("{prefix}{stem}"), found);
            }
            None => {
                let path = branch.split(" as ").next().unwrap_or(branch);
                found.push(format!("{prefix}{path}"));
            }
        }
    }
}

#[test]
fn braces_are_multiplied_out() {
    let code = "use a::{b, c::{D, e as F}};\npub use super::x;\nfn f() { use crate::y; }";
    assert_eq!(imports(code), ["a::b", "a::c::D", "a::c::e", "super::x", "crate::y"]);
}

#[test]
fn the_domain_is_pure() {
    let mut broken = Vec::new();
    for (path, text) in files("rs").into_iter().filter(|(path, _)| path.contains("/src/domain/")) {
        if path.ends_with("tests.rs") {
            continue;
        }
        let code = code(&text);
        for import in imports(&code) {
            let root = import.split("::").next().unwrap_or_default();
            let own = ["self", "super", "Self"].contains(&root)
                || import.starts_with("crate::domain")
                || root.starts_with(char::is_uppercase)
                // A module of the domain itself: `use place_order::Known`.
                || code.contains(&format!("mod {root};"));
            if !own && !PURE.contains(&root) {
                broken.push(format!("{path}: {import}"));
            }
        }
        broken.extend(IMPURE.iter().filter(|p| code.contains(**p)).map(|p| format!("{path}: {p}")));
        for named in ["tokio::", "tracing::", "streams::", "fastrand::", "jiff::", "anyhow::"] {
            if code.contains(named) {
                broken.push(format!("{path}: {named}"));
            }
        }
    }
    assert_none("the domain names std, contracts, serde, thiserror and uuid alone", &broken);
}

/// `shared/streams/src/codec/mod.rs` is the module `codec` of the crate `shared/streams`.
fn module(path: &str) -> Option<(String, Vec<String>)> {
    let (own, file) = path.split_once("/src/")?;
    let file = file.strip_suffix(".rs")?;
    let mut parts: Vec<String> = file.split('/').map(Into::into).collect();
    if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        parts.pop();
    }
    Some((own.to_owned(), parts))
}

/// What `import`, made in the module `here`, names within its crate.
fn within(import: &str, here: &[String]) -> Option<Vec<String>> {
    let mut parts = import.split("::").peekable();
    let mut at = match *parts.peek()? {
        "crate" => {
            parts.next();
            Vec::new()
        }
        "self" => {
            parts.next();
            here.to_vec()
        }
        "super" => here.to_vec(),
        _ => return None,
    };
    while parts.next_if_eq(&"super").is_some() {
        at.pop()?;
    }
    at.extend(parts.map(Into::into));
    Some(at)
}

#[test]
fn no_file_imports_itself_by_way_of_others() {
    type Module = Vec<String>;
    let mut crates: BTreeMap<String, BTreeMap<Module, BTreeSet<Module>>> = BTreeMap::new();
    let sources: Vec<_> =
        files("rs").into_iter().filter(|(path, _)| !path.contains("tests")).collect();
    for (path, _) in &sources {
        if let Some((own, here)) = module(path) {
            crates.entry(own).or_default().insert(here, BTreeSet::new());
        }
    }
    for (path, text) in &sources {
        let Some((own, here)) = module(path) else { continue };
        let modules = crates.get_mut(&own).unwrap();
        for import in imports(&code(text)) {
            let Some(mut named) = within(&import, &here) else { continue };
            // The longest part that is a file. The root and one's own parents re-export and
            // declare: they are what a module is reached by, and count for nothing.
            while !named.is_empty() && !modules.contains_key(&named) {
                named.pop();
            }
            if !named.is_empty() && !here.starts_with(&named) && !named.starts_with(&here) {
                modules.get_mut(&here).unwrap().insert(named);
            }
        }
    }
    let mut broken = Vec::new();
    for (own, modules) in &crates {
        for (from, targets) in modules {
            for to in targets {
                let (mut seen, mut next) = (BTreeSet::from([to]), vec![to]);
                while let Some(at) = next.pop() {
                    next.extend(modules[at].iter().filter(|target| seen.insert(*target)));
                }
                let edge = format!("{own}: {} -> {}", from.join("::"), to.join("::"));
                if seen.contains(from) && !CIRCLES_ALLOWED.contains(&edge.as_str()) {
                    broken.push(edge);
                }
            }
        }
    }
    assert_none("circles of imports", &broken);
}

#[test]
fn every_table_is_in_its_stores_layout() {
    let mut broken = Vec::new();
    for (path, text) in files("rs").into_iter().filter(|(path, _)| path.contains("/src/")) {
        let tables = text.lines().filter_map(|line| {
            let (head, _) = line.split_once(": Table<")?;
            let head = head.strip_prefix("static ").or_else(|| head.strip_prefix("const "))?;
            line.contains("Table::new(").then_some(head)
        });
        let listed = |table: &&str| text.contains(&format!(".table(&{table})"));
        broken.extend(tables.filter(|t| !listed(t)).map(|t| format!("{path}: {t}")));
    }
    assert_none("Layout::table for each Table", &broken);
}
