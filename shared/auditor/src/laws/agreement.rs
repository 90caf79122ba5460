//! What was agreed: an order is what its PlaceOrder asked for, at names and prices that the catalog
//! had.

use crate::{
    case::Case,
    evidence::Logged,
    history::Step,
    law::Law,
    verdict::{Findings, Subject},
};
use contracts::{
    CommandId, Currency, Order, OrderLine, Sku, Timestamp,
    catalog::Product,
    orders::{OrderCommand, PlaceOrder},
    topics::ORDER_COMMANDS,
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
    for (order_id, history) in &case.histories {
        let Some(Step { record, order }) = history.steps.first().copied() else { continue };
        let place = asked.get(&order.placed_by);
        if place.is_some() || case.is_kept(&ORDER_COMMANDS.spec, record.timestamp) {
            let holds = place.is_some_and(|place| is_what(place, order));
            findings.check_now(Law::AsAsked, *order_id, holds, || match place {
                Some(PlaceOrder { customer_id, lines, note, .. }) => {
                    format!("{customer_id} asked for {lines:?}, and noted {:?}", note.as_str())
                }
                None => format!("no PlaceOrder {} has asked for it", order.placed_by),
            });
        }
        for line in &order.lines {
            let Some(holds) = catalog.had(line, order.total.currency, record.timestamp) else {
                continue;
            };
            let subject = Subject { order: Some(*order_id), sku: Some(line.sku.clone()) };
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

    /// Whether one of the versions is that of `line`, in an order that was written `at` this time.
    /// Which one is the affair of orders, whose copy of the catalog may be behind. None if the
    /// topic has forgotten what it said at that time.
    fn had(&self, line: &OrderLine, currency: Currency, at: Timestamp) -> Option<bool> {
        let versions = self.0.get(&line.sku)?;
        versions.iter().find(|(captured_at, _)| *captured_at <= at)?;
        let said = |product: &Product| {
            (&product.name, product.price_minor) == (&line.name, line.unit_price_minor)
                && product.currency == currency
        };
        Some(versions.iter().any(|(_, product)| said(product)))
    }
}
