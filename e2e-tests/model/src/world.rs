//! [`World`]: all that is known anywhere, the services' states and what is on its way between them.

use crate::{bank::Account, known::Known};
use contracts::{
    Order, ServiceName, Timestamp,
    inventory::{InventoryCommand, OrderValidation, StockEntry, StockLevel},
};
use orders::domain::Entry;
use payments::domain::{Input, Payment, Task};
use std::hash::Hash;

/// One state of the model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    /// Every clock. It moves once at most, past the deadline of the first orders.
    pub now: Timestamp,
    /// The orders, by number.
    pub lives: Vec<Life>,
    /// The product that both want.
    pub shelf: Shelf,
    /// Faults that are left, by kind.
    pub left: Left,
    /// The first refused record; in this model no service should refuse one.
    pub dead_letter: Option<String>,
}

/// How many faults of each kind may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Left {
    /// Cancellations by the customers.
    pub cancellations: u8,
    /// Orders dies between a commit and its store, or loses its disk.
    pub restarts: u8,
    /// Payments dies, or the bank's line breaks, during a call.
    pub calls: u8,
    /// A record appears on its topic once more.
    pub repeats: u8,
    /// The deadline passes.
    pub deadlines: u8,
}

/// What is on a topic for one key, and how far its reader has committed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Log<T> {
    /// In the order of their offsets.
    pub records: Vec<Known<T>>,
    /// The offset of the next one to read.
    pub read: usize,
}

/// A record on `orders`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Logged {
    /// The order after a transition.
    pub order: Order,
    /// Its writer: `ce_source`.
    pub writer: ServiceName,
    /// The offset of its cause on `orders.commands`, if that is where it is from.
    pub placed_at: Option<i64>,
}

/// What is on `orders.commands`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// PlaceOrder.
    Place,
    /// CancelOrder.
    Cancel,
}

/// One order: its records on each topic, and what each service knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Life {
    /// `orders.commands`, read by orders.
    pub commands: Log<Command>,
    /// `orders`, as orders reads it back.
    pub transitions: Log<Logged>,
    /// How far inventory's split processor has read `orders`.
    pub split_read: usize,
    /// How far payments has read `orders`.
    pub payments_read: usize,
    /// `order-validations`, read by orders.
    pub validations: Log<OrderValidation>,
    /// What orders knows.
    pub entry: Known<Entry>,
    /// What payments knows.
    pub payment: Option<Known<Payment>>,
    /// What payments has put into its outbox, read by Debezium.
    pub outbox: Log<Order>,
    /// The call to the bank that payments waits for.
    pub call: Option<Call>,
    /// Requests on their way to the bank; payments waits for none of their answers.
    pub strays: Vec<Task>,
    /// The customer's account, as far as this order goes.
    pub account: Account,
    /// Orders has accepted a cancellation.
    pub promised: bool,
}

/// Where a call to the bank is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Call {
    /// The request is on its way.
    Asked(Task),
    /// The bank has acted, and its answer is on its way.
    Acted(Input),
    /// Payments has the answer since then, but not in its database.
    Answered(Input, Timestamp),
}

/// The one product, of which there is one piece: inventory's stock processor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shelf {
    /// `inventory.commands`, with the number of the order.
    pub commands: Log<(usize, InventoryCommand)>,
    /// How much there is.
    pub level: Option<Known<StockLevel>>,
    /// What each order holds of it.
    pub entries: Vec<Option<Known<StockEntry>>>,
}

impl<T: Hash> Log<T> {
    /// A topic with these records, none of them read.
    pub fn of(records: impl IntoIterator<Item = T>) -> Self {
        Self { records: records.into_iter().map(Known::from).collect(), read: 0 }
    }

    /// The next record to read.
    pub fn next(&self) -> Option<Known<T>> {
        self.records.get(self.read).cloned()
    }

    /// Puts a record at the end.
    pub fn push(&mut self, record: T) {
        self.records.push(record.into());
    }

    /// Puts a record that is there already at the end once more.
    pub fn repeat(&mut self, offset: usize) {
        self.records.extend(self.records.get(offset).cloned());
    }

    /// Whether there is such a record.
    pub fn contains(&self, record: &T) -> bool
    where
        T: PartialEq,
    {
        self.records.iter().any(|known| **known == *record)
    }
}

impl World {
    /// Grows with every step: so no path returns to where it was, and each one ends.
    pub fn progress(&self) -> usize {
        const FAULT: usize = 1000;
        let Left { cancellations, restarts, calls, repeats, deadlines } = self.left;
        let left = usize::from(cancellations + restarts + calls + repeats + deadlines);
        let shelf = self.shelf.commands.records.len() + self.shelf.commands.read;
        // Faults only get fewer; 100 is more than there ever are.
        let lives: usize = self.lives.iter().map(Life::progress).sum();
        (100 - left) * FAULT + shelf + lives
    }
}

impl Life {
    fn progress(&self) -> usize {
        /// More than a call can take back when it ends.
        const PAYMENT: usize = 10;
        let read = self.commands.read + self.transitions.read + self.validations.read;
        let written = self.commands.records.len()
            + self.transitions.records.len()
            + self.validations.records.len();
        let payment = self.payment.as_ref().map_or(0, |payment| {
            let status = payment.status as usize;
            // A late capture is known, then voided.
            1 + 4 * status
                + 2 * usize::from(payment.reference.is_some())
                + usize::from(!payment.void_due)
        });
        let call = match self.call {
            None => 0,
            Some(Call::Asked(_)) => 1,
            Some(Call::Acted(_)) => 2,
            Some(Call::Answered(..)) => 3,
        };
        read + written
            + self.split_read
            + self.payments_read
            + payment * PAYMENT
            + call
            + 5usize.saturating_sub(self.strays.len())
    }
}
