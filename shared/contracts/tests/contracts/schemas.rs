//! The Rust types and the files of `schemas/` describe the same records.

use apache_avro::Schema;
use contracts::{
    Currency, Money, Order, Payment, PaymentStatus, Reason, Status, Timestamp, TransitionKind,
    avro::Message,
    email::{EmailKind, EmailSent, EmailWaiting, Waiting},
    inventory::{
        Commit, InventoryCommand, OrderValidation, Outcome, Release, Reservation, ReservationState,
        Reserve, Restock, RestockApplied, StockEntry, StockLevel,
    },
    order::LatestOrder,
    orders::{CancelOrder, CommandRefused, OrderCommand, PlaceOrder, RequestedLine},
    topics,
    view::ViewUpdated,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    fs,
    path::Path,
};

const UUID: &str = "0192d3a0-7b1c-7e2a-9c3d-5f0a1b2c3d4e";
const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn order(status: Status, transition: TransitionKind) -> Order {
    Order {
        version: 3,
        transition,
        status,
        reasons: vec![Reason::new("deadline", "deadline", "too late")],
        payment: Some(Payment {
            status: PaymentStatus::Captured,
            amount: Money::new(900, Currency::EUR),
            reference: Some("ch_1".into()),
            decided_at: NOW,
        }),
        ..testkit::orders::order(7, &[("TEA", "Tea", 2, 450)], NOW)
    }
}

/// Both ways of reading give back what was written: the fast path, and resolution.
fn round_trips<M: Message + PartialEq + Debug>(message: M) {
    let schema = message.schema();
    let mut datum = Vec::new();
    message.write(&mut datum).expect("the type fits its schema");
    assert_eq!(M::read(schema, &datum).expect("fast path"), message);

    assert_eq!(schema.resolve(schema.schema(), &datum).expect("resolution"), datum);

    assert!(M::read(schema, &datum[..datum.len() - 1]).is_err(), "a torn datum is an error");
    datum.push(0);
    assert!(M::read(schema, &datum).is_err(), "left-over bytes are an error");
}

#[test]
fn every_status_and_transition_has_its_place_in_the_avro_enum() {
    for status in Status::ALL {
        round_trips(order(status, TransitionKind::OrderRequested));
    }
    for step in contracts::baton::STEPS {
        round_trips(LatestOrder(order(step.to, step.transition)));
    }
}

#[test]
fn every_message_survives_the_wire() {
    let (uuid, sku) = (UUID.parse().unwrap(), "TEA".parse::<contracts::Sku>().unwrap());
    let command_id = UUID.parse().unwrap();
    let lines = vec![RequestedLine { sku: sku.clone(), quantity: 1000 }];
    let place = PlaceOrder::new(command_id, uuid, "ada".parse().unwrap(), lines, NOW);
    round_trips(OrderCommand::from(place));
    round_trips(OrderCommand::from(CancelOrder {
        command_id,
        order_id: uuid,
        issued_at: NOW,
        customer_id: None,
    }));
    let reasons = vec![Reason::new("lines[0].sku", "unknown_sku", "no such product")];
    let command = "PlaceOrder".to_owned();
    let refused = CommandRefused {
        customer_id: None,
        command_id,
        order_id: uuid,
        command,
        reasons,
        order_version: None,
        refused_at: NOW,
    };
    round_trips(CommandRefused { order_version: Some(4), ..refused.clone() });
    round_trips(refused);
    let commands: [InventoryCommand; 4] = [
        Reserve { sku: sku.clone(), order_id: uuid, quantity: 1, issued_at: NOW }.into(),
        Release { sku: sku.clone(), order_id: uuid, issued_at: NOW }.into(),
        Commit { sku: sku.clone(), order_id: uuid, issued_at: NOW }.into(),
        Restock { sku: sku.clone(), command_id, quantity: 5, issued_at: NOW }.into(),
    ];
    commands.into_iter().for_each(round_trips);
    for outcome in [Outcome::Passed, Outcome::Failed] {
        let (check, code, detail) = ("inventory:TEA".into(), "ok".into(), String::new());
        round_trips(OrderValidation {
            order_id: uuid,
            check,
            outcome,
            code,
            detail,
            decided_at: NOW,
        });
    }
    round_trips(StockLevel {
        sku: sku.clone(),
        on_hand: 10,
        reserved: 3,
        available: 7,
        committed: 2,
        version: 4,
        updated_at: NOW,
    });
    use ReservationState::{Committed, Refused, Released, Reserved};
    for state in [Reserved, Refused, Released, Committed] {
        let sku = sku.clone();
        let entry = Reservation { sku, order_id: uuid, quantity: 1, state, updated_at: NOW };
        round_trips(StockEntry::from(entry));
    }
    let restock = RestockApplied { sku, command_id, quantity: 1, updated_at: NOW };
    round_trips(StockEntry::from(restock));
}

#[test]
fn every_announcement_survives_the_wire() {
    let order_id = UUID.parse().unwrap();
    let order = order(Status::Paid, TransitionKind::PaymentReceived);
    round_trips(ViewUpdated { order_id, view_version: 3, order, updated_at: NOW });
    use EmailKind::{Cancellation, Confirmation, Refund, Rejection};
    for kind in [Confirmation, Rejection, Cancellation, Refund] {
        round_trips(EmailSent {
            order_id,
            kind,
            message_id: contracts::email::message_id(order_id, kind),
            recipient: "ada@example.org".into(),
            sent_kinds: vec![kind],
            sent_at: NOW,
        });
        let waiting = Waiting {
            kind,
            since: NOW,
            next_at: NOW,
            refusals: 1,
            doubts: 2,
            cause: "451 come back later".into(),
            topic: "order-views".into(),
            offset: 7,
            headers: BTreeMap::from([("ce_source".into(), "view".into())]),
            announcement: vec![0, 0, 0, 0, 9],
        };
        for waiting in [None, Some(waiting)] {
            round_trips(EmailWaiting { order_id, waiting });
        }
    }
}

#[test]
fn every_schema_file_is_a_topics_and_stands_in_its_owners_folder() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    let mut files = BTreeSet::new();
    for folder in fs::read_dir(&root).expect("schemas/ is there") {
        let folder = folder.unwrap().path();
        for file in fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            files.insert(path.strip_prefix(&root).unwrap().to_string_lossy().into_owned());
        }
    }
    let schemas = || topics::ALL.into_iter().flat_map(|topic| (topic.schemas)());
    let used: BTreeSet<_> = schemas().map(|schema| schema.path.to_owned()).collect();
    assert_eq!(files, used);
    for schema in schemas().filter(|schema| !schema.path.starts_with("catalog/")) {
        let (owner, file) = schema.path.split_once('/').unwrap();
        let record = file.strip_suffix(".avsc").unwrap();
        // It has moved, and its name cannot: see the type.
        let owner = if record == "OrderValidation" { "inventory" } else { owner };
        assert_eq!(schema.name(), format!("murmuration.{owner}.{record}"));
    }
}

#[test]
fn view_updated_carries_exactly_the_order_of_orders() {
    let Schema::Record(updated) = ViewUpdated::SCHEMA.schema() else { panic!("a record") };
    let embedded = updated.fields.iter().find(|field| field.name == "order").expect("a field");
    assert_eq!(canonical(&embedded.schema), canonical(Order::SCHEMA.schema()));
}

fn canonical(schema: &Schema) -> String {
    schema.canonical_form()
}
