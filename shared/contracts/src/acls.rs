//! Who may do what on a Kafka with access control, from the same tables as everything else: the
//! registry of topics, the services and the baton. Each principal gets what it uses and no more.
//!
//! `docs/acls.md` is the whole of it, for people; [`text`] has it for `kafka-acls.sh` and Strimzi.

pub mod text;

use crate::{
    ServiceName,
    services::{Offsets, ServiceSpec},
    topics::{
        self, CATALOG_HEARTBEAT, CUSTOMERS, PAYMENTS_HEARTBEAT, PRODUCTS, TopicSpec, Writers,
    },
};
use std::collections::BTreeSet;
use streams::{
    Extent,
    topic::{CLOCK, PASSED_BY, SCHEMAS},
};

/// The consumer group of the Connect workers, `group.id` in `deploy/debezium/connect.properties`.
pub const CONNECT_GROUP: &str = "connect";
/// Where Connect workers keep the offsets of their sources.
const CONNECT_OFFSETS: &str = "connect-offsets";
/// Where they keep the states of connectors, which `./shop cdc status` reads.
const CONNECT_STATUS: &str = "connect-status";
/// The topics of the Connect workers.
pub const CONNECT_TOPICS: [&str; 3] = ["connect-configs", CONNECT_OFFSETS, CONNECT_STATUS];

/// Groups that readers without a group name: the client asks for their coordinator.
const LOG_READERS: [&str; 2] = [SCHEMAS.name, "log-reader"];

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// A topic.
    Topic,
    /// A consumer group.
    Group,
    /// The `transactional.id` of producers.
    TransactionalId,
}

/// Which names a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    /// This one.
    Literal,
    /// All that begin with it: the number of the instance follows.
    Prefixed,
}

/// What a rule allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// To fetch; of a group, to be a member and to commit offsets.
    Read,
    /// To produce; of a transactional id, to use it.
    Write,
    /// To see that it is there, and its offsets. `Read` and `Write` allow it as well.
    Describe,
    /// To make it.
    Create,
    /// To see its settings. `AlterConfigs` allows it as well.
    DescribeConfigs,
    /// To change its settings.
    AlterConfigs,
}

/// One thing that a principal may do. All else is denied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// Whether `name` is the whole name.
    pub pattern: Pattern,
    /// What it allows.
    pub operation: Operation,
    /// The kind of resource.
    pub resource: Resource,
    /// The resource, or what its name begins with.
    pub name: String,
}

/// A user of Kafka, and what it may do.
pub struct Principal {
    /// The name of the user.
    pub name: &'static str,
    /// Who it is, for people.
    pub what: &'static str,
    /// What it may do.
    pub rules: BTreeSet<Rule>,
}

impl Principal {
    fn new(name: &'static str, what: &'static str) -> Self {
        Self { name, what, rules: BTreeSet::new() }
    }

    /// Whether some rule allows it to do `operation` with the `resource` called `name`, as Kafka's
    /// authorizer decides.
    pub fn may(&self, operation: Operation, resource: Resource, name: &str) -> bool {
        let is_about = |rule: &&Rule| match rule.pattern {
            Pattern::Literal => rule.name == name,
            Pattern::Prefixed => name.starts_with(&rule.name),
        };
        let allows = |rule: &Rule| match operation {
            Operation::Describe => {
                use Operation::{Describe, Read, Write};
                [Describe, Read, Write].contains(&rule.operation)
            }
            Operation::DescribeConfigs => {
                [Operation::DescribeConfigs, Operation::AlterConfigs].contains(&rule.operation)
            }
            other => rule.operation == other,
        };
        let mut rules = self.rules.iter().filter(|rule| rule.resource == resource);
        rules.any(|rule| is_about(&rule) && allows(rule))
    }

    fn allow(
        mut self,
        pattern: Pattern,
        operation: Operation,
        resource: Resource,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let rule = |name: String| Rule { pattern, operation, resource, name };
        self.rules.extend(names.into_iter().map(|name| rule(name.into())));
        self
    }

