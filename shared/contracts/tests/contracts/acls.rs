//! The access control lists: the page about them is fresh, they keep the single-writer rule, and
//! each principal has what its row of the table needs, and no more.

use crate::{assert_fresh, choreography::page};
use contracts::{
    ServiceName,
    acls::{
        CONNECT_GROUP, CONNECT_TOPICS, Operation, Pattern, Principal, Resource, Rule, principals,
        provisioned, text,
    },
    services::Offsets,
    topics::{self, ORDERS, Writers},
};
use std::{collections::BTreeSet, fmt::Write, fs, path::Path};

fn principal(name: &str) -> Principal {
    principals().into_iter().find(|one| one.name == name).unwrap()
}

/// Those that may write `topic`, but for the operator, who puts records back.
fn writers(topic: &str) -> BTreeSet<&'static str> {
    let all = principals().into_iter().filter(|one| one.name != "operator");
    let may = |one: &Principal| one.may(Operation::Write, Resource::Topic, topic);
    all.filter(may).map(|one| one.name).collect()
}

/// The user who writes what `service` owns: its own, or that of the connector of its outbox.
fn pen(service: &str) -> &'static str {
    let name: ServiceName = service.parse().unwrap();
    let in_database = name.spec().processors.iter().any(|one| one.offsets == Offsets::Database);
    if in_database { "outbox-connector" } else { name.as_str() }
}

#[test]
fn a_topic_is_written_by_those_that_own_it() {
    for topic in topics::ALL {
        let expected: BTreeSet<_> = match topic.writers {
            Writers::One(service) => [pen(service)].into(),
            Writers::Several(services) => services.iter().map(|one| pen(one)).collect(),
            Writers::Cdc => ["catalog-connector"].into(),
            // Commands: those whose edge or flow sends them.
            Writers::AnyProcess => {
                let sends = |service: &ServiceName| {
                    let row = service.spec();
                    let sent = topics::outputs(row.flows());
                    sent.iter().chain(row.edge).any(|sent| sent.name == topic.name)
                };
                let senders = ServiceName::ALL.into_iter().filter(sends);
                senders.map(ServiceName::as_str).collect()
            }
        };
        assert_eq!(writers(topic.name), expected, "{}", topic.name);
    }
    assert!(!writers(ORDERS.name()).contains("payments"), "it writes by way of its outbox");
}

#[test]
fn a_service_reads_what_its_row_says_and_what_the_runtime_needs() {
    for service in ServiceName::ALL {
        let (row, user) = (service.spec(), principal(service.as_str()));
        let topics = user.rules.iter().filter(|rule| rule.resource == Resource::Topic);
        let read = topics.filter(|rule| rule.operation == Operation::Read);
        let read: BTreeSet<_> = read.map(|rule| rule.name.as_str()).collect();
        let mut expected: BTreeSet<_> = row.reads().map(|topic| topic.name).collect();
        expected.extend(["passed-by", "schemas"]);
        if expected.iter().any(|name| name.starts_with("catalog.")) {
            expected.insert("__debezium-heartbeat.catalog");
        }
        assert_eq!(read, expected, "{service}");
        // A member asks about all of these before it begins.
        let state = row.processors.iter().flat_map(|one| one.state).map(|source| source.topic);
        for topic in topics::outputs(row.flows()).into_iter().chain(state) {
            let by_outbox = row.processors.iter().all(|one| one.offsets == Offsets::Database);
            let sees = user.may(Operation::Describe, Resource::Topic, topic.name);
            assert!(sees || by_outbox, "{service} does not see {}", topic.name);
        }
        assert!(user.may(Operation::Write, Resource::Topic, "clock"), "{service}");
    }
}

#[test]
fn a_service_has_its_own_groups_and_transactions_and_no_other_ones() {
    let processors = ServiceName::ALL
        .into_iter()
        .flat_map(|service| service.spec().processors.iter().map(move |one| (service, one)));
    for (owner, processor) in processors {
        let id = format!("{}-0", processor.name);
        let table = format!("{owner}-0-catalog.products");
        for user in principals() {
            let is_owner = user.name == owner.as_str();
            for group in [processor.name, &table] {
                let joins = user.may(Operation::Read, Resource::Group, group);
                assert_eq!(joins, is_owner, "{}: {group}", user.name);
            }
            let transacts = user.may(Operation::Write, Resource::TransactionalId, &id);
            let expected = is_owner && processor.offsets == Offsets::Kafka;
            assert_eq!(transacts, expected, "{}: {id}", user.name);
        }
    }
}

