//! PlaceOrder: is it new, can it be filled from the catalog, and what does it cost?

use crate::domain::Entry;
use contracts::{
    CommandId, Currency, Customer, CustomerId, Money, Next, OrderLine, Reason, Sku, Timestamp,
    catalog::{CatalogCustomer, Product},
    inventory::check_name,
    orders::{LINES_MAX, PlaceOrder, QUANTITY_MAX, RequestedLine},
    transitions::OrderRequested,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Most refused commands that are remembered for one order id. When they are as many, the id takes
/// no order any more: so the next one stays refused as well, and need not be remembered.
pub const REFUSED_MAX: usize = 128;

/// What every new order gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// From acceptance to the deadline.
    pub deadline: Duration,
    /// Checks required besides one per line.
    pub extra_checks: Vec<String>,
}

/// What the catalog says about the customer and the products of one order. A row that cannot be
/// read is there with its fault.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excerpt {
    /// The customer, if there is one by that id.
    pub customer: Option<Result<CatalogCustomer, String>>,
    /// The products that there are.
    pub products: BTreeMap<Sku, Result<Product, String>>,
}

/// What a PlaceOrder is judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// What the catalog says now.
    Now(Excerpt),
    /// It was judged before. The log has its order if it was accepted; without one it was refused.
    Past,
}

/// An order that can be filled, with the catalog's names and prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priced {
    /// The customer.
    pub customer: Customer,
    /// What, at which price.
    pub lines: Vec<OrderLine>,
    /// Sum over the lines.
    pub total: Money,
}

// State: an Entry.

/// A PlaceOrder with all that it is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input<'a> {
    /// The command.
    pub command: &'a PlaceOrder,
    /// What the catalog says.
    pub known: &'a Known,
    /// What a new order gets.
    pub terms: &'a Terms,
}

/// What becomes of a PlaceOrder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A new order.
    Accepted(Next<OrderRequested>),
    /// No order because of this command.
    Refused {
        /// The command.
        command_id: CommandId,
        /// Every reason against it.
        reasons: Vec<Reason>,
    },
    /// The same command has made this order before.
    Repeated,
}

/// Decide on a PlaceOrder at `now`.
pub fn decide(entry: &Entry, input: Input<'_>, now: Timestamp) -> Decision {
    let command_id = input.command.command_id;
    let refused = |reasons| Decision::Refused { command_id, reasons };
    match entry.standing() {
        Some(order) if order.placed_by == command_id => Decision::Repeated,
        Some(order) => refused(vec![Reason::new(
            "order_id",
            "idempotency_key_reused",
            format!("another request has made order {} under this key", order.order_id),
        )]),
        None => match input.known {
            Known::Past => refused(vec![refused_before()]),
            Known::Now(excerpt) => match accept(entry, input, excerpt, now) {
                Ok(requested) => Decision::Accepted(requested),
                Err(reasons) => refused(reasons),
            },
        },
    }
}

fn accept(
    entry: &Entry,
    Input { command, terms, .. }: Input<'_>,
    excerpt: &Excerpt,
    now: Timestamp,
) -> Result<Next<OrderRequested>, Vec<Reason>> {
    let priced = price(&command.customer_id, &command.lines, excerpt)?;
    if entry.refused.contains(&command.command_id) {
        return Err(vec![refused_before()]);
    }
    if entry.refused.len() >= REFUSED_MAX {
        return Err(vec![refused_too_often()]);
    }
    Ok(open(command, priced, terms, now))
}

/// What is known after `decision`: the new order is on its way to the log, or the command has made
/// none, so that it never will.
pub fn evolve(mut entry: Entry, decision: &Decision) -> Entry {
    match decision {
        Decision::Accepted(requested) => entry.proposed = Some(Arc::clone(requested.order())),
        Decision::Refused { command_id, .. } => {
            if entry.standing().is_none() && entry.refused.len() < REFUSED_MAX {
                entry.refused.insert(*command_id);
            }
        }
        Decision::Repeated => {}
    }
    entry
}

fn refused_before() -> Reason {
    let detail = "this command was refused when it came first, and stays refused: \
                  order again under another Idempotency-Key";
    Reason::new("order_id", "refused_before", detail)
}

fn refused_too_often() -> Reason {
    let detail = format!(
        "{REFUSED_MAX} requests under this Idempotency-Key were refused, so it takes no order any \
         more: order again under another one"
    );
    Reason::new("order_id", "refused_too_often", detail)
}

fn open(
    command: &PlaceOrder,
    priced: Priced,
    terms: &Terms,
    now: Timestamp,
) -> Next<OrderRequested> {
    let checks = priced.lines.iter().map(|line| check_name(&line.sku));
    let required_checks = checks.chain(terms.extra_checks.iter().cloned()).collect();
    OrderRequested {
        customer: priced.customer,
        lines: priced.lines,
        total: priced.total,
        required_checks,
        deadline: now + terms.deadline,
    }
    .open(command, now)
}

