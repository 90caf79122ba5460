//! What must hold in every world, what must hold when nothing is left to do, and what must be
//! possible at all. This module states the laws again: none asks the baton table or a service.

use crate::{
    Shop, World,
    message::{Message, Says},
    world::{Left, Life},
};
use contracts::{Order, Status, inventory::ReservationState};
use stateright::Property;

/// All of them, by name.
pub fn properties(shop: &Shop) -> Vec<Property<Shop>> {
    [always(), at_rest(), sometimes(shop)].concat()
}

fn always() -> Vec<Property<Shop>> {
    vec![
        Property::always("nobody refuses a record", |_, world: &World| world.dead_letter.is_none()),
        Property::always("an order has one history", |_, world| all(world, has_one_history)),
        Property::always("only the holder of the baton writes", |_, world| {
            all(world, |life| {
                let mut before = None;
                history(life).all(|(order, message)| {
                    let holder = holder(before.replace(order.status));
                    holder.is_some() && holder == message.writer()
                })
            })
        }),
        Property::always("money is taken once", |_, world| {
            all(world, |life| life.account.captures <= 1)
        }),
        Property::always("no piece is promised twice", |_, world: &World| {
            let available = world.shelf.level().map_or(0, |level| level.available);
            available >= 0 && pieces(world, ReservationState::Reserved) + sold(world) <= 1
        }),
        Property::always("an accepted cancellation is kept", |_, world| {
            let broken = [Some(Status::Confirmed), Some(Status::Rejected)];
            all(world, |life| !life.promised || !broken.contains(&status(life)))
        }),
    ]
}

fn at_rest() -> Vec<Property<Shop>> {
    vec![
        Property::always("at rest every order has ended", |_, world: &World| {
            !world.is_at_rest() || all(world, |life| status(life).is_some_and(is_an_end))
        }),
        Property::always("at rest orders.latest is what the log says", |_, world: &World| {
            let knows = |life: &Life| life.latest().map(|order| order.status);
            !world.is_at_rest() || all(world, |life| knows(life) == status(life))
        }),
        Property::always("at rest money is kept for confirmed orders alone", |_, world: &World| {
            let is_confirmed = |life: &Life| status(life) == Some(Status::Confirmed);
            let is_right = |life: &Life| life.account.holds_money() == is_confirmed(life);
            !world.is_at_rest() || all(world, is_right)
        }),
        Property::always("at rest the shelf has what was not sold", |_, world: &World| {
            let confirmed =
                world.lives.iter().filter(|life| status(life) == Some(Status::Confirmed)).count();
            let level = world.shelf.level().map(|l| (l.on_hand, l.reserved, l.committed));
            let confirmed = i64::try_from(confirmed).unwrap_or(i64::MAX);
            !world.is_at_rest() || level == Some((1 - confirmed, 0, confirmed))
        }),
    ]
}

/// Without these an exploration that never gets anywhere would pass.
fn sometimes(shop: &Shop) -> Vec<Property<Shop>> {
    let Left { cancellations, deadlines, .. } = shop.bounds;
    let mut possible = vec![Property::sometimes("a declined order is cancelled", |_, world| {
        let cancelled = |life: &Life| status(life) == Some(Status::Cancelled);
        any(world, |life| cancelled(life) && life.account.has_declined())
    })];
    if cancellations > 0 {
        possible.push(Property::sometimes("an order is refunded", |_, world| {
            any(world, |life| status(life) == Some(Status::Refunded))
        }));
    }
    if deadlines > 0 {
        possible.push(Property::sometimes("a late capture is voided", |_, world| {
            any(world, |life| life.account.captures == 1 && life.account.is_voided())
        }));
    }
    if shop.orders > 1 {
        possible.push(Property::sometimes("one is confirmed, the other rejected", |_, world| {
            any(world, |life| status(life) == Some(Status::Confirmed))
                && any(world, |life| status(life) == Some(Status::Rejected))
        }));
        possible
            .push(Property::sometimes("one gets what the other gave back", |_, world: &World| {
                pieces(world, ReservationState::Released) == 1 && sold(world) == 1
            }));
    }
    possible
}

fn all(world: &World, law: impl Fn(&Life) -> bool) -> bool {
    world.lives.iter().all(law)
}

fn any(world: &World, fact: impl Fn(&Life) -> bool) -> bool {
    world.lives.iter().any(fact)
}

/// The status of the order, by its log.
fn status(life: &Life) -> Option<Status> {
    history(life).last().map(|(order, _)| order.status)
}

fn said(life: &Life) -> impl Iterator<Item = (&Order, &Message)> {
    life.transitions.records.iter().filter_map(|message| match &message.says {
        Says::Order(order, _) => Some((order, &**message)),
        _ => None,
    })
}

/// The log without what it says again: each version as it was first said.
fn history(life: &Life) -> impl Iterator<Item = (&Order, &Message)> {
    let is_new = |(at, (order, _)): &(usize, (&Order, &Message))| {
        said(life).take(*at).all(|(known, _)| known.version != order.version)
    };
    said(life).enumerate().filter(is_new).map(|(_, first)| first)
}

/// Versions 1, 2, 3... in this order, and nothing else was ever said of one of them.
fn has_one_history(life: &Life) -> bool {
    let in_order = (1_i64..).zip(history(life)).all(|(n, (order, _))| order.version == n);
    let is_as_first_said = |(order, _): (&Order, &Message)| {
        let first = said(life).find(|(known, _)| known.version == order.version);
        first.is_some_and(|(known, _)| known == order)
    };
    in_order && said(life).all(is_as_first_said)
}

/// The service that may write the next transition; none after an end.
fn holder(status: Option<Status>) -> Option<&'static str> {
    match status {
        None | Some(Status::Requested | Status::Paid | Status::PaymentDeclined) => Some("orders"),
        Some(Status::Validated | Status::RefundDue) => Some("payments"),
        Some(Status::Confirmed | Status::Rejected | Status::Cancelled | Status::Refunded) => None,
    }
}

fn is_an_end(status: Status) -> bool {
    holder(Some(status)).is_none()
}

fn pieces(world: &World, state: ReservationState) -> i32 {
    let reservations = world.shelf.reservations();
    reservations.filter(|known| known.state == state).map(|known| known.quantity).sum()
}

fn sold(world: &World) -> i32 {
    pieces(world, ReservationState::Committed)
}
