//! Every way out of a trouble that docs/operating.md describes, and every deletion of records: the
//! audit is clean afterwards, and says what it cannot tell.

use crate::{
    lives::{Lives, lives},
    mutations::{MUTATIONS, find},
    shop::{Shop, append, captured, sku},
};
use auditor::{Booking, DeadLetter, Evidence, Logged, ProductRow, audit};
use contracts::{
    CommandId, Order, OrderId, Reason,
    ServiceName::{self, Email, Inventory, Orders, Payments, View},
    Status as S, Timestamp, TransitionKind as T,
    inventory::{InventoryCommand, Outcome, ReservationState, Restock},
};
use std::{collections::BTreeSet, sync::Arc};
use uuid::Uuid;

type WayOut = (&'static str, fn(&mut Lives));

/// What an operator, or the shop itself, has done about a trouble.
const WAYS_OUT: &[WayOut] = &[
    ("an undeliverable mail was discarded", |l| {
        let origin = no_mail(l);
        l.shop.dead_letter(Email, &l.confirmed.to_string(), origin);
    }),
    ("an undeliverable mail was replayed, and arrived", |l| {
        let (id, mail) = (l.confirmed, mail_of(l));
        let sent =
            find(&mut l.evidence().log.emails, |record| record.key == id.to_string()).clone();
        let origin = no_mail(l);
        l.shop.replayed(Email, &id.to_string(), origin.clone());
        let address = again(&mut l.evidence().log.order_views, "order-views", &origin);
        let causation = Some(address);
        l.evidence().log.emails.push(Logged { causation, offset: 2000, ..sent });
        l.evidence().mails.push(mail);
    }),
    ("an undeliverable mail was replayed in vain, and then discarded", |l| {
        let (id, origin) = (l.confirmed.to_string(), no_mail(l));
        l.shop.replayed(Email, &id, origin.clone());
        let address = again(&mut l.evidence().log.order_views, "order-views", &origin);
        l.shop.dead_letter(Email, &id, address);
    }),
    ("a mail without an answer arrived, was given up and discarded", |l| {
        let mail = mail_of(l);
        let origin = no_mail(l);
        l.evidence().mails.push(mail);
        l.shop.dead_letter(Email, &l.confirmed.to_string(), origin);
    }),
    ("announcements of open orders were passed by and discarded", |l| {
        for record in &l.evidence().log.order_views.clone() {
            if record.read().unwrap().order.status == S::Requested {
                l.shop.dead_letter(Email, &record.key, record.address("order-views"));
            }
        }
    }),
    ("a PlaceOrder was passed by and discarded", |l| {
        let (key, origin) = command_without_answer(l);
        l.shop.dead_letter(Orders, &key, origin);
    }),
    ("a PlaceOrder was passed by, replayed and refused", |l| {
        let (key, origin) = command_without_answer(l);
        l.shop.replayed(Orders, &key, origin.clone());
        let address = again(&mut l.evidence().log.order_commands, "orders.commands", &origin);
        let mut commands = l.evidence().log.order_commands.iter();
        let again = commands.find(|r| r.address("orders.commands") == address).unwrap().clone();
        let (id, command_id) = (key.parse().unwrap(), again.read().unwrap().command_id());
        l.shop.refusal(id, command_id, "PlaceOrder", "unknown_sku", None);
    }),
    ("a transition was refused by the view and by payments, and replayed", |l| {
        let origin = address_of(l, l.confirmed, 2);
        let key = l.confirmed.to_string();
        l.shop.replayed(View, &key, origin.clone());
        let address = again(&mut l.evidence().log.orders, "orders", &origin);
        let (id, place) = (l.confirmed, address);
        let rows = &mut l.evidence().view.timeline;
        find(rows, |row| row.order_id == id && row.version == 2).address = place;
        l.shop.replayed(Payments, &key, origin.clone());
        again(&mut l.evidence().log.orders, "orders", &origin);
    }),
    ("the outbox was sent again", |l| {
        for version in [3, 3] {
            let origin = address_of(l, l.confirmed, version);
            again(&mut l.evidence().log.orders, "orders", &origin);
        }
    }),
    ("a forged PaymentReceived was refused by all for its content, and settled", |l| {
        let mut order = l.shop.place("TEA", 1);
        l.shop.check(&order, true);
        order = l.shop.go(&order, T::OrderValidated, S::Validated, |_| {});
        forge(l, &order, "payments", &[Orders, Inventory, Payments, View]);
        pay_and_confirm(&mut l.shop, &order);
    }),
    (
        "a forged PaymentReceived came too early, was refused by those it concerns, and settled",
        |l| {
            let mut order = l.shop.place("TEA", 1);
            l.shop.check(&order, true);
            forge(l, &order, "payments", &[Orders, View]);
            order = l.shop.go(&order, T::OrderValidated, S::Validated, |_| {});
            pay_and_confirm(&mut l.shop, &order);
        },
    ),
    ("a forged PaymentReceived came too late, was refused by the view, and settled", |l| {
        let id = l.confirmed;
        let orders = l.evidence().log.orders.iter();
        let known = |r: &&Logged<Arc<Order>>| r.key == id.to_string();
        let validated = orders.filter(known).nth(1).unwrap().read().unwrap().as_ref().clone();
        forge(l, &validated, "payments", &[View]);
    }),
    ("an outcome was passed by and discarded; its order ended at its deadline", |l| {
        let order = l.shop.place("TEA", 1);
        l.shop.check(&order, true);
        let record = l.evidence().log.order_validations.last().unwrap();
        let (key, origin) = (record.key.clone(), record.address("order-validations"));
        l.shop.dead_letter(Orders, &key, origin);
        l.shop.wait();
        let order = l.shop.go(&order, T::OrderCancelled, S::Cancelled, |order| {
            order.reasons.push(Reason::new("deadline", "no_outcome", ""));
        });
        l.shop.settle(&order, ReservationState::Released);
    }),
    ("an outcome was refused and replayed", |l| {
        let key = l.confirmed.to_string();
        let outcomes = &mut l.evidence().log.order_validations;
        let origin = find(outcomes, |record| record.key == key).address("order-validations");
        again(outcomes, "order-validations", &origin);
        l.shop.replayed(Orders, &key, origin);
    }),
    ("an extra check was answered by fraud", |l| {
        let outcomes = &mut l.evidence().log.order_validations;
        let (writer, offset) = (Some(ServiceName::Fraud.to_string()), 2000);
        let mut extra = Logged { writer, offset, ..outcomes[0].clone() };
        let value = extra.value.as_mut().unwrap();
        (value.check, value.outcome) = ("fraud".into(), Outcome::Passed);
        outcomes.push(extra);
    }),
    ("garbage on what services keep for themselves was passed by, and discarded", |l| {
        let log = &mut l.evidence().log;
        let found = [
            (Email, garbage(&mut log.emails, "emails")),
            (Orders, garbage(&mut log.orders_latest, "orders.latest")),
            (Inventory, garbage(&mut log.reservations, "inventory.reservations")),
        ];
        for (service, origin) in found {
            l.shop.dead_letter(service, "garbage", origin);
        }
    }),
    ("a Restock was refused, and discarded", |l| {
        let origin = restock(l);
        l.shop.dead_letter(Inventory, "TEA", origin);
    }),
    ("sold out, and restocked", |l| {
        l.shop.restock("LAST", 1);
        let order = l.shop.place("LAST", 1);
        l.shop.check(&order, true);
        let order = l.shop.go(&order, T::OrderValidated, S::Validated, |_| {});
        pay_and_confirm(&mut l.shop, &order);
    }),
    ("a level was refused by the view, and replayed", |l| {
        let record = l.evidence().log.stock.last().unwrap().clone();
        l.shop.replayed(View, &record.key, record.address("stock"));
        again(&mut l.evidence().log.stock, "stock", &record.address("stock"));
    }),
    ("garbage on every topic was refused by its readers, and settled", |l| {
        let log = &mut l.evidence().log;
        let mut origins = vec![
            (garbage(&mut log.orders, "orders"), vec![Orders, Payments, Inventory, View]),
            (garbage(&mut log.order_commands, "orders.commands"), vec![Orders]),
            (garbage(&mut log.order_refusals, "orders.refusals"), vec![View]),
            (garbage(&mut log.order_validations, "order-validations"), vec![Orders]),
            (garbage(&mut log.inventory_commands, "inventory.commands"), vec![Inventory]),
            (garbage(&mut log.stock, "stock"), vec![View]),
            (garbage(&mut log.order_views, "order-views"), vec![Email]),
        ];
        // It has a key of its own, and so hides no product.
        let row = garbage(&mut log.catalog_products, "catalog.products");
        log.catalog_products.last_mut().unwrap().key = "NEVER".into();
        origins.push((row, vec![Orders, Inventory, View]));
        l.evidence().view.products.push(ProductRow { sku: sku("NEVER"), product: None });
        for (origin, readers) in origins {
            readers.into_iter().for_each(|it| l.shop.dead_letter(it, "key", origin.clone()));
        }
    }),
    ("a row of the catalog was mended", |l| {
        let row = l.evidence().log.catalog_products[0].clone();
        let origin = garbage(&mut l.evidence().log.catalog_products, "catalog.products");
        for reader in [Orders, Inventory, View] {
            l.shop.dead_letter(reader, &row.key, origin.clone());
        }
        l.evidence().log.catalog_products.push(Logged { offset: 3000, ..row });
    }),
    ("a stranger's row of the outbox was put aside and discarded", |l| {
        l.shop.dead_letter(Payments, "", "?/?/?".into());
    }),
    ("the mail server has begun again, without its mails", |l| {
        let now = l.shop.now();
        l.evidence().mails.clear();
        l.evidence().mails_since = now;
    }),
];

#[test]
fn a_shop_is_clean_after_each_way_out() {
    for (what, way_out) in WAYS_OUT {
        let mut lives = lives();
        way_out(&mut lives);
        let verdict = audit(&lives.close());
        assert!(verdict.is_clean(), "{what}\n{verdict}");
        assert_eq!(verdict.pending(), 0, "{what}\n{verdict}");
    }
}

/// A part of the evidence that can be deleted: the times of its records, and how to delete some.
type Deletable = (&'static str, fn(&Evidence) -> Vec<Timestamp>, fn(&mut Evidence, Timestamp));

macro_rules! deletable {
    ($($topic:literal $field:ident,)*) => {
        &[$((
            $topic,
            |e| e.log.$field.iter().map(|record| record.timestamp).collect(),
            |e, until| {
                e.log.$field.retain(|record| {
                    let is_gone = record.timestamp <= until;
                    if is_gone {
                        let place = ($topic.to_owned(), record.partition);
                        let start = e.log_starts.entry(place).or_default();
                        *start = (*start).max(record.offset + 1);
                    }
                    !is_gone
                });
                // Of one partition, everything before the start is gone.
                let starts = &e.log_starts;
                e.log.$field.retain(|record| {
                    let start = starts.get(&($topic.to_owned(), record.partition));
                    start.is_none_or(|start| record.offset >= *start)
                });
            },
        ),)*]
    };
}

/// The topics whose records can be deleted: Kafka refuses it where a topic is compacted.
const DELETABLE: &[Deletable] = deletable! {
    "orders" orders,
    "orders.commands" order_commands,
    "orders.refusals" order_refusals,
    "order-validations" order_validations,
    "inventory.commands" inventory_commands,
    "order-views" order_views,
};

fn delete_letters(evidence: &mut Evidence, until: Timestamp) {
    let Evidence { dead_letters, log_starts, .. } = evidence;
    dead_letters.retain(|letter: &DeadLetter| {
        let is_gone = letter.timestamp <= until;
        if is_gone {
            let place = (format!("{}.dlq", letter.service), letter.partition);
            let start = log_starts.entry(place).or_default();
            *start = (*start).max(letter.offset + 1);
        }
        !is_gone
    });
}

fn moments(evidence: &Evidence) -> BTreeSet<Timestamp> {
    let times = DELETABLE.iter().flat_map(|(_, times, _)| times(evidence));
    times.chain(evidence.dead_letters.iter().map(|letter| letter.timestamp)).collect()
}

fn assert_clean(what: &str, evidence: &Evidence) {
    let verdict = audit(evidence);
    assert!(verdict.is_clean(), "{what}\n{verdict}");
    let said = verdict.remarks.iter().any(|remark| remark.contains("unknown"));
    assert_eq!(said, verdict.unknown() > 0, "{what}\n{verdict}");
}

#[test]
fn what_was_deleted_is_unknown_and_not_wrong() {
    const NOTHING: WayOut = ("nothing has happened", |_| {});
    for (index, (what, way_out)) in [&NOTHING].into_iter().chain(WAYS_OUT).enumerate() {
        let mut lives = lives();
        way_out(&mut lives);
        let whole = lives.close();
        // Every moment once, and some of them after each way out.
        for until in moments(&whole).into_iter().step_by(if index == 0 { 1 } else { 5 }) {
            for (topic, _, delete) in DELETABLE {
                let mut evidence = whole.clone();
                delete(&mut evidence, until);
                assert_clean(&format!("{what}; {topic} was deleted until {until:?}"), &evidence);
            }
            let mut evidence = whole.clone();
            delete_letters(&mut evidence, until);
            assert_clean(&format!("{what}; letters were deleted until {until:?}"), &evidence);
            DELETABLE.iter().for_each(|(.., delete)| delete(&mut evidence, until));
            assert_clean(&format!("{what}; all was deleted until {until:?}"), &evidence);
        }
    }
}

#[test]
fn the_verdict_says_what_it_cannot_tell_and_where_the_topic_begins() {
    let mut evidence = lives().close();
    let last = evidence.log.order_views.iter().map(|record| record.timestamp).max().unwrap();
    let (_, _, delete) = DELETABLE.iter().find(|(topic, ..)| *topic == "order-views").unwrap();
    delete(&mut evidence, last);
    let verdict = audit(&evidence);
    let report = verdict.to_string();
    assert!(report.contains(&format!(", {} unknown,", verdict.unknown())), "{report}");
    assert!(report.contains("(announced 27, mail after view 8): order-views lacks"), "{report}");
    assert!(report.contains("deleted before order-views/0/"), "{report}");
}

/// What was deleted elsewhere makes no law blind.
#[test]
fn each_change_breaks_its_law_although_other_records_were_deleted() {
    for (law, what, mutate) in MUTATIONS {
        let mut lives = lives();
        mutate(&mut lives);
        let mut evidence = lives.close();
        for partition in 0..3 {
            evidence.log_starts.insert(("fraud.dlq".into(), partition), 7);
            evidence.log_starts.insert(("fraud.exposures".into(), partition), 7);
        }
        assert_eq!(audit(&evidence).violated(), BTreeSet::from([*law]), "{what}");
    }
}

/// Put the record at `address` on its topic once more; its new address.
fn again<T: Clone>(records: &mut Vec<Logged<T>>, topic: &str, address: &str) -> String {
    let record = records.iter().find(|record| record.address(topic) == address).unwrap().clone();
    let offset = 2000 + i64::try_from(records.len()).unwrap();
    let timestamp = records.iter().map(|record| record.timestamp).max().unwrap();
    let again = Logged { offset, timestamp, ..record };
    let address = again.address(topic);
    records.push(again);
    address
}

fn garbage<T: Clone>(records: &mut Vec<Logged<T>>, topic: &str) -> String {
    let first = records[0].address(topic);
    let address = again(records, topic, &first);
    records.last_mut().unwrap().value = Err("no schema".into());
    address
}

fn address_of(l: &mut Lives, id: OrderId, version: i64) -> String {
    let is_it = |r: &Logged<Arc<Order>>| {
        let order = r.read().unwrap();
        (order.order_id, order.version) == (id, version)
    };
    find(&mut l.evidence().log.orders, is_it).address("orders")
}

fn mail_of(l: &mut Lives) -> auditor::Mail {
    let of_it = format!("{}.", l.confirmed);
    find(&mut l.evidence().mails, |mail| mail.message_id.starts_with(&of_it)).clone()
}

/// The mail about the confirmed order has not arrived; the address of its announcement.
fn no_mail(l: &mut Lives) -> String {
    let (id, key, of_it) = (l.confirmed, l.confirmed.to_string(), format!("{}.", l.confirmed));
    l.evidence().mails.retain(|mail| !mail.message_id.starts_with(&of_it));
    l.evidence().log.emails.retain(|record| record.key != key);
    let is_end = |r: &Logged<auditor::Announcement>| {
        let update = r.read().unwrap();
        update.order_id == id && update.order.status == S::Confirmed
    };
    find(&mut l.evidence().log.order_views, is_end).address("order-views")
}

/// A PlaceOrder that made no order and was not refused: its key and address.
fn command_without_answer(l: &mut Lives) -> (String, String) {
    let id = l.shop.refuse("NOTHING");
    let key = id.to_string();
    l.evidence().log.order_refusals.retain(|record| record.key != key);
    l.evidence().view.refusals.retain(|row| row.order_id != id);
    let commands = &mut l.evidence().log.order_commands;
    let origin = find(commands, |record| record.key == key).address("orders.commands");
    (key, origin)
}

/// A Restock that was not counted.
fn restock(l: &mut Lives) -> String {
    let (at, command_id) = (l.shop.now(), CommandId(Uuid::from_u128(99)));
    let restock = Restock { sku: sku("TEA"), command_id, quantity: 1, issued_at: at };
    let topic = &mut l.evidence().log.inventory_commands;
    append(topic, "TEA", (at, "inventory"), None, InventoryCommand::Restock(restock));
    topic.last().unwrap().address("inventory.commands")
}

/// A PaymentReceived after `order` in the name of `writer`; these have refused it.
fn forge(l: &mut Lives, order: &Order, writer: &str, refused_by: &[ServiceName]) {
    let (key, at) = (order.order_id.to_string(), l.shop.now());
    let mut forged = Order { version: 3, transition: T::PaymentReceived, ..order.clone() };
    captured(&mut forged);
    forged.status = S::Paid;
    forged.payment.as_mut().unwrap().amount.amount_minor = -1;
    append(&mut l.evidence().log.orders, &key, (at, writer), None, Arc::new(forged));
    refused_by.iter().for_each(|service| l.shop.put_aside(*service));
}

fn pay_and_confirm(shop: &mut Shop, order: &Order) {
    shop.book(order, Booking::Capture, true);
    shop.payment_row(order, "captured");
    let order = shop.go(order, T::PaymentReceived, S::Paid, captured);
    let order = shop.go(&order, T::OrderConfirmed, S::Confirmed, |_| {});
    shop.settle(&order, ReservationState::Committed);
}
