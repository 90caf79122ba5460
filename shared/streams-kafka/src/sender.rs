//! [`Sender`]: single records from the edge of the system, such as commands from HTTP.

use crate::{
    access::{Heard, explain},
    client::{producer_config, to_headers},
    polled::Polled,
};
use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    error::KafkaError,
    producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext},
};
use std::{
    marker::PhantomData,
    sync::{Arc, Mutex, PoisonError},
};
use streams::{
    Cluster, Codec, Fact, Failure, Owns, Service, Timestamp,
    avro::Message,
    lineage::Cause,
    partition::partition_for,
    topic::{Key, Topic},
    tracer,
};
use tokio::sync::oneshot;
use tracing::{debug, warn};

/// Why a record was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It can never be sent.
    #[error("{0}")]
    Invalid(String),
    /// The registry has not given the id of its schema: nothing was sent.
    #[error("nothing was sent: {0}")]
    NoSchema(String),
    /// Not acknowledged in time: it may or may not arrive. Sending it again under the same ids is
    /// safe.
    #[error("not acknowledged: {0}")]
    Unavailable(String),
}

#[derive(Default)]
struct Quiet(Heard);

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        debug!(?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!("{error}: {reason}");
        self.0.hear(&error, reason);
    }
}

impl ProducerContext for Quiet {
    type DeliveryOpaque = Box<oneshot::Sender<Result<(), KafkaError>>>;

    fn delivery(&self, result: &DeliveryResult<'_>, acknowledge: Self::DeliveryOpaque) {
        let answer = result.as_ref().map(drop).map_err(|(error, _)| error.clone());
        // The caller may have left.
        let _ = acknowledge.send(answer);
    }
}

struct Producer {
    polled: Polled<Quiet>,
    heard: Heard,
}

/// Sends facts that `S` owns, one by one, with an idempotent producer and `acks=all`. Cheap to
/// clone; the producer is shared.
pub struct Sender<S> {
    bootstrap: Arc<str>,
    /// None while it cannot be made, as for want of its password.
    producer: Arc<Mutex<Option<Arc<Producer>>>>,
    codec: Codec,
    /// Why the registry gave no ids when it was asked last.
    no_schema: Arc<Mutex<String>>,
    /// Whose turn it is to ask.
    turn: Arc<tokio::sync::Mutex<()>>,
    identity: PhantomData<fn() -> S>,
}

impl<S> Clone for Sender<S> {
    fn clone(&self) -> Self {
        let (producer, codec) = (Arc::clone(&self.producer), self.codec.clone());
        let bootstrap = Arc::clone(&self.bootstrap);
        let (no_schema, turn) = (Arc::clone(&self.no_schema), Arc::clone(&self.turn));
        Self { bootstrap, producer, codec, no_schema, turn, identity: PhantomData }
    }
}

impl<S: Service> Sender<S> {
    /// A sender. Kafka need not be there yet, nor the file with our password.
    ///
    /// # Errors
    /// When `bootstrap` is no address of Kafka.
    pub fn new(bootstrap: &str, codec: Codec) -> anyhow::Result<Self> {
        bootstrap.parse::<Cluster>().map_err(anyhow::Error::msg)?;
        let no_schema = Arc::new(Mutex::new("the schema registry has not answered yet".to_owned()));
        let sender = Self {
            bootstrap: bootstrap.into(),
            producer: Arc::default(),
            codec,
            no_schema,
            turn: Arc::default(),
            identity: PhantomData,
        };
        if let Err(why) = sender.producer() {
            debug!("{why:#}");
        }
        Ok(sender)
    }

    /// The producer of now. One whose login was refused is not used again: the next one has the
    /// password of then. Nor is one with a fatal error, as librdkafka ends it for good: Kafka may
    /// have denied it what an operator allows since.
    fn producer(&self) -> anyhow::Result<Arc<Producer>> {
        let mut known = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*known {
            return Ok(Arc::clone(known));
        }
        let config = producer_config(&self.bootstrap, &format!("{}-commands", S::NAME), None)?;
        let heard = Heard::default();
        let polled = config.create_with_context(Quiet(heard.clone()))?;
        Ok(Arc::clone(known.insert(Arc::new(Producer { polled, heard }))))
    }

    /// Why `producer` has failed.
    fn explained(&self, producer: &Arc<Producer>, error: KafkaError) -> String {
        let refused = producer.heard.take();
        let fatal = producer.polled.client().fatal_error();
        if let Some((code, why)) = &fatal {
            warn!("the producer of commands has ended, and another one begins: {code}: {why}");
        }
        if refused.is_some() || fatal.is_some() {
            let mut known = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
            known.take_if(|known| Arc::ptr_eq(known, producer));
        }
        let error = explain(error.into());
        match refused {
            Some(why) => format!("{why}: {error:#}"),
            None => format!("{error:#}"),
        }
    }

    /// Send `fact`, and wait for its acknowledgement, about five seconds at most.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send<K, V, F>(
        &self,
        topic: &'static Topic<K, V>,
        key: &K,
        fact: &F,
        cause: Cause,
    ) -> Result<(), SendError>
    where
        K: Key,
        V: Message,
        F: Fact<V>,
        S: Owns<F>,
    {
        if !self.codec.knows(&topic.spec) {
            // One asks, and the others do not wait: a slow registry would hold up all of them.
            let Ok(_turn) = self.turn.try_lock() else {
                let why = self.no_schema.lock().unwrap_or_else(PoisonError::into_inner).clone();
                return Err(SendError::NoSchema(why));
            };
            // On a thread that may block.
            let codec = self.codec.clone();
            let asked = tokio::task::spawn_blocking(move || codec.warm_up(&[&topic.spec])).await;
            let why = match asked {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(why) = why {
                self.no_schema.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&why);
                return Err(SendError::NoSchema(why));
            }
        }
        let value = self.codec.encode(&topic.spec, fact.value()).map_err(|error| match error {
            Failure::Poison(cause) => SendError::Invalid(cause),
            Failure::Retriable(error) | Failure::Fatal(error) => {
                SendError::Unavailable(format!("{error:#}"))
            }
        })?;
        let key_bytes = key.to_bytes();
        let place = key.partition_by();
        let partition =
            partition_for(place.as_deref().unwrap_or(&key_bytes), topic.spec.partitions());
        let subject = String::from_utf8_lossy(&key_bytes);
        let now = Timestamp::now();
        let mut headers = cause.headers::<S>(fact.name(), &subject, now);
        let mut span = tracer::send(topic.name(), partition, &mut headers);
        let (acknowledge, acknowledged) = oneshot::channel();
        let record = BaseRecord::with_opaque_to(topic.name(), Box::new(acknowledge))
            .partition(partition)
            .key(&key_bytes)
            .payload(&value)
            .headers(to_headers(&headers));
        let producer = self.producer().map_err(|why| SendError::Unavailable(format!("{why:#}")))?;
        let answer = match producer.polled.send(record) {
            Ok(()) => acknowledged.await.unwrap_or(Err(KafkaError::Canceled)),
            Err((error, _)) => Err(error),
        };
        answer.map_err(|error| {
            let cause = self.explained(&producer, error);
            span.iter_mut().for_each(|span| span.fail(&cause));
            SendError::Unavailable(cause)
        })
    }
}
