//! The service on one screen: topic in -> handler -> topics out.

use contracts::topics::{Flow, ORDERS, TopicSpec, dlq};
use contracts::{Service, owns::Payments};

/// What payments reads, what handles it, and what is written because of it (by way of the outbox).
pub static FLOWS: [Flow; 2] = [
    Flow { from: &ORDERS.spec, handler: "on_order_validated", to: &[&ORDERS.spec] },
    Flow { from: &ORDERS.spec, handler: "on_order_cancelled", to: &[&ORDERS.spec] },
];

/// The topics to read, each once.
pub fn inputs() -> Vec<&'static TopicSpec> {
    distinct(FLOWS.iter().map(|flow| flow.from))
}

/// The topics to write, each once, the dead letters last.
pub fn outputs() -> Vec<&'static TopicSpec> {
    let flows = FLOWS.iter().flat_map(|flow| flow.to.iter().copied());
    distinct(flows.chain([dlq(Payments::NAME)]))
}

fn distinct(topics: impl Iterator<Item = &'static TopicSpec>) -> Vec<&'static TopicSpec> {
    let mut seen = Vec::<&'static TopicSpec>::new();
    for topic in topics {
        if seen.iter().all(|other| other.name != topic.name) {
            seen.push(topic);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::{
        ServiceName,
        topics::{ALL, Writers},
    };
    use std::{collections::BTreeSet, path::Path};

    fn names(topics: impl IntoIterator<Item = &'static TopicSpec>) -> BTreeSet<&'static str> {
        topics.into_iter().map(|topic| topic.name).collect()
    }

    fn writes(topic: &TopicSpec) -> bool {
        match topic.writers {
            Writers::One(writer) => writer == ServiceName::Payments,
            Writers::ByTransition(writers) => writers.contains(&ServiceName::Payments),
            Writers::AnyProcess | Writers::Cdc => false,
        }
    }

    #[test]
    fn the_registry_agrees() {
        let read = ALL.into_iter().filter(|topic| topic.readers.contains(&ServiceName::Payments));
        assert_eq!(names(inputs()), names(read));
        assert_eq!(names(outputs()), names(ALL.into_iter().filter(|topic| writes(topic))));
    }

    #[test]
    fn every_handler_has_its_file() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/handlers");
        for Flow { handler, .. } in &FLOWS {
            assert!(folder.join(format!("{handler}.rs")).is_file(), "{handler} has no file");
        }
    }
}
