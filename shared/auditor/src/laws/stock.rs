//! Stock: levels by themselves, levels against reservations, and reservations against orders.
//!
//! One transaction writes a level and its entries, but the collector reads one after the other, the
//! level first. So the entries may be ahead of the level: the level must match them at some point,
//! and later entries must be recent.

use crate::{
    case::Case,
    law::Law,
    laws::{NEVER, gone, later},
    retained::{DEAD_LETTERS, home_of},
    verdict::{Findings, Subject},
};
use contracts::{
    CommandId, OrderId, ServiceName, Sku, Status, Timestamp,
    inventory::{
        InventoryCommand, OrderValidation, Outcome, Reservation, ReservationState, RestockApplied,
        StockEntry, StockLevel,
    },
    topics::{INVENTORY_COMMANDS, ORDER_VALIDATIONS},
};
use std::collections::{BTreeMap, BTreeSet};

/// The last reservation of each order and product.
type Reservations<'a> = BTreeMap<(OrderId, &'a Sku), (&'a Reservation, Timestamp)>;

pub(crate) fn check(case: &Case<'_>, findings: &mut Findings<'_>) {
    levels(case, findings);
    let mut reservations = Reservations::new();
    for record in &case.evidence.log.reservations {
        if let Some(StockEntry::Reservation(held)) = record.read() {
            reservations.insert((held.order_id, &held.sku), (held, record.timestamp));
        }
    }
    fates(case, &reservations, findings);
    promises(case, &reservations, findings);
    restocks(case, findings);
}

/// What the entries of a product sum up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    restocked: i64,
    reserved: i64,
    committed: i64,
}

impl Sums {
    /// These, once `entry` has taken the place of `before`.
    fn with(self, before: Option<&StockEntry>, entry: &StockEntry) -> Self {
        let (old, new) = (before.map(Self::of).unwrap_or_default(), Self::of(entry));
        Self {
            restocked: self.restocked - old.restocked + new.restocked,
            reserved: self.reserved - old.reserved + new.reserved,
            committed: self.committed - old.committed + new.committed,
        }
    }

    fn of(entry: &StockEntry) -> Self {
        match entry {
            StockEntry::RestockApplied(added) => {
                Self { restocked: added.quantity.into(), ..Self::default() }
            }
            StockEntry::Reservation(held) => match held.state {
                ReservationState::Reserved => {
                    Self { reserved: held.quantity.into(), ..Self::default() }
                }
                ReservationState::Committed => {
                    Self { committed: held.quantity.into(), ..Self::default() }
                }
                ReservationState::Refused | ReservationState::Released => Self::default(),
            },
        }
    }
}

/// The sums of one product after each of its entries, with the time of the next one: until then
/// they were the last.
#[derive(Debug, Default)]
struct Course {
    sums: Vec<(Sums, Timestamp)>,
    now: Sums,
}

impl Course {
    fn add(&mut self, next: Sums, at: Timestamp) {
        self.sums.push((self.now, at));
        self.now = next;
    }

    /// Since when the sums are other than `wanted`: [`None`] if they are these now, [`NEVER`] if
    /// they never were.
    fn since(&self, wanted: impl Fn(&Sums) -> bool) -> Option<Timestamp> {
        if wanted(&self.now) {
            return None;
        }
        let last = self.sums.iter().rev().find(|(sums, _)| wanted(sums));
        Some(last.map_or(NEVER, |(_, until)| *until))
    }
}

