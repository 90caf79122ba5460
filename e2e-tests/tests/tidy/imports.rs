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

/// The text without its comments and its tests.
pub(super) fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// One path of a `use`.
struct Use {
    path: String,
    /// What it is called from here on.
    name: String,
    /// Whether others may use it by that name.
    is_export: bool,
}

/// Every path that a `use` names, its braces multiplied out.
fn uses(code: &str) -> Vec<Use> {
    let mut found = Vec::new();
    for part in code.split(['\n', ';', '{', '}']).map(str::trim_start) {
        let seen = ["pub(crate) ", "pub(super) ", "pub "];
        let seen = seen.iter().find_map(|visible| part.strip_prefix(visible));
        let Some(start) = seen.unwrap_or(part).strip_prefix("use ") else { continue };
        let offset = start.as_ptr() as usize - code.as_ptr() as usize;
        let tree: String = code[offset..].split(';').next().unwrap_or_default().into();
        multiply(&tree.split_whitespace().collect::<Vec<_>>().join(" "), "", &mut |leaf| {
            let (path, name) = leaf.split_once(" as ").unwrap_or((leaf, leaf));
            let name = name.rsplit("::").next().unwrap_or_default();
            let is_export = seen.is_some();
            found.push(Use { path: path.into(), name: name.into(), is_export });
        });
    }
    found
}

fn imports(code: &str) -> Vec<String> {
    uses(code).into_iter().map(|each| each.path).collect()
}

/// Every `crate::a::b` that stands in the code itself, where no `use` is needed.
fn mentions(code: &str) -> Vec<String> {
    let inside = |sign: char| sign.is_alphanumeric() || sign == '_' || sign == ':';
    let starts = code.match_indices("crate::").map(|(at, _)| at);
    let starts = starts.filter(|at| !code[..*at].ends_with(|sign| inside(sign) || sign == '$'));
    starts.map(|at| code[at..].chars().take_while(|sign| inside(*sign)).collect()).collect()
}

fn multiply(tree: &str, prefix: &str, found: &mut impl FnMut(&str)) {
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
            None => found(&format!("{prefix}{branch}")),
        }
    }
}

#[test]
fn braces_are_multiplied_out() {
    let code = "use a::{b, c::{D, e as F}};\npub use super::x;\nfn f() { use crate::y; }";
    assert_eq!(imports(code), ["a::b", "a::c::D", "a::c::e", "super::x", "crate::y"]);
    let shown: Vec<_> = uses(code).into_iter().filter(|each| each.is_export).collect();
    assert_eq!(shown.iter().map(|each| each.name.as_str()).collect::<Vec<_>>(), ["x"]);
    assert_eq!(uses(code)[2].name, "F");
    assert_eq!(mentions("f(crate::a::B, $crate::c)"), ["crate::a::B"]);
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

type Module = Vec<String>;

/// The files of one crate: what each names, and which names it shows that are another's.
#[derive(Default)]
struct Crate {
    named: BTreeMap<Module, BTreeSet<Module>>,
    exports: BTreeMap<Module, Module>,
}

impl Crate {
    /// What `path`, written in `here`, leads to within the crate.
    fn path(&self, path: &str, here: &[String]) -> Option<Module> {
        let child = || {
            let whole: Module =
                here.iter().cloned().chain(path.split("::").map(Into::into)).collect();
            self.named.contains_key(&whole[..=here.len()]).then_some(whole)
        };
        within(path, here).or_else(child)
    }

    /// The file that has `path`: by way of the names that files show for others.
    fn file(&self, mut path: Module) -> Module {
        while !self.named.contains_key(&path) {
            match self.exports.get(&path) {
                Some(target) => path = target.clone(),
                // An item of the file above.
                None => path.truncate(path.len() - 1),
            }
        }
        path
    }
}

/// The crates of the shop, read file by file.
fn crates() -> BTreeMap<String, Crate> {
    let mut crates: BTreeMap<String, Crate> = BTreeMap::new();
    let sources: Vec<_> = files("rs")
        .into_iter()
        .filter(|(path, _)| !path.contains("tests"))
        .filter_map(|(path, text)| Some((module(&path)?, code(&text))))
        .collect();
    for ((own, here), _) in &sources {
        crates.entry(own.clone()).or_default().named.entry(here.clone()).or_default();
    }
    for ((own, here), code) in &sources {
        let own = crates.get_mut(own).unwrap();
        for shown in uses(code).into_iter().filter(|each| each.is_export) {
            let Some(target) = own.path(&shown.path, here) else { continue };
            let name: Module = here.iter().cloned().chain([shown.name]).collect();
            own.exports.insert(name, target);
        }
    }
    for ((own, here), code) in &sources {
        let own = crates.get_mut(own).unwrap();
        for path in imports(code).into_iter().chain(mentions(code)) {
            let Some(named) = own.path(&path, here).map(|path| own.file(path)) else { continue };
            // The root and one's own parents declare: they are what a module is reached by, and
            // count for nothing.
            if !here.starts_with(&named) && !named.starts_with(here) {
                own.named.get_mut(here).unwrap().insert(named);
            }
        }
    }
    crates
}

#[test]
fn no_file_imports_itself_by_way_of_others() {
    let mut broken = Vec::new();
    for (own, one) in &crates() {
        for (from, targets) in &one.named {
            for to in targets {
                let (mut seen, mut next) = (BTreeSet::from([to]), vec![to]);
                while let Some(at) = next.pop() {
                    next.extend(one.named[at].iter().filter(|target| seen.insert(*target)));
                }
                if seen.contains(from) {
                    broken.push(format!("{own}: {} -> {}", from.join("::"), to.join("::")));
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
