//! The commands to inventory, and its messages.

pub use crate::orders::{OrderValidation, Outcome};
use crate::{
    CommandId, OrderId, Sku, Timestamp,
    avro::{avro_record, avro_records},
};
use serde::{Deserialize, Serialize};

/// Most pieces of one Restock.
pub const RESTOCK_QUANTITY_MAX: i32 = 10_000_000;

/// The name of the check that inventory makes for `sku`, as `required_checks` has it.
pub fn check_name(sku: &Sku) -> String {
    format!("inventory:{sku}")
}

/// Command: hold stock for one line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reserve {
    /// The record's key.
    pub sku: Sku,
    /// The order.
    pub order_id: OrderId,
    /// Pieces.
    pub quantity: i32,
    /// When the command was issued.
    pub issued_at: Timestamp,
}

avro_record!(Reserve, "inventory/Reserve.avsc");

/// Command: give back what an order holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Release {
    /// The record's key.
    pub sku: Sku,
    /// The order.
    pub order_id: OrderId,
    /// When the command was issued.
    pub issued_at: Timestamp,
}

avro_record!(Release, "inventory/Release.avsc");

/// Command: what an order holds leaves the house.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Commit {
    /// The record's key.
    pub sku: Sku,
    /// The order.
    pub order_id: OrderId,
    /// When the command was issued.
    pub issued_at: Timestamp,
}

avro_record!(Commit, "inventory/Commit.avsc");

/// Command: goods have arrived.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Restock {
    /// The record's key.
    pub sku: Sku,
    /// Repeating it changes nothing.
    pub command_id: CommandId,
    /// 1 to [`RESTOCK_QUANTITY_MAX`].
    pub quantity: i32,
    /// When the command was issued.
    pub issued_at: Timestamp,
}

avro_record!(Restock, "inventory/Restock.avsc");

/// What `inventory.commands` carries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum InventoryCommand {
    /// Hold stock.
    Reserve(Reserve),
    /// Give it back.
    Release(Release),
    /// Let it leave.
    Commit(Commit),
    /// Add stock.
    Restock(Restock),
}

avro_records!(InventoryCommand { Reserve, Release, Commit, Restock });

impl InventoryCommand {
    /// The product: the record's key.
    pub fn sku(&self) -> &Sku {
        match self {
            Self::Reserve(command) => &command.sku,
            Self::Release(command) => &command.sku,
            Self::Commit(command) => &command.sku,
            Self::Restock(command) => &command.sku,
        }
    }
}

/// How much there is of one product.
///
/// Invariant: `restocked = on_hand + committed` and `available = on_hand - reserved >= 0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StockLevel {
    /// The record's key.
    pub sku: Sku,
    /// Pieces in the house.
    pub on_hand: i64,
    /// Pieces held for orders that are not settled.
    pub reserved: i64,
    /// Pieces that can still be promised.
    pub available: i64,
    /// Pieces that have left with confirmed orders.
    pub committed: i64,
    /// +1 with each change.
    pub version: i64,
    /// When it changed.
    pub updated_at: Timestamp,
}

avro_record!(StockLevel, "inventory/StockLevel.avsc");

/// Life of a reservation. The order of the variants is that of the Avro enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReservationState {
    /// Held.
    Reserved,
    /// There was too little.
    Refused,
    /// Given back.
    Released,
    /// Left the house.
    Committed,
}

/// What one order holds of one product.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reservation {
    /// The product.
    pub sku: Sku,
    /// The order.
    pub order_id: OrderId,
    /// Pieces asked for; 0 if a Release came before its Reserve.
    pub quantity: i32,
    /// Its state.
    pub state: ReservationState,
    /// When it changed.
    pub updated_at: Timestamp,
}

avro_record!(Reservation, "inventory/Reservation.avsc");

/// A Restock that has been counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RestockApplied {
    /// The product.
    pub sku: Sku,
    /// The Restock.
    pub command_id: CommandId,
    /// Pieces added.
    pub quantity: i32,
    /// When it was counted.
    pub updated_at: Timestamp,
}

avro_record!(RestockApplied, "inventory/RestockApplied.avsc");

/// What `inventory.reservations` carries: the changelog of inventory's state store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StockEntry {
    /// A reservation.
    Reservation(Reservation),
    /// A counted Restock.
    RestockApplied(RestockApplied),
}

avro_records!(StockEntry { Reservation, RestockApplied });

impl StockEntry {
    /// The record's key.
    pub fn key(&self) -> StockEntryKey {
        match self {
            Self::Reservation(entry) => StockEntryKey::reservation(&entry.sku, entry.order_id),
            Self::RestockApplied(entry) => StockEntryKey::restock(&entry.sku, entry.command_id),
        }
    }
}

/// `sku/id`: a key on the partition of its sku, beside the commands it came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StockEntryKey {
    /// Decides the partition.
    pub sku: Sku,
    /// The order of a reservation, or the command of a Restock.
    pub id: uuid::Uuid,
}

impl StockEntryKey {
    /// What `order_id` holds of `sku`.
    pub fn reservation(sku: &Sku, order_id: OrderId) -> Self {
        Self { sku: sku.clone(), id: order_id.0 }
    }

    /// A counted Restock.
    pub fn restock(sku: &Sku, command_id: CommandId) -> Self {
        Self { sku: sku.clone(), id: command_id.0 }
    }
}
