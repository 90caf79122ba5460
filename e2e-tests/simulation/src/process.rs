//! A process: the processors that live and die together, and what can happen to it as a whole.

use crate::{
    effects::{MailServer, Postgres},
    faults::Fault,
    mutation::{Meddled, Mutation, count_answers, release_any},
    outside::customers,
    payments::{intake::Intake, supervisor::Supervisor},
    sim::{Actor, Progress, Sim},
    stage::Stage,
};
use contracts::{ServiceName, Timestamp, fraud::CHECK};
use email::EmailProcessor;
use fraud::{domain::exposure, processor::CheckProcessor};
use inventory::{SplitProcessor, StockProcessor};
use orders::{catalog::Catalog, domain::place_order::Terms, processor::OrdersProcessor};
use std::{cell::Cell, rc::Rc, time::Duration};
use streams::limits::SESSION_TIMEOUT;
use view::{freshness::Freshness, processor::ViewProcessor};

/// What the shop of a seed goes by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// What every order gets.
    pub(crate) deadline: Duration,
    /// The most open value of a customer; none in a shop without fraud.
    pub(crate) fraud_limit_minor: Option<i64>,
}

/// Whether a process is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    /// Dead, until it is started again.
    Down(Timestamp),
    /// Stopped in the middle of what it was doing.
    Frozen(Timestamp),
}

/// A process of one service.
pub(crate) struct Process {
    service: ServiceName,
    instance: u32,
    actors: Vec<Box<dyn Actor>>,
    state: State,
    session_ends: Option<Timestamp>,
    /// It was replaced, and goes on until then.
    ghost_until: Option<Timestamp>,
}

impl Process {
    /// An instance of `service`, in a shop with these rules.
    pub(crate) fn start(sim: &mut Sim, service: ServiceName, instance: u32, rules: Rules) -> Self {
        let actors: Vec<Box<dyn Actor>> = match service.as_str() {
            "orders" => vec![Box::new(orders(sim, instance, rules))],
            "inventory" => {
                let split = || Meddled::not(SplitProcessor);
                let stock = stock_maker(sim);
                vec![
                    Box::new(Stage::new(sim, "inventory-split", instance, 500, split)),
                    Box::new(Stage::new(sim, "inventory-stock", instance, 500, stock)),
                ]
            }
            "payments" => {
                let work = Rc::<Cell<bool>>::default();
                let intake = Intake::new(sim, instance, Rc::clone(&work));
                vec![Box::new(intake), Box::new(Supervisor::new(instance, work))]
            }
            "view" => {
                let effects = sim.effects.clone();
                let make =
                    move || ViewProcessor::new(Postgres(effects.clone()), Freshness::default());
                let max = view::processor::BATCH_RECORDS_MAX;
                vec![Box::new(Stage::new(sim, "view", instance, max, make))]
            }
            "email" => {
                let effects = sim.effects.clone();
                let make = move || EmailProcessor::new(MailServer::new(effects.clone()));
                vec![Box::new(Stage::new(
                    sim,
                    "email",
                    instance,
                    email::mailer::BATCH_RECORDS_MAX,
                    make,
                ))]
            }
            "fraud" => {
                let limit_minor =
                    rules.fraud_limit_minor.expect("without a limit there is no fraud");
                let terms = exposure::Terms { limit_minor, window: Duration::from_secs(3600) };
                let check = move || CheckProcessor::new(terms.clone());
                vec![
                    Box::new(Stage::new(sim, "fraud-split", instance, 500, || {
                        fraud::processor::SplitProcessor
                    })),
                    Box::new(Stage::new(sim, "fraud-check", instance, 500, check)),
                ]
            }
            other => unreachable!("{other} is not simulated"),
        };
        let (state, session_ends) = (State::Up, None);
        Self { service, instance, actors, state, session_ends, ghost_until: None }
    }

    fn name(&self) -> String {
        format!("{}-{}", self.service, self.instance)
    }

    /// How many parts of it move by themselves.
    pub(crate) fn actors(&self) -> usize {
        self.actors.len()
    }

    /// Let one of its parts take a step, if it is at work.
    pub(crate) fn step(&mut self, sim: &mut Sim, actor: usize) -> Progress {
        if self.state != State::Up {
            return Progress::Idle;
        }
        let progress = self.actors[actor].step(sim);
        if progress == Progress::Died {
            self.die(sim);
        }
        progress
    }

