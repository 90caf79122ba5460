//! Goal: every command meets every state of its reservation, and the numbers always add up.

use super::*;
use std::collections::BTreeMap;
use uuid::Uuid;

const AT: Timestamp = Timestamp(1_700_000_000_000);

/// The stock of one product with all that is remembered of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Shelf {
    level: Option<StockLevel>,
    entries: BTreeMap<Uuid, StockEntry>,
}

impl Shelf {
    fn take(&mut self, command: &InventoryCommand) -> Decision {
        let id = match command {
            InventoryCommand::Reserve(command) => command.order_id.0,
            InventoryCommand::Release(command) => command.order_id.0,
            InventoryCommand::Commit(command) => command.order_id.0,
            InventoryCommand::Restock(command) => command.command_id.0,
        };
        let stock = Stock { level: self.level.clone(), entry: self.entries.get(&id).cloned() };
        let decision = decide(&stock, command, AT);
        let after = evolve(stock, &decision);
        assert!(after.is_sound(), "after {command:?}: {after:?}");
        self.level = after.level;
        if let Some(entry) = after.entry {
            self.entries.insert(id, entry);
        }
        decision
    }

    fn held(&self) -> i64 {
        let reserved = |entry: &StockEntry| match entry {
            StockEntry::Reservation(entry) if entry.state == ReservationState::Reserved => {
                i64::from(entry.quantity)
            }
            _ => 0,
        };
        self.entries.values().map(reserved).sum()
    }
}

fn sku() -> Sku {
    "TEA".parse().unwrap()
}

fn order(id: u128) -> OrderId {
    OrderId(Uuid::from_u128(id))
}

fn reserve(id: u128, quantity: i32) -> InventoryCommand {
    Reserve { sku: sku(), order_id: order(id), quantity, issued_at: AT }.into()
}

fn release(id: u128) -> InventoryCommand {
    Release { sku: sku(), order_id: order(id), issued_at: AT }.into()
}

fn commit(id: u128) -> InventoryCommand {
    Commit { sku: sku(), order_id: order(id), issued_at: AT }.into()
}

fn restock(id: u128, quantity: i32) -> InventoryCommand {
    let command_id = CommandId(Uuid::from_u128(id));
    Restock { sku: sku(), command_id, quantity, issued_at: AT }.into()
}

fn tell(decision: &Decision, level: Option<&StockLevel>) -> String {
    let what = match decision {
        Decision::Reserved(entry) => format!("reserved {}", entry.quantity),
        Decision::Refused(entry, why) => format!("{}: {}", why.code(), why.detail(entry.quantity)),
        Decision::Released(entry) => format!("released {}", entry.quantity),
        Decision::ReleaseRemembered(_) => "remembered".to_owned(),
        Decision::Committed(entry) => format!("committed {}", entry.quantity),
        Decision::Restocked(entry) => format!("restocked {}", entry.quantity),
        Decision::Ignored(why) => format!("{why:?}"),
        Decision::Impossible(why) => format!("impossible: {why}"),
    };
    let numbers = level.map_or("nothing".to_owned(), |level| {
        format!(
            "{} on hand, {} reserved, {} available, {} committed",
            level.on_hand, level.reserved, level.available, level.committed
        )
    });
    format!("{what} | {numbers}")
}

#[track_caller]
fn check(given: &[InventoryCommand], when: &InventoryCommand, then: &str) {
    let mut shelf = Shelf::default();
    for command in given {
        shelf.take(command);
    }
    let decision = shelf.take(when);
    assert_eq!(tell(&decision, shelf.level.as_ref()), then);
    // Whatever came of it, the same again comes to nothing.
    let before = shelf.clone();
    let again = shelf.take(when);
    assert!(
        matches!(again, Decision::Ignored(_) | Decision::Impossible(_)),
        "a second time: {again:?}"
    );
    assert_eq!(shelf, before);
}

#[test]
fn a_reserve_holds_what_is_there_and_refuses_the_rest() {
    let five = restock(99, 5);
    let held = "reserved 5 | 5 on hand, 5 reserved, 0 available, 0 committed";
    check(std::slice::from_ref(&five), &reserve(1, 5), held);
    let refused =
        "out_of_stock: 2 wanted, 1 available | 5 on hand, 4 reserved, 1 available, 0 committed";
    check(&[five, reserve(1, 4)], &reserve(2, 2), refused);
    let unknown = "out_of_stock: 1 wanted, 0 available: never in stock so far | nothing";
    check(&[], &reserve(1, 1), unknown);
}

#[test]
fn a_repeated_reserve_changes_nothing_whatever_became_of_the_first() {
    let three = || restock(99, 3);
    let untouched = "3 on hand, 0 reserved, 3 available, 0 committed";
    check(
        &[three(), reserve(1, 2)],
        &reserve(1, 2),
        "AlreadyReserved | 3 on hand, 2 reserved, 1 available, 0 committed",
    );
    check(&[reserve(1, 2), three()], &reserve(1, 2), &format!("AlreadyRefused | {untouched}"));
    check(
        &[three(), reserve(1, 2), release(1)],
        &reserve(1, 2),
        &format!("AlreadyReleased | {untouched}"),
    );
    check(
        &[three(), reserve(1, 2), commit(1)],
        &reserve(1, 2),
        "AlreadyCommitted | 1 on hand, 0 reserved, 1 available, 2 committed",
    );
    check(
        &[three(), reserve(1, 2)],
        &reserve(1, 3),
        "impossible: the same again, but of 3 pieces instead of 2 | \
         3 on hand, 2 reserved, 1 available, 0 committed",
    );
}

