//! The intake of payments: the service's own, on the modelled database.

use crate::{payments::database::Line, shop::Shop};
use contracts::topics::ORDERS;
use payments::{
    memory::{Connection, at_once},
    processor::PaymentsIntake,
};
use std::{cell::Cell, rc::Rc};
use streams::{Failure, Record, engine::Offsets};
use streams_sim::{Fenced, FencedStage, Sim};

/// One life of an instance's intake.
pub(crate) struct Intake {
    name: String,
    service: PaymentsIntake,
    /// Wakes the supervisor.
    work: Rc<Cell<bool>>,
}

/// The intake of an instance.
pub(crate) fn stage(sim: &Sim, instance: u32, work: Rc<Cell<bool>>) -> FencedStage<Intake> {
    let make = move |sim: &Sim| Intake {
        name: format!("payments-{instance}"),
        service: PaymentsIntake::new(sim.codec.clone()),
        work: Rc::clone(&work),
    };
    FencedStage::new(sim, "payments", instance, vec![&ORDERS.spec], make)
}

impl Fenced<Shop> for Intake {
    fn claim(
        &mut self,
        sim: &mut Sim,
        shop: &mut Shop,
        places: &[(String, i32)],
    ) -> Result<Offsets, Failure> {
        let mut database = Connection(Line::new(sim, &mut shop.payments, &self.name));
        at_once(self.service.claim(&mut database, places))
    }

    fn apply(&mut self, sim: &mut Sim, shop: &mut Shop, batch: &[Record]) -> Result<(), Failure> {
        let read = self.service.read(batch).expect("a registry in memory answers");
        let now = sim.here;
        let mut database = Connection(Line::new(sim, &mut shop.payments, &self.name));
        let applied = at_once(self.service.apply(&mut database, &read, now));
        applied.map(|calls_for_work| self.work.set(self.work.get() || calls_for_work))
    }
}
