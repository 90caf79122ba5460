//! The view's rows as they follow from what the log says.

use crate::evidence::{CustomerOrderRow, LineRow, OrderRow, PaymentSection, RefusalRow, StockRow};
use contracts::{Order, OrderLine, inventory::StockLevel, orders::CommandRefused};

impl From<&Order> for OrderRow {
    fn from(order: &Order) -> Self {
        Self {
            order_id: order.order_id,
            version: order.version,
            status: order.status.as_str().to_owned(),
            customer_id: order.customer.customer_id.to_string(),
            lines: order.lines.iter().map(LineRow::from).collect(),
            total: order.total.clone(),
            payment: order.payment.as_ref().map(|payment| PaymentSection {
                status: payment.status.as_str().to_owned(),
                amount: payment.amount.clone(),
                reference: payment.reference.clone(),
            }),
            reasons: order.reasons.clone(),
            requested_at: order.requested_at,
            deadline: order.deadline,
            note: order.note.to_string(),
        }
    }
}

impl From<&OrderLine> for LineRow {
    fn from(line: &OrderLine) -> Self {
        Self {
            sku: line.sku.to_string(),
            name: line.name.to_string(),
            quantity: line.quantity,
            unit_price_minor: line.unit_price_minor.minor(),
            total_minor: line.unit_price_minor.minor() * i64::from(line.quantity),
        }
    }
}

impl From<&Order> for CustomerOrderRow {
    fn from(order: &Order) -> Self {
        Self {
            order_id: order.order_id,
            customer_id: order.customer.customer_id.to_string(),
            version: order.version,
            status: order.status.as_str().to_owned(),
            total: order.total.clone(),
            requested_at: order.requested_at,
        }
    }
}

impl From<&CommandRefused> for RefusalRow {
    fn from(refusal: &CommandRefused) -> Self {
        Self {
            command_id: refusal.command_id,
            order_id: refusal.order_id,
            command: refusal.command.clone(),
            reasons: refusal.reasons.clone(),
            order_version: refusal.order_version,
            refused_at: refusal.refused_at,
        }
    }
}

impl From<&StockLevel> for StockRow {
    fn from(level: &StockLevel) -> Self {
        Self {
            sku: level.sku.clone(),
            on_hand: level.on_hand,
            reserved: level.reserved,
            available: level.available,
            version: level.version,
        }
    }
}
