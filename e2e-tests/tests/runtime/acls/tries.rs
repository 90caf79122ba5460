//! What a user of Kafka can do: tried, not asked.

use rdkafka::{
    ClientConfig, ClientContext, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    metadata::MetadataTopic,
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use testkit::PATIENCE;

/// What the broker has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was done.
    Allowed,
    /// Kafka's authorizer said no.
    Denied,
    /// Neither.
    Other(String),
}

impl Answer {
    fn of(error: &KafkaError) -> Self {
        error.rdkafka_error_code().map_or_else(|| Self::Other(error.to_string()), Self::of_code)
    }

    fn of_code(code: RDKafkaErrorCode) -> Self {
        use RDKafkaErrorCode as Code;
        match code {
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::ClusterAuthorizationFailed => Self::Denied,
            other => Self::Other(other.to_string()),
        }
    }
}

/// A user, whose password is its name.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    pub bootstrap: &'a str,
    pub name: &'a str,
}

impl Login<'_> {
    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.bootstrap)
            .set("client.id", self.name)
            .set("security.protocol", "sasl_plaintext")
            .set("sasl.mechanism", "PLAIN")
            .set("sasl.username", self.name)
            .set("sasl.password", self.name)
            .set("allow.auto.create.topics", "false")
            .set_log_level(RDKafkaLogLevel::Emerg);
        config
    }

    /// Make topics.
    pub async fn make(&self, topics: &[&str]) -> Vec<Answer> {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let new = |name| NewTopic::new(name, 1, TopicReplication::Fixed(1));
        let new: Vec<_> = topics.iter().copied().map(new).collect();
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let made = admin.create_topics(&new, &options).await.unwrap();
        let answer = |made: Result<String, (String, RDKafkaErrorCode)>| match made {
            Ok(_) => Answer::Allowed,
            Err((_, code)) => Answer::of_code(code),
        };
        made.into_iter().map(answer).collect()
    }

    /// Produce a record to each topic, as our producers do: idempotent.
    pub fn produce(&self, topics: &[&str]) -> BTreeMap<String, Answer> {
        let one = |topic: &&str| ((*topic).to_owned(), self.produce_one(topic));
        topics.iter().map(one).collect()
    }

    fn produce_one(&self, topic: &str) -> Answer {
        let mut config = self.config();
        config.set("enable.idempotence", "true").set("linger.ms", "0");
        let context = Deliveries::default();
        let producer: BaseProducer<Deliveries> =
            config.create_with_context(context.clone()).unwrap();
        let record = BaseRecord::to(topic).partition(0).key("key").payload("value");
        if let Err((error, _)) = producer.send(record) {
            return Answer::of(&error);
        }
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            producer.poll(Duration::from_millis(50));
            if let Some(answer) = context.0.lock().unwrap().take() {
                return answer;
            }
            if let Some((code, _)) = producer.client().fatal_error() {
                return Answer::of_code(code);
            }
        }
        Answer::Other("no acknowledgement".into())
    }

    /// Read the first record of a topic, without a group.
    pub fn fetch(&self, topic: &str) -> Answer {
        let consumer = self.consumer("log-reader");
        // The client asks no further about a topic that it may not even see.
        match consumer.fetch_metadata(Some(topic), PATIENCE) {
            Err(error) => return Answer::of(&error),
            Ok(found) => {
                if let Some(error) = found.topics().iter().find_map(MetadataTopic::error) {
                    return Answer::of_code(error.into());
                }
            }
        }
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
        consumer.assign(&assignment).unwrap();
        wait(&consumer, RDKafkaErrorCode::TopicAuthorizationFailed, || false)
    }

    /// Become a member of a group.
    pub fn join(&self, group: &str) -> Answer {
        let consumer = self.consumer(group);
        // Every principal that is a member of some group reads one of these, and sees it.
        consumer.subscribe(&["schemas", "connect-offsets"]).unwrap();
        let is_member = || consumer.assignment().is_ok_and(|given| given.count() > 0);
        wait(&consumer, RDKafkaErrorCode::GroupAuthorizationFailed, is_member)
    }

    fn consumer(&self, group: &str) -> BaseConsumer<Quiet> {
        let mut config = self.config();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "10");
        config.create_with_context(Quiet).unwrap()
    }

    /// A step of a processor: records and offsets in one transaction.
    pub fn step(&self, (group, id): (&str, &str), topics: &[&str]) -> Result<(), KafkaError> {
        let consumer = self.consumer(group);
        consumer.subscribe(&["schemas"])?;
        testkit::wait_until(&format!("a member of {group}"), PATIENCE, || {
            let polled = consumer.poll(Duration::from_millis(20)).map(|polled| polled.err());
            let given = consumer.assignment().map_or(0, |given| given.count());
            if given > 0 { Ok(()) } else { Err(polled) }
        });
        let member = consumer.group_metadata().expect("it is one");
        let mut config = self.config();
        config.set("transactional.id", id);
        let producer: BaseProducer<Deliveries> =
            config.create_with_context(Deliveries::default())?;
        producer.init_transactions(PATIENCE)?;
        producer.begin_transaction()?;
        for topic in topics {
            let record = BaseRecord::to(topic).partition(0).key("key").payload("value");
            producer.send(record).map_err(|(error, _)| error)?;
        }
        producer.flush(PATIENCE)?;
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset("schemas", 0, Offset::Offset(1))?;
        producer.send_offsets_to_transaction(&offsets, &member, PATIENCE)?;
        producer.commit_transaction(PATIENCE)
    }

    /// Take over a transactional id.
    pub fn init_transactions(&self, id: &str) -> Answer {
        let mut config = self.config();
        config.set("transactional.id", id);
        let producer: BaseProducer<Deliveries> =
            config.create_with_context(Deliveries::default()).unwrap();
        match producer.init_transactions(PATIENCE) {
            Ok(()) => Answer::Allowed,
            Err(error) => Answer::of(&error),
        }
    }
}

/// Poll until a record comes or `is_done`, or the broker denies it with `denial`: a client that may
/// see its group's coordinator, or not, says that as well.
fn wait(
    consumer: &BaseConsumer<Quiet>,
    denial: RDKafkaErrorCode,
    is_done: impl Fn() -> bool,
) -> Answer {
    let (started, mut last) = (Instant::now(), String::from("silence"));
    while started.elapsed() < PATIENCE {
        match consumer.poll(Duration::from_millis(20)) {
            Some(Ok(_)) => return Answer::Allowed,
            Some(Err(error)) if error.rdkafka_error_code() == Some(denial) => {
                return Answer::Denied;
            }
            Some(Err(error)) => last = error.to_string(),
            _ => {}
        }
        if is_done() {
            return Answer::Allowed;
        }
    }
    Answer::Other(last)
}

struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for Quiet {}

/// The first acknowledgement, or what came in its place.
#[derive(Clone, Default)]
struct Deliveries(Arc<Mutex<Option<Answer>>>);

impl ClientContext for Deliveries {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, _: KafkaError, _: &str) {}
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let answer = match result {
            Ok(_) => Answer::Allowed,
            Err((error, _)) => Answer::of(error),
        };
        self.0.lock().unwrap().get_or_insert(answer);
    }
}
