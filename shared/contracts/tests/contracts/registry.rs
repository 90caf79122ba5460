//! The topic registry keeps its promises: one writer, one owner, a place to read each schema.

use contracts::{
    ServiceName,
    baton::STEPS,
    services::SERVICES,
    topics::{self, Cleanup, Key, Writers},
};
use std::collections::BTreeSet;

/// Inventory, which checks every line, and those that make a check of their own.
fn validators() -> impl Iterator<Item = &'static str> {
    let others = SERVICES.iter().filter(|row| row.extra_check.is_some());
    std::iter::once("inventory").chain(others.map(|row| row.name.as_str()))
}

#[test]
fn each_topic_has_one_writer_or_one_per_transition_and_check() {
    for topic in topics::ALL {
        match topic.writers {
            Writers::One(_) | Writers::Cdc => {}
            Writers::AnyProcess => {
                assert!(topic.name.ends_with(".commands"), "{} is no command topic", topic.name);
            }
            Writers::Several(services) => {
                let expected: BTreeSet<_> = match topic.name {
                    "orders" => STEPS.into_iter().map(|step| step.writer.as_str()).collect(),
                    "order-validations" => validators().collect(),
                    other => panic!("{other} has several writers"),
                };
                assert_eq!(services.iter().copied().collect::<BTreeSet<_>>(), expected);
            }
        }
    }
}

#[test]
fn the_folder_of_a_schema_names_the_topics_writer() {
    for topic in topics::ALL {
        for schema in (topic.schemas)() {
            let owner = schema.path.split_once('/').expect("a folder").0;
            match topic.writers {
                Writers::One(service) => assert_eq!(owner, service, "{}", topic.name),
                Writers::Cdc => assert_eq!(owner, "catalog", "{}", topic.name),
                // The owner of the answer owns the schema of the question, and of the order.
                Writers::AnyProcess | Writers::Several(_) => {
                    let stem = topic.name.split(['.', '-']).next().expect("one part at least");
                    let stem = if stem == "order" { "orders" } else { stem };
                    assert_eq!(owner, stem, "{}", topic.name);
                }
            }
        }
    }
}

#[test]
fn names_and_subjects_are_unique_and_each_service_has_dead_letters() {
    let names: BTreeSet<_> = topics::ALL.into_iter().map(|topic| topic.name).collect();
    assert_eq!(names.len(), topics::ALL.len());
    let subjects: Vec<_> = topics::ALL
        .into_iter()
        .flat_map(|topic| (topic.schemas)().iter().map(|schema| topic.subject(schema)))
        .collect();
    assert_eq!(subjects.iter().collect::<BTreeSet<_>>().len(), subjects.len());
    assert!(subjects.contains(&"orders-value".to_owned()));
    assert!(subjects.contains(&"orders.commands-murmuration.orders.PlaceOrder".to_owned()));
    for service in ServiceName::ALL {
        assert_eq!(topics::dlq(service).name, format!("{service}.dlq"));
        assert!(names.contains(topics::dlq(service).name));
    }
}

#[test]
fn the_system_of_record_is_never_deleted() {
    assert_eq!(topics::ORDERS.spec.cleanup, Cleanup::Keep);
    assert!(topics::ORDERS.spec.config().contains(&("retention.ms", "-1".into())));
}

#[test]
fn a_reservation_stands_on_its_skus_partition() {
    let key = "TEA/0192d3a0-7b1c-7e2a-9c3d-5f0a1b2c3d4e";
    let parsed = contracts::inventory::StockEntryKey::from_bytes(key.as_bytes()).expect("a key");
    assert_eq!(parsed.to_bytes(), key.as_bytes());
    assert_eq!(parsed.partition_by(), Some(b"TEA".to_vec()));
}
