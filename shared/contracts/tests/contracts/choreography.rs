//! The page about the choreography says what the code says, and the flows say what the baton says.

pub(crate) mod page;
mod walk;

use crate::{assert_fresh, short};
use contracts::{
    ServiceName, Status,
    baton::STEPS,
    topics::{ORDER_VIEWS, ORDERS, TopicSpec},
};
use page::markdown;
use std::collections::BTreeSet;

/// The kinds of record on `topic`: where it carries whole orders, their statuses; else its record
/// types.
fn kinds_on(topic: &TopicSpec) -> Vec<String> {
    if [ORDERS.name(), ORDER_VIEWS.name()].contains(&topic.name) {
        return Status::ALL.map(|status| status.to_string()).to_vec();
    }
    (topic.schemas)().iter().map(|schema| short(schema).to_owned()).collect()
}

#[test]
fn the_page_is_fresh() {
    assert_fresh("docs/choreography.md", &markdown());
}

#[test]
fn a_flow_names_kinds_that_its_topics_carry() {
    for service in ServiceName::ALL {
        for flow in service.spec().flows() {
            let read = kinds_on(flow.from);
            let written: Vec<_> = flow.to.iter().flat_map(|topic| kinds_on(topic)).collect();
            let name = |kind: &&&str| (**kind).to_owned();
            let wrong_on = flow.on.iter().find(|kind| !read.contains(&name(kind)));
            let wrong_gives = flow.gives.iter().find(|kind| !written.contains(&name(kind)));
            assert_eq!((wrong_on, wrong_gives), (None, None), "{service}: {}", flow.handler);
        }
    }
}

#[test]
fn a_service_gives_the_steps_of_which_it_holds_the_baton() {
    for service in ServiceName::ALL {
        let to_orders = |flow: &&contracts::topics::Flow| {
            flow.to.iter().any(|topic| topic.name == ORDERS.name())
        };
        let gives: BTreeSet<_> =
            service.spec().flows().filter(to_orders).flat_map(|f| f.gives).copied().collect();
        let steps = STEPS.into_iter().filter(|step| step.writer == service);
        let steps: BTreeSet<_> = steps.map(|step| step.to.as_str()).collect();
        assert_eq!(gives, steps, "{service}");
    }
}
