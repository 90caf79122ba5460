//! Orders: what its processor does with each input, and what a restart makes of the logs.

use crate::{
    known::Known,
    shop::OrdersInput,
    world::{Command, Life, Log, Logged},
};
use contracts::{
    CommandId, Currency, CustomerId, Order, OrderId, ServiceName, Sku, Timestamp,
    catalog::{CatalogCustomer, Product},
    inventory::OrderValidation,
    orders::{CancelOrder, PlaceOrder, RequestedLine},
};
use orders::domain::{
    Entry, cancel_order, next_step, order_transition, order_validation,
    place_order::{self, Excerpt, Terms},
};
use std::time::Duration;
use uuid::Uuid;

/// From acceptance to the deadline. The clock moves by this much, once.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The error is why a record was refused.
type Result<T> = std::result::Result<T, String>;

/// How orders restores its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restore {
    /// Its own log is read to its end, not only to the committed offset.
    pub own_log_to_end: bool,
}

/// The id of order `number`.
pub fn order_id(number: usize) -> OrderId {
    OrderId(Uuid::from_u128(number as u128 + 1))
}

/// The product.
pub fn sku() -> Sku {
    "LAST".parse().expect("a sku")
}

fn command_id(number: usize, command: Command) -> CommandId {
    let kind = match command {
        Command::Place => 0x100,
        Command::Cancel => 0x200,
    };
    CommandId(Uuid::from_u128(kind + number as u128))
}

impl Life {
    /// Before any service has read a record.
    pub fn new(commands: impl IntoIterator<Item = Command>) -> Self {
        Self {
            commands: Log::of(commands),
            transitions: Log::of([]),
            split_read: 0,
            payments_read: 0,
            validations: Log::of([]),
            entry: Known::default(),
            payment: None,
            outbox: Log::of([]),
            call: None,
            strays: Vec::new(),
            account: Default::default(),
            promised: false,
        }
    }

    /// Orders acts: on the next record of a topic, or because time has passed.
    pub fn decide(&mut self, number: usize, input: OrdersInput, now: Timestamp) -> Result<()> {
        let mut entry = Entry::clone(&self.entry);
        match input {
            OrdersInput::Command => entry = self.on_command(entry, number, now)?,
            OrdersInput::Transition => {
                let logged = self.transitions.next().expect("the step needs a record");
                self.transitions.read += 1;
                entry = fold_transition(entry, &logged)?;
            }
            OrdersInput::Validation => {
                let validation = self.validations.next().expect("the step needs a record");
                self.validations.read += 1;
                entry = fold_validation(entry, &validation)?;
            }
            OrdersInput::Deadline => {}
        }
        let entry = self.propose_next(entry, now);
        if entry != *self.entry {
            self.entry = entry.into();
        }
        Ok(())
    }

    fn on_command(&mut self, entry: Entry, number: usize, now: Timestamp) -> Result<Entry> {
        let (command, offset) = (self.commands.next(), self.commands.read);
        self.commands.read += 1;
        match *command.expect("the step needs a record") {
            Command::Place => self.on_place_order(entry, number, offset, now),
            Command::Cancel => {
                let (entry, is_accepted) = fold_cancellation(entry, number, offset);
                self.promised |= is_accepted;
                Ok(entry)
            }
        }
    }

    fn on_place_order(
        &mut self,
        entry: Entry,
        number: usize,
        offset: usize,
        now: Timestamp,
    ) -> Result<Entry> {
        let input = place_order::Input {
            command: &place_order_of(number),
            known: &place_order::Known::Now(excerpt()),
            terms: &Terms { deadline: DEADLINE, extra_checks: Vec::new() },
        };
        let decision = place_order::decide(&entry, input, now);
        let after = place_order::evolve(entry, &decision);
        match decision {
            place_order::Decision::Accepted(requested) => {
                self.write(requested.into_order(), ServiceName::Orders, Some(offset as i64));
                Ok(after)
            }
            place_order::Decision::Refused { reasons, .. } => {
                Err(format!("PlaceOrder: {reasons:?}"))
            }
            place_order::Decision::Repeated => Ok(after),
        }
    }

