//! Debezium: sends the rows of the outbox to their topics, in order. Here it is at-least-once,
//! which is less than the real one promises: it dies, and sends again from the position that it has
//! written down last.

use crate::{faults, mutation};
use payments::memory::Tables;
use std::time::Duration;
use streams_sim::{Progress, Sim, takes};

/// The relay.
#[derive(Default)]
pub(crate) struct Relay {
    /// The next row of the outbox.
    position: usize,
    /// The one it would go on with after a crash.
    stored: usize,
}

impl Relay {
    /// Send some rows.
    pub(crate) fn step(&mut self, sim: &mut Sim, database: &Tables) -> Progress {
        if sim.lasts(faults::RELAY_STALL, "relay", Duration::from_secs(15)) {
            return Progress::Idle;
        }
        let rows = database.outbox.len();
        if self.position > self.stored && sim.strikes(faults::RELAY_REPLAY, "relay") {
            self.position = self.stored;
        }
        if self.position == rows {
            return Progress::Idle;
        }
        let until = sim.dice.usize(self.position + 1..=rows);
        let until = match (self.position..until).find(|row| !takes(database.outbox[*row].message()))
        {
            // Its producer refuses it, and so it does after each restart.
            Some(row) if row == self.position => return Progress::Idle,
            Some(row) => row,
            None => until,
        };
        if sim.has(mutation::RELAY_LOSES) && sim.strikes(faults::RELAY_REPLAY, "relay") {
            self.position = until;
        }
        for row in self.position..until {
            let message = database.outbox[row].message().clone();
            sim.append("relay", message);
        }
        self.position = until;
        if sim.dice.bool() {
            self.stored = until;
        }
        Progress::Moved
    }
}
