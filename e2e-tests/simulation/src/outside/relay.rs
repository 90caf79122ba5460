//! Debezium: sends the rows of the outbox to their topics, in order. Here it is at-least-once,
//! which is less than the real one promises: it dies, and sends again from the position that it has
//! written down last. And it loses its place in the log of the database: what was not sent by then
//! it never sends.

use crate::faults;
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
    pub(crate) fn step(&mut self, sim: &mut Sim, database: &mut Tables) -> Progress {
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
        if sim.strikes(faults::RELAY_LOSES, "relay") {
            // Payments does not read its dead letters: an operator sends those again, as
            // `shop cdc resend-outbox` does.
            let lost = database.outbox[self.position..].iter();
            let letters: Vec<_> = lost.filter(|row| !row.returns()).cloned().collect();
            self.write_down(database, rows);
            self.position = rows;
            database.outbox.extend(letters);
            return Progress::Moved;
        }
        let until = sim.dice.usize(self.position + 1..=rows);
        let until = match (self.position..until).find(|row| !takes(database.outbox[*row].message()))
        {
            // Its producer refuses it, and so it does after each restart.
            Some(row) if row == self.position => return Progress::Idle,
            Some(row) => row,
            None => until,
        };
        for row in self.position..until {
            let message = database.outbox[row].message().clone();
            sim.append("relay", message);
        }
        self.position = until;
        if sim.dice.bool() {
            self.write_down(database, until);
        }
        Progress::Moved
    }

    /// The next row to send after a crash, which the database knows, too.
    fn write_down(&mut self, database: &mut Tables, next: usize) {
        self.stored = next;
        database.relayed = database.relayed.map(|_| next);
    }
}