#[test]
fn nothing_is_allowed_for_all_names_and_programs_make_no_topics() {
    let makers = ["connect", "provision"];
    for user in principals() {
        for rule in &user.rules {
            let Rule { pattern, operation, name, .. } = rule;
            assert!(!name.is_empty() && name != "*", "{}: {rule:?}", user.name);
            assert!(*pattern == Pattern::Literal || name.ends_with('-'), "{}: {name}", user.name);
            let makes = [Operation::Create, Operation::AlterConfigs].contains(operation);
            assert!(!makes || makers.contains(&user.name), "{}: {rule:?}", user.name);
        }
    }
}

#[test]
fn the_names_of_connect_are_those_of_its_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/debezium");
    let worker = fs::read_to_string(root.join("connect.properties")).unwrap();
    let has = |line: String| assert!(worker.lines().any(|found| found == line), "{line}");
    has(format!("group.id={CONNECT_GROUP}"));
    let kinds = ["config", "offset", "status"];
    for (kind, topic) in kinds.into_iter().zip(CONNECT_TOPICS) {
        has(format!("{kind}.storage.topic={topic}"));
    }
    // What the connector lets through is what its user may write.
    let connector = fs::read_to_string(root.join("payments-outbox.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&connector).unwrap();
    let ours = config["predicates.ours.pattern"].as_str().unwrap().replace('\\', "");
    let ours: BTreeSet<_> = ours.split('|').chain([CONNECT_TOPICS[1]]).collect();
    let user = principal("outbox-connector");
    let rules = user.rules.iter().filter(|rule| rule.resource == Resource::Topic);
    let written = rules.filter(|rule| rule.operation == Operation::Write);
    assert_eq!(written.map(|rule| rule.name.as_str()).collect::<BTreeSet<_>>(), ours);
}

#[test]
fn strimzi_and_the_tool_of_kafka_are_told_the_same() {
    let yaml = text::strimzi();
    let documents = yaml
        .split("---\n")
        .map(|one| serde_yaml_ng::from_str::<serde_yaml_ng::Value>(one).expect("each is YAML"));
    let commands = text::commands();
    for (document, user) in documents.zip(principals()) {
        assert_eq!(document["metadata"]["name"], user.name);
        assert_eq!(document["spec"]["authentication"]["type"], "scram-sha-512");
        let acls = document["spec"]["authorization"]["acls"].as_sequence().unwrap();
        let grants = |one: &serde_yaml_ng::Value| one["operations"].as_sequence().unwrap().len();
        assert_eq!(acls.iter().map(grants).sum::<usize>(), user.rules.len(), "{}", user.name);
        let flag = format!("--allow-principal User:{} ", user.name);
        let lines = commands.lines().filter(|line| line.contains(&flag));
        let names: usize = text::arguments(&user)
            .iter()
            .map(|words| words.iter().filter(|word| user.rules.iter().any(|r| r.name == **word)))
            .map(Iterator::count)
            .sum();
        assert_eq!(names, user.rules.len(), "{}", user.name);
        assert_eq!(lines.count(), text::arguments(&user).len(), "{}", user.name);
    }
}

#[test]
fn the_page_is_fresh() {
    assert_fresh("docs/acls.md", &markdown());
}

const HEAD: &str = "# Who may do what on Kafka\n\n\
    `UPDATE_DOCS=1 cargo test -p contracts` generates this page from `shared/contracts` \
    (`acls.rs`, over `topics.rs`, `services.rs` and `baton.rs`); a test fails when it is stale.\n\n\
    `./shop up --secured` starts a shop under these rules; without `--secured` it has no access \
    control. For another Kafka with `StandardAuthorizer`, and logins:\n\n\
    ```sh\n\
    ./shop acls             # lines for kafka-acls.sh\n\
    ./shop acls --strimzi   # KafkaUser resources\n\
    ```\n\n\
    Kafka denies what no rule allows (`allow.everyone.if.no.acl.found=false`, the default). \
    `Read` and `Write` allow `Describe` as well. An idempotent producer needs no right of its own \
    since Kafka 2.8: the right to write one topic is enough. `name-*` stands for all names that \
    begin with `name-`: the number of the instance follows.\n\n\
    `e2e-tests/tests/runtime/acls/` adds these rules to a real broker and tries each principal \
    with each topic, group and transactional id; `e2e-tests/tests/profiles/secured.rs` runs a shop \
    under them.\n";

const LAYERS: &str = "\n## What these rules cannot tell apart\n\n\
    A rule is about a whole topic. Kafka looks into no record, so where several principals write \
    one topic, it cannot hold them to their own transitions or to their own checks:\n\n\
    | topic | principals | what is whose |\n|---|---|---|\n";

const AFTER: &str = "\nOther layers hold that:\n\n\
    | layer | what it holds | against |\n|---|---|---|\n\
    | types: `Owns<T>` in `owns.rs` | a service sends only the messages of its row; others do not \
    compile | our own mistakes |\n\
    | readers: `Order::check_written` | the step is in the baton table, and `ce_source` names the \
    service that has the baton; else the record becomes a dead letter | mistakes and garbage |\n\
    | `./shop audit` | every step of every order in the log, against the baton table | whatever \
    got past the others |\n\n\
    `ce_source` is a header that a writer sets by itself. So these rules and the readers together \
    still let the orders service forge a payment on `orders`, and Debezium's outbox connector a \
    confirmation: the broker knows the principal and its readers do not. A topic per writer would \
    close that, at the price of the order between the transitions of one order. All principals \
    besides these two are kept out by the broker.\n\n\
    - `operator` may write every topic, as a replay puts a dead letter back where it was. Give its \
    login to people.\n\
    - `payments` writes `clock` alone: its facts go through its outbox. A login to its \
    database writes what the outbox connector may write.\n\
    - A prefix of groups is a service's own because no service is named with the name of another \
    and `-`; a test holds that.\n";

fn markdown() -> String {
    let mut page = HEAD.to_owned();
    for user in principals() {
        let _ = write!(page, "\n## {}\n\n{}.\n\n| | |\n|---|---|\n", user.name, capital(user.what));
        let kinds = [
            (Resource::Topic, "topics"),
            (Resource::Group, "groups"),
            (Resource::TransactionalId, "transactional ids"),
        ];
        for (resource, kind) in kinds {
            for operation in OPERATIONS {
                let names = names(&user, resource, operation);
                if !names.is_empty() {
                    let _ = writeln!(page, "| {} {kind} | {names} |", operation.as_str());
                }
            }
        }
    }
    page += LAYERS;
    for topic in topics::ALL.into_iter().filter(|topic| writers(topic.name).len() > 1) {
        let writers = writers(topic.name).into_iter().collect::<Vec<_>>().join(", ");
        let whose = match topic.writers {
            Writers::Several(_) if topic.name == ORDERS.name() => "the transitions of the baton",
            Writers::Several(_) => "the outcomes of its own checks",
            _ => "commands: every process may ask, and one decides",
        };
        let of = if topic.writers == Writers::AnyProcess { "-" } else { &page::writers(topic) };
        let of = if of == "-" { String::new() } else { format!(" ({of})") };
        let _ = writeln!(page, "| `{}` | {writers} | {whose}{of} |", topic.name);
    }
    page + AFTER
}

const OPERATIONS: [Operation; 6] = [
    Operation::Read,
    Operation::Write,
    Operation::Describe,
    Operation::Create,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
];

fn names(user: &Principal, resource: Resource, operation: Operation) -> String {
    let rules =
        user.rules.iter().filter(|rule| (rule.resource, rule.operation) == (resource, operation));
    let all: BTreeSet<_> = provisioned().map(|topic| topic.name).collect();
    let name = |rule: &Rule| match rule.pattern {
        Pattern::Literal => format!("`{}`", rule.name),
        Pattern::Prefixed => format!("`{}*`", rule.name),
    };
    let rules: Vec<_> = rules.collect();
    if rules.len() == all.len() && rules.iter().all(|rule| all.contains(&*rule.name)) {
        return "every topic of the shop".to_owned();
    }
    rules.into_iter().map(name).collect::<Vec<_>>().join(", ")
}

fn capital(text: &str) -> String {
    let (first, rest) = text.split_at(1);
    first.to_uppercase() + rest
}
