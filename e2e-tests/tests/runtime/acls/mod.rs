//! The access control lists, tried on a real broker: each principal with each topic, group and
//! transactional id. What the broker denies must be what no rule allows.

mod broker;
mod reader;
mod tries;

use broker::{ADMIN, Broker};
use contracts::{
    ServiceName,
    acls::{CONNECT_TOPICS, Operation, Principal, Resource, principals, provisioned},
    services::Offsets,
    topics,
};
use reader::Reader;
use std::{collections::BTreeMap, thread};
use tries::{Answer, Login};

/// What a principal may do with each resource, by the operation and its name.
type Matrix = BTreeMap<(Operation, Resource, String), Answer>;

/// Every topic of the shop and of Connect.
fn all_topics() -> Vec<&'static str> {
    provisioned().map(|topic| topic.name).chain(CONNECT_TOPICS).collect()
}

/// Groups of each kind: of processors, of tables, of Connect, and one that no rule names.
fn all_groups() -> Vec<String> {
    let services = ServiceName::ALL.into_iter();
    let processors = services.clone().flat_map(|one| one.spec().processor_names());
    let tables = services.map(|one| format!("{one}-0-catalog.products"));
    let others = ["connect", "log-reader", "shop-dlq", "console"];
    processors.chain(others).map(str::to_owned).chain(tables).collect()
}

/// The transactional ids of first instances.
fn all_transactional_ids() -> Vec<String> {
    let processors = ServiceName::ALL.into_iter().flat_map(|one| one.spec().processor_names());
    let others = [
        "connect-cluster-connect",
        "connect-catalog-0",
        "connect-payments-outbox-0",
        "shop-dlq-orders/0/0",
        "console",
    ];
    processors.map(|name| format!("{name}-0")).chain(others.map(str::to_owned)).collect()
}

fn expected(user: &Principal) -> Matrix {
    let answer = |operation, resource, name: &str| match user.may(operation, resource, name) {
        true => Answer::Allowed,
        false => Answer::Denied,
    };
    let mut matrix = Matrix::new();
    let mut add = |operation, resource, name: &str| {
        let answer = answer(operation, resource, name);
        matrix.insert((operation, resource, name.to_owned()), answer);
    };
    for topic in all_topics() {
        add(Operation::Write, Resource::Topic, topic);
        add(Operation::Read, Resource::Topic, topic);
    }
    all_groups().iter().for_each(|group| add(Operation::Read, Resource::Group, group));
    for id in all_transactional_ids() {
        add(Operation::Write, Resource::TransactionalId, &id);
    }
    matrix
}

fn tried(login: &Login<'_>) -> Matrix {
    let mut matrix = Matrix::new();
    for (topic, answer) in login.produce(&all_topics()) {
        matrix.insert((Operation::Write, Resource::Topic, topic), answer);
    }
    for topic in all_topics() {
        let answer = login.fetch(topic);
        matrix.insert((Operation::Read, Resource::Topic, topic.to_owned()), answer);
    }
    for group in all_groups() {
        let answer = login.join(&group);
        matrix.insert((Operation::Read, Resource::Group, group), answer);
    }
    for id in all_transactional_ids() {
        let answer = login.init_transactions(&id);
        matrix.insert((Operation::Write, Resource::TransactionalId, id), answer);
    }
    matrix
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_allows_what_the_rules_say_and_denies_all_else() {
    let broker = Broker::start().await;
    let login = |name| Login { bootstrap: &broker.bootstrap, name };
    assert_eq!(login("provision").make(&["clock"]).await, [Answer::Denied], "no rule yet");
    let reader = Reader::denied(&broker).await;
    broker.add_rules().await;

    let ours: Vec<_> = provisioned().map(|topic| topic.name).collect();
    for denied in ["orders", "operator", "outbox-connector", "connect"] {
        let made = login(denied).make(&ours).await;
        assert!(made.iter().all(|answer| *answer == Answer::Denied), "{denied}: {made:?}");
    }
    for (name, topics) in [("provision", &ours[..]), ("connect", &CONNECT_TOPICS)] {
        let made = login(name).make(topics).await;
        assert!(made.iter().all(|answer| *answer == Answer::Allowed), "{name}: {made:?}");
    }
    reader.allowed().await;
    // A fetch needs something to find.
    let written = login(ADMIN).produce(&all_topics());
    assert!(written.values().all(|answer| *answer == Answer::Allowed), "{written:?}");

    for service in ServiceName::ALL {
        let row = service.spec();
        let kept = row.processors.iter().filter(|one| one.offsets == Offsets::Kafka);
        for one in kept {
            let (id, letters) = (format!("{}-0", one.name), topics::dlq(service).name);
            let outputs = topics::outputs(one.flows).into_iter().map(|topic| topic.name);
            let written: Vec<_> = outputs.chain([letters]).collect();
            let done = login(service.as_str()).step((one.name, &id), &written);
            assert_eq!(done, Ok(()), "a step of {}", one.name);
        }
    }

    let users = principals();
    let matrices: Vec<_> = thread::scope(|scope| {
        let tries = |user: &Principal| {
            let login = login(user.name);
            scope.spawn(move || tried(&login))
        };
        let threads: Vec<_> = users.iter().map(tries).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (user, matrix) in users.iter().zip(matrices) {
        let expected = expected(user);
        assert_eq!(matrix.len(), expected.len(), "{}", user.name);
        count += matrix.len();
        for (what, answer) in matrix {
            if expected[&what] != answer {
                wrong.push(format!("{}: {what:?}: {answer:?}", user.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}
