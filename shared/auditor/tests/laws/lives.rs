//! Every way in which an order can live, each once.

use crate::shop::{Shop, captured, declined};
use auditor::{Booking, Evidence};
use contracts::{
    Order, OrderId, PaymentStatus, Reason, ServiceName, Status as S, TransitionKind as T,
    inventory::ReservationState, orders::OrderCommand,
};
use std::sync::Arc;

/// A clean shop, and the orders that lived in it.
pub struct Lives {
    pub shop: Shop,
    pub confirmed: OrderId,
    pub rejected: OrderId,
    pub declined: OrderId,
    /// Declined as well; the bank has captured it late.
    pub late: OrderId,
    pub cancelled: OrderId,
    pub refunded: OrderId,
    pub refused: OrderId,
}

impl Lives {
    /// What was seen so far, to be changed.
    pub fn evidence(&mut self) -> &mut Evidence {
        &mut self.shop.evidence
    }

    /// What was seen, an hour later.
    pub fn close(self) -> Evidence {
        self.shop.close()
    }
}

/// Live them all.
pub fn lives() -> Lives {
    let mut shop = Shop::open();
    let confirmed = confirmed(&mut shop, "TEA", 2);
    let last = self::confirmed(&mut shop, "LAST", 1);
    shop.cancel(last, false);
    cancelled_by_another(&mut shop, last);
    let rejected = rejected(&mut shop);
    let declined = declined_order(&mut shop, false);
    let late = declined_order(&mut shop, true);
    let cancelled = cancelled(&mut shop);
    let refunded = refunded(&mut shop);
    overdue(&mut shop);
    let refused = shop.refuse("NOTHING");
    forged_and_refused(&mut shop, confirmed);
    Lives { shop, confirmed, rejected, declined, late, cancelled, refunded, refused }
}

/// A customer asks for the cancellation of another one's order, and hears that there is none.
fn cancelled_by_another(shop: &mut Shop, order_id: OrderId) {
    shop.cancel(order_id, true);
    let command = shop.evidence.log.order_commands.last_mut().unwrap();
    let Ok(OrderCommand::CancelOrder(cancel)) = &mut command.value else { panic!("a CancelOrder") };
    cancel.customer_id = "eve".parse().ok();
    let command_id = cancel.command_id;
    shop.refusal(order_id, command_id, "CancelOrder", "unknown_order", Some(1));
}

fn validated(shop: &mut Shop, sku: &str, quantity: i32) -> Order {
    let order = shop.place(sku, quantity);
    shop.check(&order, true);
    shop.go(&order, T::OrderValidated, S::Validated, |_| {})
}

fn paid(shop: &mut Shop, sku: &str, quantity: i32) -> Order {
    let order = validated(shop, sku, quantity);
    shop.book(&order, Booking::Capture, true);
    shop.payment_row(&order, "captured");
    shop.go(&order, T::PaymentReceived, S::Paid, captured)
}

fn confirmed(shop: &mut Shop, sku: &str, quantity: i32) -> OrderId {
    let order = paid(shop, sku, quantity);
    let order = shop.go(&order, T::OrderConfirmed, S::Confirmed, |_| {});
    shop.settle(&order, ReservationState::Committed);
    order.order_id
}

fn rejected(shop: &mut Shop) -> OrderId {
    let order = shop.place("LAST", 1);
    shop.check(&order, false);
    let order = shop.go(&order, T::OrderRejected, S::Rejected, |order| {
        order.reasons.push(Reason::new("inventory:LAST", "out_of_stock", ""));
    });
    order.order_id
}

/// Declined; if it was `late`, the bank has captured and voided, and payments never heard of it.
fn declined_order(shop: &mut Shop, late: bool) -> OrderId {
    let order = validated(shop, "TEA", 1);
    let order = shop.go(&order, T::PaymentDeclined, S::PaymentDeclined, declined);
    shop.payment_row(&order, "declined");
    if late {
        shop.book(&order, Booking::Capture, false);
        shop.book(&order, Booking::Void, false);
    }
    let order = shop.go(&order, T::OrderCancelled, S::Cancelled, |order| {
        order.reasons.push(Reason::new("payment", "payment_declined", ""));
    });
    shop.settle(&order, ReservationState::Released);
    order.order_id
}

fn cancelled(shop: &mut Shop) -> OrderId {
    let order = shop.place("TEA", 3);
    shop.check(&order, true);
    shop.cancel(order.order_id, true);
    let order = shop.go(&order, T::OrderCancelled, S::Cancelled, by_customer);
    shop.settle(&order, ReservationState::Released);
    order.order_id
}

fn refunded(shop: &mut Shop) -> OrderId {
    let order = paid(shop, "TEA", 4);
    shop.cancel(order.order_id, true);
    let order = shop.go(&order, T::OrderCancelled, S::RefundDue, by_customer);
    shop.settle(&order, ReservationState::Released);
    shop.book(&order, Booking::Refund, true);
    shop.payment_row(&order, "refunded");
    let order = shop.go(&order, T::PaymentRefunded, S::Refunded, |order| {
        let payment = order.payment.as_mut().unwrap();
        payment.status = PaymentStatus::Refunded;
    });
    order.order_id
}

/// Its check never came.
fn overdue(shop: &mut Shop) {
    let order = shop.place("TEA", 1);
    shop.wait();
    let order = shop.go(&order, T::OrderCancelled, S::Cancelled, |order| {
        order.reasons.push(Reason::new("deadline", "deadline", ""));
    });
    shop.check(&order, true);
    shop.settle(&order, ReservationState::Released);
}

fn by_customer(order: &mut Order) {
    order.reasons.push(Reason::new("customer", "cancelled_by_customer", ""));
}

/// A forged transition stands on the log for ever; every reader has refused it.
fn forged_and_refused(shop: &mut Shop, order_id: OrderId) {
    let record = shop.evidence.log.orders.iter().rfind(|r| r.key == order_id.to_string());
    let mut forged = record.unwrap().clone();
    let order = Arc::make_mut(forged.value.as_mut().unwrap());
    (order.version, order.status, order.transition) = (5, S::Validated, T::OrderValidated);
    forged.timestamp = shop.now();
    forged.offset = 1000;
    shop.evidence.log.orders.push(forged);
    use ServiceName::{Inventory, Orders, Payments, View};
    for service in [Orders, Inventory, Payments, View] {
        shop.put_aside(service);
    }
}
