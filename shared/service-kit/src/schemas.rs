//! Waiting for the schema registry: a service that cannot encode what it sends is not ready.

use streams::{Codec, RegistryError, topic::TopicSpec};
use tokio::task::spawn_blocking;

use crate::{
    backoff::{Outage, until_available},
    config::without_secrets,
    health::Readiness,
    run::Shutdown,
};

/// Waits until the registry at `url` has given the ids of everything that may be sent to `topics`,
/// so that no look-up is left for later; `check` is down until then, and says why. False if the
/// process was asked to stop first.
///
/// # Errors
/// When the registry refuses one of our schemas: waiting would not make it compatible.
pub async fn until_known(
    codec: &Codec,
    topics: &[&'static TopicSpec],
    url: &str,
    check: &Readiness,
    shutdown: &Shutdown,
) -> anyhow::Result<bool> {
    let outage = Outage::new("the schema registry", without_secrets(url));
    let look_up = || async {
        let (codec, topics) = (codec.clone(), topics.to_vec());
        match spawn_blocking(move || codec.warm_up(&topics)).await? {
            Err(error @ RegistryError::Incompatible { .. }) => Ok(Err(error)),
            Err(error) => Err(error.into()),
            Ok(()) => anyhow::Ok(Ok(())),
        }
    };
    match until_available(outage, check, shutdown, look_up).await {
        Some(known) => known.map(|()| true).map_err(Into::into),
        None => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use streams::{
        MemoryRegistry, SchemaRegistry,
        avro::SchemaFile,
        topic::{Cleanup, PartitionCount, Writers},
    };

    use super::*;
    use crate::health::Health;

    static SCHEMA: SchemaFile =
        SchemaFile::new("any/Any.avsc", r#"{"type":"record","name":"Any","fields":[]}"#);
    static SCHEMAS: &[&SchemaFile] = &[&SCHEMA];
    static TOPIC: TopicSpec = TopicSpec {
        name: "any",
        key: "any",
        value: "any",
        schemas: || SCHEMAS,
        writers: Writers::AnyProcess,
        partitions: PartitionCount::Fixed(1),
        cleanup: Cleanup::Keep,
    };

    struct Refusing;

    impl SchemaRegistry for Refusing {
        fn id_of(&self, subject: &str, _: &str) -> Result<u32, RegistryError> {
            Err(RegistryError::Incompatible { subject: subject.to_owned(), detail: "so".into() })
        }

        fn schema_by_id(&self, _: u32) -> Result<String, RegistryError> {
            unreachable!("it writes")
        }
    }

    #[tokio::test]
    async fn the_check_is_up_when_the_ids_are_known_and_a_refusal_is_final() {
        let (health, shutdown) = (Health::new(), Shutdown::new());
        let check = health.check("schemas");
        let codec = Codec::new(Arc::new(MemoryRegistry::default()));
        assert!(until_known(&codec, &[&TOPIC], "memory", &check, &shutdown).await.unwrap());
        assert!(health.is_ready() && codec.knows(&TOPIC));
        let codec = Codec::new(Arc::new(Refusing));
        assert!(until_known(&codec, &[&TOPIC], "refusing", &check, &shutdown).await.is_err());
    }
}
