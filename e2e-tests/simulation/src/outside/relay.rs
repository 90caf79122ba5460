//! Debezium: sends the rows of the outbox to their topics, in order. Here it is at-least-once,
//! which is less than the real one promises: it dies, and sends again from the position that it has
//! written down last.

use crate::{
    faults::Fault,
    mutation::Mutation,
    sim::{Progress, Sim},
};
use contracts::Timestamp;
use std::time::Duration;
use streams_sim::kafka::takes;

/// The relay.
#[derive(Default)]
pub(crate) struct Relay {
    /// The next row of the outbox.
    position: usize,
    /// The one it would go on with after a crash.
    stored: usize,
    stalled_until: Timestamp,
}

/// Send some rows.
pub(crate) fn step(sim: &mut Sim) -> Progress {
    if sim.now < sim.relay.stalled_until {
        return Progress::Idle;
    }
    if sim.strikes(Fault::RelayStall, "relay") {
        let stall = Duration::from_millis(sim.dice.u64(100..=15_000));
        sim.relay.stalled_until = sim.now + stall;
        return Progress::Moved;
    }
    let rows = sim.payments.outbox.len();
    if sim.relay.position > sim.relay.stored && sim.strikes(Fault::RelayReplay, "relay") {
        sim.relay.position = sim.relay.stored;
    }
    if sim.relay.position == rows {
        return Progress::Idle;
    }
    let until = sim.dice.usize(sim.relay.position + 1..=rows);
    let until =
        match (sim.relay.position..until).find(|row| !takes(sim.payments.outbox[*row].message())) {
            // Its producer refuses it, and so it does after each restart.
            Some(row) if row == sim.relay.position => return Progress::Idle,
            Some(row) => row,
            None => until,
        };
    if sim.has(Mutation::RelayLoses) && sim.strikes(Fault::RelayReplay, "relay") {
        sim.relay.position = until;
    }
    for row in sim.relay.position..until {
        let message = sim.payments.outbox[row].message().clone();
        let (partition, offset) = sim.kafka.append(message.clone(), sim.now);
        sim.note_sent("relay", &message, partition, offset);
    }
    sim.relay.position = until;
    if sim.dice.bool() {
        sim.relay.stored = until;
    }
    Progress::Moved
}
