//! inventory-stock: what a command does to state and topics, and that state can be read back.

use crate::fixtures::{AT, order_id, sku};
use contracts::{
    CommandId,
    inventory::{
        Commit, InventoryCommand, OrderValidation, Outcome, Release, ReservationState, Reserve,
        Restock, StockEntry,
    },
    topics::{INVENTORY_COMMANDS, Key, ORDER_VALIDATIONS, RESERVATIONS, STOCK},
};
use inventory::StockProcessor;
use streams::{Headers, MemoryStore, Outgoing, Record};
use testkit::{Driver, Fed, apply_twice};
use uuid::Uuid;

/// What must not be said twice.
const OUTPUTS: [&str; 3] = ["stock", "inventory.reservations", "order-validations"];

fn restock(name: &str, id: u128, quantity: i32) -> InventoryCommand {
    let command_id = CommandId(Uuid::from_u128(id));
    Restock { sku: sku(name), command_id, quantity, issued_at: AT }.into()
}

fn reserve(name: &str, id: u128, quantity: i32) -> InventoryCommand {
    Reserve { sku: sku(name), order_id: order_id(id), quantity, issued_at: AT }.into()
}

fn release(name: &str, id: u128) -> InventoryCommand {
    Release { sku: sku(name), order_id: order_id(id), issued_at: AT }.into()
}

fn commit(name: &str, id: u128) -> InventoryCommand {
    Commit { sku: sku(name), order_id: order_id(id), issued_at: AT }.into()
}

/// Feed `command` twice, as every handler must bear.
fn feed(driver: &mut Driver<StockProcessor>, command: &InventoryCommand) -> Fed {
    let record = driver.record(&INVENTORY_COMMANDS, command.sku(), command, "inventory");
    apply_twice(driver, &record, &OUTPUTS)
}

fn outcome(driver: &Driver<StockProcessor>, fed: &Fed) -> OrderValidation {
    let outcomes = driver.sent_on(&ORDER_VALIDATIONS, &fed.sent);
    let [outcome] = outcomes.as_slice() else { panic!("not one outcome: {outcomes:?}") };
    outcome.clone()
}

#[test]
fn a_reserve_has_one_outcome_which_names_the_check_and_the_reason() {
    let mut driver = Driver::new(StockProcessor);
    driver.at(AT);
    feed(&mut driver, &restock("LAST", 9, 1));

    let fed = feed(&mut driver, &reserve("LAST", 1, 1));
    let passed = OrderValidation {
        order_id: order_id(1),
        check: "inventory:LAST".to_owned(),
        outcome: Outcome::Passed,
        code: "ok".to_owned(),
        detail: String::new(),
        decided_at: AT,
    };
    assert_eq!(outcome(&driver, &fed), passed);
    let levels = driver.sent_on(&STOCK, &fed.sent);
    assert_eq!((levels[0].on_hand, levels[0].reserved, levels[0].available), (1, 1, 0));

    let fed = feed(&mut driver, &reserve("LAST", 2, 3));
    let failed = OrderValidation {
        order_id: order_id(2),
        outcome: Outcome::Failed,
        code: "out_of_stock".to_owned(),
        detail: "3 wanted, 0 available".to_owned(),
        ..passed
    };
    assert_eq!(outcome(&driver, &fed), failed);
    assert!(driver.sent_on(&STOCK, &fed.sent).is_empty(), "a refusal moves nothing");

    let fed = feed(&mut driver, &reserve("GONE", 3, 1));
    assert_eq!(outcome(&driver, &fed).code, "out_of_stock");
}

#[test]
fn what_is_released_can_be_reserved_by_another() {
    let mut driver = Driver::new(StockProcessor);
    feed(&mut driver, &restock("LAST", 9, 1));
    feed(&mut driver, &reserve("LAST", 1, 1));
    let fed = feed(&mut driver, &release("LAST", 1));
    assert_eq!(driver.sent_on(&STOCK, &fed.sent)[0].available, 1);
    let fed = feed(&mut driver, &reserve("LAST", 2, 1));
    assert_eq!(outcome(&driver, &fed).outcome, Outcome::Passed);
    let fed = feed(&mut driver, &commit("LAST", 2));
    let level = &driver.sent_on(&STOCK, &fed.sent)[0];
    assert_eq!((level.on_hand, level.reserved, level.committed, level.version), (0, 0, 1, 5));
}

#[test]
fn a_release_that_overtakes_its_reserve_bars_it() {
    let mut driver = Driver::new(StockProcessor);
    feed(&mut driver, &restock("TEA", 9, 5));
    let fed = feed(&mut driver, &release("TEA", 1));
    let entries = driver.sent_on(&RESERVATIONS, &fed.sent);
    let [StockEntry::Reservation(entry)] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((entry.state, entry.quantity), (ReservationState::Released, 0));
    let fed = feed(&mut driver, &reserve("TEA", 1, 2));
    assert_eq!(outcome(&driver, &fed).code, "released_before_reserved");
}

