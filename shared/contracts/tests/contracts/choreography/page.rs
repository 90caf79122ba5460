//! The page: `docs/choreography.md` is [`markdown`].

use super::walk;
use contracts::{
    ServiceName, Status, TransitionKind,
    baton::{STEPS, Step},
    services::readers as readers_of,
    topics::{self, Cleanup, Flow, TopicSpec, Writers},
};
use std::fmt::Write;

/// Transitions that lead away from `confirmed`.
const COMPENSATION: [TransitionKind; 4] = [
    TransitionKind::OrderRejected,
    TransitionKind::OrderCancelled,
    TransitionKind::PaymentDeclined,
    TransitionKind::PaymentRefunded,
];

/// The page.
pub(super) fn markdown() -> String {
    let mut page = String::from(
        "# The choreography\n\n\
         `UPDATE_DOCS=1 cargo test -p contracts` generates this page from `shared/contracts` \
         (`baton.rs`, `topics.rs`, `services.rs`); a test fails when it is stale.\n\n\
         ## The baton\n\n\
         At each status of an order that is not final, exactly one service owns the next \
         transition: it has the baton. So two services never race for the same step.\n\n",
    );
    page += &diagram();
    page += "\n### Happy path\n\n";
    page += &steps(|step| !COMPENSATION.contains(&step.transition));
    page += "\n### Compensation\n\n";
    page += &steps(|step| COMPENSATION.contains(&step.transition));
    page += "\n### Which service holds the baton\n\n\
         | status | service | next transitions |\n|---|---|---|\n";
    for status in Status::ALL {
        let ways = STEPS.into_iter().filter(|step| step.from == Some(status));
        let ways: Vec<_> = ways.map(|step| step.transition.as_str()).collect();
        let holder = status.holder().map_or("- (settled)", ServiceName::as_str);
        row(&mut page, &[status.as_str(), holder, &ways.join(", ")]);
    }
    page += "\n## From POST to mail\n\n\
         One sequence for each path through the baton table. An arrow is a record that a service \
         writes and that a flow of a service, perhaps the same one, acts upon. A step that no flow \
         explains fails the test.\n";
    for path in walk::paths() {
        let _ = write!(page, "\n### {}\n\n{}", walk::title(&path), walk::diagram(&path));
    }
    page += "\n## The topics\n\n\
         Topics that share a key have the same number of partitions and the same partitioner, so \
         that one instance owns partition p of all of them.\n\n\
         | topic | key | value | writers | readers | kept |\n|---|---|---|---|---|---|\n";
    for topic in topics::ALL {
        row(
            &mut page,
            &[
                &format!("`{}`", topic.name),
                topic.key,
                &topic.value.replace('|', "\\|"),
                &writers(topic),
                &readers(topic),
                &kept(topic.cleanup),
            ],
        );
    }
    page += &reactions();
    page += "\n## Service by service\n\n| service | reads | writes |\n|---|---|---|\n";
    for service in ServiceName::ALL {
        let reads = topics::ALL.into_iter().filter(|t| readers_of(t).contains(&service));
        let writes = topics::ALL.into_iter().filter(|topic| writes(topic, service));
        row(&mut page, &[service.as_str(), &list(reads), &list(writes)]);
    }
    page
}

fn row(page: &mut String, cells: &[&str]) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}

fn diagram() -> String {
    let mut text = String::from("```mermaid\nstateDiagram-v2\n");
    for step in STEPS {
        let from = step.from.map_or("[*]", Status::as_str);
        let _ = writeln!(text, "    {from} --> {}: {} ({})", step.to, step.transition, step.writer);
    }
    for status in Status::ALL.into_iter().filter(|status| status.is_terminal()) {
        let _ = writeln!(text, "    {status} --> [*]");
    }
    text + "```\n"
}

fn steps(wanted: impl Fn(&Step) -> bool) -> String {
    let mut table = String::from("| from | transition | to | writer |\n|---|---|---|---|\n");
    for step in STEPS.iter().filter(|step| wanted(step)) {
        let from = step.from.map_or("-", Status::as_str);
        let cells = [from, step.transition.as_str(), step.to.as_str(), step.writer.as_str()];
        row(&mut table, &cells);
    }
    table
}

/// Its writers, in words.
pub(crate) fn writers(topic: &TopicSpec) -> String {
    match topic.writers {
        Writers::AnyProcess => "any process".into(),
        Writers::One(service) => service.to_string(),
        Writers::Several(services) => format!("{}, each its own", names(services)),
        Writers::Cdc => "Debezium (CDC)".into(),
    }
}

fn readers(topic: &TopicSpec) -> String {
    names(&readers_of(topic).iter().map(|service| service.as_str()).collect::<Vec<_>>())
}

fn writes(topic: &TopicSpec, service: ServiceName) -> bool {
    topic.writers.includes(service.as_str())
}

/// How long it keeps its records, in words.
pub(crate) fn kept(cleanup: Cleanup) -> String {
    match cleanup {
        Cleanup::Keep => "for ever".into(),
        Cleanup::Compact => "the latest of each key".into(),
        Cleanup::Delete { retention_ms } => format!("{} days", retention_ms / 86_400_000),
    }
}

fn names(services: &[&str]) -> String {
    if services.is_empty() { "-".into() } else { services.join(", ") }
}

fn list(topics: impl Iterator<Item = &'static TopicSpec>) -> String {
    topics.map(|topic| format!("`{}`", topic.name)).collect::<Vec<_>>().join(", ")
}

/// For each topic its writers, and the services that react to it.
fn reactions() -> String {
    let mut text = String::from(
        "\n## Reactions\n\n\
         A service writes a topic in a flow or at its HTTP edge. A service that reacts has a flow \
         that reads the topic. Other readers keep a table, restore their state or wait for an \
         answer.\n\n\
         | topic | written by | reacts | because of | writes |\n|---|---|---|---|---|\n",
    );
    for topic in topics::ALL {
        let writers =
            ServiceName::ALL.into_iter().filter(|service| writes_in_code(topic, *service));
        let writers: Vec<_> = writers.map(ServiceName::as_str).collect();
        let mut first = [format!("`{}`", topic.name), names(&writers)];
        for (service, flow) in reacting(topic) {
            let kinds = if flow.on.is_empty() { "every kind".into() } else { flow.on.join(", ") };
            let gives = match flow.gives {
                [] => list(flow.to.iter().copied()),
                gives => format!("{}: {}", list(flow.to.iter().copied()), gives.join(", ")),
            };
            let handler = format!("{service}: `{}`", flow.handler);
            row(&mut text, &[&first[0], &first[1], &handler, &kinds, &gives]);
            first = [String::new(), String::new()];
        }
    }
    text
}

fn writes_in_code(topic: &TopicSpec, service: ServiceName) -> bool {
    let written = topics::outputs(service.spec().flows());
    written.iter().chain(service.spec().edge).any(|written| written.name == topic.name)
}

fn reacting(topic: &TopicSpec) -> Vec<(ServiceName, &'static Flow)> {
    let flows = |service: ServiceName| service.spec().flows().map(move |flow| (service, flow));
    ServiceName::ALL
        .into_iter()
        .flat_map(flows)
        .filter(|(_, f)| f.from.name == topic.name)
        .collect()
}
