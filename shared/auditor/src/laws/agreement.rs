//! What was agreed: an order is what its PlaceOrder asked for, at names and prices that the catalog
//! had.

use crate::{
    case::Case,
    evidence::Logged,
    history::Step,
    law::Law,
    laws::{NEVER, gone},
    verdict::{Findings, Subject},
};
use contracts::{
    CommandId, Currency, Order, OrderLine, Sku, Timestamp,
    catalog::Product,
    orders::{OrderCommand, PlaceOrder},
    topics::{ORDER_COMMANDS, PRODUCTS},
};
use std::collections::BTreeMap;

pub(crate) fn check(case: &Case<'_>, findings: &mut Findings<'_>) {
    let mut asked: BTreeMap<CommandId, &PlaceOrder> = BTreeMap::new();
    for command in case.evidence.log.order_commands.iter().filter_map(Logged::read) {
        if let OrderCommand::PlaceOrder(place) = command {
            asked.insert(place.command_id, place);
        }
    }
    let catalog = Catalog::of(&case.evidence.log.catalog_products);
    let grace_ms = i64::try_from(case.evidence.grace.as_millis()).unwrap_or(i64::MAX);
    for (order_id, history) in &case.histories {
        let Some(Step { record, order }) = history.steps.first().copied() else { continue };
        let place = asked.get(&order.placed_by);
        let holds = place.is_some_and(|place| is_what(place, order));
        let cause = record.causation.as_deref().unwrap_or_default();
        let is_gone = place.is_none() && (case.retained.is_gone(cause) || history.is_cut);
        let gone = gone(is_gone, ORDER_COMMANDS.name());
        findings.check_kept(Law::AsAsked, *order_id, NEVER, holds, gone, || match place {
            Some(PlaceOrder { customer_id, lines, note, .. }) => {
                format!("{customer_id} asked for {lines:?}, and noted {:?}", note.as_str())
            }
            None => format!("no PlaceOrder {} has asked for it", order.placed_by),
        });
        for line in &order.lines {
            // A copy of the catalog may be behind.
            let at = Timestamp(record.timestamp.millis() - grace_ms);
            let subject = Subject { order: Some(*order_id), sku: Some(line.sku.clone()) };
            let Some(holds) = catalog.had(line, order.total.currency, at) else {
                findings.unknown(Law::AsAsked, subject, PRODUCTS.name());
                continue;
            };
            findings.check_now(Law::AsAsked, subject, holds, || {
                let (name, price) = (&line.name, line.unit_price_minor);
                format!("the catalog never had {} as {name:?} for {price}", line.sku)
            });
        }
    }
}

/// Whether `order` is what `place` asked for: its customer, its products, as many of each, its
/// note.
fn is_what(place: &PlaceOrder, order: &Order) -> bool {
    let lines = order.lines.iter().map(|line| (&line.sku, line.quantity));
    place.order_id == order.order_id
        && place.customer_id == order.customer.customer_id
        && place.note == order.note
        && lines.eq(place.lines.iter().map(|line| (&line.sku, line.quantity)))
}

/// What the catalog has said of each product, as far as its topic, which is compacted, still tells.
struct Catalog<'a>(BTreeMap<&'a Sku, Vec<(Timestamp, &'a Product)>>);

impl<'a> Catalog<'a> {
    fn of(records: &'a [Logged<Option<Product>>]) -> Self {
        let mut versions: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for record in records {
            if let Some(Some(product)) = record.read() {
                versions.entry(&product.sku).or_default().push((record.timestamp, product));
            }
        }
        Self(versions)
    }

    /// Whether one of the versions is that of `line`. Which one is the affair of orders, whose copy
    /// of the catalog may be behind. None if the topic, which is compacted, has forgotten what it
    /// said `at` this time.
    fn had(&self, line: &OrderLine, currency: Currency, at: Timestamp) -> Option<bool> {
        let versions = self.0.get(&line.sku)?;
        let said = |product: &Product| {
            (&product.name, product.price_minor) == (&line.name, line.unit_price_minor)
                && product.currency == currency
        };
        let is_known = versions.iter().any(|(captured_at, _)| *captured_at <= at);
        match versions.iter().any(|(_, product)| said(product)) {
            true => Some(true),
            false => is_known.then_some(false),
        }
    }
}
