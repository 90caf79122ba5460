//! One change to a clean shop, and the law that it breaks.

use crate::{lives::Lives, shop::append, shop::sku};
use auditor::{Booking, DeadLetter, Evidence, Law, Logged, Mail, Original, Whole};
use contracts::{
    CommandId, Order, OrderId, Price, Reason, ServiceName, Sku, Status as S, TransitionKind as T,
    inventory::{InventoryCommand, ReservationState, Restock, StockEntry, StockLevel},
    orders::OrderCommand,
};
use std::sync::Arc;
use uuid::Uuid;

type Mutation = (Law, &'static str, fn(&mut Lives));

/// Every change that is tried. What `is missing` may also be still to come.
pub const MUTATIONS: &[Mutation] = &[
    (Law::Baton, "payments' step was written by orders", |l| {
        let (id, e) = (l.confirmed, l.evidence());
        let record = find(&mut e.log.orders, |record| is(record, id, 3));
        record.writer = Some("orders".into());
        find(&mut e.view.timeline, |row| row.order_id == id && row.version == 3).writer =
            "orders".into();
    }),
    (Law::Baton, "a step that the table does not have", |l| {
        let order = l.shop.place("TEA", 1);
        l.shop.check(&order, true);
        let order = l.shop.go(&order, T::OrderCancelled, S::Rejected, |order| {
            order.reasons.push(Reason::new("customer", "cancelled", ""));
        });
        l.shop.settle(&order, ReservationState::Released);
    }),
    (Law::Versions, "a version is left out", |l| {
        let (id, e) = (l.declined, l.evidence());
        e.log.orders.retain(|record| !is(record, id, 2));
        e.log.orders_latest.retain(|record| !is(record, id, 2));
        e.log.order_views.retain(|r| read(r).order_id != id || read(r).view_version != 2);
        e.view.timeline.retain(|row| row.order_id != id || row.version != 2);
    }),
    (Law::Versions, "a version has two contents", |l| {
        let (id, e) = (l.confirmed, l.evidence());
        let mut fork = find(&mut e.log.orders, |record| is(record, id, 2)).clone();
        fork.offset = 2000;
        Arc::make_mut(fork.value.as_mut().unwrap()).occurred_at.0 += 1;
        e.log.orders.push(fork);
    }),
    (Law::Terminal, "one reader has not refused what follows the end", |l| {
        l.evidence().dead_letters.pop();
    }),
    (Law::WholeOrder, "the command that it came from changes", |l| {
        let id = l.rejected;
        alter(l.evidence(), id, 2, |order| order.placed_by = CommandId(Uuid::from_u128(99)));
    }),
    (Law::AsAsked, "an order has fewer pieces than were asked for", |l| {
        let id = l.confirmed;
        let command = find(&mut l.evidence().log.order_commands, |record| is_place_of(record, id));
        let Ok(OrderCommand::PlaceOrder(place)) = &mut command.value else { unreachable!() };
        place.lines[0].quantity += 1;
    }),
    (Law::AsAsked, "an order has not the note of its command", |l| {
        let id = l.confirmed;
        let command = find(&mut l.evidence().log.order_commands, |record| is_place_of(record, id));
        let Ok(OrderCommand::PlaceOrder(place)) = &mut command.value else { unreachable!() };
        place.note = "ring twice".to_owned().try_into().unwrap();
    }),
    (Law::WholeOrder, "the note changes", |l| {
        let id = l.rejected;
        let note = "ring twice";
        alter(l.evidence(), id, 2, |order| order.note = note.to_owned().try_into().unwrap());
        find(&mut l.evidence().view.orders, |row| row.order_id == id).note = note.to_owned();
    }),
    (Law::ViewOrders, "the view shows another note", |l| {
        let id = l.confirmed;
        find(&mut l.evidence().view.orders, |row| row.order_id == id).note = "ring twice".into();
    }),
    (Law::AsAsked, "nobody has asked for an order", |l| {
        let (id, e) = (l.confirmed, l.evidence());
        e.log.order_commands.retain(|record| !is_place_of(record, id));
    }),
    (Law::AsAsked, "the catalog never had the price of a line", |l| {
        let e = l.evidence();
        for record in e.log.catalog_products.iter_mut().filter(|record| record.key == "TEA") {
            raise(&mut record.value.as_mut().unwrap().as_mut().unwrap().price_minor);
        }
        let row = find(&mut e.view.products, |row| row.sku == sku("TEA"));
        raise(&mut row.product.as_mut().unwrap().price_minor);
    }),
    (Law::Understood, "payments has put aside what the others have taken", |l| {
        let id = l.confirmed;
        let validated = find(&mut l.evidence().log.orders, |record| is(record, id, 2));
        let (origin, timestamp) = (validated.address("orders"), validated.timestamp);
        l.evidence().dead_letters.push(DeadLetter {
            service: ServiceName::Payments,
            partition: 0,
            offset: 2000,
            timestamp,
            key: id.to_string(),
            origin,
            cause: "a currency that it does not know".into(),
            settled: true,
            replayed: false,
            value_bytes: 7,
            cut: None,
            original: None,
        });
    }),
    (Law::Latest, "the last state is missing", |l| {
        let (id, e) = (l.confirmed, l.evidence());
        e.log.orders_latest.retain(|record| !is(record, id, 4));
    }),
    (Law::Deadline, "an order goes on after its deadline", |l| {
        let (id, e) = (l.confirmed, l.evidence());
        for version in 1..=4 {
            alter(e, id, version, |order| order.deadline = order.requested_at);
        }
        let row = find(&mut e.view.orders, |row| row.order_id == id);
        row.deadline = row.requested_at;
    }),
    (Law::Deadline, "the end of an order is missing", |l| {
        let order = l.shop.place("TEA", 1);
        l.shop.check(&order, true);
    }),
    (Law::InTime, "an order was ended for its deadline, which was to come", |l| {
        let order = l.shop.place("TEA", 1);
        l.shop.check(&order, true);
        let order = l.shop.go(&order, T::OrderCancelled, S::Cancelled, |order| {
            order.reasons.push(Reason::new("deadline", "deadline", ""));
        });
        l.shop.settle(&order, ReservationState::Released);
    }),
    (Law::Reasons, "an order is cancelled without a reason", |l| {
        let (id, e) = (l.cancelled, l.evidence());
        alter(e, id, 2, |order| order.reasons.clear());
        find(&mut e.view.orders, |row| row.order_id == id).reasons.clear();
    }),
    (Law::Checks, "a check has not passed", |l| {
        let id = l.confirmed;
        for version in 1..=4 {
            alter(l.evidence(), id, version, |order| order.required_checks.push("fraud".into()));
        }
    }),
    (Law::Answers, "a refusal is missing", |l| {
        let (id, e) = (l.refused, l.evidence());
        e.log.order_refusals.retain(|record| record.key != id.to_string());
        e.view.refusals.retain(|row| row.order_id != id);
    }),
    (Law::Refusal, "an order was refused first and made later", |l| {
        let id = l.confirmed;
        let placed_by =
            read(find(&mut l.evidence().log.orders, |record| is(record, id, 1))).placed_by;
        l.shop.refusal(id, placed_by, "PlaceOrder", "unknown_sku", None);
    }),
    (Law::Refusal, "a CancelOrder was refused that came in time", |l| {
        refuse_cancellation(l, "already_requested", Some(1));
    }),
    (Law::Refusal, "a CancelOrder was refused as if there were no order", |l| {
        refuse_cancellation(l, "unknown_order", None);
    }),
    (Law::Cancellation, "an order is cancelled that another customer has asked for", |l| {
        let id = l.cancelled;
        for record in &mut l.evidence().log.order_commands {
            if let Ok(OrderCommand::CancelOrder(cancel)) = &mut record.value
                && cancel.order_id == id
            {
                cancel.customer_id = "eve".parse().ok();
            }
        }
    }),
    (Law::Refusal, "a refusal has no reason", |l| {
        let e = l.evidence();
        e.log.order_refusals[0].value.as_mut().unwrap().reasons.clear();
        e.view.refusals[0].reasons.clear();
    }),
    (Law::Cancellation, "no customer has asked for a cancellation", |l| {
        let (id, e) = (l.cancelled, l.evidence());
        e.log.order_commands.retain(|record| !is_cancel_of(record, id));
    }),
    (Law::Cancellation, "a cancellation was accepted, the order confirmed", |l| {
        l.shop.cancel(l.confirmed, true);
    }),
    (Law::Level, "a level does not add up", |l| {
        level(l.evidence(), |level| level.available += 1);
    }),
    (Law::Conservation, "a piece from nowhere", |l| {
        level(l.evidence(), |level| {
            (level.on_hand, level.available) = (level.on_hand + 1, level.available + 1)
        });
    }),
    (Law::Reserved, "a piece is held for nobody", |l| {
        level(l.evidence(), |level| {
            (level.reserved, level.available) = (level.reserved + 1, level.available - 1)
        });
    }),
    (Law::Fate, "a reservation of a confirmed order is left open", |l| {
        let (id, e) = (l.confirmed, l.evidence());
        let held = find(&mut e.log.reservations, |record| is_commit_of(read(record), id));
        let at = (held.partition, held.offset);
        e.log.reservations.retain(|record| (record.partition, record.offset) != at);
        level(e, |level| {
            (level.on_hand, level.reserved, level.committed) =
                (level.on_hand + 2, level.reserved + 2, level.committed - 2);
        });
    }),
    (Law::Promise, "an outcome was told twice", |l| {
        let outcomes = &mut l.evidence().log.order_validations;
        let mut again = outcomes[0].clone();
        again.offset = 2000;
        outcomes.push(again);
    }),
    (Law::Promise, "an outcome is missing", |l| {
        let (id, e) = (l.cancelled, l.evidence());
        e.log.order_validations.retain(|record| record.key != id.to_string());
    }),
    (Law::Restocks, "a Restock is missing", |l| {
        let (at, command_id) = (l.shop.now(), CommandId(Uuid::from_u128(99)));
        let restock = Restock { sku: sku("TEA"), command_id, quantity: 1, issued_at: at };
        let topic = &mut l.evidence().log.inventory_commands;
        append(topic, "TEA", (at, "inventory"), None, InventoryCommand::Restock(restock));
    }),
    (Law::Restocks, "a Restock was counted twice", |l| {
        let entries = &mut l.evidence().log.reservations;
        let again = find(entries, |r| matches!(read(r), StockEntry::RestockApplied(_))).clone();
        entries.push(again);
    }),
    (Law::OneCapture, "the bank has captured twice", |l| {
        let (id, e) = (l.confirmed.to_string(), l.evidence());
        let again = find(&mut e.bank, |entry| entry.key == id).clone();
        e.bank.push(again);
    }),
    (Law::OneCapture, "the bank has refunded twice", |l| {
        let (id, e) = (l.refunded.to_string(), l.evidence());
        let kind = Booking::Refund;
        let again = find(&mut e.bank, |entry| entry.key == id && entry.kind == kind).clone();
        e.bank.push(again);
    }),
    (Law::Refunds, "the bank has charged an order that never asked for it", |l| {
        let id = l.cancelled;
        let order = last(l.evidence(), id);
        l.shop.book(&order, Booking::Capture, false);
        l.shop.book(&order, Booking::Void, false);
    }),
    (Law::Refunds, "a void is missing", |l| {
        let (id, e) = (l.declined, l.evidence());
        find(&mut e.payments.rows, |row| row.order_id == id).void_due = true;
    }),
    (Law::DoubleEntry, "one side of a booking was changed", |l| {
        let entries = &mut l.evidence().payments.ledger;
        find(entries, |entry| entry.account == "sales").amount.amount_minor += 1;
    }),
    (Law::Statement, "the bank has booked another amount", |l| {
        l.evidence().bank[0].amount.amount_minor += 1;
    }),
    (Law::Statement, "a late capture was voided by half", |l| {
        let (id, e) = (l.late.to_string(), l.evidence());
        let kind = Booking::Void;
        find(&mut e.bank, |entry| entry.key == id && entry.kind == kind).amount.amount_minor /= 2;
    }),
    (Law::Statement, "somebody else has paid", |l| {
        let id = l.confirmed.to_string();
        find(&mut l.evidence().bank, |entry| entry.key == id).customer = "eve".into();
    }),
    (Law::Books, "payments stands elsewhere", |l| {
        let (id, e) = (l.confirmed, l.evidence());
        find(&mut e.payments.rows, |row| row.order_id == id).status = "intent".into();
    }),
    (Law::Announced, "an announcement is missing", |l| {
        let (id, e) = (l.confirmed, l.evidence());
        e.log.order_views.retain(|r| read(r).order_id != id || read(r).view_version != 2);
    }),
    (Law::ViewOrders, "a row shows another status", |l| {
        let (id, e) = (l.confirmed, l.evidence());
        find(&mut e.view.orders, |row| row.order_id == id).status = "paid".into();
    }),
    (Law::ViewOrders, "a row is missing", |l| {
        l.evidence().view.orders.pop();
    }),
    (Law::ViewTimeline, "a row names another writer", |l| {
        l.evidence().view.timeline[0].writer = "view".into();
    }),
    (Law::ViewTimeline, "a row of the timeline is missing", |l| {
        l.evidence().view.timeline.pop();
    }),
    (Law::ViewCustomers, "a row of customers is missing", |l| {
        l.evidence().view.customer_orders.pop();
    }),
    (Law::ViewSales, "revenue is too high", |l| {
        l.evidence().view.sales[0].revenue.amount_minor += 1;
    }),
    (Law::ViewStock, "a row of stock shows more", |l| {
        l.evidence().view.stock[0].on_hand += 1;
    }),
    (Law::ViewProducts, "a row of products has another price", |l| {
        raise(&mut l.evidence().view.products[0].product.as_mut().unwrap().price_minor);
    }),
    (Law::ViewRefusals, "a row of refusals is missing", |l| {
        l.evidence().view.refusals.pop();
    }),
    (Law::MailOnce, "a mail has a Message-ID of its own", |l| {
        let (at, to) = (l.shop.now(), "ada@example.org".to_owned());
        let message_id = "a-second-mail@murmuration.shop".to_owned();
        l.evidence().mails.push(Mail { message_id, to, at });
    }),
    (Law::MailMatches, "a mail is missing", |l| {
        l.evidence().mails.pop();
    }),
    (Law::MailMatches, "a mail about something else was put aside, and this one is missing", |l| {
        let id = l.confirmed;
        let origin = "order-views/1/2000".to_owned();
        l.shop.dead_letter(ServiceName::Email, &id.to_string(), origin);
        let of_it = format!("{id}.");
        l.evidence().mails.retain(|mail| !mail.message_id.starts_with(&of_it));
        l.evidence().log.emails.retain(|record| record.key != id.to_string());
    }),
    (Law::MailMatches, "a mail has waited for longer than its schedule says", |l| {
        let (id, now) = (l.confirmed, l.shop.now());
        l.shop.mail_waits(id, now);
    }),
    (Law::MailMatches, "a mail went to somebody else", |l| {
        l.evidence().mails[0].to = "eve@example.org".into();
    }),
    (Law::MailAfterView, "a mail has another cause than the view", |l| {
        l.evidence().log.emails[0].causation = Some("orders/0/0".into());
    }),
    (Law::Owners, "a level was written by the view", |l| {
        l.evidence().log.stock[0].writer = Some("view".into());
    }),
    (Law::Owners, "a check of inventory was answered by the view", |l| {
        l.evidence().log.order_validations[0].writer = Some("view".into());
    }),
    (Law::Owners, "an extra check was answered by a service that is no validator", |l| {
        let outcomes = &mut l.evidence().log.order_validations;
        let mut extra = Logged { writer: Some("view".into()), offset: 2000, ..outcomes[0].clone() };
        extra.value.as_mut().unwrap().check = "age".into();
        outcomes.push(extra);
    }),
    (Law::Poison, "nobody has put garbage aside", |l| {
        let commands = &mut l.evidence().log.order_commands;
        let garbage =
            Logged { value: Err("no schema".into()), offset: 2000, ..commands[0].clone() };
        commands.push(garbage);
    }),
    (Law::Poison, "nobody has put a transition aside whose key is no order", |l| {
        let e = l.evidence();
        let quoted = format!("{:?}", e.log.orders[0].key);
        let record = Logged { key: quoted, offset: 2000, ..e.log.orders[0].clone() };
        e.log.orders.push(record);
    }),
    (Law::Letters, "a dead letter is shorter than its record and does not say so", |l| {
        let letter = &mut l.evidence().dead_letters[0];
        letter.original = Some(Original {
            timestamp: letter.timestamp,
            value_bytes: 900_001,
            whole: Whole { bytes: 900_010, sha256: "d1".repeat(32) },
        });
    }),
    (Law::Letters, "a dead letter that was cut names another record", |l| {
        let (letter, whole) =
            (&mut l.evidence().dead_letters[0], Whole { bytes: 900_010, sha256: "d1".repeat(32) });
        letter.cut = Some(Whole { bytes: 900_010, sha256: "d2".repeat(32) });
        letter.original =
            Some(Original { timestamp: letter.timestamp, value_bytes: 900_001, whole });
    }),
    (Law::DeadLetters, "a dead letter waits", |l| {
        l.evidence().dead_letters[0].settled = false;
    }),
];

/// The first that is meant.
pub fn find<T>(list: &mut [T], meant: impl Fn(&T) -> bool) -> &mut T {
    list.iter_mut().find(|item| meant(item)).expect("the shop has it")
}

fn read<T>(record: &Logged<T>) -> &T {
    record.value.as_ref().unwrap()
}

fn is_commit_of(entry: &StockEntry, id: OrderId) -> bool {
    match entry {
        StockEntry::Reservation(held) => {
            held.order_id == id && held.state == ReservationState::Committed
        }
        StockEntry::RestockApplied(_) => false,
    }
}

fn is(record: &Logged<Arc<Order>>, order_id: OrderId, version: i64) -> bool {
    let order = read(record);
    (order.order_id, order.version) == (order_id, version)
}

/// Refuse the CancelOrder that was accepted, as if it was judged by this version of its order.
fn refuse_cancellation(l: &mut Lives, code: &str, order_version: Option<i64>) {
    let (id, e) = (l.cancelled, l.evidence());
    let cancel = find(&mut e.log.order_commands, |record| is_cancel_of(record, id));
    let command_id = read(cancel).command_id();
    l.shop.refusal(id, command_id, "CancelOrder", code, order_version);
}

fn is_place_of(record: &Logged<OrderCommand>, id: OrderId) -> bool {
    matches!(read(record), OrderCommand::PlaceOrder(place) if place.order_id == id)
}

fn is_cancel_of(record: &Logged<OrderCommand>, id: OrderId) -> bool {
    matches!(read(record), OrderCommand::CancelOrder(cancel) if cancel.order_id == id)
}

fn last(evidence: &Evidence, order_id: OrderId) -> Order {
    let mut records = evidence.log.orders_latest.iter().rev();
    read(records.find(|record| read(record).order_id == order_id).unwrap()).as_ref().clone()
}

/// Change a version of an order wherever it travels whole.
fn alter(evidence: &mut Evidence, order_id: OrderId, version: i64, change: impl Fn(&mut Order)) {
    let log = &mut evidence.log;
    for record in log.orders.iter_mut().chain(&mut log.orders_latest) {
        if is(record, order_id, version) {
            change(Arc::make_mut(record.value.as_mut().unwrap()));
        }
    }
    for record in &mut log.order_views {
        let update = record.value.as_mut().unwrap();
        if (update.order_id, update.view_version) == (order_id, version) {
            change(Arc::make_mut(&mut update.order));
        }
    }
}

/// Change the level of TEA, and what the view shows of it.
fn level(evidence: &mut Evidence, change: impl Fn(&mut StockLevel)) {
    let tea: Sku = sku("TEA");
    let record = evidence.log.stock.iter_mut().rfind(|record| read(record).sku == tea).unwrap();
    let level = record.value.as_mut().unwrap();
    change(level);
    let row = find(&mut evidence.view.stock, |row| row.sku == tea);
    (row.on_hand, row.reserved, row.available) = (level.on_hand, level.reserved, level.available);
}

fn raise(price: &mut Price) {
    *price = (price.minor() + 1).try_into().unwrap();
}
