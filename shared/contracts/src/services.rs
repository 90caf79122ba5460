//! The services of the shop, one row each: where a service listens, what its processors read and
//! write, its dependencies, and the messages that it alone may send. Failpoints, ports, tools,
//! tests and docs read this table.

use crate::{
    ServiceName,
    email::{EmailSent, EmailWaiting},
    fraud::{self, Exposure},
    inventory::{InventoryCommand, StockEntry, StockLevel},
    order::LatestOrder,
    orders::{CommandRefused, OrderCommand, OrderValidation},
    owns::{Owns, owns},
    topics::{
        self, CUSTOMERS, EMAILS, EMAILS_WAITING, EXPOSURES, Flow, INVENTORY_COMMANDS,
        ORDER_COMMANDS, ORDER_REFUSALS, ORDER_VALIDATIONS, ORDER_VIEWS, ORDERS, ORDERS_LATEST,
        PRODUCTS, RESERVATIONS, STOCK, TopicSpec, flow,
    },
    transitions::{
        Next, OrderCancelled, OrderConfirmed, OrderRejected, OrderRequested, OrderValidated,
        PaymentDeclined, PaymentReceived, PaymentRefunded,
    },
    view::ViewUpdated,
};
use streams::{Extent, Source, StandIn, UpTo};

// What each may send: the single-writer rule.
owns! {
    Orders: Next<OrderRequested>, Next<OrderValidated>, Next<OrderRejected>, Next<OrderCancelled>,
        Next<OrderConfirmed>, LatestOrder, CommandRefused;
    Payments: Next<PaymentReceived>, Next<PaymentDeclined>, Next<PaymentRefunded>;
    Inventory: OrderValidation, StockLevel, StockEntry;
    Email: EmailSent, EmailWaiting;
    View: ViewUpdated;
    Fraud: Exposure, OrderValidation;
}

/// A service as data.
pub struct ServiceSpec {
    /// Which one.
    pub name: ServiceName,
    /// The port it serves HTTP on, unless `HTTP_ADDR` says otherwise.
    pub port: u16,
    /// Its processors: each a thread and a consumer group of its own.
    pub processors: &'static [ProcessorSpec],
    /// Topics that every instance reads whole into memory.
    pub tables: &'static [&'static TopicSpec],
    /// Topics that every instance follows from now on, for HTTP clients that wait.
    pub follows: &'static [&'static TopicSpec],
    /// Topics to which its HTTP edge writes the commands that it takes.
    pub edge: &'static [&'static TopicSpec],
    /// What it waits for besides Kafka and the schema registry, which all wait for.
    pub waits_for: &'static [Dependency],
    /// The check that it makes of every order, if it is a validator that can be left out. Orders
    /// must then be started with this in its `EXTRA_CHECKS`.
    pub extra_check: Option<&'static str>,
}

/// A processor of a service: it reads batches and commits what follows from them with its offsets.
pub struct ProcessorSpec {
    /// Consumer group, thread, and name of the state's folder.
    pub name: &'static str,
    /// Where the offsets are.
    pub offsets: Offsets,
    /// What it reads, which input handles it, and what is written because of that.
    pub flows: &'static [Flow],
    /// The topics its state is restored from.
    pub state: &'static [Source],
    /// What says the same as records of an input that were deleted before they were read.
    pub stand_ins: &'static [(&'static TopicSpec, StandIn)],
}

impl ProcessorSpec {
    /// What stands in for the input `topic`.
    pub fn stand_in(&self, topic: &str) -> Option<StandIn> {
        self.stand_ins.iter().find(|(input, _)| input.name == topic).map(|(_, instead)| *instead)
    }
}

/// Where a processor keeps its offsets, which decides the steps at which it can die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offsets {
    /// In Kafka, in one transaction with the records that it sends.
    Kafka,
    /// In its database, in one transaction with the rows that it writes.
    Database,
}

