//! The view: each of its tables is the fold of the log, and what it announced is what it shows.

use crate::{
    case::Case,
    evidence::{CustomerOrderRow, Logged, OrderRow, RefusalRow, StockRow, TimelineRow},
    history::Step,
    law::Law,
    laws::{NEVER, copy, gone, stranger},
    retained::{DEAD_LETTERS, home_of},
    verdict::{Findings, Subject},
};
use contracts::{
    CommandId, Money, Order, OrderId, ServiceName, Sku, Timestamp, TransitionKind,
    catalog::Product,
    inventory::StockLevel,
    orders::CommandRefused,
    topics::{ORDER_REFUSALS, ORDER_VIEWS, ORDERS},
};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn check(case: &Case<'_>, findings: &mut Findings<'_>) {
    orders(case, findings);
    customers(case, findings);
    timeline(case, findings);
    announced(case, findings);
    sales(case, findings);
    stock(case, findings);
    products(case, findings);
    refusals(case, findings);
}

/// What a record says, unless the view has put it aside: then it shows nowhere.
fn taken<'a, T>(case: &Case<'_>, topic: &str, record: &'a Logged<T>) -> Option<&'a T> {
    record.read().filter(|_| !case.dead_letters.has(&record.address(topic), ServiceName::View))
}

fn orders(case: &Case<'_>, findings: &mut Findings<'_>) {
    let rows = case.evidence.view.orders.iter();
    let mut rows: BTreeMap<OrderId, &OrderRow> = rows.map(|row| (row.order_id, row)).collect();
    for (order_id, history) in &case.histories {
        let row = rows.remove(order_id);
        let version = row.map(|row| row.version);
        let same = |order: &Order| row == Some(&OrderRow::from(order));
        copy(findings, Law::ViewOrders, *order_id, history, version, same);
    }
    for order_id in rows.into_keys() {
        stranger(case, findings, Law::ViewOrders, order_id, || "the view shows it".into());
    }
}

fn customers(case: &Case<'_>, findings: &mut Findings<'_>) {
    let rows = case.evidence.view.customer_orders.iter();
    let mut rows: BTreeMap<OrderId, _> = rows.map(|row| (row.order_id, row)).collect();
    for (order_id, history) in &case.histories {
        let row = rows.remove(order_id);
        let same = |order: &Order| row == Some(&CustomerOrderRow::from(order));
        let version = row.map(|row| row.version);
        copy(findings, Law::ViewCustomers, *order_id, history, version, same);
    }
    for order_id in rows.into_keys() {
        stranger(case, findings, Law::ViewCustomers, order_id, || "the view lists it".into());
    }
}

fn timeline(case: &Case<'_>, findings: &mut Findings<'_>) {
    let rows = case.evidence.view.timeline.iter();
    let mut rows: BTreeMap<(OrderId, i64), &TimelineRow> =
        rows.map(|row| ((row.order_id, row.version), row)).collect();
    for (order_id, history) in &case.histories {
        for step in &history.steps {
            let Step { record, order } = step;
            match rows.remove(&(*order_id, order.version)) {
                None => {
                    findings.check(Law::ViewTimeline, *order_id, record.timestamp, false, || {
                        format!("version {} is missing", order.version)
                    })
                }
                Some(row) => {
                    // Of a transition that the view took from a replay, it shows the replay.
                    let again = history.repeated.iter().filter(|again| again.order == *order);
                    let holds = again.chain([step]).any(|step| *row == row_of(step));
                    findings.check_now(Law::ViewTimeline, *order_id, holds, || {
                        format!("{row:?} is not what {} says", record.address("orders"))
                    });
                }
            }
        }
    }
    for (order_id, version) in rows.into_keys() {
        let what = || format!("the timeline has version {version}");
        stranger(case, findings, Law::ViewTimeline, order_id, what);
    }
}

fn row_of(step: &Step<'_>) -> TimelineRow {
    let Step { record, order } = step;
    TimelineRow {
        order_id: order.order_id,
        version: order.version,
        transition: order.transition.as_str().into(),
        status: order.status.as_str().into(),
        address: record.address("orders"),
        writer: record.writer.clone().unwrap_or_else(|| "unknown".into()),
        lineage: record.lineage.clone(),
        causation: record.causation.clone(),
        occurred_at: order.occurred_at,
        latency_ms: order.occurred_at.millis() - order.requested_at.millis(),
    }
}