    fn die(&mut self, sim: &mut Sim) {
        let name = self.name();
        let disk_lost = sim.strikes(Fault::LostDisk, &name);
        for actor in &mut self.actors {
            actor.die(sim, disk_lost);
        }
        let back_at = sim.now + Duration::from_millis(sim.dice.u64(50..=12_000));
        self.state = State::Down(back_at);
        self.session_ends = Some(sim.now + SESSION_TIMEOUT);
        sim.note(&name, None, || "is dead".to_owned());
    }

    /// Stop it in the middle of what it is doing.
    pub(crate) fn freeze(&mut self, sim: &mut Sim) {
        if self.state == State::Up {
            let back_at = sim.now + Duration::from_millis(sim.dice.u64(100..=30_000));
            self.state = State::Frozen(back_at);
            self.session_ends = Some(sim.now + SESSION_TIMEOUT);
        }
    }

    /// Start another one in its place, on another machine; it goes on and does not know.
    pub(crate) fn replace(&mut self, sim: &mut Sim, rules: Rules) -> Option<Self> {
        if self.ghost_until.is_some() {
            return None;
        }
        let lives = Duration::from_millis(sim.dice.u64(100..=20_000));
        self.ghost_until = Some(sim.now + lives);
        Some(Self::start(sim, self.service, self.instance, rules))
    }

    /// What time does to it; false if it is gone for good.
    pub(crate) fn wake(&mut self, sim: &mut Sim, at_once: bool) -> bool {
        if self.ghost_until.is_some_and(|until| at_once || until <= sim.now) {
            return false;
        }
        if self.session_ends.is_some_and(|ends| ends <= sim.now) {
            self.session_ends = None;
            if self.ghost_until.is_none() {
                for group in self.actors.iter().filter_map(|actor| actor.group()) {
                    sim.kafka.group(group).expel(self.instance, &mut sim.dice);
                }
            }
        }
        if let State::Down(until) | State::Frozen(until) = self.state
            && (at_once || until <= sim.now)
        {
            let what = if let State::Down(_) = self.state { "starts" } else { "thaws" };
            let name = self.name();
            sim.note(&name, None, || what.to_owned());
            (self.state, self.session_ends) = (State::Up, None);
        }
        true
    }

    /// A group that it is a member of.
    pub(crate) fn group(&self) -> Option<&'static str> {
        self.actors.iter().find_map(|actor| actor.group())
    }
}

fn orders(sim: &mut Sim, instance: u32, rules: Rules) -> Stage<Meddled<OrdersProcessor>> {
    let name = format!("orders-{instance}");
    let (whole, people) = (customers::products(), customers::customers);
    let first = if sim.strikes(Fault::LateCatalog, &name) {
        Some(Catalog::fixed([], []))
    } else if sim.strikes(Fault::UnreadableRow, &name) {
        let row = (whole[0].sku.clone(), "currency is \"eur\", not three capital letters");
        Some(Catalog::with_unreadable(whole.clone(), people(), row))
    } else {
        None
    };
    let (first, catalog) = (Cell::new(first), Catalog::fixed(whole, people()));
    let counted = sim.has(Mutation::CountedAnswers).then(|| sim.codec.clone());
    let make = move || {
        let extra_checks = rules.fraud_limit_minor.map(|_| CHECK.to_owned());
        let extra_checks = extra_checks.into_iter().collect();
        let terms = Terms { deadline: rules.deadline, extra_checks };
        // Only its first life knows less.
        let known = first.take().unwrap_or_else(|| catalog.clone());
        let processor = OrdersProcessor::new(known, terms);
        match &counted {
            Some(codec) => Meddled::by(processor, count_answers(codec.clone())),
            None => Meddled::not(processor),
        }
    };
    Stage::new(sim, "orders", instance, 500, make)
}

fn stock_maker(sim: &Sim) -> impl Fn() -> Meddled<StockProcessor> + use<> {
    let any = sim.has(Mutation::ReleaseAny).then(|| sim.codec.clone());
    move || match &any {
        Some(codec) => Meddled::by(StockProcessor, release_any(codec.clone())),
        None => Meddled::not(StockProcessor),
    }
}
