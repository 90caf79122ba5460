//! The supervisor of payments, as one process runs it: it is given the time, the database and the
//! bank's answers, and its calls go on the line.

use crate::{outside::bank::Bank, payments::database::Line, shop::Shop};
use contracts::Timestamp;
use payments::{
    memory::{Connection, at_once},
    supervisor::{Settings, Supervisor as Service},
};
use std::{cell::Cell, rc::Rc, time::Duration};
use streams_sim::{Actor, Progress, Sim};
use uuid::Uuid;

/// How long it waits for a database that is away.
const BACKOFF: Duration = Duration::from_millis(50);

/// One instance's supervisor.
pub(crate) struct Supervisor {
    name: String,
    /// What is lost when the process dies.
    life: Option<Life>,
    /// The intake has work for it.
    work: Rc<Cell<bool>>,
}

struct Life {
    service: Service,
    /// Tells the bank's answers to it from those to a former one.
    caller: u64,
    wait_until: Timestamp,
}

impl Supervisor {
    pub(crate) fn new(instance: u32, work: Rc<Cell<bool>>) -> Self {
        Self { name: format!("supervisor-{instance}"), life: None, work }
    }
}

impl Life {
    fn begin(sim: &mut Sim, bank: &mut Bank) -> Self {
        let id = Uuid::from_u128(sim.dice.u128(..));
        let service = Service::new(sim.codec.clone(), Settings::DEFAULT, id);
        Self { service, caller: bank.caller(), wait_until: Timestamp::default() }
    }
}

impl Actor<Shop> for Supervisor {
    fn step(&mut self, sim: &mut Sim, shop: &mut Shop) -> Progress {
        let life = self.life.get_or_insert_with(|| Life::begin(sim, &mut shop.bank));
        let answered = shop.bank.answers(life.caller);
        let woken = self.work.take() || !answered.is_empty();
        if sim.now < life.wait_until && !woken {
            return Progress::Idle;
        }
        answered.into_iter().for_each(|called| life.service.called(called));
        let (now, here) = (sim.now, sim.here);
        let mut database = Connection(Line::new(sim, &mut shop.payments, &self.name));
        let next = at_once(life.service.step(&mut database, here));
        match next {
            Ok(next) => {
                life.wait_until = now + next.idle;
                let idle = next.calls.is_empty() && !next.idle.is_zero();
                for call in next.calls {
                    shop.bank.call(sim, &self.name, life.caller, call);
                }
                if idle { Progress::Idle } else { Progress::Moved }
            }
            Err(error) => {
                sim.note(&self.name, None, || format!("waits: {error:#}"));
                life.wait_until = now + BACKOFF;
                Progress::Moved
            }
        }
    }

    fn die(&mut self, _: &Sim, _: bool) {
        self.life = None;
        self.work.set(false);
    }
}