fn announced(case: &Case<'_>, findings: &mut Findings<'_>) {
    let topic = ORDER_VIEWS.name();
    let mut announced: BTreeSet<(OrderId, i64)> = BTreeSet::new();
    for record in &case.evidence.log.order_views {
        let Some(update) = record.read() else { continue };
        let (order, version) = (&update.order, update.order.version);
        let history = case.histories.get(&order.order_id);
        let step = history.and_then(|history| history.at(version));
        let same = step.is_some_and(|step| step.order == &**order);
        // An announcement that its reader has put aside was made all the same, if it is right.
        let is_put_aside = case.dead_letters.has_any(&record.address(topic));
        let holds = (same && update.view_version >= version) || is_put_aside;
        if same {
            announced.insert((order.order_id, version));
        }
        let is_gone = step.is_none() && !case.retained.is_whole("orders", &record.key);
        let has_letters = case.has_letters_since(topic, record.timestamp);
        let gone = gone(is_gone, "orders").or(gone(!has_letters, DEAD_LETTERS));
        findings.check_kept(Law::Announced, update.order_id, NEVER, holds, gone, || {
            let address = record.address(topic);
            format!("{address} announces a version {version} that the log does not have")
        });
    }
    for (order_id, history) in &case.histories {
        for Step { record, order } in &history.steps {
            let holds = announced.contains(&(*order_id, order.version));
            let is_gone = !case.retained.has_since(topic, home_of(*order_id), record.timestamp);
            let (at, gone) = (record.timestamp, gone(is_gone, topic));
            findings.check_kept(Law::Announced, *order_id, at, holds, gone, || {
                format!("version {} was never announced", order.version)
            });
        }
    }
}

/// Orders, pieces and revenue of one product in one currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sold {
    orders: i64,
    quantity: i64,
    revenue_minor: i64,
}

impl Sold {
    fn is_at_least(self, other: Self) -> bool {
        self.orders >= other.orders
            && self.quantity >= other.quantity
            && self.revenue_minor >= other.revenue_minor
    }
}

/// The sums must lie between what should show by now and everything that is confirmed. With nothing
/// on its way the two are the same.
fn sales(case: &Case<'_>, findings: &mut Findings<'_>) {
    // By product and currency: what must show, what may show, and since when.
    let mut confirmed: BTreeMap<(&Sku, &str), (Sold, Sold, Timestamp)> = BTreeMap::new();
    for history in case.histories.values() {
        let Some(Step { record, order }) = history.find(TransitionKind::OrderConfirmed) else {
            continue;
        };
        let due = record.timestamp + case.evidence.grace <= case.evidence.taken_at;
        for line in &order.lines {
            let key = (&line.sku, order.total.currency.as_str());
            let (must, may, since) = confirmed.entry(key).or_default();
            add(may, line.quantity, line.unit_price_minor.minor());
            if due {
                add(must, line.quantity, line.unit_price_minor.minor());
            }
            *since = (*since).max(record.timestamp);
        }
    }
    let mut rows: BTreeMap<(&Sku, &str), Sold> = BTreeMap::new();
    for row in &case.evidence.view.sales {
        let Money { amount_minor, currency } = &row.revenue;
        let (orders, quantity, revenue_minor) = (row.orders, row.quantity, *amount_minor);
        rows.insert((&row.sku, currency.as_str()), Sold { orders, quantity, revenue_minor });
    }
    // Orders that are gone were sold as well.
    let gone = gone(!case.retained.is_whole_topic(ORDERS.name()), ORDERS.name());
    for (key, (must, may, since)) in confirmed {
        let shown = rows.remove(&key).unwrap_or_default();
        let detail = || format!("{shown:?} in {}, but {may:?} by the log", key.1);
        let bounded = shown.is_at_least(must) && may.is_at_least(shown);
        let since = if bounded { since } else { NEVER };
        let gone = gone.filter(|_| shown.is_at_least(must));
        findings.check_kept(Law::ViewSales, key.0, since, shown == may, gone, detail);
    }
    for ((sku, currency), shown) in rows {
        let holds = shown == Sold::default();
        findings.check_kept(Law::ViewSales, sku, NEVER, holds, gone, || {
            format!("{shown:?} in {currency}, but nothing by the log")
        });
    }
}

