//! The known writers' schemas by id, and the ids that the registry does not know.
//!
//! Any process may have written a record with an id, so both are bounded: garbage must not cost a
//! request to the registry per record, nor unbounded memory.

use crate::{Failure, RegistryError, SchemaRegistry, avro::foreign};
use apache_avro::Schema;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

/// Most writers' schemas that are kept. Beyond, all are dropped, and met again as they come.
const WRITERS_MAX: usize = 256;

/// Longest schema text that is parsed, in bytes. Ours have 10 KB at most.
const SCHEMA_BYTES_MAX: usize = 256 * 1024;

/// Most ids that are kept as refused. Beyond, all are dropped.
const REFUSED_MAX: usize = 1_024;

/// How long an id that was refused is not asked for again. Not for ever: the schema may be
/// registered later.
const REFUSED_FOR: Duration = Duration::from_secs(5);

/// Longest cause that is kept with a refused id, in characters: a parser's may quote the schema.
const CAUSE_CHARS_MAX: usize = 300;

/// A writer's schema.
pub(super) struct Writer {
    pub(super) schema: Schema,
    pub(super) name: String,
    pub(super) canonical: String,
}

/// Every record that cannot be read for the sake of its schema id is poison, for this reason.
struct Refused {
    cause: String,
    until: Instant,
}

/// See the module.
#[derive(Default)]
pub(super) struct Writers {
    known: RwLock<HashMap<u32, Arc<Writer>>>,
    refused: Mutex<HashMap<u32, Refused>>,
}

impl Writers {
    /// The schema with this id, which `registry` is asked for if it is not known.
    ///
    /// # Errors
    /// [`Failure::Poison`] if there is none, or none that can be used; [`Failure::Retriable`] if
    /// the registry is away.
    pub(super) fn get(
        &self,
        id: u32,
        registry: &dyn SchemaRegistry,
        now: Instant,
    ) -> Result<Arc<Writer>, Failure> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if let Some(writer) = known {
            return Ok(writer);
        }
        if let Some(cause) = self.refused(id, now) {
            return Err(Failure::Poison(cause));
        }
        match ask(id, registry) {
            Ok(writer) => {
                let writer = Arc::new(writer);
                let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
                if known.len() >= WRITERS_MAX {
                    known.clear();
                }
                known.insert(id, Arc::clone(&writer));
                Ok(writer)
            }
            Err(Failure::Poison(cause)) => {
                self.refuse(id, &cause, now);
                Err(Failure::Poison(cause))
            }
            Err(failure) => Err(failure),
        }
    }

    fn refused(&self, id: u32, now: Instant) -> Option<String> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get(&id).filter(|refused| now < refused.until).map(|refused| refused.cause.clone())
    }

    fn refuse(&self, id: u32, cause: &str, now: Instant) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() >= REFUSED_MAX {
            refused.clear();
        }
        let cause = cause.chars().take(CAUSE_CHARS_MAX).collect();
        refused.insert(id, Refused { cause, until: now + REFUSED_FOR });
    }
}

fn ask(id: u32, registry: &dyn SchemaRegistry) -> Result<Writer, Failure> {
    let text = registry.schema_by_id(id).map_err(|error| match error {
        RegistryError::Unknown(_) => Failure::poison(error),
        other => Failure::retriable(other),
    })?;
    if text.len() > SCHEMA_BYTES_MAX {
        let bytes = text.len();
        return Err(Failure::Poison(format!(
            "schema id {id} has {bytes} bytes, more than {SCHEMA_BYTES_MAX}"
        )));
    }
    let schema = foreign::parse(&text)
        .map_err(|error| Failure::Poison(format!("schema id {id} is no Avro: {error}")))?;
    let name = schema.name().map(ToString::to_string).unwrap_or_else(|| "no record".into());
    Ok(Writer { canonical: schema.canonical_form(), schema, name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const NUMBER: &str = r#"{"type":"record","name":"N","fields":[{"name":"n","type":"int"}]}"#;

    /// Counts the questions, and answers all of them the same way.
    #[derive(Default)]
    struct Counting {
        questions: AtomicUsize,
        answer: Mutex<Option<String>>,
        away: bool,
    }

    impl Counting {
        fn answering(text: impl Into<String>) -> Self {
            Self { answer: Mutex::new(Some(text.into())), ..Self::default() }
        }

        fn questions(&self) -> usize {
            self.questions.load(Ordering::Relaxed)
        }
    }

    impl SchemaRegistry for Counting {
        fn id_of(&self, _: &str, _: &str) -> Result<u32, RegistryError> {
            unreachable!("nothing is written")
        }

        fn schema_by_id(&self, id: u32) -> Result<String, RegistryError> {
            self.questions.fetch_add(1, Ordering::Relaxed);
            if self.away {
                return Err(RegistryError::Unavailable("as asked".into()));
            }
            let answer = self.answer.lock().unwrap().clone();
            answer.ok_or_else(|| RegistryError::Unknown(format!("schema id {id}")))
        }
    }

    fn cause(result: Result<Arc<Writer>, Failure>) -> String {
        match result {
            Err(Failure::Poison(cause)) => cause,
            Err(failure) => panic!("not poison: {failure:?}"),
            Ok(writer) => panic!("not poison: {}", writer.name),
        }
    }

    #[test]
    fn an_unknown_id_is_asked_for_once_in_a_while_and_found_when_it_is_registered() {
        let (writers, registry, start) = (Writers::default(), Counting::default(), Instant::now());
        for _ in 0..100 {
            assert!(cause(writers.get(404, &registry, start)).contains("schema id 404"));
        }
        assert_eq!(registry.questions(), 1);
        *registry.answer.lock().unwrap() = Some(NUMBER.into());
        let late = start + REFUSED_FOR;
        assert_eq!(writers.get(404, &registry, late).ok().unwrap().name, "N");
        assert!(writers.get(404, &registry, late).is_ok());
        assert_eq!(registry.questions(), 2);
    }

    #[test]
    fn a_registry_that_is_away_is_asked_again_at_once() {
        let registry = Counting { away: true, ..Counting::default() };
        let (writers, now) = (Writers::default(), Instant::now());
        for _ in 0..3 {
            assert!(matches!(writers.get(1, &registry, now), Err(Failure::Retriable(_))));
        }
        assert_eq!(registry.questions(), 3);
    }

    #[test]
    fn what_is_no_schema_or_too_long_is_poison_that_is_not_asked_for_again() {
        let long = " ".repeat(SCHEMA_BYTES_MAX + 1);
        for (text, why) in [("{".to_owned(), "is no Avro"), (long, "more than 262144")] {
            let (writers, registry) = (Writers::default(), Counting::answering(text));
            let now = Instant::now();
            for _ in 0..2 {
                assert!(cause(writers.get(7, &registry, now)).contains(why));
            }
            assert_eq!(registry.questions(), 1);
        }
    }

    #[test]
    fn neither_schemas_nor_refusals_are_kept_without_bound() {
        let (writers, now) = (Writers::default(), Instant::now());
        let (known, unknown) = (Counting::answering(NUMBER), Counting::default());
        for id in 0..5_000 {
            assert!(writers.get(id, &known, now).is_ok());
            assert!(writers.get(1_000_000 + id, &unknown, now).is_err());
        }
        assert!(writers.known.read().unwrap().len() <= WRITERS_MAX);
        assert!(writers.refused.lock().unwrap().len() <= REFUSED_MAX);
        assert!(writers.get(4_999, &known, now).is_ok());
        assert_eq!(known.questions(), 5_000, "the last one is still known");
    }
}
