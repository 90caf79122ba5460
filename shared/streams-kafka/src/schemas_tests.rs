use super::*;
use std::sync::atomic::{AtomicBool, Ordering};

const INT: &str = r#"{"type":"record","name":"Int","fields":[{"name":"n","type":"int"}]}"#;
const TEXT: &str = r#"{"type":"record","name":"Text","fields":[{"name":"t","type":"string"}]}"#;

/// A registry that was told of these schemas, in this order: ids begin with 1. It may go away.
#[derive(Clone)]
struct Told(Vec<&'static str>, Arc<AtomicBool>);

impl Told {
    fn goes_away(&self) {
        self.1.store(true, Ordering::Relaxed);
    }

    fn answers(&self) -> Result<(), RegistryError> {
        let away = || RegistryError::Unavailable("away".to_owned());
        if self.1.load(Ordering::Relaxed) { Err(away()) } else { Ok(()) }
    }
}

impl SchemaRegistry for Told {
    fn id_of(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        self.answers()?;
        let place = self.0.iter().position(|known| is_same_schema(known, schema));
        let place = place.ok_or_else(|| RegistryError::Unknown(subject.to_owned()))?;
        Ok(u32::try_from(place).unwrap() + 1)
    }

    fn schema_by_id(&self, id: u32) -> Result<String, RegistryError> {
        self.answers()?;
        let found = self.0.get(usize::try_from(id).unwrap().wrapping_sub(1));
        let unknown = || RegistryError::Unknown(format!("schema id {id}"));
        found.map(ToString::to_string).ok_or_else(unknown)
    }
}

fn registry(schemas: &[&'static str]) -> Told {
    Told(schemas.to_vec(), Arc::default())
}

/// Compared with a log that knows Int as 1 and Text as 2.
fn checked(registry: Told) -> CheckedRegistry<Told> {
    CheckedRegistry::new(registry, || {
        let mut known = KnownSchemas::default();
        known.add(1, "ints-value", INT);
        known.add(2, "texts-value", TEXT);
        Ok(known)
    })
}

fn changed<T: std::fmt::Debug>(answer: Result<T, RegistryError>) -> String {
    match answer {
        Err(error @ RegistryError::Changed(_)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_registry_that_says_what_the_log_says_is_believed_and_may_know_more() {
    let more = r#"{"type":"record","name":"More","fields":[]}"#;
    let registry = checked(registry(&[INT, TEXT, more]));
    assert_eq!(registry.id_of("texts-value", TEXT).unwrap(), 2);
    assert_eq!(registry.id_of("more-value", more).unwrap(), 3);
    assert!(is_same_schema(&registry.schema_by_id(1).unwrap(), INT));
    assert!(matches!(registry.schema_by_id(9), Err(RegistryError::Unknown(_))));
}

#[test]
fn a_registry_that_has_lost_an_id_or_gives_it_to_another_schema_is_not_believed() {
    for (schemas, says) in [
        (&[][..], "no schema for id 1, which the log has for ints-value"),
        (&[INT], "no schema for id 2, which the log has for texts-value"),
        (&[TEXT, INT], "another schema for id 1, which the log has for ints-value"),
    ] {
        let registry = checked(registry(schemas));
        // Whatever it is asked for: nothing may be written while something cannot be read.
        for answer in [registry.id_of("ints-value", INT), registry.id_of("texts-value", TEXT)] {
            let why = changed(answer);
            assert!(why.contains(says) && why.contains("./shop provision schemas"), "{why}");
        }
    }
    // What is read is never taken for a stranger's.
    let registry = checked(registry(&[TEXT]));
    assert!(changed(registry.schema_by_id(1)).contains("another schema for id 1"));
    assert!(changed(registry.schema_by_id(2)).contains("no schema for id 2"));
}

#[test]
fn the_same_schema_under_a_second_id_is_not_believed() {
    let mut known = KnownSchemas::default();
    known.add(7, "ints-value", INT);
    let why = known.check_ours(8, "ints-value", INT).unwrap_err().to_string();
    assert!(why.contains("under id 8, the log under id 7"), "{why}");
    known.check_ours(7, "ints-value", INT).unwrap();
    known.check_ours(8, "texts-value", TEXT).unwrap();
}

#[test]
fn without_the_log_nothing_is_believed() {
    let registry = CheckedRegistry::new(registry(&[INT]), || anyhow::bail!("Kafka is away"));
    let why = registry.id_of("ints-value", INT).unwrap_err();
    assert!(matches!(&why, RegistryError::Unchecked(text) if text.contains("away")), "{why}");
    assert!(matches!(registry.schema_by_id(1), Err(RegistryError::Unchecked(_))));
}

#[test]
fn what_was_compared_is_read_without_the_registry_and_nothing_else_is() {
    let real = registry(&[INT, TEXT]);
    let never_compared = checked(real.clone());
    let compared = checked(real.clone());
    compared.id_of("ints-value", INT).unwrap();
    real.goes_away();
    assert_eq!(compared.schema_by_id(2).unwrap(), TEXT, "it was not asked for before");
    for unread in [compared.schema_by_id(3), never_compared.schema_by_id(2)] {
        assert!(matches!(unread, Err(RegistryError::Unavailable(_))), "{unread:?}");
    }
}