    fn reads(self, topics: impl IntoIterator<Item = &'static str>) -> Self {
        self.allow(Pattern::Literal, Operation::Read, Resource::Topic, topics)
    }

    fn writes(self, topics: impl IntoIterator<Item = &'static str>) -> Self {
        self.allow(Pattern::Literal, Operation::Write, Resource::Topic, topics)
    }

    /// Sees whether the groups have a coordinator, and where they are.
    fn looks_at(self, groups: impl IntoIterator<Item = &'static str>) -> Self {
        self.allow(Pattern::Literal, Operation::Describe, Resource::Group, groups)
    }

    /// Has the transactions whose ids begin so.
    fn transacts(self, prefixes: impl IntoIterator<Item = String>) -> Self {
        self.allow(Pattern::Prefixed, Operation::Write, Resource::TransactionalId, prefixes)
    }
}

/// Every principal: the services in the order of their table, then Connect and its connectors, then
/// those who look after the shop.
pub fn principals() -> Vec<Principal> {
    let services = ServiceName::ALL.into_iter().map(|name| service(name.spec()));
    let others = [connect(), catalog_connector(), outbox_connector(), provision(), operator()];
    services.chain(others).collect()
}

/// What its row says, and what the runtime does for each service.
fn service(row: &'static ServiceSpec) -> Principal {
    let name = row.name.as_str();
    let what = "the instances of the service";
    let hears_capture = row.reads().any(|topic| topic.writers == Writers::Cdc);
    let heartbeat = hears_capture.then_some(CATALOG_HEARTBEAT.name);
    let runtime = [PASSED_BY.name, SCHEMAS.name];
    let processors = || row.processors.iter();
    let stand_ins = processors().flat_map(|one| one.stand_ins);
    // How far another group has handled what stands in for records that are gone.
    let watched = stand_ins.filter_map(|(_, stand_in)| match stand_in.extent {
        Extent::ReachedBy(group) => Some(group),
        Extent::Whole => None,
    });
    let has_outbox = processors().any(|one| one.offsets == Offsets::Database);
    let letters = has_outbox.then(|| topics::dlq(row.name).name);
    let transactional = processors().filter(|one| one.offsets == Offsets::Kafka);
    Principal::new(name, what)
        .reads(row.reads().map(|topic| topic.name).chain(heartbeat).chain(runtime))
        .writes(row.edge.iter().map(|topic| topic.name).chain([CLOCK.name]))
        .writes(produced(row, Offsets::Kafka))
        // An outbox writes them, and the service asks how many partitions they have.
        .allow(Pattern::Literal, Operation::Describe, Resource::Topic, letters)
        .allow(Pattern::Literal, Operation::Read, Resource::Group, row.processor_names())
        // Tables keep their place as `<service>-<instance>-<topic>`; other readers of the service
        // have such names as well, and commit nothing.
        .allow(Pattern::Prefixed, Operation::Read, Resource::Group, [format!("{name}-")])
        .looks_at(LOG_READERS.into_iter().chain(watched))
        // `<processor>-<instance>`.
        .transacts(transactional.map(|one| format!("{}-", one.name)))
}