fn add(sold: &mut Sold, quantity: i32, unit_price_minor: i64) {
    sold.orders += 1;
    sold.quantity += i64::from(quantity);
    sold.revenue_minor += unit_price_minor * i64::from(quantity);
}

fn stock(case: &Case<'_>, findings: &mut Findings<'_>) {
    let mut levels: BTreeMap<&Sku, Vec<(&StockLevel, Timestamp)>> = BTreeMap::new();
    for record in &case.evidence.log.stock {
        if let Some(level) = taken(case, "stock", record) {
            levels.entry(&level.sku).or_default().push((level, record.timestamp));
        }
    }
    let rows = case.evidence.view.stock.iter();
    let mut rows: BTreeMap<&Sku, _> = rows.map(|row| (&row.sku, row)).collect();
    for (sku, levels) in levels {
        let row = rows.remove(sku);
        let version = row.map_or(0, |row| row.version);
        // A replayed dead letter comes late.
        let last = levels.iter().map(|(level, _)| level.version).max().unwrap_or(0);
        let next = levels.iter().find(|(level, _)| level.version > version).map(|(_, at)| *at);
        // A level that compaction has taken away cannot be compared any more.
        let shown = levels.iter().find(|(level, _)| level.version == version).map(|(l, _)| *l);
        let same = row.zip(shown).is_none_or(|(row, level)| *row == StockRow::from(level));
        let holds = same && version <= last && next.is_none();
        let since = next.filter(|_| same).unwrap_or(NEVER);
        findings.check(Law::ViewStock, sku, since, holds, || {
            format!("it shows {row:?}, the topic is at version {last}: {shown:?}")
        });
    }
    for sku in rows.into_keys() {
        findings.check_now(Law::ViewStock, sku, false, || "the topic stock has no such sku".into());
    }
}

fn products(case: &Case<'_>, findings: &mut Findings<'_>) {
    let mut captured: BTreeMap<&str, (Option<&Product>, Timestamp)> = BTreeMap::new();
    for record in &case.evidence.log.catalog_products {
        // A row that cannot be read hides its product: it cannot be ordered either.
        let unreadable = record.value.is_err().then_some(&None);
        if let Some(product) = taken(case, "catalog.products", record).or(unreadable) {
            captured.insert(&record.key, (product.as_ref(), record.timestamp));
        }
    }
    let rows = case.evidence.view.products.iter();
    let mut rows: BTreeMap<&str, _> = rows.map(|row| (row.sku.as_str(), row)).collect();
    for (key, (product, at)) in captured {
        let row = rows.remove(key);
        let holds = row.map(|row| row.product.as_ref()).unwrap_or_default() == product;
        let subject = Subject::of_key(key);
        findings.check(Law::ViewProducts, subject, at, holds, || {
            format!("it shows {row:?}, the catalog has {product:?}")
        });
    }
    for row in rows.into_values() {
        findings.check_now(Law::ViewProducts, &row.sku, false, || {
            "the catalog has captured no such product".into()
        });
    }
}

fn refusals(case: &Case<'_>, findings: &mut Findings<'_>) {
    // A command that comes twice may be refused twice; the view shows the first.
    let mut refused: BTreeMap<CommandId, &Logged<CommandRefused>> = BTreeMap::new();
    for record in &case.evidence.log.order_refusals {
        if let Some(refusal) = taken(case, "orders.refusals", record) {
            refused.entry(refusal.command_id).or_insert(record);
        }
    }
    let rows = case.evidence.view.refusals.iter();
    let mut rows: BTreeMap<CommandId, _> = rows.map(|row| (row.command_id, row)).collect();
    for (command_id, record) in refused {
        let Some(refusal) = record.read() else { continue };
        let row = rows.remove(&command_id);
        let holds = row == Some(&RefusalRow::from(refusal));
        let since = if row.is_some() { NEVER } else { record.timestamp };
        findings.check(Law::ViewRefusals, refusal.order_id, since, holds, || {
            format!("it shows {row:?}, {} was refused", record.address("orders.refusals"))
        });
    }
    for row in rows.into_values() {
        // The topic forgets, the view does not.
        let is_whole = case.retained.is_whole(ORDER_REFUSALS.name(), &row.order_id.to_string());
        let gone = gone(!is_whole, ORDER_REFUSALS.name());
        findings.check_kept(Law::ViewRefusals, row.order_id, NEVER, false, gone, || {
            format!("it shows a refusal of {}, which was never refused", row.command_id)
        });
    }
}
