//! Email on one screen: topic in -> handler -> topics out. The loop takes what it reads and writes
//! from here.

use contracts::topics::{EMAILS, Flow, ORDER_VIEWS};
use streams::{Source, UpTo};

/// All that email does because of a record.
pub static FLOWS: &[Flow] =
    &[Flow { from: &ORDER_VIEWS.spec, handler: "on_view_updated", to: &[&EMAILS.spec] }];

/// Where the state comes from: our own output, so to the end.
pub static SOURCES: [Source; 1] = [Source { topic: &EMAILS.spec, up_to: UpTo::End }];

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::{
        ServiceName,
        topics::{self, TopicSpec, Writers},
    };
    use std::{collections::BTreeSet, path::Path};

    fn names<'a>(topics: impl Iterator<Item = &'a &'static TopicSpec>) -> BTreeSet<&'static str> {
        topics.map(|topic| topic.name).collect()
    }

    #[test]
    fn the_registry_says_the_same() {
        let registry = topics::ALL.iter();
        let declared = names(registry.clone().filter(|t| t.readers.contains(&ServiceName::Email)));
        let sources: Vec<_> = SOURCES.iter().map(|source| source.topic).collect();
        assert_eq!(names(FLOWS.iter().map(|flow| &flow.from).chain(&sources)), declared);

        let own = names(registry.filter(|topic| {
            topic.writers == Writers::One(ServiceName::Email)
                && topic.name != topics::dlq(ServiceName::Email).name
        }));
        assert_eq!(names(FLOWS.iter().flat_map(|flow| flow.to)), own);
    }

    #[test]
    fn each_handler_is_a_file() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/handlers");
        for flow in FLOWS {
            assert!(folder.join(flow.handler).with_extension("rs").exists(), "{}", flow.handler);
        }
    }
}