fn levels(case: &Case<'_>, findings: &mut Findings<'_>) {
    let mut last: BTreeMap<&Sku, &StockLevel> = BTreeMap::new();
    let mut put_aside: BTreeSet<&Sku> = BTreeSet::new();
    for record in &case.evidence.log.stock {
        let Some(level) = record.read() else { continue };
        // A dead letter that was replayed is there twice.
        if put_aside.contains(&level.sku) && last.get(&level.sku) == Some(&level) {
            continue;
        }
        let is_put_aside = case.dead_letters.has_any(&record.address("stock"));
        // A stranger's level that was put aside changes nothing.
        if is_put_aside && record.writer.as_deref() != Some(ServiceName::Inventory.as_str()) {
            continue;
        }
        match is_put_aside || !case.has_letters_since("stock", record.timestamp) {
            true => put_aside.insert(&level.sku),
            false => put_aside.remove(&level.sku),
        };
        let grows = last.get(&level.sku).is_none_or(|known| known.version < level.version);
        let StockLevel { on_hand, reserved, available, committed, .. } = *level;
        let adds_up = available == on_hand - reserved;
        let positive = [on_hand, reserved, available, committed].iter().all(|n| *n >= 0);
        findings.check_now(Law::Level, &level.sku, grows && adds_up && positive, || {
            format!("{}: {}, version {}", record.address("stock"), numbers(level), level.version)
        });
        last.insert(&level.sku, level);
    }
    let mut courses = courses(case);
    for (sku, level) in &last {
        let course = courses.remove(*sku).unwrap_or_default();
        let Sums { restocked, reserved, committed } = course.now;
        let conserved = course.since(|sums| sums.restocked == level.on_hand + level.committed);
        findings.check(
            Law::Conservation,
            *sku,
            conserved.unwrap_or(NEVER),
            conserved.is_none(),
            || format!("{}, but {restocked} were restocked", numbers(level)),
        );
        let held = course
            .since(|sums| (sums.reserved, sums.committed) == (level.reserved, level.committed));
        findings.check(Law::Reserved, *sku, held.unwrap_or(NEVER), held.is_none(), || {
            let level = numbers(level);
            format!("{level}, but the reservations hold {reserved} and have committed {committed}")
        });
    }
    for (sku, course) in courses.into_iter().filter(|(_, course)| course.now != Sums::default()) {
        let since = course.sums.first().map_or(NEVER, |(_, at)| *at);
        findings.check(Law::Conservation, sku, since, false, || {
            format!("{:?} by its entries, but it has no stock level", course.now)
        });
    }
}

fn courses<'a>(case: &Case<'a>) -> BTreeMap<&'a Sku, Course> {
    let mut known: BTreeMap<&str, &StockEntry> = BTreeMap::new();
    let mut courses: BTreeMap<&Sku, Course> = BTreeMap::new();
    for record in &case.evidence.log.reservations {
        let Some(entry) = record.read() else { continue };
        let sku = match entry {
            StockEntry::Reservation(held) => &held.sku,
            StockEntry::RestockApplied(added) => &added.sku,
        };
        let before = known.insert(&record.key, entry);
        let course = courses.entry(sku).or_default();
        course.add(course.now.with(before, entry), record.timestamp);
    }
    courses
}

fn numbers(level: &StockLevel) -> String {
    let StockLevel { on_hand, reserved, available, committed, .. } = level;
    format!("{on_hand} on hand, {reserved} reserved, {available} available, {committed} committed")
}

/// Every line of an order that has ended has its reservation, and it ended in the same way; every
/// reservation is a line's.
fn fates(case: &Case<'_>, reservations: &Reservations<'_>, findings: &mut Findings<'_>) {
    for (order_id, history) in &case.histories {
        let Some(end) = history.end() else { continue };
        for line in &end.order.lines {
            let held = reservations.get(&(*order_id, &line.sku));
            let state = held.map(|(held, _)| held.state);
            let holds = state.is_some_and(|state| is_fate(end.order.status, state));
            let at = held.map_or(NEVER, |(_, at)| *at);
            let since = later(end.record.timestamp, at);
            findings.check(Law::Fate, (*order_id, &line.sku), since, holds, || {
                let state = state.map_or("missing".into(), |state| format!("{state:?}"));
                format!("the order is {}, its reservation is {state}", end.order.status)
            });
        }
    }
    for ((order_id, sku), (held, at)) in reservations {
        let order = case.histories.get(order_id).and_then(|history| history.last());
        let line = order.and_then(|last| last.order.lines.iter().find(|line| line.sku == **sku));
        // A Release that came before its Reserve has left a mark without pieces.
        let wanted = line.map(|line| line.quantity);
        let mark = held.quantity == 0 && held.state == ReservationState::Released;
        let holds = wanted.is_some_and(|wanted| wanted == held.quantity || mark);
        let is_gone = order.is_none() && !case.retained.is_whole("orders", &order_id.to_string());
        let gone = gone(is_gone, "orders");
        findings.check_kept(Law::Fate, (*order_id, *sku), *at, holds, gone, || {
            format!("{} {:?}, but the order's line is {wanted:?}", held.quantity, held.state)
        });
    }
}

/// Whether a reservation may be in `state` once its order has ended as `status`.
fn is_fate(status: Status, state: ReservationState) -> bool {
    match state {
        ReservationState::Reserved => false,
        ReservationState::Committed => status == Status::Confirmed,
        ReservationState::Released | ReservationState::Refused => status != Status::Confirmed,
    }
}

/// What was told of a check.
struct Told<'a> {
    validation: &'a OrderValidation,
    /// How often; what orders has put aside does not count. A replayed dead letter is there twice.
    times: usize,
    at: Timestamp,
}

