//! The customers, and the edge that takes their requests: who orders what, cancels what, asks
//! twice, and when. All of it is written down before the first step, each order from dice of its
//! own, so that one order can be left out without changing the others.

use crate::faults;
use contracts::{
    CommandId, Currency, OrderId, Sku, Timestamp,
    catalog::{CatalogCustomer, Product},
    inventory::Restock,
    orders::{CancelOrder, OrderCommand, PlaceOrder, RequestedLine},
    owns::Orders,
    topics::{INVENTORY_COMMANDS, Key, ORDER_COMMANDS, ORDER_VALIDATIONS, ORDER_VIEWS, ORDERS},
};
use fastrand::Rng;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};
use streams::{Outgoing, lineage::Cause};
use streams_sim::{
    Progress, Scenario, Sim,
    stranger::{garbage, spoil},
};
use uuid::Uuid;

/// The customer whom the bank always declines.
pub(crate) const DECLINED: &str = "declan";

/// Products with their price and their first Restock. There is little of some, so that reservations
/// collide; 1313 is an amount that the bank declines.
const PRODUCTS: [(&str, i64, i32); 7] = [
    ("TEA", 890, 100_000),
    ("MUG", 1_450, 400),
    ("KETTLE", 5_900, 25),
    ("LAST", 9_900, 4),
    ("BOOK", 1_313, 500),
    ("GONE", 700, 0),
    ("RETIRED", 300, 10),
];

/// What customers note on their orders; most note nothing.
const NOTES: [&str; 5] = ["", "", "", "ring twice", "\"a, b\"\n\t> {c} \u{1f375}"];

/// Where a stranger writes.
const LITTERED: [&str; 5] = [
    ORDER_COMMANDS.name(),
    INVENTORY_COMMANDS.name(),
    ORDERS.name(),
    ORDER_VALIDATIONS.name(),
    ORDER_VIEWS.name(),
];

const CUSTOMERS: [&str; 5] = ["ada", "grace", "alan", DECLINED, "former"];

/// The rows of the catalog's products. One is not for sale.
pub(crate) fn products() -> Vec<Product> {
    let product = |(sku, price_minor, _): (&str, i64, i32)| Product {
        sku: sku.parse().expect("a sku"),
        name: sku.to_lowercase().parse().expect("a name"),
        description: "".parse().expect("prose"),
        price_minor: price_minor.try_into().expect("a price"),
        currency: Currency::EUR,
        picture: "".parse().expect("prose"),
        active: sku != "RETIRED",
    };
    PRODUCTS.into_iter().map(product).collect()
}

/// The rows of the catalog's customers. One may not order.
pub(crate) fn customers() -> Vec<CatalogCustomer> {
    let customer = |id: &str| CatalogCustomer {
        customer_id: id.parse().expect("a customer id"),
        name: id.parse().expect("a name"),
        email: format!("{id}@example.org").parse().expect("an address"),
        active: id != "former",
    };
    CUSTOMERS.into_iter().map(customer).collect()
}

/// What is sent to the shop, and when.
pub(crate) struct Customers {
    script: VecDeque<(Timestamp, Request)>,
    /// What was asked about an order last.
    last: Option<OrderCommand>,
    /// The addresses of what a stranger has written. An operator discards the letters about it.
    pub(crate) garbage: BTreeSet<String>,
}

enum Request {
    Order(OrderCommand),
    Restock(Restock),
}

impl Customers {
    /// The script of a scenario: its orders, without those that are dropped. `deadline` is what an
    /// order gets; cancellations come at any time of its life, and after it.
    pub(crate) fn new(scenario: &Scenario, start: Timestamp, deadline: Duration) -> Self {
        let mut dice = Rng::with_seed(scenario.seed ^ 0x63_75_73_74);
        let pace = Duration::from_millis([5, 20, 80, 300][dice.usize(0..4)]);
        Self::at_pace(scenario, start, deadline, pace, dice)
    }

