//! What a service's row in [`contracts::services`] must be: the truth.

use crate::orders;
use contracts::{
    Order, ServiceName,
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

/// Check what `service` writes because of an order on `from`, for each step of the baton table.
/// `wrote` gives the kinds of record, or the topics where the table names no kinds. Flows that
/// write to none of `to` are left out.
///
/// # Panics
/// When it writes something else than the flows in the table say.
pub fn assert_reactions(
    service: ServiceName,
    from: &TopicSpec,
    to: &[&TopicSpec],
    mut wrote: impl FnMut(&Order) -> Vec<&'static str>,
) {
    for order in orders::each_step() {
        let status = order.status.as_str();
        let flows = service.spec().flows().filter(|flow| {
            let is_there = flow.to.iter().any(|topic| to.iter().any(|t| t.name == topic.name));
            flow.from.name == from.name && flow.acts_upon(status) && is_there
        });
        let declared = flows.flat_map(|flow| match flow.gives {
            [] => flow.to.iter().map(|topic| topic.name).collect(),
            gives => gives.to_vec(),
        });
        let wrote: BTreeSet<_> = wrote(&order).into_iter().collect();
        assert_eq!(
            wrote,
            declared.collect(),
            "what {service} writes about an order that is {status}"
        );
    }
}

fn names(topics: impl IntoIterator<Item = &'static TopicSpec>) -> BTreeSet<&'static str> {
    topics.into_iter().map(|topic| topic.name).collect()
}