/// Feed every order of one order's commands: whatever comes first, nothing stays held after a
/// Release.
#[test]
fn arrival_order_does_not_matter_to_what_is_left() {
    let commands = [restock("TEA", 9, 5), reserve("TEA", 1, 2), release("TEA", 1)];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut driver = Driver::new(StockProcessor);
        for index in order {
            feed(&mut driver, &commands[index]);
        }
        // A fresh order can have all five.
        let fed = feed(&mut driver, &reserve("TEA", 2, 5));
        assert_eq!(outcome(&driver, &fed).outcome, Outcome::Passed, "after {order:?}");
    }
}

#[test]
fn what_can_never_be_right_is_a_dead_letter_and_changes_nothing() {
    let mut driver = Driver::new(StockProcessor);
    feed(&mut driver, &restock("TEA", 9, 5));
    feed(&mut driver, &reserve("TEA", 1, 2));
    feed(&mut driver, &commit("TEA", 1));
    let state = driver.state();
    for (command, cause) in [
        (commit("TEA", 2), "which has reserved nothing"),
        (release("TEA", 1), "have left the house"),
        (reserve("TEA", 3, 0), "the quantity is 0"),
        (reserve("TEA", 1, 3), "3 pieces instead of 2"),
        (restock("TEA", 10, 10_000_001), "not 1 to 10000000"),
        (restock("TEA", 1, 5), "is an order, not a Restock"),
    ] {
        let fed = feed(&mut driver, &command);
        assert!(fed.sent.is_empty(), "{command:?} sent {:?}", fed.sent);
        let found = fed.dead_letter.unwrap_or_else(|| panic!("{command:?} is no dead letter"));
        assert!(found.contains(cause), "{found}");
    }
    let fed = driver.feed(&INVENTORY_COMMANDS, &sku("MUG"), &reserve("TEA", 4, 1), "orders");
    assert!(fed.dead_letter.unwrap().contains("key is MUG, but its command is about TEA"));
    let bytes = b"{}".to_vec();
    let record = driver.raw_record(&INVENTORY_COMMANDS, &sku("TEA"), bytes, Headers::default());
    assert!(driver.feed_record(&record).dead_letter.unwrap().contains("0x7b"));
    assert_eq!(driver.state(), state);
}

fn read_back(outgoing: &Outgoing, offset: i64) -> Record {
    Record {
        topic: outgoing.topic.into(),
        partition: outgoing.partition,
        offset,
        timestamp_ms: AT.millis(),
        key: outgoing.key.clone(),
        value: outgoing.value.clone(),
        headers: outgoing.headers.clone(),
    }
}

#[test]
fn the_state_is_what_its_topics_say() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut driver = Driver::new(StockProcessor);
    let (mut levels, mut entries) = (Vec::new(), Vec::new());
    for _ in 0..400 {
        let name = ["TEA", "MUG", "KETTLE"][random.usize(0..3)];
        let id = random.u128(1..=20);
        let command = match random.u8(0..5) {
            0 => restock(name, 100 + id, 3),
            1 | 2 => reserve(name, id, 2),
            3 => release(name, id),
            _ => commit(name, id),
        };
        let fed = feed(&mut driver, &command);
        let (level, entry): (Vec<_>, Vec<_>) = fed
            .sent
            .into_iter()
            .filter(|outgoing| outgoing.topic != ORDER_VALIDATIONS.name())
            .partition(|outgoing| outgoing.topic == STOCK.name());
        levels.extend(level);
        entries.extend(entry);
    }
    // Sources are read one after the other; compaction keeps at least the last of each key.
    compact(&mut entries);
    assert!(entries.len() > 50 && !levels.is_empty(), "the run was too quiet");
    let state = driver.state();
    driver.store = MemoryStore::default();
    for (offset, outgoing) in (0..).zip(levels.iter().chain(&entries)) {
        driver.restore(&read_back(outgoing, offset));
    }
    assert!(driver.state() == state, "what was read back is not what was there");
}

fn compact(records: &mut Vec<Outgoing>) {
    let keys: Vec<_> = records.iter().map(|record| record.key.clone()).collect();
    let mut index = 0;
    records.retain(|record| {
        index += 1;
        !keys[index..].contains(&record.key)
    });
}

#[test]
fn a_restore_skips_what_inventory_did_not_write() {
    let mut driver = Driver::new(StockProcessor);
    let fed = driver.feed(&INVENTORY_COMMANDS, &sku("MUG"), &restock("MUG", 9, 5), "orders");
    assert_eq!(fed.sent.len(), 2, "a level and an entry");
    let state = driver.state();
    for outgoing in &fed.sent {
        let mut foreign = read_back(outgoing, 0);
        foreign.key = Some(match outgoing.topic {
            "stock" => sku("KETTLE").to_bytes(),
            _ => b"KETTLE/00000000-0000-0000-0000-000000000001".to_vec(),
        });
        driver.restore(&foreign);
        let garbage = Record { value: Some(b"garbage".to_vec()), ..foreign };
        driver.restore(&garbage);
    }
    assert_eq!(driver.state(), state);
}
