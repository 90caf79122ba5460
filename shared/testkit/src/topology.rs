//! What every `topology.rs` must be: the truth.

use contracts::{
    ServiceName,
    topics::{self, Flow, TopicSpec, Writers},
};
use std::{collections::BTreeSet, path::Path};

/// Check that `flows`, and what is read `besides` them, are just what the registry says that
/// `service` reads and writes, and that each handler is a file of its own below `crate_folder`.
///
/// # Panics
/// When they are not.
pub fn assert_topology(
    service: ServiceName,
    flows: &[Flow],
    besides: &[&'static TopicSpec],
    crate_folder: &str,
) {
    let read = topics::inputs(flows).into_iter().chain(besides.iter().copied());
    let declared =
        topics::ALL.into_iter().filter(|topic| topic.readers.contains(&service.as_str()));
    assert_eq!(names(read), names(declared), "what {service} reads");

    let dead_letters = topics::dlq(service).name;
    let is_fact = |t: &&TopicSpec| t.name != dead_letters && t.writers.includes(service.as_str());
    let mine = topics::ALL.into_iter().filter(is_fact);
    // Anyone may write commands; the registry does not name who does.
    let written = topics::outputs(flows);
    let facts = written.into_iter().filter(|topic| topic.writers != Writers::AnyProcess);
    assert_eq!(names(facts), names(mine), "what {service} writes");

    for handler in flows.iter().map(|flow| flow.handler) {
        let folder = if handler.starts_with("on_") { "src/handlers" } else { "src/inputs" };
        let file = Path::new(crate_folder).join(folder).join(format!("{handler}.rs"));
        assert!(file.is_file(), "{handler} has no file");
    }
}

fn names(topics: impl IntoIterator<Item = &'static TopicSpec>) -> BTreeSet<&'static str> {
    topics.into_iter().map(|topic| topic.name).collect()
}