/// What a service waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependency {
    /// Its database of this name.
    Postgres(&'static str),
    /// The bank.
    Bank,
    /// The mail server.
    Smtp,
}

impl ServiceSpec {
    /// Whether the shop has it without being asked for it.
    pub const fn runs_by_default(&self) -> bool {
        self.extra_check.is_none()
    }

    /// Every flow of its processors.
    pub fn flows(&self) -> impl Iterator<Item = &'static Flow> {
        self.processors.iter().flat_map(|one| one.flows)
    }

    /// The topics on which it puts aside what it cannot handle: not those that it only follows, nor
    /// its own changelogs.
    pub fn handles(&self) -> impl Iterator<Item = &'static TopicSpec> {
        topics::inputs(self.flows()).into_iter().chain(self.tables.iter().copied())
    }

    /// Every topic that it reads, in whatever way; a topic may come twice.
    pub fn reads(&self) -> impl Iterator<Item = &'static TopicSpec> {
        let state = self.processors.iter().flat_map(|one| one.state).map(|source| source.topic);
        let stand_ins = self.processors.iter().flat_map(|one| one.stand_ins);
        let instead = stand_ins.map(|(_, stand_in)| stand_in.topic);
        let besides = self.tables.iter().chain(self.follows).copied();
        self.flows().map(|flow| flow.from).chain(state).chain(instead).chain(besides)
    }

    /// The names of its processors.
    pub fn processor_names(&self) -> impl Iterator<Item = &'static str> {
        self.processors.iter().map(|one| one.name)
    }
}

impl ServiceName {
    /// Its row.
    pub const fn spec(self) -> &'static ServiceSpec {
        &SERVICES[self as usize]
    }

    /// Those that the shop has without being asked for them.
    pub fn by_default() -> impl Iterator<Item = ServiceName> {
        Self::ALL.into_iter().filter(|service| service.spec().runs_by_default())
    }
}

/// The services that read `topic`, in the order of the table.
pub fn readers(topic: &TopicSpec) -> Vec<ServiceName> {
    let reads = |row: &&ServiceSpec| row.reads().any(|read| read.name == topic.name);
    SERVICES.iter().filter(reads).map(|row| row.name).collect()
}

