//! What `docs/security.md` claims: each test that it names is there.

use super::{assert_none, root};
use std::fs;

/// What stands in backticks in the last cell of a row: a file, and then its tests.
fn proofs(row: &str) -> Vec<&str> {
    let cell = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_test_that_the_page_of_security_names_is_there() {
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let (mut broken, mut named) = (Vec::new(), 0);
    let rows = page.lines().skip_while(|line| !line.starts_with("## OWASP"));
    let is_row = |line: &&str| {
        line.starts_with("| ") && !line.starts_with("| requirement") && !line.starts_with("| risk")
    };
    for row in rows.filter(is_row) {
        let [file, tests @ ..] = &proofs(row)[..] else {
            broken.push(format!("{row} has no test"));
            continue;
        };
        let text = fs::read_to_string(root().join(file)).unwrap_or_default();
        for test in tests {
            named += 1;
            let is_test = text.split("#[test]").chain(text.split("#[tokio::test")).any(|part| {
                let function = part.split("fn ").nth(1).unwrap_or_default();
                function.split('(').next() == Some(test)
            });
            if !is_test {
                broken.push(format!("{file} has no test {test}"));
            }
        }
        if tests.is_empty() {
            broken.push(format!("{row} names no test"));
        }
    }
    assert!(named > 20, "only {named} tests are named");
    assert_none("the tests of docs/security.md", &broken);
}
