//! PlaceOrder: is it new, can it be filled from the catalog, and what does it cost?

use crate::domain::Entry;
use contracts::{
    CommandId, Customer, CustomerId, Money, Next, OrderLine, Reason, Sku, Timestamp,
    catalog::{CatalogCustomer, Product},
    inventory::check_name,
    limits::{CUSTOMER_NAME_BYTES_MAX, EMAIL_BYTES_MAX, PRODUCT_NAME_BYTES_MAX},
    orders::{LINES_MAX, PlaceOrder, QUANTITY_MAX, RequestedLine},
    transitions::OrderRequested,
};
use std::{collections::BTreeMap, time::Duration};

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

/// What the catalog says about the customer and the products of one order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excerpt {
    /// The customer, if there is one by that id.
    pub customer: Option<CatalogCustomer>,
    /// The products that there are.
    pub products: BTreeMap<Sku, Product>,
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
#[expect(clippy::large_enum_variant, reason = "a decision is made and taken on the stack")]
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
        Decision::Accepted(requested) => entry.proposed = Some(requested.order().clone()),
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
        // Rows that were there before the catalog knew limits, or that a stranger wrote.
        Some(row)
            if row.name.len() > CUSTOMER_NAME_BYTES_MAX || row.email.len() > EMAIL_BYTES_MAX =>
        {
            let detail = format!(
                "in the catalog, a customer's name may have {CUSTOMER_NAME_BYTES_MAX} bytes and \
                 the address {EMAIL_BYTES_MAX}; one of them has more"
            );
            Err(Reason::new("customer_id", "customer_too_large", detail))
        }
        Some(row) if row.active => Ok(Customer {
            customer_id: customer_id.clone(),
            name: row.name.clone(),
            email: row.email.clone(),
        }),
        Some(_) => {
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
) -> Option<(usize, OrderLine, String)> {
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
        Some(product) if product.name.len() > PRODUCT_NAME_BYTES_MAX => {
            let size = product.name.len();
            let detail =
                format!("the name of {sku} has {size} bytes; {PRODUCT_NAME_BYTES_MAX} are allowed");
            reasons.push(Reason::new(path, "name_too_large", detail));
            None
        }
        Some(product) if !product.active => {
            let detail = format!("{} ({sku}) is not for sale at the moment", product.name);
            reasons.push(Reason::new(path, "inactive_sku", detail));
            None
        }
        Some(product) if product.price_minor < 1 => {
            let detail = format!("{} ({sku}) has no price", product.name);
            reasons.push(Reason::new(path, "unpriced_sku", detail));
            None
        }
        Some(product) => {
            let (name, unit_price_minor) = (product.name.clone(), product.price_minor);
            let line = OrderLine { sku: sku.clone(), name, quantity: *quantity, unit_price_minor };
            Some((index, line, product.currency.clone()))
        }
    }
}

/// The sum, in the one currency that all lines must have.
fn sum(priced: &[(usize, OrderLine, String)], reasons: &mut Vec<Reason>) -> Money {
    let Some((_, first, currency)) = priced.first() else { return Money::new(0, "") };
    for (index, line, other) in priced.iter().filter(|(_, _, other)| other != currency) {
        let (sku, first) = (&line.sku, &first.sku);
        let detail = format!("{sku} is sold in {other}, {first} in {currency}; order them apart");
        reasons.push(Reason::new(format!("lines[{index}].sku"), "mixed_currency", detail));
    }
    let mut amounts = priced
        .iter()
        .map(|(_, line, _)| line.unit_price_minor.checked_mul(i64::from(line.quantity.max(0))));
    let amount = amounts.try_fold(0_i64, |sum, amount| sum.checked_add(amount?));
    if amount.is_none() {
        let detail = "the total is larger than any amount that can be charged";
        reasons.push(Reason::new("lines", "total_too_large", detail));
    }
    Money::new(amount.unwrap_or(i64::MAX), currency.clone())
}
