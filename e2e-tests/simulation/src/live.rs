//! [`Live`]: a run of the shop that is watched while it goes, and interfered with. The same
//! processors, models and auditor as in [`crate::run`]; but nothing goes wrong unless it is asked
//! for, and customers order at a pace that a person can follow.

use crate::{
    evidence, faults,
    outside::customers::Customers,
    press::{Kind, Press},
    read,
    shop::{Rules, Shop},
    world::codec,
};
use auditor::Verdict;
use contracts::{
    Order, OrderId, ServiceName, Timestamp,
    orders::CommandRefused,
    partition,
    topics::{self, ORDER_REFUSALS, ORDERS},
};
use fastrand::Rng;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use streams::Record;
use streams_sim::{Condition, Mercy, Mutation, Program, Run, Scenario, Sim, World};
use view::shapes::{order::OrderView, refusal::RefusalView, timeline::EventView};

pub use view::shapes::topology::Topology;

/// Between two orders.
const PACE: Duration = Duration::from_millis(1_100);

/// What each order gets.
const DEADLINE: Duration = Duration::from_secs(25);

/// While faults go on, no effect is late by itself: only what is wrong at once is a violation. It
/// is longer than a person watches, clock jumps and all.
const GRACE: Duration = Duration::from_secs(3_600);

/// How far all clocks jump.
const JUMP: Duration = Duration::from_secs(30);

/// Which run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Decides everything but the presses.
    pub seed: u64,
    /// How many orders there are.
    pub orders: usize,
    /// The promise that is broken on purpose.
    pub mutation: Option<Mutation>,
    /// Whether the seed brings faults as well.
    pub stormy: bool,
}

/// Something that has happened.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Happening {
    /// An order has made a transition, and this is the order after it.
    Transition {
        /// As the view streams it.
        event: EventView,
        /// As the view answers it.
        order: Box<OrderView>,
    },
    /// A command has changed nothing.
    Refusal {
        /// The order that it was about.
        order_id: OrderId,
        /// As the view answers it.
        refusal: RefusalView,
        /// What the view answers if there is no order.
        order: Option<Box<OrderView>>,
    },
    /// A line of the trace.
    Remark {
        /// Whose.
        actor: String,
        /// What.
        what: String,
        /// The orders that it is about; none where it is about all.
        #[serde(skip_serializing_if = "Option::is_none")]
        about: Option<BTreeSet<String>>,
    },
    /// A service is at work, `down` or `frozen`.
    Condition {
        /// The service.
        service: &'static str,
        /// How it is.
        condition: &'static str,
    },
}

/// The time at which every run begins.
pub fn began() -> Timestamp {
    streams_sim::START
}

/// A run that goes on step by step.
pub struct Live {
    run: Run<Shop>,
    /// How far each partition was looked at.
    seen: BTreeMap<(&'static str, i32), i64>,
    refusals: BTreeMap<OrderId, Vec<RefusalView>>,
    conditions: BTreeMap<&'static str, Condition>,
}

impl Live {
    /// The run, before its first step.
    pub fn new(watched: &Watched) -> Self {
        let Watched { seed, orders, mutation, stormy } = *watched;
        let kinds = if stormy { BTreeSet::new() } else { faults::all().collect() };
        let mercy = Mercy { kinds, ..Mercy::default() };
        let scenario = Scenario { mutation, mercy, traced: true, ..Scenario::new(seed, orders) };
        let (topics, codec) = (&topics::ALL, codec().clone());
        let program = Program { topics, codec, faults: faults::ALL, words: read::words };
        let sim = Sim::new(&scenario, program);
        let rules = Rules { deadline: DEADLINE, fraud_limit_minor: None };
        let dice = Rng::with_seed(seed);
        let customers = Customers::at_pace(&scenario, sim.now, DEADLINE, PACE, dice);
        let shop = Shop::with(&sim, rules, customers);
        let services = ServiceName::by_default().map(ServiceName::as_str);
        let run = Run::new(sim, shop, services, 1);
        let seen = [ORDERS.name(), ORDER_REFUSALS.name()]
            .into_iter()
            .flat_map(|topic| (0..partition::count()).map(move |partition| ((topic, partition), 0)))
            .collect();
        Self { run, seen, refusals: BTreeMap::new(), conditions: BTreeMap::new() }
    }

    /// How many steps were made.
    pub fn step_number(&self) -> u64 {
        self.run.sim.step
    }

    /// The virtual time.
    pub fn now(&self) -> Timestamp {
        self.run.sim.now
    }