/// The topics that the processors of `row` with such offsets write, and their dead letters. Those
/// with offsets in a database write by way of an outbox.
fn produced(row: &'static ServiceSpec, offsets: Offsets) -> Vec<&'static str> {
    let processors = || row.processors.iter().filter(|one| one.offsets == offsets);
    let outputs = topics::outputs(processors().flat_map(|one| one.flows));
    let letters = processors().next().map(|_| topics::dlq(row.name));
    outputs.into_iter().chain(letters).map(|topic| topic.name).collect()
}

/// The workers. Their connectors have users of their own, so that a worker writes no fact.
fn connect() -> Principal {
    let topics = |principal: Principal, operation| {
        principal.allow(Pattern::Literal, operation, Resource::Topic, CONNECT_TOPICS)
    };
    let uses = [Operation::Read, Operation::Write, Operation::Create, Operation::DescribeConfigs];
    let worker = Principal::new("connect", "the Kafka Connect workers");
    uses.into_iter()
        .fold(worker, topics)
        .allow(Pattern::Literal, Operation::Read, Resource::Group, [CONNECT_GROUP])
        .allow(
            Pattern::Literal,
            Operation::Write,
            Resource::TransactionalId,
            [format!("connect-cluster-{CONNECT_GROUP}")],
        )
}

/// A connector with exactly-once support: source offsets are in the transaction of its records.
fn connector(
    principal: &'static str,
    what: &'static str,
    connector: &str,
    writes: impl IntoIterator<Item = &'static str>,
) -> Principal {
    Principal::new(principal, what)
        .reads([CONNECT_OFFSETS])
        .writes(writes.into_iter().chain([CONNECT_OFFSETS]))
        .transacts([format!("{CONNECT_GROUP}-{connector}-")])
}

fn catalog_connector() -> Principal {
    let writes = [PRODUCTS.name(), CUSTOMERS.name(), CATALOG_HEARTBEAT.name];
    connector("catalog-connector", "Debezium's connector `catalog`", "catalog", writes)
}

/// It writes in the name of the services that have an outbox.
fn outbox_connector() -> Principal {
    let services = ServiceName::ALL.into_iter().map(ServiceName::spec);
    let writes = services.flat_map(|row| produced(row, Offsets::Database));
    let writes = writes.chain([PAYMENTS_HEARTBEAT.name]);
    let what = "Debezium's connector `payments-outbox`";
    connector("outbox-connector", what, "payments-outbox", writes)
}

/// Every topic that provisioning makes.
pub fn provisioned() -> impl Iterator<Item = &'static TopicSpec> {
    let heartbeats = [&CATALOG_HEARTBEAT, &PAYMENTS_HEARTBEAT];
    topics::ALL.into_iter().chain(heartbeats).chain([&SCHEMAS, &CLOCK, &PASSED_BY])
}

/// Makes topics, and sets them again; keeps schemas in the log; watches the capture.
fn provision() -> Principal {
    use Operation::{AlterConfigs, Create, Describe};
    let topics = |principal: Principal, operation| {
        let names = provisioned().map(|topic| topic.name);
        principal.allow(Pattern::Literal, operation, Resource::Topic, names)
    };
    let watched = [CATALOG_HEARTBEAT.name, PAYMENTS_HEARTBEAT.name, CONNECT_STATUS];
    let principal = Principal::new("provision", "`./shop provision` and its watches");
    [Describe, Create, AlterConfigs]
        .into_iter()
        .fold(principal, topics)
        .reads(watched.into_iter().chain([SCHEMAS.name]))
        .writes([SCHEMAS.name])
        .looks_at(LOG_READERS.into_iter().chain(["topics"]))
}

/// Settles dead letters, audits, mends the capture. A replay puts a record back where it was, so
/// this one may write every topic: it is for people, not for programs that run all the time.
fn operator() -> Principal {
    let all = || topics::ALL.into_iter().map(|topic| topic.name);
    let processors = ServiceName::ALL.into_iter().flat_map(|name| name.spec().processor_names());
    let looks = LOG_READERS.into_iter().chain(["shop-dlq", "load"]).chain(processors);
    Principal::new("operator", "`./shop dlq`, `audit`, `cdc`, `load`")
        .reads(all())
        .reads([CATALOG_HEARTBEAT.name, PAYMENTS_HEARTBEAT.name, CONNECT_STATUS])
        .reads([SCHEMAS.name, PASSED_BY.name])
        .writes(all().chain([PASSED_BY.name, CLOCK.name]))
        .looks_at(looks)
        .transacts(["shop-dlq-".to_owned()])
}
