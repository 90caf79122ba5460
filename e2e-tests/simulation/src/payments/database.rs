//! The way of an instance of payments to its database, and the faults on it. The tables are those
//! of the service ([`payments::memory`]).

use crate::{faults, read::about};
use anyhow::anyhow;
use contracts::{OrderId, Timestamp};
use payments::{
    database::DbError,
    memory::{Server, Tables},
};
use std::collections::BTreeSet;
use streams_sim::Sim;

/// The database as one instance reaches it, for as long as it lives.
pub(crate) struct Line<'a> {
    sim: &'a mut Sim,
    tables: &'a mut Tables,
    actor: &'a str,
}

impl<'a> Line<'a> {
    pub(crate) fn new(sim: &'a mut Sim, tables: &'a mut Tables, actor: &'a str) -> Self {
        Self { sim, tables, actor }
    }

    fn dies(&self, when: &str) -> DbError {
        self.sim.outside.die();
        DbError::Away(anyhow!("the process dies {when} the commit"))
    }
}

impl Server for Line<'_> {
    fn tables(&self) -> &Tables {
        self.tables
    }

    fn tables_mut(&mut self) -> &mut Tables {
        self.tables
    }

    fn now(&self) -> Timestamp {
        self.sim.now
    }

    fn unlocked(&mut self, limit: usize) -> usize {
        self.sim.dice.usize(1..=limit)
    }

    fn spread(&mut self) -> u32 {
        self.sim.dice.u32(500..=1_000)
    }

    fn asked(&mut self) -> Result<(), DbError> {
        if self.sim.outside.died() || self.sim.strikes(faults::SQL_AWAY, self.actor) {
            return Err(DbError::Away(anyhow!("Postgres does not answer")));
        }
        Ok(())
    }

    fn committing(&mut self) -> Result<(), DbError> {
        if self.sim.lasts(faults::READ_ONLY, self.actor, faults::READ_ONLY_MAX) {
            return Err(DbError::Away(anyhow!("Postgres is read-only")));
        }
        if self.sim.strikes(faults::CRASH_BEFORE_SQL, self.actor) {
            return Err(self.dies("before"));
        }
        Ok(())
    }

    fn done(&mut self, what: &str, orders: Option<BTreeSet<OrderId>>) -> Result<(), DbError> {
        self.sim.note(self.actor, orders.and_then(about), || what.to_owned());
        if self.sim.strikes(faults::CRASH_AFTER_SQL, self.actor) {
            return Err(self.dies("after"));
        }
        if self.sim.strikes(faults::SQL_UNKNOWN, self.actor) {
            return Err(DbError::Away(anyhow!("the answer to the commit is lost")));
        }
        Ok(())
    }
}
