//! The stock of one product, and the effect of each command.
//!
//! Always: `restocked = on_hand + committed` and `available = on_hand - reserved >= 0`.

use contracts::{
    CommandId, OrderId, Sku, Timestamp,
    inventory::{
        Commit, InventoryCommand, OrderValidation, Outcome, RESTOCK_QUANTITY_MAX, Release,
        Reservation, ReservationState, Reserve, Restock, RestockApplied, StockEntry, StockLevel,
        check_name,
    },
    orders::QUANTITY_MAX,
};
use std::fmt;

#[cfg(test)]
mod tests;

/// State: a product's level, and what is remembered of the order or the Restock at hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stock {
    /// How much there is; none if there has never been any.
    pub level: Option<StockLevel>,
    /// What earlier commands with the same order id, or the same command id, have left.
    pub entry: Option<StockEntry>,
}

// Input: an InventoryCommand.

/// What becomes of a command. Those that change something carry what is to be remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The pieces are held for the order: its check has passed.
    Reserved(Reservation),
    /// Nothing is held for the order: its check has failed.
    Refused(Reservation, Refusal),
    /// The pieces can be promised again.
    Released(Reservation),
    /// There was nothing to release yet: the Reserve, should it still come, will be refused.
    ReleaseRemembered(Reservation),
    /// The pieces have left the house.
    Committed(Reservation),
    /// Pieces have arrived.
    Restocked(RestockApplied),
    /// It has no effect, and should have none.
    Ignored(NoOp),
    /// It can never be right.
    Impossible(Impossible),
}

/// Why nothing can be held for an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is too little: only so many could be promised.
    OutOfStock {
        /// Pieces.
        available: i64,
    },
    /// There has never been any. Whether such a product exists is not ours to say: orders has
    /// looked it up in the catalog. To the customer it is just as sold out.
    NeverStocked,
    /// The order had ended before it came to reserving.
    ReleasedBeforeReserved,
}

impl Refusal {
    /// The reason for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::OutOfStock { .. } | Self::NeverStocked => "out_of_stock",
            Self::ReleasedBeforeReserved => "released_before_reserved",
        }
    }

    /// The reason for people.
    pub fn detail(self, wanted: i32) -> String {
        match self {
            Self::OutOfStock { available } => format!("{wanted} wanted, {available} available"),
            Self::NeverStocked => format!("{wanted} wanted, 0 available: never in stock so far"),
            Self::ReleasedBeforeReserved => {
                format!("{wanted} wanted, but the order had ended before")
            }
        }
    }
}

/// Why a command has no effect. Commands repeat only by hand or by a replay, and the outcome of
/// the first was committed together with its effect, so a repetition need not tell it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoOp {
    /// A Reserve whose pieces are held.
    AlreadyReserved,
    /// A Reserve that was refused.
    AlreadyRefused,
    /// A Reserve or Release of what was given back.
    AlreadyReleased,
    /// A Reserve or Commit of what has left.
    AlreadyCommitted,
    /// A Release of what was never held.
    NothingToRelease,
    /// A Restock that was counted.
    AlreadyRestocked,
}

/// Why a command can never be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Impossible {
    /// Not 1 to the most.
    Quantity {
        /// Pieces of the command.
        found: i32,
        /// The most.
        max: i32,
    },
    /// The same id again, with another quantity.
    Differs {
        /// Pieces of the first.
        known: i32,
        /// Pieces of this one.
        found: i32,
    },
    /// A Commit of what is not held.
    NotReserved {
        /// The order.
        order_id: OrderId,
        /// What is known of its reservation.
        state: Option<ReservationState>,
    },
    /// A Release of what has left the house.
    HasLeft(OrderId),
    /// The id of this Reserve, Release or Commit is that of a Restock.
    IsRestock(OrderId),
    /// The id of this Restock is that of an order.
    IsOrder(CommandId),
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quantity { found, max } => write!(f, "the quantity is {found}, not 1 to {max}"),
            Self::Differs { known, found } => {
                write!(f, "the same again, but of {found} pieces instead of {known}")
            }
            Self::NotReserved { order_id, state: None } => {
                write!(f, "Commit for order {order_id}, which has reserved nothing")
            }
            Self::NotReserved { order_id, state: Some(state) } => {
                write!(f, "Commit for order {order_id}, whose reservation is {state:?}")
            }
            Self::HasLeft(order_id) => {
                write!(f, "Release for order {order_id}, whose pieces have left the house")
            }
            Self::IsRestock(id) => write!(f, "{id} is a Restock, not an order"),
            Self::IsOrder(id) => write!(f, "{id} is an order, not a Restock"),
        }
    }
}