#[test]
fn a_release_gives_back_once_and_bars_a_reserve_that_comes_late() {
    let three = || restock(99, 3);
    let whole = "3 on hand, 0 reserved, 3 available, 0 committed";
    let held = [three(), reserve(1, 2)];
    check(&held, &release(1), &format!("released 2 | {whole}"));
    check(&[three()], &release(1), &format!("remembered | {whole}"));
    check(&[], &release(1), "remembered | nothing");
    let late = "released_before_reserved: 2 wanted, but the order had ended before";
    check(&[three(), release(1)], &reserve(1, 2), &format!("{late} | {whole}"));
    check(&[reserve(1, 4), three()], &release(1), &format!("NothingToRelease | {whole}"));
    check(
        &[three(), reserve(1, 2), release(1)],
        &release(1),
        &format!("AlreadyReleased | {whole}"),
    );
    check(
        &[three(), reserve(1, 2), commit(1)],
        &release(1),
        &format!(
            "impossible: Release for order {}, whose pieces have left the house | \
             1 on hand, 0 reserved, 1 available, 2 committed",
            order(1)
        ),
    );
}

#[test]
fn a_commit_needs_pieces_that_are_held() {
    let three = || restock(99, 3);
    let whole = "3 on hand, 0 reserved, 3 available, 0 committed";
    let gone = "1 on hand, 0 reserved, 1 available, 2 committed";
    check(&[three(), reserve(1, 2)], &commit(1), &format!("committed 2 | {gone}"));
    check(&[three(), reserve(1, 2), commit(1)], &commit(1), &format!("AlreadyCommitted | {gone}"));
    let order = order(1);
    check(
        &[three()],
        &commit(1),
        &format!("impossible: Commit for order {order}, which has reserved nothing | {whole}"),
    );
    for (given, state) in [
        (vec![reserve(1, 2), three()], "Refused"),
        (vec![three(), reserve(1, 2), release(1)], "Released"),
    ] {
        let why = format!("Commit for order {order}, whose reservation is {state}");
        check(&given, &commit(1), &format!("impossible: {why} | {whole}"));
    }
}

#[test]
fn a_restock_counts_once_and_opens_the_record_of_a_new_product() {
    let seven = "7 on hand, 0 reserved, 7 available, 0 committed";
    check(&[], &restock(9, 7), &format!("restocked 7 | {seven}"));
    check(&[restock(9, 7)], &restock(9, 7), &format!("AlreadyRestocked | {seven}"));
    check(
        &[restock(9, 7)],
        &restock(9, 8),
        &format!("impossible: the same again, but of 8 pieces instead of 7 | {seven}"),
    );
    check(
        &[restock(9, 7)],
        &restock(10, 3),
        "restocked 3 | 10 on hand, 0 reserved, 10 available, 0 committed",
    );
}

#[test]
fn quantities_have_bounds() {
    for quantity in [0, -1, 1001, i32::MAX] {
        let why = format!("impossible: the quantity is {quantity}, not 1 to 1000 | nothing");
        check(&[], &reserve(1, quantity), &why);
    }
    for quantity in [0, -1, 10_000_001] {
        let why = format!("impossible: the quantity is {quantity}, not 1 to 10000000 | nothing");
        check(&[], &restock(1, quantity), &why);
    }
}

/// Orders and Restocks share the keys of the changelog, so one must not overwrite the other.
#[test]
fn an_id_is_an_orders_or_a_restocks_but_not_both() {
    let id = order(1);
    let five = "5 on hand, 0 reserved, 5 available, 0 committed";
    for command in [reserve(1, 2), release(1), commit(1)] {
        let why = format!("impossible: {id} is a Restock, not an order | {five}");
        check(&[restock(1, 5)], &command, &why);
    }
    let why = format!("impossible: {id} is an order, not a Restock | nothing");
    check(&[release(1)], &restock(1, 5), &why);
}

#[test]
fn each_change_of_a_level_is_a_version() {
    let mut shelf = Shelf::default();
    let mut versions = Vec::new();
    for command in [restock(9, 5), reserve(1, 9), reserve(2, 2), reserve(2, 2), commit(2)] {
        shelf.take(&command);
        versions.push(shelf.level.as_ref().map_or(0, |level| level.version));
    }
    assert_eq!(versions, [1, 1, 2, 2, 3]);
}

/// Any commands, in any order, any number of times.
#[test]
fn nothing_is_lost_and_nothing_made_up() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut shelf, mut restocked) = (Shelf::default(), 0);
        let mut outcomes: BTreeMap<OrderId, u32> = BTreeMap::new();
        for _ in 0..120 {
            let id = random.u128(1..=8);
            // An order's quantity never changes, so it follows from the id.
            let quantity = i32::try_from(id * 3 % 7 + 1).unwrap();
            let command = match random.u8(0..8) {
                0..=2 => reserve(id, quantity),
                3 | 4 => release(id),
                5 | 6 => commit(id),
                _ => restock(100 + id, quantity),
            };
            match shelf.take(&command) {
                Decision::Restocked(added) => restocked += i64::from(added.quantity),
                Decision::Reserved(entry) | Decision::Refused(entry, _) => {
                    *outcomes.entry(entry.order_id).or_default() += 1;
                }
                Decision::Released(_)
                | Decision::ReleaseRemembered(_)
                | Decision::Committed(_)
                | Decision::Ignored(_)
                | Decision::Impossible(_) => {}
            }
            if let Some(level) = &shelf.level {
                assert_eq!(level.on_hand + level.committed, restocked, "seed {seed}: {shelf:?}");
                assert_eq!(level.reserved, shelf.held(), "seed {seed}: {shelf:?}");
            }
        }
        assert!(outcomes.values().all(|n| *n == 1), "seed {seed}: {outcomes:?}");
    }
}
