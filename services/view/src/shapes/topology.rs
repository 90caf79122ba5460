//! Which service reads and writes which topic, and which service may write which transition, from
//! the tables of the contracts. The page draws the choreography from this.

use contracts::{
    Status, baton,
    services::{Dependency, SERVICES, readers},
    topics::{self, Cleanup, Writers},
};
use serde::Serialize;
use utoipa::ToSchema;

/// The shop as its tables of contracts have it.
#[derive(Serialize, ToSchema)]
pub struct Topology {
    services: Vec<ServiceView>,
    topics: Vec<TopicView>,
    flows: Vec<FlowView>,
    /// The baton table.
    steps: Vec<StepView>,
    statuses: Vec<StatusView>,
}

#[derive(Serialize, ToSchema)]
struct ServiceView {
    #[schema(example = "orders")]
    name: &'static str,
    port: u16,
    /// Whether the shop has it only if it is asked for.
    optional: bool,
    /// Topics to which its HTTP edge writes the commands that it takes.
    edge: Vec<&'static str>,
    /// What it waits for besides Kafka and the schema registry.
    #[schema(example = json!(["postgres", "bank"]))]
    waits_for: Vec<&'static str>,
}

#[derive(Serialize, ToSchema)]
struct TopicView {
    #[schema(example = "orders")]
    name: &'static str,
    key: &'static str,
    value: &'static str,
    partitions: i32,
    /// Its writers: services, `any` for a topic of commands, `cdc` for change data capture.
    #[schema(example = json!(["orders", "payments"]))]
    writers: Vec<&'static str>,
    readers: Vec<&'static str>,
    /// keep, compact or delete.
    cleanup: &'static str,
}

/// A line of a service's topology.
#[derive(Serialize, ToSchema)]
struct FlowView {
    service: &'static str,
    processor: &'static str,
    from: &'static str,
    handler: &'static str,
    to: Vec<&'static str>,
    /// The kinds of record that it acts upon; empty for every kind.
    on: &'static [&'static str],
    /// The kinds of record that it writes.
    gives: &'static [&'static str],
}

#[derive(Serialize, ToSchema)]
struct StepView {
    /// Null before the order exists.
    from: Option<&'static str>,
    transition: &'static str,
    to: &'static str,
    writer: &'static str,
}

#[derive(Serialize, ToSchema)]
struct StatusView {
    status: &'static str,
    /// The service that has the baton; null when the order has ended.
    holder: Option<&'static str>,
}

impl Topology {
    /// Made from the tables that the services run by.
    pub fn of_contracts() -> Self {
        let names = |topics: &[&'static topics::TopicSpec]| topics.iter().map(|t| t.name).collect();
        let service = |row: &contracts::services::ServiceSpec| ServiceView {
            name: row.name.as_str(),
            port: row.port,
            optional: !row.runs_by_default(),
            edge: names(row.edge),
            waits_for: row.waits_for.iter().map(dependency).collect(),
        };
        let topic = |topic: &&'static topics::TopicSpec| TopicView {
            name: topic.name,
            key: topic.key,
            value: topic.value,
            partitions: topic.partitions(),
            writers: writers(topic.writers),
            readers: readers(topic).into_iter().map(|reader| reader.as_str()).collect(),
            cleanup: match topic.cleanup {
                Cleanup::Keep => "keep",
                Cleanup::Compact => "compact",
                Cleanup::Delete { .. } => "delete",
            },
        };
        let flows = SERVICES.iter().flat_map(|row| {
            row.processors.iter().flat_map(move |one| {
                one.flows.iter().map(move |flow| FlowView {
                    service: row.name.as_str(),
                    processor: one.name,
                    from: flow.from.name,
                    handler: flow.handler,
                    to: flow.to.iter().map(|topic| topic.name).collect(),
                    on: flow.on,
                    gives: flow.gives,
                })
            })
        });
        let step = |step: &baton::Step| StepView {
            from: step.from.map(Status::as_str),
            transition: step.transition.as_str(),
            to: step.to.as_str(),
            writer: step.writer.as_str(),
        };
        let status = |status: Status| StatusView {
            status: status.as_str(),
            holder: status.holder().map(|holder| holder.as_str()),
        };
        Topology {
            services: SERVICES.iter().map(service).collect(),
            topics: topics::ALL.iter().map(topic).collect(),
            flows: flows.collect(),
            steps: baton::STEPS.iter().map(step).collect(),
            statuses: Status::ALL.into_iter().map(status).collect(),
        }
    }
}

fn dependency(dependency: &Dependency) -> &'static str {
    match dependency {
        Dependency::Postgres(_) => "postgres",
        Dependency::Bank => "bank",
        Dependency::Smtp => "smtp",
    }
}

fn writers(writers: Writers) -> Vec<&'static str> {
    match writers {
        Writers::AnyProcess => vec!["any"],
        Writers::One(service) => vec![service],
        Writers::Several(services) => services.to_vec(),
        Writers::Cdc => vec!["cdc"],
    }
}
