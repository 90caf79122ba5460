//! What a service's row in [`contracts::services`] must be: the truth.

use contracts::{
    ServiceName,
    topics::{self, TopicSpec, Writers},
};
use std::{collections::BTreeSet, path::Path};

/// Check that `service` writes just what the topics say that it may, and that each input is a file
/// of its own below `crate_folder`.
///
/// # Panics
/// When it does not.
pub fn assert_topology(service: ServiceName, crate_folder: &str) {
    let dead_letters = topics::dlq(service).name;
    let is_fact = |t: &&TopicSpec| t.name != dead_letters && t.writers.includes(service.as_str());
    let mine = topics::ALL.into_iter().filter(is_fact);
    // Any process may write commands; the registry does not name which ones do.
    let written = topics::outputs(service.spec().flows());
    let facts = written.into_iter().filter(|topic| topic.writers != Writers::AnyProcess);
    assert_eq!(names(facts), names(mine), "what {service} writes");

    for input in service.spec().flows().map(|flow| flow.handler) {
        let source = Path::new(crate_folder).join("src");
        let file = [format!("inputs/{input}.rs"), format!("handlers/on_{input}.rs")];
        assert!(file.iter().any(|file| source.join(file).is_file()), "{input} has no file");
    }
}

fn names(topics: impl IntoIterator<Item = &'static TopicSpec>) -> BTreeSet<&'static str> {
    topics.into_iter().map(|topic| topic.name).collect()
}