/// What becomes of `command`.
pub fn decide(stock: &Stock, command: &InventoryCommand, now: Timestamp) -> Decision {
    let decided = match command {
        InventoryCommand::Reserve(command) => reserve(stock, command, now),
        InventoryCommand::Release(command) => release(stock, command, now),
        InventoryCommand::Commit(command) => commit(stock, command, now),
        InventoryCommand::Restock(command) => restock(stock, command, now),
    };
    decided.unwrap_or_else(Decision::Impossible)
}

fn reserve(stock: &Stock, command: &Reserve, at: Timestamp) -> Result<Decision, Impossible> {
    let wanted = within(command.quantity, QUANTITY_MAX)?;
    let reservation = |state| Reservation {
        sku: command.sku.clone(),
        order_id: command.order_id,
        quantity: wanted,
        state,
        updated_at: at,
    };
    let refused = |why| Decision::Refused(reservation(ReservationState::Refused), why);
    let Some(known) = stock.reservation(command.order_id)? else {
        return Ok(match stock.level.as_ref().map(|level| level.available) {
            None => refused(Refusal::NeverStocked),
            Some(available) if available < i64::from(wanted) => {
                refused(Refusal::OutOfStock { available })
            }
            Some(_) => Decision::Reserved(reservation(ReservationState::Reserved)),
        });
    };
    if known.state == ReservationState::Released && known.quantity == 0 {
        return Ok(refused(Refusal::ReleasedBeforeReserved));
    }
    if known.quantity != wanted {
        return Err(Impossible::Differs { known: known.quantity, found: wanted });
    }
    Ok(Decision::Ignored(match known.state {
        ReservationState::Reserved => NoOp::AlreadyReserved,
        ReservationState::Refused => NoOp::AlreadyRefused,
        ReservationState::Released => NoOp::AlreadyReleased,
        ReservationState::Committed => NoOp::AlreadyCommitted,
    }))
}

fn release(stock: &Stock, command: &Release, at: Timestamp) -> Result<Decision, Impossible> {
    let Some(known) = stock.reservation(command.order_id)? else {
        return Ok(Decision::ReleaseRemembered(Reservation {
            sku: command.sku.clone(),
            order_id: command.order_id,
            quantity: 0,
            state: ReservationState::Released,
            updated_at: at,
        }));
    };
    match known.state {
        ReservationState::Reserved => {
            Ok(Decision::Released(turned(known, ReservationState::Released, at)))
        }
        ReservationState::Refused => Ok(Decision::Ignored(NoOp::NothingToRelease)),
        ReservationState::Released => Ok(Decision::Ignored(NoOp::AlreadyReleased)),
        ReservationState::Committed => Err(Impossible::HasLeft(command.order_id)),
    }
}

fn commit(stock: &Stock, command: &Commit, at: Timestamp) -> Result<Decision, Impossible> {
    let order_id = command.order_id;
    let Some(known) = stock.reservation(order_id)? else {
        return Err(Impossible::NotReserved { order_id, state: None });
    };
    match known.state {
        ReservationState::Reserved => {
            Ok(Decision::Committed(turned(known, ReservationState::Committed, at)))
        }
        ReservationState::Committed => Ok(Decision::Ignored(NoOp::AlreadyCommitted)),
        ReservationState::Refused | ReservationState::Released => {
            Err(Impossible::NotReserved { order_id, state: Some(known.state) })
        }
    }
}

fn restock(stock: &Stock, command: &Restock, at: Timestamp) -> Result<Decision, Impossible> {
    let found = within(command.quantity, RESTOCK_QUANTITY_MAX)?;
    match &stock.entry {
        None => Ok(Decision::Restocked(RestockApplied {
            sku: command.sku.clone(),
            command_id: command.command_id,
            quantity: found,
            updated_at: at,
        })),
        Some(StockEntry::RestockApplied(known)) if known.quantity != found => {
            Err(Impossible::Differs { known: known.quantity, found })
        }
        Some(StockEntry::RestockApplied(_)) => Ok(Decision::Ignored(NoOp::AlreadyRestocked)),
        Some(StockEntry::Reservation(_)) => Err(Impossible::IsOrder(command.command_id)),
    }
}

