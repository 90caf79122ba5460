//! The tables of the view, as rows in memory with the guards of `services/view/src/views`. What a
//! transition means is judged by the view's own `Batch::judge`.

use auditor::{
    CustomerOrderRow, OrderRow, ProductRow, RefusalRow, SalesRow, StockRow, TimelineRow,
};
use contracts::{Currency, Order, OrderId, Sku, Status};
use std::collections::BTreeMap;
use streams::record::names;
use view::{
    batch::{Batch, Transition},
    domain::history::{Decision, History, Known},
};

/// The timeline of an order: by version, with the step at which the row was written.
type Timeline = BTreeMap<i64, (TimelineRow, Known, u64)>;

/// The tables.
#[derive(Default)]
pub(crate) struct Rows {
    orders: BTreeMap<OrderId, OrderRow>,
    timeline: BTreeMap<OrderId, Timeline>,
    customer_orders: BTreeMap<OrderId, CustomerOrderRow>,
    products: BTreeMap<Sku, (ProductRow, i32, i64)>,
    stock: BTreeMap<Sku, StockRow>,
    sales: BTreeMap<(Sku, Currency), SalesRow>,
    refusals: BTreeMap<contracts::CommandId, RefusalRow>,
    /// Mutation: rows are overwritten whatever their version.
    unguarded: bool,
}

impl Rows {
    /// Empty tables; `unguarded` is a mutation.
    pub(crate) fn new(unguarded: bool) -> Self {
        Self { unguarded, ..Self::default() }
    }

    /// One SQL transaction, at `step`: it has read the timeline as it was at `read_at`.
    pub(crate) fn apply(&mut self, batch: Batch<'_>, read_at: u64, step: u64) -> Vec<Decision> {
        let decisions = batch.judge(self.histories(batch, read_at));
        let shown = |decision: &Decision| match decision {
            Decision::Show { .. } => true,
            Decision::Repeated => self.unguarded,
            Decision::Impossible(_) => false,
        };
        let next: Vec<Transition<'_>> = (batch.transitions().zip(&decisions))
            .filter(|(_, decision)| shown(decision))
            .map(|(transition, _)| transition)
            .collect();
        self.write_orders(&next, step);
        for refusal in batch.refusals().into_values() {
            self.refusals.entry(refusal.command_id).or_insert_with(|| refusal.into());
        }
        self.write_catalog(batch);
        decisions
    }

    fn histories(&self, batch: Batch<'_>, read_at: u64) -> BTreeMap<OrderId, History> {
        let history = |order_id: OrderId| {
            let rows = self.timeline.get(&order_id)?.iter();
            let known = rows.filter(|(_, (_, _, written_at))| *written_at <= read_at);
            Some((order_id, History::of(known.map(|(version, (_, known, _))| (*version, *known)))))
        };
        batch.order_ids().into_iter().filter_map(history).collect()
    }

    fn write_orders(&mut self, next: &[Transition<'_>], step: u64) {
        let latest: BTreeMap<OrderId, &Order> =
            next.iter().map(|arrived| (arrived.order.order_id, arrived.order)).collect();
        for arrived in next {
            let (row, known) = timeline_row(arrived);
            let steps = self.timeline.entry(row.order_id).or_default();
            steps.entry(row.version).or_insert((row, known, step));
        }
        for (order_id, order) in latest {
            let known = self.orders.get(&order_id).map(|row| row.version);
            if known.is_some_and(|known| known >= order.version) && !self.unguarded {
                continue;
            }
            self.orders.insert(order_id, order.into());
            self.customer_orders.insert(order_id, order.into());
            // A sum has no version: only what has become confirmed just now is added.
            if order.status == Status::Confirmed {
                self.sell(order);
            }
        }
    }

    fn sell(&mut self, order: &Order) {
        for line in &order.lines {
            let currency = order.total.currency;
            let key = (line.sku.clone(), currency);
            let row = self.sales.entry(key).or_insert_with(|| SalesRow {
                sku: line.sku.clone(),
                orders: 0,
                quantity: 0,
                revenue: contracts::Money::new(0, currency),
            });
            row.orders += 1;
            row.quantity += i64::from(line.quantity);
            row.revenue.amount_minor += line.total_minor();
        }
    }

    fn write_catalog(&mut self, batch: Batch<'_>) {
        for (sku, row) in batch.products() {
            let place = (row.partition, row.offset);
            let known = self.products.get(sku).map(|(_, partition, offset)| (*partition, *offset));
            if known.is_none_or(|known| known.0 != place.0 || known.1 < place.1) {
                let shown = ProductRow { sku: sku.clone(), product: row.captured.cloned() };
                self.products.insert(sku.clone(), (shown, place.0, place.1));
            }
        }
        for (sku, level) in batch.stock() {
            let known = self.stock.get(sku).map(|row| row.version);
            if known.is_none_or(|known| known < level.version) || self.unguarded {
                self.stock.insert(sku.clone(), level.into());
            }
        }
    }

    /// Everything, for the auditor.
    pub(crate) fn evidence(&self) -> auditor::View {
        let timeline = self.timeline.values().flat_map(BTreeMap::values);
        auditor::View {
            orders: self.orders.values().cloned().collect(),
            timeline: timeline.map(|(row, _, _)| row.clone()).collect(),
            customer_orders: self.customer_orders.values().cloned().collect(),
            products: self.products.values().map(|(row, _, _)| row.clone()).collect(),
            stock: self.stock.values().cloned().collect(),
            sales: self.sales.values().cloned().collect(),
            refusals: self.refusals.values().cloned().collect(),
        }
    }
}

fn timeline_row(arrived: &Transition<'_>) -> (TimelineRow, Known) {
    let Transition { record, order, fingerprint } = arrived;
    let header = |name| record.headers.get(name).map(str::to_owned);
    let row = TimelineRow {
        order_id: order.order_id,
        version: order.version,
        transition: order.transition.as_str().to_owned(),
        status: order.status.as_str().to_owned(),
        address: record.address(),
        writer: header(names::SOURCE).unwrap_or_else(|| "unknown".to_owned()),
        lineage: header(names::LINEAGE),
        causation: header(names::CAUSATION_ID),
        occurred_at: order.occurred_at,
        latency_ms: order.occurred_at.millis().saturating_sub(order.requested_at.millis()),
    };
    (row, Known { status: order.status, fingerprint: *fingerprint })
}