/// Names and prices for the lines, from the catalog. The HTTP edge asks the same, so that a typing
/// error is answered at once; what counts is the answer when the command is processed.
///
/// # Errors
/// Every reason against it. A reason's `check` is the path of the member, as `lines[1].sku`.
pub fn price(
    customer_id: &CustomerId,
    lines: &[RequestedLine],
    excerpt: &Excerpt,
) -> Result<Priced, Vec<Reason>> {
    let mut reasons = Vec::new();
    let customer = find_customer(customer_id, excerpt).map_err(|reason| reasons.push(reason));
    let mut priced = Vec::new();
    if (1..=LINES_MAX).contains(&lines.len()) {
        for (index, line) in lines.iter().enumerate() {
            priced.extend(price_line(lines, index, line, excerpt, &mut reasons));
        }
    } else {
        let detail = format!("an order has 1 to {LINES_MAX} lines, this one has {}", lines.len());
        reasons.push(Reason::new("lines", "out_of_range", detail));
    }
    let total = sum(&priced, &mut reasons);
    match customer {
        Ok(customer) if reasons.is_empty() => {
            let lines = priced.into_iter().map(|(_, line, _)| line).collect();
            Ok(Priced { customer, lines, total })
        }
        Ok(_) | Err(()) => Err(reasons),
    }
}

fn find_customer(customer_id: &CustomerId, excerpt: &Excerpt) -> Result<Customer, Reason> {
    match &excerpt.customer {
        Some(Err(fault)) => {
            let detail = format!("the row of {customer_id} in the catalog is not valid: {fault}");
            Err(Reason::new("customer_id", "invalid_customer", detail))
        }
        Some(Ok(row)) if row.active => Ok(Customer {
            customer_id: customer_id.clone(),
            name: row.name.clone(),
            email: row.email.clone(),
        }),
        Some(Ok(_)) => {
            let detail = format!("customer {customer_id} may not order");
            Err(Reason::new("customer_id", "inactive_customer", detail))
        }
        None => {
            let detail = format!("there is no customer {customer_id}");
            Err(Reason::new("customer_id", "unknown_customer", detail))
        }
    }
}

/// The line with its index and currency, if its product can be sold.
fn price_line(
    lines: &[RequestedLine],
    index: usize,
    line: &RequestedLine,
    excerpt: &Excerpt,
    reasons: &mut Vec<Reason>,
) -> Option<(usize, OrderLine, Currency)> {
    let RequestedLine { sku, quantity } = line;
    let path = format!("lines[{index}].sku");
    if !(1..=QUANTITY_MAX).contains(quantity) {
        let detail = format!("must be between 1 and {QUANTITY_MAX}");
        reasons.push(Reason::new(format!("lines[{index}].quantity"), "out_of_range", detail));
    }
    if let Some(first) = lines[..index].iter().position(|line| line.sku == *sku) {
        let detail = format!("{sku} stands in lines[{first}] already; add the quantities up");
        reasons.push(Reason::new(path, "duplicate_sku", detail));
        return None;
    }
    match excerpt.products.get(sku) {
        None => {
            reasons.push(Reason::new(path, "unknown_sku", format!("there is no product {sku}")));
            None
        }
        Some(Err(fault)) => {
            let detail = format!("the row of {sku} in the catalog is not valid: {fault}");
            reasons.push(Reason::new(path, "invalid_product", detail));
            None
        }
        Some(Ok(product)) if !product.active => {
            let detail = format!("{} ({sku}) is not for sale at the moment", product.name);
            reasons.push(Reason::new(path, "inactive_sku", detail));
            None
        }
        Some(Ok(product)) => {
            let (name, unit_price_minor) = (product.name.clone(), product.price_minor);
            let line = OrderLine { sku: sku.clone(), name, quantity: *quantity, unit_price_minor };
            Some((index, line, product.currency))
        }
    }
}

/// The sum, in the one currency that all lines must have.
///
/// It cannot overflow: quantities that are out of range were named before, and count as none.
fn sum(priced: &[(usize, OrderLine, Currency)], reasons: &mut Vec<Reason>) -> Money {
    let Some((_, first, currency)) = priced.first() else { return Money::new(0, Currency::EUR) };
    for (index, line, other) in priced.iter().filter(|(_, _, other)| other != currency) {
        let (sku, first) = (&line.sku, &first.sku);
        let detail = format!("{sku} is sold in {other}, {first} in {currency}; order them apart");
        reasons.push(Reason::new(format!("lines[{index}].sku"), "mixed_currency", detail));
    }
    let in_range = priced.iter().filter(|(_, line, _)| (1..=QUANTITY_MAX).contains(&line.quantity));
    Money::new(in_range.map(|(_, line, _)| line.total_minor()).sum(), *currency)
}
