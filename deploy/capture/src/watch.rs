//! [`watch`]: says once what is wrong with the capture of a running shop, and once that it is well
//! again.

use std::time::Duration;

use client::Progress;
use tokio_util::sync::CancellationToken;

use crate::{Addresses, Finding, look};

/// How often it looks. What it sees twice in a row is said, so within a minute.
const EVERY: Duration = Duration::from_secs(30);

/// Looks until `stop`, and prints what it finds.
pub async fn watch(addresses: Addresses, progress: Progress, stop: CancellationToken) {
    let watching = async {
        let (mut before, mut said) = (Vec::new(), Vec::new());
        loop {
            tokio::time::sleep(EVERY).await;
            let seen = look(&addresses).await;
            let found: Vec<_> = seen.into_iter().flat_map(|seen| seen.findings).collect();
            for line in news(&mut before, &mut said, found) {
                progress.step("capture", line);
            }
        }
    };
    tokio::select! {
        () = watching => {}
        () = stop.cancelled() => {}
    }
}

/// What is to be said about `found`: each finding that was there `before`, too, and was not `said`;
/// and that nothing is left of what was said. Ages and counts change, so a finding is the same if
/// subject and way out are.
fn news(before: &mut Vec<Finding>, said: &mut Vec<Finding>, found: Vec<Finding>) -> Vec<String> {
    let same = |one: &Finding, other: &Finding| {
        (&one.subject, &one.way_out) == (&other.subject, &other.way_out)
    };
    let is_in = |all: &[Finding], one: &Finding| all.iter().any(|other| same(one, other));
    let mut lines = Vec::new();
    for finding in found.iter().filter(|finding| is_in(before, finding)) {
        if !is_in(said, finding) {
            lines.push(finding.to_string());
            said.push(finding.clone());
        }
    }
    said.retain(|finding| {
        let stays = is_in(&found, finding) || is_in(before, finding);
        if !stays {
            lines.push(format!("{}: well again ({})", finding.subject, finding.what));
        }
        stays
    });
    *before = found;
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(what: &str) -> Finding {
        Finding { subject: "catalog".into(), what: what.into(), way_out: "wait".into() }
    }

    #[test]
    fn what_stays_wrong_is_said_once_and_so_is_its_end() {
        let (mut before, mut said) = (Vec::new(), Vec::new());
        let mut look = |found: &[&str]| {
            news(&mut before, &mut said, found.iter().map(|what| finding(what)).collect())
        };
        assert_eq!(look(&["silent for 46 s"]), [""; 0], "it may be over in a moment");
        assert_eq!(look(&[]), [""; 0]);
        assert_eq!(look(&["silent for 46 s"]), [""; 0]);
        assert_eq!(look(&["silent for 61 s"]), ["catalog: silent for 61 s; wait"]);
        assert_eq!(look(&["silent for 76 s"]), [""; 0]);
        assert_eq!(look(&[]), [""; 0]);
        assert_eq!(look(&[]), ["catalog: well again (silent for 61 s)"]);
        assert_eq!(look(&[]), [""; 0]);
    }
}
