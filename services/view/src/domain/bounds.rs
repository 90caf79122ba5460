//! Bounds on values: no writer of the shop exceeds them, and no table could hold more.
//!
//! The database would refuse some of these values, and with them the whole batch, again and again.
//! So the view checks each record here and dead-letters it alone.

use contracts::{
    Order, Reason,
    catalog::Product,
    inventory::StockLevel,
    orders::{CommandRefused, LINES_MAX, QUANTITY_MAX},
};
use std::collections::BTreeSet;

/// A value out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {detail}")]
pub struct OutOfBounds {
    /// Path of the field.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

/// Lines, prices, sum and texts of an order.
///
/// # Errors
/// The first value that is out of its bounds.
pub fn check_order(order: &Order) -> Result<(), OutOfBounds> {
    let lines = order.lines.len();
    ensure((1..=LINES_MAX).contains(&lines), "lines", || {
        format!("has {lines} entries, not 1 to {LINES_MAX}")
    })?;
    let mut skus = BTreeSet::new();
    let mut total = Some(0_i64);
    for (i, line) in order.lines.iter().enumerate() {
        let (quantity, price) = (line.quantity, line.unit_price_minor);
        ensure((1..=QUANTITY_MAX).contains(&quantity), format!("lines[{i}].quantity"), || {
            format!("is {quantity}, not 1 to {QUANTITY_MAX}")
        })?;
        ensure(price >= 0, format!("lines[{i}].unit_price_minor"), || format!("is {price}"))?;
        ensure(skus.insert(&line.sku), format!("lines[{i}].sku"), || {
            format!("repeats {}", line.sku)
        })?;
        check_text(format!("lines[{i}].name"), &line.name)?;
        let line_total = price.checked_mul(i64::from(quantity));
        total = total.zip(line_total).and_then(|(sum, line)| sum.checked_add(line));
    }
    ensure(total == Some(order.total.amount_minor), "total", || {
        format!("is {}, which is not the sum of its lines", order.total)
    })?;
    check_currency("total.currency", &order.total.currency)?;
    if let Some(payment) = &order.payment {
        check_currency("payment.amount.currency", &payment.amount.currency)?;
        check_text("payment.reference", payment.reference.as_deref().unwrap_or_default())?;
    }
    check_reasons(&order.reasons)
}

/// The texts of a refusal.
///
/// # Errors
/// The first value that is out of its bounds.
pub fn check_refusal(refusal: &CommandRefused) -> Result<(), OutOfBounds> {
    check_text("command", &refusal.command)?;
    check_reasons(&refusal.reasons)
}

/// Price and texts of a product.
///
/// # Errors
/// The first value that is out of its bounds.
pub fn check_product(product: &Product) -> Result<(), OutOfBounds> {
    let price = product.price_minor;
    ensure(price >= 0, "price_minor", || format!("is {price}"))?;
    check_currency("currency", &product.currency)?;
    check_text("name", &product.name)?;
    check_text("description", &product.description)?;
    check_text("picture", &product.picture)
}

/// The invariant of a stock level.
///
/// # Errors
/// When it does not hold.
pub fn check_stock(stock: &StockLevel) -> Result<(), OutOfBounds> {
    let StockLevel { on_hand, reserved, available, .. } = *stock;
    let holds = reserved >= 0 && available >= 0 && on_hand.checked_sub(reserved) == Some(available);
    ensure(holds, "available", || {
        format!("is {available} with {on_hand} on hand and {reserved} reserved")
    })
}

fn check_reasons(reasons: &[Reason]) -> Result<(), OutOfBounds> {
    for (i, reason) in reasons.iter().enumerate() {
        for text in [&reason.check, &reason.code, &reason.detail] {
            check_text(format!("reasons[{i}]"), text)?;
        }
    }
    Ok(())
}

fn check_currency(field: &str, currency: &str) -> Result<(), OutOfBounds> {
    let is_code = currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase());
    ensure(is_code, field, || format!("is {currency:?}, not three capital letters"))
}

/// Postgres keeps every text but this one.
fn check_text(field: impl Into<String>, text: &str) -> Result<(), OutOfBounds> {
    ensure(!text.contains('\0'), field, || "holds a NUL character".into())
}

fn ensure(
    holds: bool,
    field: impl Into<String>,
    detail: impl FnOnce() -> String,
) -> Result<(), OutOfBounds> {
    if holds { Ok(()) } else { Err(OutOfBounds { field: field.into(), detail: detail() }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::Timestamp;

    fn order() -> Order {
        let lines = [("TEA", "TEA", 2, 890), ("MUG", "MUG", 1, 1450)];
        testkit::orders::order(1, &lines, Timestamp(0))
    }

    fn check(when: impl FnOnce(&mut Order), then: Result<(), &str>) {
        let mut order = order();
        when(&mut order);
        let checked = check_order(&order).map_err(|error| error.to_string());
        assert_eq!(checked, then.map_err(str::to_owned));
    }

    #[test]
    fn an_order_out_of_bounds_names_its_field() {
        check(|_| {}, Ok(()));
        check(|order| order.lines.clear(), Err("lines has 0 entries, not 1 to 50"));
        check(|order| order.lines[1].quantity = 0, Err("lines[1].quantity is 0, not 1 to 1000"));
        check(|order| order.lines[0].unit_price_minor = -1, Err("lines[0].unit_price_minor is -1"));
        check(
            |order| order.lines[1].sku = order.lines[0].sku.clone(),
            Err("lines[1].sku repeats TEA"),
        );
        let sum = "total is 0.01 EUR, which is not the sum of its lines";
        check(|order| order.total.amount_minor = 1, Err(sum));
        let sum = "total is 32.30 EUR, which is not the sum of its lines";
        check(|order| order.lines[0].unit_price_minor = i64::MAX, Err(sum));
        let code = "total.currency is \"euro\", not three capital letters";
        check(|order| order.total.currency = "euro".into(), Err(code));
        check(
            |order| order.lines[0].name = "T\0A".into(),
            Err("lines[0].name holds a NUL character"),
        );
        check(
            |order| order.reasons.push(Reason::new("deadline", "late", "\0")),
            Err("reasons[0] holds a NUL character"),
        );
    }

    #[test]
    fn a_stock_level_keeps_its_invariant() {
        let level = |on_hand, reserved, available| StockLevel {
            sku: "TEA".parse().unwrap(),
            on_hand,
            reserved,
            available,
            committed: 0,
            version: 1,
            updated_at: Timestamp(0),
        };
        assert_eq!(check_stock(&level(5, 2, 3)), Ok(()));
        for broken in [level(5, 2, 4), level(5, 6, -1), level(5, -1, 6), level(i64::MIN, 1, 0)] {
            assert!(check_stock(&broken).is_err(), "{broken:?}");
        }
    }
}
