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
    let declared = topics::ALL.into_iter().filter(|topic| topic.readers.contains(&service));
    assert_eq!(names(read), names(declared), "what {service} reads");

    let dead_letters = topics::dlq(service).name;
    let mine = topics::ALL.into_iter().filter(|t| t.name != dead_letters && may_write(t, service));
    // Anyone may write commands; the registry does not name who does.
    let written = topics::outputs(flows);
    let facts = written.into_iter().filter(|topic| topic.writers != Writers::AnyProcess);
    assert_eq!(names(facts), names(mine), "what {service} writes");

    let handlers = Path::new(crate_folder).join("src/handlers");
    for handler in flows.iter().map(|flow| flow.handler) {
        assert!(handlers.join(format!("{handler}.rs")).is_file(), "{handler} has no file");
    }
}

fn may_write(topic: &TopicSpec, service: ServiceName) -> bool {
    match topic.writers {
        Writers::One(writer) => writer == service,
        Writers::ByTransition(writers) => writers.contains(&service),
        Writers::AnyProcess | Writers::Cdc => false,
    }
}

fn names(topics: impl IntoIterator<Item = &'static TopicSpec>) -> BTreeSet<&'static str> {
    topics.into_iter().map(|topic| topic.name).collect()
}
