//! Inventory: its split processor, which takes orders apart, and its stock processor, one writer
//! per product.

use crate::{
    Broken,
    known::Known,
    orders::{order_id, sku},
    world::{Life, Log, Shelf, World},
};
use contracts::{
    CommandId, Order, Timestamp,
    inventory::{InventoryCommand, Release, ReservationState, Restock, StockEntry},
};
use inventory::domain::{
    split::{self, Stateless},
    stock::{self, Decision, Stock},
};
use uuid::Uuid;

/// Nothing that inventory decides depends on the time; it only notes it.
const NOTED: Timestamp = Timestamp(0);

impl Shelf {
    /// One piece, delivered before the story begins.
    pub fn with_one_piece(orders: usize) -> Self {
        let command_id = CommandId(Uuid::from_u128(0x300));
        let restock = Restock { sku: sku(), command_id, quantity: 1, issued_at: NOTED };
        let empty = Stock::default();
        let delivered = stock::decide(&empty, &restock.into(), NOTED);
        let level = stock::evolve(empty, &delivered).level.map(Known::from);
        Self { commands: Log::of([]), level, entries: vec![None; orders] }
    }

    /// The order that the piece is held for.
    fn holder(&self) -> Option<usize> {
        let is_held = |entry: &Option<Known<StockEntry>>| match entry.as_deref() {
            Some(StockEntry::Reservation(held)) => held.state == ReservationState::Reserved,
            Some(StockEntry::RestockApplied(_)) | None => false,
        };
        self.entries.iter().position(is_held)
    }
}

/// What a transition asks of the stock, if anything.
pub fn commands_of(order: &Order) -> Vec<InventoryCommand> {
    match split::decide(&Stateless, order, NOTED) {
        split::Decision::Split(commands) => commands,
        split::Decision::Ignored(_) => Vec::new(),
    }
}

impl World {
    /// The split processor reads a transition of order `number`.
    pub fn split(&mut self, number: usize) -> Result<(), String> {
        let life = &mut self.lives[number];
        let logged = &life.transitions.records[life.split_read];
        let commands = commands_of(&logged.order);
        life.split_read += 1;
        commands.into_iter().for_each(|command| self.shelf.commands.push((number, command)));
        Ok(())
    }

    /// The stock processor reads a command.
    pub fn stock(&mut self, broken: Option<Broken>) -> Result<(), String> {
        let next = self.shelf.commands.next().expect("the step needs a record");
        let (number, command) = (next.0, next.1.clone());
        self.shelf.commands.read += 1;
        let (number, command) = match (command, broken) {
            (InventoryCommand::Release(release), Some(Broken::ReleaseIgnoresItsOrder)) => {
                let number = self.shelf.holder().unwrap_or(number);
                (number, Release { order_id: order_id(number), ..release }.into())
            }
            (command, _) => (number, command),
        };
        let before = Stock {
            level: self.shelf.level.as_deref().cloned(),
            entry: self.shelf.entries[number].as_deref().cloned(),
        };
        let decision = stock::decide(&before, &command, NOTED);
        if let Decision::Impossible(why) = &decision {
            return Err(why.to_string());
        }
        let after = stock::evolve(before, &decision);
        if !after.is_sound() {
            return Err(format!("stock does not add up: {:?}", after.level));
        }
        self.shelf.level = after.level.map(Known::from);
        self.shelf.entries[number] = after.entry.map(Known::from);
        if let Some(outcome) = stock::outcome(&decision, NOTED) {
            self.lives[number].validations.push(outcome);
        }
        Ok(())
    }
}

impl Life {
    /// Passes the split processor over transitions that ask nothing of it. Such a read has no
    /// effect, and no state shows when it happens, so it need not be a step of its own.
    pub fn pass_split(&mut self) {
        let unread = &self.transitions.records[self.split_read..];
        let nothing = |order: &Order| commands_of(order).is_empty();
        self.split_read += unread.iter().take_while(|logged| nothing(&logged.order)).count();
    }
}
