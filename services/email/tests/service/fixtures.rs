//! Orders in each status, as the view announces them, and a mail server made of a vector.

use contracts::{
    Order, OrderId, Reason, Timestamp,
    transitions::{
        OrderCancelled, OrderConfirmed, OrderRejected, OrderValidated, PaymentDeclined,
        PaymentReceived, PaymentRefunded, Transition,
    },
    view::ViewUpdated,
};
use email::{DeliveryError, Mailer, domain::mail::Mail};
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

pub(crate) const AT: Timestamp = Timestamp(1_700_000_000_000);

pub(crate) fn order_id(id: u128) -> OrderId {
    OrderId(Uuid::from_u128(id))
}

pub(crate) fn requested(id: u128) -> Order {
    let lines = [("TEA", "Assam Tea", 2, 495), ("LAST", "The Last Teapot", 1, 12_900)];
    testkit::orders::order(id, &lines, AT)
}

fn next<T: Transition>(order: &Order, transition: T) -> Order {
    order.next(transition, AT).expect("the table has this step").into_order()
}

pub(crate) fn rejected(id: u128) -> Order {
    let reason = Reason::new("inventory:LAST", "out_of_stock", "1 wanted, 0 available");
    next(&requested(id), OrderRejected { reasons: vec![reason] })
}

pub(crate) fn validated(id: u128) -> Order {
    next(&requested(id), OrderValidated)
}

pub(crate) fn paid(id: u128) -> Order {
    next(&validated(id), PaymentReceived { reference: "c-1".to_owned(), at: AT })
}

pub(crate) fn declined(id: u128) -> Order {
    let reason = Reason::new("payment", "customer_rule", "the bank declined the payment");
    next(&validated(id), PaymentDeclined { reason, at: AT })
}

pub(crate) fn cancelled(order: &Order) -> Order {
    let reason = Reason::new("customer", "cancelled", "");
    next(order, OrderCancelled { reason })
}

pub(crate) fn confirmed(id: u128) -> Order {
    next(&paid(id), OrderConfirmed)
}

pub(crate) fn refunded(id: u128) -> Order {
    next(&cancelled(&paid(id)), PaymentRefunded { at: AT })
}

/// As the view announces `order`.
pub(crate) fn seen(order: Order) -> ViewUpdated {
    let (order_id, view_version) = (order.order_id, order.version);
    ViewUpdated { order_id, view_version, order, updated_at: AT }
}

/// A mail server that accepts everything, unless told otherwise. Clones are the same server.
#[derive(Clone, Default)]
pub(crate) struct Postbox {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    accepted: Vec<Mail>,
    refusal: Option<DeliveryError>,
}

impl Postbox {
    /// What it says from now on; `None` to accept again.
    pub(crate) fn refuse(&self, refusal: Option<DeliveryError>) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).refusal = refusal;
    }

    /// The Message-IDs that it has accepted, in order.
    pub(crate) fn accepted(&self) -> Vec<String> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.accepted.iter().map(|mail| mail.message_id.clone()).collect()
    }
}

impl Mailer for Postbox {
    fn deliver(&mut self, mail: &Mail) -> Result<(), DeliveryError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match &inner.refusal {
            Some(refusal) => Err(refusal.clone()),
            None => {
                inner.accepted.push(mail.clone());
                Ok(())
            }
        }
    }
}
