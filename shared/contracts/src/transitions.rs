//! The transitions as types, and [`Next`]: an order one step further, made by the baton table.

pub use crate::order::OrderRequested;
use crate::{
    Order, Payment, PaymentStatus, Reason, Timestamp, TransitionKind,
    baton::{self, Impossible},
    orders::PlaceOrder,
};
use std::{marker::PhantomData, sync::Arc};
use streams::Fact;

/// One kind of transition, with what it brings.
pub trait Transition: Sized {
    /// Its row in the baton table.
    const KIND: TransitionKind;

    /// Add what it brings to the order. Status, version and time are set by [`Order::next`].
    fn apply(self, order: &mut Order);
}

/// An order after the transition `T`. Only [`Order::next`] and [`OrderRequested::open`] make one,
/// so there is none that the baton table does not allow; only the service that owns `T` may send
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next<T> {
    order: Arc<Order>,
    transition: PhantomData<T>,
}

impl<T> Next<T> {
    /// The order after the transition.
    pub fn order(&self) -> &Arc<Order> {
        &self.order
    }

    /// The order after the transition, to keep.
    pub fn into_order(self) -> Order {
        Arc::unwrap_or_clone(self.order)
    }
}

impl<T> Fact<Order> for Next<T> {
    fn value(&self) -> &Order {
        &self.order
    }

    fn name(&self) -> &'static str {
        self.order.transition.as_str()
    }
}

impl Order {
    /// This order after `transition`, decided `at`.
    ///
    /// # Errors
    /// [`Impossible`] when the baton table has no such step from the order's status.
    pub fn next<T: Transition>(&self, transition: T, at: Timestamp) -> Result<Next<T>, Impossible> {
        let step = baton::take(Some(self.status), T::KIND)?;
        let mut order = self.clone();
        order.version += 1;
        order.transition = T::KIND;
        order.status = step.to;
        order.occurred_at = at;
        transition.apply(&mut order);
        Ok(Next { order: Arc::new(order), transition: PhantomData })
    }
}

impl OrderRequested {
    /// The first version of the order that `command` asks for.
    pub fn open(self, command: &PlaceOrder, at: Timestamp) -> Next<OrderRequested> {
        let step = baton::take(None, TransitionKind::OrderRequested);
        let status = step.expect("the baton table opens with OrderRequested").to;
        let order = Order::first(command, self, status, at);
        Next { order: Arc::new(order), transition: PhantomData }
    }
}

/// Every required check has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderValidated;

/// A required check has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRejected {
    /// Every failure known.
    pub reasons: Vec<Reason>,
}

/// The customer, the deadline or a declined payment ended the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderCancelled {
    /// Which of them.
    pub reason: Reason,
}

/// Paid, and nothing speaks against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderConfirmed;

/// The bank has captured the total.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentReceived {
    /// The bank's id of the capture.
    pub reference: String,
    /// When payments learned it.
    pub at: Timestamp,
}

/// The bank, or the deadline, said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentDeclined {
    /// Why.
    pub reason: Reason,
    /// When payments learned it.
    pub at: Timestamp,
}

/// The bank has given the total back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentRefunded {
    /// When payments learned it.
    pub at: Timestamp,
}

impl Transition for OrderValidated {
    const KIND: TransitionKind = TransitionKind::OrderValidated;

    fn apply(self, _: &mut Order) {}
}

impl Transition for OrderRejected {
    const KIND: TransitionKind = TransitionKind::OrderRejected;

    fn apply(self, order: &mut Order) {
        order.reasons.extend(self.reasons);
    }
}

impl Transition for OrderCancelled {
    const KIND: TransitionKind = TransitionKind::OrderCancelled;

    fn apply(self, order: &mut Order) {
        order.reasons.push(self.reason);
    }
}

impl Transition for OrderConfirmed {
    const KIND: TransitionKind = TransitionKind::OrderConfirmed;

    fn apply(self, _: &mut Order) {}
}

impl Transition for PaymentReceived {
    const KIND: TransitionKind = TransitionKind::PaymentReceived;

    fn apply(self, order: &mut Order) {
        order.payment = Some(Payment {
            status: PaymentStatus::Captured,
            amount: order.total.clone(),
            reference: Some(self.reference),
            decided_at: self.at,
        });
    }
}

impl Transition for PaymentDeclined {
    const KIND: TransitionKind = TransitionKind::PaymentDeclined;

    fn apply(self, order: &mut Order) {
        order.payment = Some(Payment {
            status: PaymentStatus::Declined,
            amount: order.total.clone(),
            reference: None,
            decided_at: self.at,
        });
        order.reasons.push(self.reason);
    }
}

impl Transition for PaymentRefunded {
    const KIND: TransitionKind = TransitionKind::PaymentRefunded;

    fn apply(self, order: &mut Order) {
        if let Some(payment) = &mut order.payment {
            payment.status = PaymentStatus::Refunded;
            payment.decided_at = self.at;
        }
    }
}
