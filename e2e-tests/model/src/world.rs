//! [`World`]: all that is known anywhere, the services' states and what is on its way between them.

use crate::{
    bank::Account,
    known::Known,
    loops::Task,
    message::{Message, Says},
};
use contracts::{
    Order, Timestamp,
    inventory::{Reservation, StockEntry, StockLevel},
};
use payments::{
    domain::{Input, Status},
    memory::Tables,
    supervisor::{Call, Called},
};
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

/// What is on one partition of a topic, and how far its reader has committed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Log {
    /// In the order of their offsets.
    pub records: Vec<Known<Message>>,
    /// The offset of the next one to read.
    pub read: usize,
}

/// One order: its partition of each topic, and what each service knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Life {
    /// `orders.commands`, read by orders.
    pub commands: Log,
    /// `orders`, as orders reads it back.
    pub transitions: Log,
    /// How far inventory's split loop has read `orders`.
    pub split_read: usize,
    /// How far payments has read `orders`.
    pub payments_read: usize,
    /// `order-validations`, read by orders.
    pub validations: Log,
    /// `orders.latest`.
    pub latest: Option<Known<Message>>,
    /// The store of orders.
    pub task: Known<Task>,
    /// The tables of payments.
    pub tables: Known<Tables>,
    /// How far Debezium has read the outbox.
    pub relayed: usize,
    /// The calls to the bank that are under way.
    pub calls: Vec<Line>,
    /// The customer's account, as far as this order goes.
    pub account: Known<Account>,
    /// Orders has accepted a cancellation.
    pub promised: bool,
}

/// A call to the bank, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Line {
    /// The call.
    pub call: Known<Call>,
    /// Where it is.
    pub stage: Stage,
}

/// Where a call to the bank is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The request is on its way, and payments does not wait for the answer any more.
    Stray,
    /// The request is on its way.
    Asked,
    /// The bank has acted, and its answer is on its way.
    Acted(Known<Input>),
    /// Payments has the answer, but not in its database.
    Answered(Known<Called>),
}

/// The one product, of which there is one piece: inventory's stock loop.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Shelf {
    /// `inventory.commands`.
    pub commands: Log,
    /// The store of the stock loop.
    pub task: Known<Task>,
    /// `stock`.
    pub level: Option<Known<Message>>,
    /// `inventory.reservations`, but for the Restock: the latest of each order.
    pub entries: Vec<Option<Known<Message>>>,
}

impl Log {
    /// A topic with these records, none of them read.
    pub fn of(records: impl IntoIterator<Item = Known<Message>>) -> Self {
        Self { records: records.into_iter().collect(), read: 0 }
    }

    /// The next record to read.
    pub fn next(&self) -> Option<&Known<Message>> {
        self.records.get(self.read)
    }

    /// Puts a record that is there already at the end once more.
    pub fn repeat(&mut self, offset: usize) {
        self.records.extend(self.records.get(offset).cloned());
    }

    fn progress(&self) -> usize {
        self.records.len() + self.read
    }
}

impl Shelf {
    /// How much there is.
    pub fn level(&self) -> Option<&StockLevel> {
        match &self.level.as_ref()?.says {
            Says::Level(level) => Some(level),
            _ => None,
        }
    }

    /// What each order holds.
    pub fn reservations(&self) -> impl Iterator<Item = &Reservation> {
        self.entries.iter().flatten().filter_map(|message| match &message.says {
            Says::Entry(StockEntry::Reservation(reservation)) => Some(reservation),
            _ => None,
        })
    }
}

impl World {
    /// Grows with every step: so no path returns to where it was, and each one ends.
    pub fn progress(&self) -> usize {
        const FAULT: usize = 1000;
        let Left { cancellations, restarts, calls, repeats, deadlines } = self.left;
        let left = usize::from(cancellations + restarts + calls + repeats + deadlines);
        // Faults only get fewer; 100 is more than there ever are.
        let lives: usize = self.lives.iter().map(Life::progress).sum();
        (100 - left) * FAULT + self.shelf.commands.progress() + lives
    }
}

impl Life {
    /// Before any service has read a record.
    pub fn new(commands: impl IntoIterator<Item = Known<Message>>) -> Self {
        Self {
            commands: Log::of(commands),
            transitions: Log::default(),
            split_read: 0,
            payments_read: 0,
            validations: Log::default(),
            latest: None,
            task: Known::default(),
            tables: Known::default(),
            relayed: 0,
            calls: Vec::new(),
            account: Known::default(),
            promised: false,
        }
    }

    /// The order as `orders.latest` has it.
    pub fn latest(&self) -> Option<&Order> {
        match &self.latest.as_ref()?.says {
            Says::Latest(order) => Some(order),
            _ => None,
        }
    }

    /// Whether the supervisor of payments has something to do: the deadline has come without an
    /// outcome, or a call to the bank is due and none is under way. A supervisor stops waiting for
    /// the bank before its claim ends.
    pub fn has_work(&self, now: Timestamp) -> bool {
        let is_claimed = || {
            let waits = |line: &Line| line.stage != Stage::Stray;
            let mut waiting = self.calls.iter().filter(|line| waits(line));
            waiting.any(|line| self.tables.is_claimed_by(&line.call))
        };
        self.tables.payments.values().any(|stored| {
            let payment = &stored.row.payment;
            let is_expired = payment.status == Status::Intent && payment.order.deadline <= now;
            is_expired || (stored.due_at.is_some() && !is_claimed())
        })
    }

    fn progress(&self) -> usize {
        // What a call can take back when it ends is less than what its answer brings.
        const CLAIMED: usize = 10;
        const FAILED: usize = 5;
        const SETTLED: usize = 100;
        let payment = self.tables.payments.values().next().map_or(0, |stored| {
            // A payment that expires adds a row to the outbox, and then its charge has to be
            // voided.
            let settled = 2 * self.tables.outbox.len() + usize::from(!stored.row.payment.void_due);
            let attempts = stored.row.attempts as usize;
            let is_failed = attempts > 0 && self.calls.iter().all(|l| l.stage == Stage::Stray);
            settled * SETTLED + attempts * CLAIMED + usize::from(is_failed) * FAILED
        });
        let calls: usize = self.calls.iter().map(|line| line.stage.progress()).sum();
        let strays = self.calls.iter().filter(|line| line.stage == Stage::Stray).count();
        self.commands.progress()
            + self.transitions.progress()
            + self.validations.progress()
            + self.split_read
            + self.payments_read
            + self.relayed
            + payment
            + calls
            + 5usize.saturating_sub(strays)
    }
}

impl Stage {
    fn progress(&self) -> usize {
        match self {
            Self::Stray => 0,
            Self::Asked => 1,
            Self::Acted(_) => 2,
            Self::Answered(_) => 3,
        }
    }
}