/// The table, in the order of [`ServiceName::ALL`].
pub static SERVICES: [ServiceSpec; ServiceName::ALL.len()] = [
    ServiceSpec {
        name: ServiceName::Orders,
        port: 8080,
        processors: &[ProcessorSpec {
            name: "orders",
            offsets: Offsets::Kafka,
            // After each of them it looks for the next transition, so all may write to `orders`.
            flows: &[
                flow(&ORDER_COMMANDS.spec, "place_order", &[&ORDERS.spec, &ORDER_REFUSALS.spec])
                    .on(&["PlaceOrder"])
                    .gives(&["requested"]),
                flow(&ORDER_COMMANDS.spec, "cancel_order", &[&ORDERS.spec, &ORDER_REFUSALS.spec])
                    .on(&["CancelOrder"])
                    .gives(&["cancelled"]),
                flow(&ORDER_VALIDATIONS.spec, "order_validation", &[&ORDERS.spec])
                    .gives(&["validated", "rejected"]),
                flow(&ORDERS.spec, "order_transition", &[&ORDERS_LATEST.spec]).later(),
                // Outcomes, or a cancellation, may have come before the order was read back.
                flow(&ORDERS.spec, "order_transition", &[&ORDERS.spec])
                    .on(&["requested"])
                    .gives(&["validated", "rejected", "cancelled"])
                    .later(),
                flow(&ORDERS.spec, "order_transition", &[&ORDERS.spec])
                    .on(&["paid"])
                    .gives(&["confirmed", "refund_due"]),
                flow(&ORDERS.spec, "order_transition", &[&ORDERS.spec])
                    .on(&["payment_declined"])
                    .gives(&["cancelled"]),
                // In its own time: the deadline came with OrderRequested.
                flow(&ORDERS.spec, "deadline", &[&ORDERS.spec])
                    .on(&["requested"])
                    .gives(&["cancelled"])
                    .later(),
            ],
            // `orders` is its own output, so it is read to its end: after a restore no proposal
            // can be in flight.
            state: &[
                Source { topic: &ORDERS.spec, up_to: UpTo::End },
                Source { topic: &ORDER_COMMANDS.spec, up_to: UpTo::Committed },
                Source { topic: &ORDER_VALIDATIONS.spec, up_to: UpTo::Committed },
            ],
            stand_ins: &[],
        }],
        tables: &[&PRODUCTS.spec, &CUSTOMERS.spec],
        follows: &[&ORDER_VIEWS.spec, &ORDER_REFUSALS.spec],
        edge: &[&ORDER_COMMANDS.spec],
        waits_for: &[],
        extra_check: None,
    },
    ServiceSpec {
        name: ServiceName::Payments,
        port: 8082,
        processors: &[ProcessorSpec {
            name: "payments",
            offsets: Offsets::Database,
            // By way of its outbox.
            flows: &[
                flow(&ORDERS.spec, "order_validated", &[&ORDERS.spec])
                    .on(&["validated"])
                    .gives(&["paid", "payment_declined"]),
                flow(&ORDERS.spec, "order_cancelled", &[&ORDERS.spec])
                    .on(&["refund_due"])
                    .gives(&["refunded"])
                    .later(),
            ],
            state: &[],
            stand_ins: &[],
        }],
        tables: &[],
        follows: &[],
        edge: &[],
        waits_for: &[Dependency::Postgres("payments"), Dependency::Bank],
        extra_check: None,
    },
    ServiceSpec {
        name: ServiceName::Inventory,
        port: 8081,
        processors: &[
            ProcessorSpec {
                name: "inventory-split",
                offsets: Offsets::Kafka,
                // One command per line, keyed by sku.
                flows: &[
                    flow(&ORDERS.spec, "order_transition", &[&INVENTORY_COMMANDS.spec])
                        .on(&["requested"])
                        .gives(&["Reserve"]),
                    flow(&ORDERS.spec, "order_transition", &[&INVENTORY_COMMANDS.spec])
                        .on(&["rejected", "cancelled", "refund_due"])
                        .gives(&["Release"])
                        .later(),
                    flow(&ORDERS.spec, "order_transition", &[&INVENTORY_COMMANDS.spec])
                        .on(&["confirmed"])
                        .gives(&["Commit"])
                        .later(),
                ],
                state: &[],
                stand_ins: &[],
            },
            ProcessorSpec {
                name: "inventory-stock",
                offsets: Offsets::Kafka,
                // One writer per sku.
                flows: &[
                    flow(
                        &INVENTORY_COMMANDS.spec,
                        "inventory_command",
                        &[&STOCK.spec, &RESERVATIONS.spec],
                    )
                    .later(),
                    // The answer to the order's question.
                    flow(&INVENTORY_COMMANDS.spec, "inventory_command", &[&ORDER_VALIDATIONS.spec])
                        .on(&["Reserve"]),
                ],
                // Its own output, so to the end.
                state: &[
                    Source { topic: &STOCK.spec, up_to: UpTo::End },
                    Source { topic: &RESERVATIONS.spec, up_to: UpTo::End },
                ],
                // The last transition of an order says what it still asks of a product.
                stand_ins: &[(
                    &INVENTORY_COMMANDS.spec,
                    StandIn { topic: &ORDERS_LATEST.spec, extent: Extent::Whole },
                )],
            },
        ],
        tables: &[&PRODUCTS.spec],
        follows: &[],
        edge: &[&INVENTORY_COMMANDS.spec],
        waits_for: &[],
        extra_check: None,
    },
    ServiceSpec {
        name: ServiceName::Email,
        port: 8083,
        processors: &[ProcessorSpec {
            name: "email",
            offsets: Offsets::Kafka,
            // A mail that the server does not take at once goes on in its own time.
            flows: &[flow(
                &ORDER_VIEWS.spec,
                "view_updated",
                &[&EMAILS.spec, &EMAILS_WAITING.spec],
            )
            .on(&["confirmed", "rejected", "cancelled", "refunded"])
            .later()],
            // Its own output, so to the end.
            state: &[
                Source { topic: &EMAILS.spec, up_to: UpTo::End },
                Source { topic: &EMAILS_WAITING.spec, up_to: UpTo::End },
            ],
            // The view announces the transitions that it has read.
            stand_ins: &[(
                &ORDER_VIEWS.spec,
                StandIn { topic: &ORDERS.spec, extent: Extent::ReachedBy("view") },
            )],
        }],
        tables: &[],
        follows: &[],
        edge: &[],
        waits_for: &[Dependency::Smtp],
        extra_check: None,
    },
    ServiceSpec {
        name: ServiceName::View,
        port: 8084,
        processors: &[ProcessorSpec {
            name: "view",
            offsets: Offsets::Kafka,
            flows: &[
                // `Prefer: wait` hears of an outcome by its announcement.
                flow(&ORDERS.spec, "order_transition", &[&ORDER_VIEWS.spec]).on(&[
                    "confirmed",
                    "rejected",
                    "cancelled",
                    "refunded",
                ]),
                flow(&ORDERS.spec, "order_transition", &[&ORDER_VIEWS.spec])
                    .on(&["requested", "validated", "paid", "payment_declined", "refund_due"])
                    .later(),
                flow(&ORDER_REFUSALS.spec, "command_refused", &[]),
                flow(&PRODUCTS.spec, "product_captured", &[]),
                flow(&CUSTOMERS.spec, "customer_captured", &[]),
                flow(&STOCK.spec, "stock_level", &[]),
            ],
            state: &[],
            stand_ins: &[],
        }],
        tables: &[],
        follows: &[],
        edge: &[],
        waits_for: &[Dependency::Postgres("view")],
        extra_check: None,
    },
    ServiceSpec {
        name: ServiceName::Fraud,
        port: 8088,
        processors: &[
            ProcessorSpec {
                name: "fraud-split",
                offsets: Offsets::Kafka,
                // Keyed by customer.
                flows: &[
                    flow(&ORDERS.spec, "order_requested", &[&EXPOSURES.spec]).on(&["requested"]),
                    flow(&ORDERS.spec, "order_rejected", &[&EXPOSURES.spec])
                        .on(&["rejected"])
                        .later(),
                    flow(&ORDERS.spec, "order_cancelled", &[&EXPOSURES.spec])
                        .on(&["cancelled", "refund_due"])
                        .later(),
                ],
                state: &[],
                stand_ins: &[],
            },
            ProcessorSpec {
                name: "fraud-check",
                offsets: Offsets::Kafka,
                // One writer per customer.
                flows: &[flow(&EXPOSURES.spec, "exposure", &[&ORDER_VALIDATIONS.spec])],
                state: &[Source { topic: &EXPOSURES.spec, up_to: UpTo::Committed }],
                stand_ins: &[],
            },
        ],
        tables: &[],
        follows: &[],
        edge: &[],
        waits_for: &[],
        extra_check: Some(fraud::CHECK),
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_service_has_its_row_and_no_two_share_a_port_or_a_processor() {
        for (service, row) in ServiceName::ALL.into_iter().zip(&SERVICES) {
            assert_eq!(service, row.name);
            assert!(
                row.processor_names().all(|name| name.starts_with(service.as_str())),
                "{service}"
            );
        }
        let ports: BTreeSet<_> = SERVICES.iter().map(|row| row.port).collect();
        assert_eq!(ports.len(), SERVICES.len());
        let processors: Vec<_> = SERVICES.iter().flat_map(ServiceSpec::processor_names).collect();
        assert_eq!(processors.iter().collect::<BTreeSet<_>>().len(), processors.len());
    }
}