    /// The same with an order every `pace`; `dice` are for the goods that arrive.
    pub(crate) fn at_pace(
        scenario: &Scenario,
        start: Timestamp,
        deadline: Duration,
        pace: Duration,
        mut dice: Rng,
    ) -> Self {
        let Scenario { seed, requests: orders, ref dropped, .. } = *scenario;
        let mut script: BTreeMap<(Timestamp, usize), Request> = BTreeMap::new();
        let mut add = |at: Timestamp, request| {
            let number = script.len();
            script.insert((at, number), request);
        };
        for (number, (sku, _, quantity)) in PRODUCTS.into_iter().enumerate() {
            restock(&mut dice, number, sku, quantity, start, pace * orders as u32, &mut add);
        }
        for number in (0..orders).filter(|number| !dropped.contains(number)) {
            let mut dice =
                Rng::with_seed(seed ^ (number as u64 + 1).wrapping_mul(0x517c_c1b7_2722_0a95));
            let at = start + pace * number as u32;
            customer(&mut dice, number, at, deadline, &mut add);
        }
        let script = script.into_iter().map(|((at, _), request)| (at, request)).collect();
        Self { script, last: None, garbage: BTreeSet::new() }
    }

    /// Whether everything was asked.
    pub(crate) fn are_done(&self) -> bool {
        self.script.is_empty()
    }

    /// Send what is due.
    pub(crate) fn step(&mut self, sim: &mut Sim) -> Progress {
        let Some((_, request)) = self.script.pop_front_if(|(at, _)| *at <= sim.now) else {
            return Progress::Idle;
        };
        if let Request::Order(command) = &request {
            self.last = Some(command.clone());
        }
        let mut requests = vec![request];
        if let Request::Order(OrderCommand::PlaceOrder(place)) = &requests[0]
            && sim.strikes(faults::KEY_REUSED, "customer")
        {
            let other = placed(&mut sim.dice, place.order_id, sim.now);
            requests.insert(sim.dice.usize(0..=1), Request::Order(other.into()));
        }
        for request in requests {
            let mut outgoing = request.outgoing(sim);
            if sim.strikes(faults::STRANGE_HEADERS, "customer") {
                spoil(&mut outgoing.headers, &mut sim.dice);
            }
            sim.append("customer", outgoing);
        }
        if sim.strikes(faults::GARBAGE, "stranger") {
            let outgoing = garbage(&mut sim.dice, &LITTERED);
            let topic = outgoing.topic;
            let (partition, offset) = sim.append("stranger", outgoing);
            self.garbage.insert(format!("{topic}/{partition}/{offset}"));
        }
        if sim.strikes(faults::ANNOUNCEMENTS_DELETED, "operator") {
            let partition = sim.dice.i32(0..contracts::partition::count());
            sim.kafka.delete_records(ORDER_VIEWS.name(), partition);
        }
        Progress::Moved
    }
}

impl Customers {
    /// What was asked last is asked once more; false if nothing was.
    pub(crate) fn repeat(&self, sim: &mut Sim) -> bool {
        let Some(command) = self.last.clone() else { return false };
        let outgoing = Request::Order(command).outgoing(sim);
        sim.append("customer", outgoing);
        true
    }
}

impl Request {
    fn outgoing(self, sim: &Sim) -> Outgoing {
        let (topic, name, key, value) = match &self {
            Self::Order(command) => {
                let value = sim.codec.encode(&ORDER_COMMANDS.spec, command);
                (ORDER_COMMANDS.name(), command.name(), command.order_id().to_bytes(), value)
            }
            Self::Restock(command) => {
                let value = sim.codec.encode(&INVENTORY_COMMANDS.spec, command);
                (INVENTORY_COMMANDS.name(), "Restock", command.sku.to_bytes(), value)
            }
        };
        let subject = String::from_utf8_lossy(&key).into_owned();
        let headers = Cause::default().headers::<Orders>(name, &subject, sim.now);
        let (key, value) = (Some(key), Some(value.expect("the command fits its schema")));
        Outgoing { topic, partition: 0, key, value, headers }
    }
}