    /// Whether all orders were placed.
    pub fn is_done(&self) -> bool {
        self.run.world.is_done()
    }

    /// Do to the shop what a button says, now.
    pub fn press(&mut self, press: &Press) {
        let run = &mut self.run;
        if let Some((fault, whom)) = press.armed() {
            run.sim.arm(fault, whom);
        }
        let service = press.service.map_or("", ServiceName::as_str);
        let of = if service.is_empty() { String::new() } else { format!(": {service}") };
        let label = press.label();
        run.sim.note("you", None, || format!("! {label}{of}"));
        let took = match press.kind {
            Kind::Crash | Kind::DiskLost => run.crash(service),
            Kind::Freeze => run.freeze(service),
            Kind::Decline => {
                run.world.bank.declines_next = true;
                true
            }
            Kind::Duplicate => run.world.customers.repeat(&mut run.sim),
            Kind::ClockJump => {
                run.sim.pass(JUMP);
                true
            }
            Kind::LostAnswer | Kind::LateMoney => true,
        };
        if !took {
            run.sim.note("you", None, || "there was nothing to strike".to_owned());
        }
    }

    /// One step of the run; what has happened by then since the last one.
    pub fn step(&mut self) -> Vec<Happening> {
        self.run.step();
        let mut happened: Vec<_> = self.remarks().collect();
        happened.extend(self.changes());
        happened.extend(self.news());
        happened
    }

    fn remarks(&mut self) -> impl Iterator<Item = Happening> {
        let events = self.run.sim.take_events().into_iter();
        events.filter(|event| is_told(&event.actor, &event.what)).map(|event| Happening::Remark {
            actor: event.actor,
            what: event.what,
            about: event.about,
        })
    }

    /// Of each service, whether it is at work, where that has changed.
    fn changes(&mut self) -> Vec<Happening> {
        let now: BTreeMap<_, _> = self.run.conditions().collect();
        let before = std::mem::replace(&mut self.conditions, now);
        let changed = self.conditions.iter().filter(|(service, condition)| {
            before.get(*service).copied().unwrap_or(Condition::Up) != **condition
        });
        let name = |condition| match condition {
            Condition::Up => "up",
            Condition::Down => "down",
            Condition::Frozen => "frozen",
        };
        changed
            .map(|(service, condition)| Happening::Condition {
                service,
                condition: name(*condition),
            })
            .collect()
    }

    /// What can be read of orders and refusals since the last step.
    fn news(&mut self) -> Vec<Happening> {
        let (sim, mut found) = (&self.run.sim, Vec::new());
        for ((topic, partition), next) in &mut self.seen {
            let (records, end) = sim.kafka.news(topic, *partition, *next);
            *next = end;
            found.extend(records.into_iter().cloned());
        }
        found.iter().filter_map(|record| self.happening(record)).collect()
    }

    fn happening(&mut self, record: &Record) -> Option<Happening> {
        let codec = codec();
        let value = record.value.as_deref()?;
        if record.is_on(&ORDERS) {
            let order: Order = codec.decode(&ORDERS, value).ok()?;
            let event = EventView::of(record, &order);
            return Some(Happening::Transition { event, order: Box::new((&order).into()) });
        }
        let refused: CommandRefused = codec.decode(&ORDER_REFUSALS, value).ok()?;
        let (order_id, refusal) = (refused.order_id, RefusalView::from(&refused));
        let known = self.refusals.entry(order_id).or_default();
        known.push(refusal.clone());
        let is_none = known.iter().all(|refusal| refusal.order_version.is_none());
        let order = is_none.then(|| Box::new(OrderView::refused(order_id, known.clone())));
        Some(Happening::Refusal { order_id, refusal, order })
    }

    /// Whether no transaction shows in parts, which would look broken.
    pub fn is_whole(&self) -> bool {
        self.run.sim.kafka.is_whole()
    }

    /// What the auditor says of the shop as it is.
    pub fn audit(&self) -> Verdict {
        auditor::audit(&evidence::take(&self.run.sim, &self.run.world, GRACE))
    }
}

/// Whether a line of the trace is for people who watch: what goes wrong and what is done about it,
/// and not each record that is read and written.
fn is_told(actor: &str, what: &str) -> bool {
    let usual = ["< ", "> ", "commits", "owns partitions", "joins its group", "claims"];
    let shown = actor.starts_with("view") && what.contains(" is Show");
    !shown && !usual.iter().any(|usual| what.starts_with(usual))
}