    /// Whether time has something to say to orders.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.entry.due().is_some_and(|deadline| deadline <= now)
    }

    /// Looks for the next transition, as orders does after each input and at a deadline.
    fn propose_next(&mut self, entry: Entry, now: Timestamp) -> Entry {
        let decision = next_step::decide(&entry, now);
        match &decision {
            next_step::Decision::Propose(proposal) => {
                self.write(proposal.order().clone(), ServiceName::Orders, None);
            }
            next_step::Decision::Wait
            | next_step::Decision::InFlight
            | next_step::Decision::NotOurs
            | next_step::Decision::Settled
            | next_step::Decision::Unknown => {}
        }
        next_step::evolve(entry, &decision)
    }

    /// Puts a transition on `orders`.
    pub fn write(&mut self, order: Order, writer: ServiceName, placed_at: Option<i64>) {
        self.transitions.push(Logged { order, writer, placed_at });
    }

    /// Orders dies and comes back, with its disk or without.
    pub fn restart(&mut self, number: usize, disk_is_lost: bool, restore: Restore) -> Result<()> {
        let store = match disk_is_lost {
            true => (Entry::default(), Positions::default()),
            false => (Entry::clone(&self.entry), self.positions()),
        };
        self.restore(number, store, restore)
    }

    /// Orders acts, and dies after the commit, when its store is one input behind.
    pub fn decide_and_restart(
        &mut self,
        number: usize,
        input: OrdersInput,
        now: Timestamp,
        restore: Restore,
    ) -> Result<()> {
        let store = (Entry::clone(&self.entry), self.positions());
        self.decide(number, input, now)?;
        self.restore(number, store, restore)
    }

    /// Folds onto the store its own log to the end, and the other inputs to where they are
    /// committed.
    fn restore(
        &mut self,
        number: usize,
        (mut entry, positions): (Entry, Positions),
        restore: Restore,
    ) -> Result<()> {
        let records = &self.transitions.records;
        let end = if restore.own_log_to_end { records.len() } else { self.transitions.read };
        for logged in &records[positions.transitions..end] {
            entry = fold_transition(entry, logged)?;
        }
        for offset in positions.commands..self.commands.read {
            if *self.commands.records[offset] == Command::Cancel {
                entry = fold_cancellation(entry, number, offset).0;
            }
        }
        for validation in &self.validations.records[positions.validations..self.validations.read] {
            entry = fold_validation(entry, validation)?;
        }
        self.entry = entry.into();
        Ok(())
    }

    /// The positions of orders' store when it is up to date.
    fn positions(&self) -> Positions {
        Positions {
            commands: self.commands.read,
            transitions: self.transitions.read,
            validations: self.validations.read,
        }
    }
}

/// The offsets of a store of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Positions {
    commands: usize,
    transitions: usize,
    validations: usize,
}

/// Nothing that is folded depends on the time.
const UNUSED: Timestamp = Timestamp(0);

/// What is known after the CancelOrder at `offset`, and whether it is accepted.
fn fold_cancellation(entry: Entry, number: usize, offset: usize) -> (Entry, bool) {
    let command = cancel_order_of(number);
    let input = cancel_order::Input { command: &command, offset: offset as i64 };
    let decision = cancel_order::decide(&entry, input, UNUSED);
    let is_accepted = matches!(decision, cancel_order::Decision::Remembered(_));
    (cancel_order::evolve(entry, &decision), is_accepted)
}

fn fold_transition(entry: Entry, logged: &Logged) -> Result<Entry> {
    let Logged { order, writer, placed_at } = logged;
    order.check_written(order.order_id, Some(writer.as_str())).map_err(|e| e.to_string())?;
    let input = order_transition::Input { order: order.clone(), placed_at: *placed_at };
    match order_transition::decide(&entry, input, UNUSED) {
        order_transition::Decision::Impossible(why) => Err(why.to_string()),
        decision => Ok(order_transition::evolve(entry, &decision)),
    }
}

fn fold_validation(entry: Entry, validation: &OrderValidation) -> Result<Entry> {
    match order_validation::decide(&entry, validation, UNUSED) {
        order_validation::Decision::Malformed(why) => Err(why.to_string()),
        decision => Ok(order_validation::evolve(entry, &decision)),
    }
}

fn customer_id() -> CustomerId {
    "ada".parse().expect("a customer id")
}

fn place_order_of(number: usize) -> PlaceOrder {
    let (command_id, order_id) = (command_id(number, Command::Place), order_id(number));
    let lines = vec![RequestedLine { sku: sku(), quantity: 1 }];
    PlaceOrder::new(command_id, order_id, customer_id(), lines, Timestamp(0))
}

fn cancel_order_of(number: usize) -> CancelOrder {
    CancelOrder {
        command_id: command_id(number, Command::Cancel),
        order_id: order_id(number),
        issued_at: Timestamp(0),
    }
}

fn excerpt() -> Excerpt {
    let customer = CatalogCustomer {
        customer_id: customer_id(),
        name: "Ada".parse().expect("a name"),
        email: "ada@example.org".parse().expect("an address"),
        active: true,
    };
    let product = Product {
        sku: sku(),
        name: "Tea".parse().expect("a name"),
        description: "".parse().expect("prose"),
        price_minor: 100.try_into().expect("a price"),
        currency: Currency::EUR,
        picture: "".parse().expect("prose"),
        active: true,
    };
    Excerpt { customer: Some(Ok(customer)), products: [(sku(), Ok(product))].into() }
}