fn within(found: i32, max: i32) -> Result<i32, Impossible> {
    if (1..=max).contains(&found) { Ok(found) } else { Err(Impossible::Quantity { found, max }) }
}

fn turned(known: &Reservation, state: ReservationState, at: Timestamp) -> Reservation {
    Reservation { state, updated_at: at, ..known.clone() }
}

/// The stock after `decision`.
pub fn evolve(stock: Stock, decision: &Decision) -> Stock {
    match decision {
        Decision::Reserved(held) => stock
            .moved(&held.sku, held.updated_at, |level| level.reserved += i64::from(held.quantity))
            .remembering(held.clone()),
        Decision::Released(held) => stock
            .moved(&held.sku, held.updated_at, |level| level.reserved -= i64::from(held.quantity))
            .remembering(held.clone()),
        Decision::Committed(held) => stock
            .moved(&held.sku, held.updated_at, |level| {
                level.reserved -= i64::from(held.quantity);
                level.on_hand -= i64::from(held.quantity);
                level.committed += i64::from(held.quantity);
            })
            .remembering(held.clone()),
        Decision::Restocked(added) => stock
            // Ten million pieces at a time, an i64 is full after 900 billion times.
            .moved(&added.sku, added.updated_at, |level| level.on_hand += i64::from(added.quantity))
            .remembering(added.clone()),
        Decision::Refused(reservation, _) | Decision::ReleaseRemembered(reservation) => {
            stock.remembering(reservation.clone())
        }
        Decision::Ignored(_) | Decision::Impossible(_) => stock,
    }
}

/// The outcome of the check, if `decision` is one. A repeated Reserve has none: the first outcome
/// was committed together with its reservation, so it is on the topic.
pub fn outcome(decision: &Decision, decided_at: Timestamp) -> Option<OrderValidation> {
    let outcome = |reservation: &Reservation, outcome, code: &str, detail| OrderValidation {
        order_id: reservation.order_id,
        check: check_name(&reservation.sku),
        outcome,
        code: code.to_owned(),
        detail,
        decided_at,
    };
    match decision {
        Decision::Reserved(held) => Some(outcome(held, Outcome::Passed, "ok", String::new())),
        Decision::Refused(refused, why) => {
            Some(outcome(refused, Outcome::Failed, why.code(), why.detail(refused.quantity)))
        }
        Decision::Released(_)
        | Decision::ReleaseRemembered(_)
        | Decision::Committed(_)
        | Decision::Restocked(_)
        | Decision::Ignored(_)
        | Decision::Impossible(_) => None,
    }
}

impl Stock {
    /// Whether the numbers add up. If they do not, our own state is broken.
    pub fn is_sound(&self) -> bool {
        self.level.as_ref().is_none_or(|level| {
            level.available == level.on_hand - level.reserved
                && level.available >= 0
                && level.reserved >= 0
                && level.committed >= 0
        })
    }

    fn reservation(&self, order_id: OrderId) -> Result<Option<&Reservation>, Impossible> {
        match &self.entry {
            None => Ok(None),
            Some(StockEntry::Reservation(reservation)) => Ok(Some(reservation)),
            Some(StockEntry::RestockApplied(_)) => Err(Impossible::IsRestock(order_id)),
        }
    }

    fn remembering(self, entry: impl Into<StockEntry>) -> Self {
        Self { entry: Some(entry.into()), ..self }
    }

    fn moved(self, sku: &Sku, at: Timestamp, change: impl FnOnce(&mut StockLevel)) -> Self {
        let mut level = self.level.unwrap_or_else(|| StockLevel {
            sku: sku.clone(),
            on_hand: 0,
            reserved: 0,
            available: 0,
            committed: 0,
            version: 0,
            updated_at: at,
        });
        change(&mut level);
        level.available = level.on_hand - level.reserved;
        level.version += 1;
        level.updated_at = at;
        Self { level: Some(level), ..self }
    }
}
