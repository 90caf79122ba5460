//! What the pages say of the repository: files and commands that are there.

use super::{assert_none, files, root};
use std::fs;

/// Folders at the top: a path that begins with one is meant from there.
const TOP: [&str; 6] = ["deploy/", "docs/", "e2e-tests/", "schemas/", "services/", "shared/"];

/// What stands in backticks, outside of fenced blocks.
fn quoted(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if !fenced {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found
}

/// The subcommands of `./shop`: those of the program, and those that its script adds.
fn commands() -> Vec<String> {
    let cli = fs::read_to_string(root().join("deploy/shop/src/cli.rs")).unwrap();
    let (_, list) = cli.split_once("enum Command {").expect("the program has commands");
    let list = list.split("\n}").next().unwrap();
    let variants = list.lines().filter_map(|line| {
        let name = line.strip_prefix("    ").filter(|l| l.starts_with(char::is_uppercase))?;
        name.split(['(', ' ', ',']).next()
    });
    let kebab = |name: &str| {
        let mut text = String::new();
        for sign in name.chars() {
            if sign.is_uppercase() && !text.is_empty() {
                text.push('-');
            }
            text.extend(sign.to_lowercase());
        }
        text
    };
    let mut commands: Vec<String> = variants.map(kebab).collect();
    assert!(commands.len() > 10, "{commands:?}");
    let script = fs::read_to_string(root().join("shop")).unwrap();
    // The arms of its `case`: `test) ...` or `simulate | model) ...`.
    for arm in script.lines().filter_map(|line| line.trim().split_once(')')).map(|(arm, _)| arm) {
        commands.extend(arm.split('|').map(|name| name.trim().to_owned()));
    }
    commands.push("help".into());
    commands
}

#[test]
fn every_command_on_a_page_is_one() {
    let commands = commands();
    let mut broken = Vec::new();
    for (path, text) in files("md") {
        for rest in text.split("./shop ").skip(1) {
            let name: String =
                rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            let is_one = name.is_empty() || name.starts_with('-') || commands.contains(&name);
            if !is_one {
                broken.push(format!("{path}: ./shop {name}"));
            }
        }
    }
    assert_none("commands", &broken);
}

#[test]
fn every_path_on_a_page_is_there() {
    let mut broken = Vec::new();
    for (path, text) in files("md") {
        // What was is history.
        if path == "CHANGELOG.md" {
            continue;
        }
        for named in quoted(&text) {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
            let is_path =
                TOP.iter().any(|top| named.starts_with(top)) && named.chars().all(is_plain);
            if is_path && !root().join(named).exists() {
                let folder = root().join(&path).parent().unwrap().to_owned();
                if !folder.join(named).exists() {
                    broken.push(format!("{path}: {named}"));
                }
            }
        }
    }
    assert_none("paths", &broken);
}

/// Words without a subject, and words that the glossary has replaced. In pages and comments a
/// sentence names its subject: the consumer, the instance, the operator.
const WORDS: [&str; 7] =
    ["nobody", "whoever", "somebody", "anybody", "everybody", "anew", "planted"];

/// The prose of a line of a source file: its comment.
fn comment(line: &str) -> &str {
    let line = line.trim_start();
    let whole = line.starts_with("//").then_some(line);
    whole.or_else(|| line.split_once(" // ").map(|(_, comment)| comment)).unwrap_or_default()
}

/// The lines of a page that are not fenced; those that are fenced are empty.
fn unfenced(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let prose = |line| {
        let fence = str::starts_with(str::trim_start(line), "```");
        fenced ^= fence;
        if fenced || fence { "" } else { line }
    };
    text.lines().map(prose).collect()
}

#[test]
fn a_sentence_names_its_subject() {
    // What was is history; this file lists the words.
    let read = |path: &str| path != "CHANGELOG.md" && !path.ends_with("tidy/pages.rs");
    let (pages, sources) = (files("md"), files("rs"));
    let pages = pages.iter().map(|(path, text)| (path, unfenced(text)));
    let sources = sources.iter().map(|(path, text)| (path, text.lines().map(comment).collect()));
    let mut broken = Vec::new();
    for (path, lines) in pages.chain(sources).filter(|(path, _)| read(path)) {
        for (number, line) in lines.iter().enumerate() {
            let line = line.to_lowercase();
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if let Some(word) = words.find(|word| WORDS.contains(word)) {
                broken.push(format!("{path}:{}: {word}", number + 1));
            }
        }
    }
    assert_none("a sentence names its subject", &broken);
}

#[test]
fn every_crate_says_what_does_not_belong_there() {
    let mut broken = Vec::new();
    for (path, _) in files("toml").into_iter().filter(|(path, _)| path.ends_with("/Cargo.toml")) {
        let own = path.trim_end_matches("/Cargo.toml");
        let readme = fs::read_to_string(root().join(own).join("README.md")).unwrap_or_default();
        let says = readme.to_lowercase().contains("does not belong here");
        if !says {
            broken.push(own.to_owned());
        }
    }
    assert_none("a README that says what does not belong here", &broken);
}

#[test]
fn pages_have_one_title_and_their_links_lead_somewhere() {
    let mut broken = Vec::new();
    for (path, text) in files("md") {
        let mut fenced = false;
        let mut titles = 0;
        for line in text.lines() {
            fenced ^= line.starts_with("```");
            titles += usize::from(!fenced && line.starts_with("# "));
        }
        if titles != 1 {
            broken.push(format!("{path}: {titles} titles"));
        }
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let file = link.split('#').next().unwrap();
            let folder = root().join(&path).parent().unwrap().to_owned();
            if !folder.join(file).exists() {
                broken.push(format!("{path}: {link} leads nowhere"));
            }
        }
    }
    assert_none("pages", &broken);
}