/// A check passes exactly if the pieces were reserved, and inventory writes its outcome once.
fn promises(case: &Case<'_>, reservations: &Reservations<'_>, findings: &mut Findings<'_>) {
    let topic = ORDER_VALIDATIONS.name();
    let mut told: BTreeMap<(OrderId, &str), Told<'_>> = BTreeMap::new();
    for record in &case.evidence.log.order_validations {
        let Some(validation) = record.read() else { continue };
        let is_put_aside = case.dead_letters.has_any(&record.address(topic));
        let is_ours = record.writer.as_deref() == Some(ServiceName::Inventory.as_str());
        // What a stranger tells in vain is no promise.
        if is_put_aside && !is_ours {
            continue;
        }
        let key = (validation.order_id, validation.check.as_str());
        let first = Told { validation, times: 0, at: record.timestamp };
        let told = told.entry(key).or_insert(first);
        told.times += usize::from(!is_put_aside);
    }
    for ((order_id, check), Told { validation, times, at }) in &told {
        let Some(sku) = check.strip_prefix("inventory:") else { continue };
        let Ok(sku) = sku.parse::<Sku>() else { continue };
        let held = reservations.get(&(*order_id, &sku)).map(|(held, _)| *held);
        let refused = held.is_none_or(|held| held.state == ReservationState::Refused);
        let outcome = if refused { Outcome::Failed } else { Outcome::Passed };
        let holds = held.is_some() && validation.outcome == outcome && *times <= 1;
        let gone = gone(!case.has_letters_since(topic, *at), DEAD_LETTERS);
        findings.check_kept(Law::Promise, (*order_id, &sku), *at, holds, gone, || {
            let state = held.map_or("missing".into(), |held| format!("{:?}", held.state));
            let outcome = validation.outcome;
            format!("its check {outcome:?} and was told {times} times, its reservation is {state}")
        });
    }
    for ((order_id, sku), (held, at)) in reservations {
        let check = format!("inventory:{sku}");
        let is_told = told.contains_key(&(*order_id, check.as_str()));
        if held.quantity == 0 {
            continue;
        }
        // It was reserved after the order was requested.
        let history = case.histories.get(order_id);
        let since = history.and_then(|history| history.steps.first());
        let since = since.map_or(*at, |first| first.order.requested_at);
        let gone = gone(!case.retained.has_since(topic, home_of(*order_id), since), topic);
        findings.check_kept(Law::Promise, (*order_id, *sku), *at, is_told, gone, || {
            format!("its reservation is {:?}, but {check} has no outcome", held.state)
        });
    }
}

fn restocks(case: &Case<'_>, findings: &mut Findings<'_>) {
    let (log, topic) = (&case.evidence.log, INVENTORY_COMMANDS.name());
    let mut applied: BTreeMap<(&Sku, CommandId), (&RestockApplied, &str)> = BTreeMap::new();
    for record in &log.reservations {
        if let Some(StockEntry::RestockApplied(added)) = record.read() {
            let cause = record.causation.as_deref().unwrap_or_default();
            let before = applied.insert((&added.sku, added.command_id), (added, cause));
            findings.check_now(Law::Restocks, &added.sku, before.is_none(), || {
                format!("Restock {} was counted twice", added.command_id)
            });
        }
    }
    let mut asked: BTreeMap<(&Sku, CommandId), i32> = BTreeMap::new();
    for record in &log.inventory_commands {
        let Some(InventoryCommand::Restock(restock)) = record.read() else { continue };
        let address = record.address(topic);
        if case.dead_letters.has_any(&address) {
            continue;
        }
        let key = (&restock.sku, restock.command_id);
        asked.insert(key, restock.quantity);
        let counted = applied.get(&key).map(|(added, _)| added.quantity);
        let (at, holds) = (record.timestamp, counted == Some(restock.quantity));
        let gone = gone(!case.has_letters_since(topic, at), DEAD_LETTERS);
        findings.check_kept(Law::Restocks, &restock.sku, at, holds, gone, || {
            format!("{address} adds {}, but {counted:?} were counted", restock.quantity)
        });
    }
    for ((sku, command_id), (added, cause)) in applied {
        let (at, holds) = (added.updated_at, asked.contains_key(&(sku, command_id)));
        let gone = gone(case.retained.is_gone(cause), topic);
        findings.check_kept(Law::Restocks, Subject::from(sku), at, holds, gone, || {
            format!("{} were added by {command_id}, which nobody asked for", added.quantity)
        });
    }
}