/// Goods arrive: some at the start, some later, some announced twice.
fn restock(
    dice: &mut Rng,
    number: usize,
    sku: &str,
    quantity: i32,
    start: Timestamp,
    length: Duration,
    add: &mut impl FnMut(Timestamp, Request),
) {
    let mut arrive = |dice: &mut Rng, at: Timestamp, quantity: i32, nth: u64| {
        let restock = Restock {
            sku: sku.parse().expect("a sku"),
            command_id: CommandId(Uuid::from_u64_pair(0xffff_0000_0000_0000 | number as u64, nth)),
            quantity,
            issued_at: at,
        };
        if dice.u32(0..4) == 0 {
            add(at + millis(dice, 3_000), Request::Restock(restock.clone()));
        }
        add(at, Request::Restock(restock));
    };
    if quantity > 0 {
        arrive(dice, start, quantity, 0);
    }
    for nth in 1..=dice.u64(0..3) {
        let at = start + millis(dice, length.as_millis() as u64);
        let quantity = dice.i32(1..=5);
        arrive(dice, at, quantity, nth);
    }
}

/// One order, and what its customer does about it.
fn customer(
    dice: &mut Rng,
    number: usize,
    at: Timestamp,
    deadline: Duration,
    add: &mut impl FnMut(Timestamp, Request),
) {
    let order_id = OrderId(Uuid::from_u64_pair((number as u64 + 1) << 32, dice.u64(..)));
    let place = placed(dice, order_id, at);
    add(at, Request::Order(place.clone().into()));
    for _ in 0..[0, 0, 0, 0, 0, 1, 1, 2][dice.usize(0..8)] {
        // The same request again: its answer was lost, or a finger was too quick.
        add(at + millis(dice, 4_000), Request::Order(place.clone().into()));
    }
    for nth in 0..[0, 0, 0, 0, 0, 0, 0, 1, 2][dice.usize(0..9)] {
        let latest = if dice.bool() { 1_000 } else { deadline.as_millis() as u64 * 5 / 4 };
        let cancelled_at = at + millis(dice, latest);
        let command_id = CommandId(order_id.derive(format!("cancellation/{nth}").as_bytes()));
        let cancel =
            CancelOrder { command_id, order_id, issued_at: cancelled_at, customer_id: None };
        add(cancelled_at, Request::Order(cancel.into()));
    }
}

fn placed(dice: &mut Rng, order_id: OrderId, at: Timestamp) -> PlaceOrder {
    let customer = match dice.u32(0..32) {
        0 => "nobody",
        1 => "former",
        2..=5 => DECLINED,
        6..=14 => "grace",
        15..=20 => "alan",
        _ => "ada",
    };
    let mut skus: Vec<&str> = PRODUCTS.iter().map(|(sku, ..)| *sku).take(5).collect();
    dice.shuffle(&mut skus);
    skus.truncate([1, 1, 2, 2, 3, 4][dice.usize(0..6)]);
    match dice.u32(0..24) {
        0 => skus.push("GONE"),
        1 => skus.push("RETIRED"),
        2 => skus.push("TYPO"),
        3 => skus.push(skus[0]),
        _ => {}
    }
    let line = |sku: &str| RequestedLine {
        sku: sku.parse::<Sku>().expect("a sku"),
        quantity: if dice.u32(0..80) == 0 { 0 } else { dice.i32(1..=3) },
    };
    let lines: Vec<RequestedLine> = skus.into_iter().map(line).collect();
    let note = NOTES[dice.usize(0..NOTES.len())];
    // As the edge does it: the same body under the same key is the same command.
    let command_id = CommandId(order_id.derive(format!("{customer} {lines:?} {note}").as_bytes()));
    let customer_id = customer.parse().expect("a customer id");
    let note = note.to_owned().try_into().expect("a note");
    PlaceOrder { note, ..PlaceOrder::new(command_id, order_id, customer_id, lines, at) }
}

/// Up to so many milliseconds.
fn millis(dice: &mut Rng, max: u64) -> Duration {
    Duration::from_millis(dice.u64(0..=max))
}
