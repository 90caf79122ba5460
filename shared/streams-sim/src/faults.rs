//! What goes wrong, and when. Every kind of fault has dice of its own, all of them thrown from the
//! one seed: to switch a kind off, or to take one fault back, does not move the others.

use fastrand::Rng;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};
use streams::Timestamp;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    name: &'static str,
    odds: u32,
}

impl Fault {
    /// A kind with its name in a trace, and how often it strikes, of 10,000 opportunities.
    pub const fn new(name: &'static str, odds: u32) -> Self {
        Self { name, odds }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Declares kinds of faults as constants, and `ALL` of them: `NAME, "name in a trace", odds;`.
#[macro_export]
macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident, $name:literal, $odds:literal;)+) => {
        $($(#[$doc])* pub const $fault: $crate::Fault = $crate::Fault::new($name, $odds);)+

        /// Every kind that is declared here.
        pub const ALL: &[$crate::Fault] = &[$($fault),+];
    };
}

crate::faults! {
    /// A process dies with a batch that it has not looked at.
    CRASH_AFTER_POLL, "crash after poll", 20;
    /// A process dies when it has decided, and done what it does outside of Kafka.
    CRASH_AFTER_DECIDE, "crash after decide", 20;
    /// A process dies when a part of its records is sent.
    CRASH_WHILE_SENDING, "crash while sending", 20;
    /// A process dies when all its records are sent, and the offsets are not.
    CRASH_BEFORE_OFFSETS, "crash before offsets", 20;
    /// A process dies when the offsets are in the transaction as well.
    CRASH_BEFORE_COMMIT, "crash before commit", 20;
    /// A process dies when Kafka has committed, before its store knows.
    CRASH_AFTER_COMMIT, "crash after commit", 30;
    /// A process dies while it restores its state.
    CRASH_IN_RESTORE, "crash in restore", 60;
    /// What a process that died had on its disk is gone.
    LOST_DISK, "lost disk", 3_000;
    /// A process freezes for longer than its session, and goes on as if nothing had happened.
    FREEZE, "freeze", 15;
    /// A process is replaced under the same name, and goes on beside its successor.
    TWIN, "twin", 6;
    /// The group reassigns its partitions.
    REBALANCE, "rebalance", 80;
    /// A record is not taken: the transaction must be aborted.
    SEND_FAILS, "send fails", 20;
    /// Kafka commits, and the answer is lost.
    COMMIT_UNKNOWN, "commit unknown", 30;
    /// The request to commit is still on its way when the client sends it again.
    COMMIT_DELAYED, "commit delayed", 60;
    /// The local store cannot be written.
    STORE_FAILS, "store fails", 10;
    /// A value in the local store cannot be read any more.
    STORE_ROTS, "store rots", 10;
    /// The markers of a transaction, and its offsets, take their time.
    SLOW_MARKERS, "slow markers", 2_000;
    /// All clocks go forward by as much as a minute.
    CLOCK_JUMP, "clock jump", 3;
    /// The local store cannot be opened.
    STORE_CLOSED, "store cannot be opened", 300;
    /// The local store cannot be cleared, and what it has of all partitions is lost.
    STORE_LOST, "store lost", 3_000;
    /// A process begins on a host whose clock is up to two minutes off.
    CLOCKS_APART, "clocks apart", 3_000;
}

/// What of the faults that a seed brings is taken back. Nothing, unless a failure is shrunk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mercy {
    /// These kinds do not strike at all.
    pub kinds: BTreeSet<Fault>,
    /// These do not: the kind, and which of its strikes, from 0.
    pub strikes: BTreeSet<(Fault, u32)>,
}

/// Decides when a fault strikes.
pub(crate) struct Faults {
    /// Dice per kind, with the odds of this seed; 0 where the kind is off.
    dice: BTreeMap<Fault, (Rng, u32)>,
    mercy: Mercy,
    /// What a person has asked for: the fault, and whom it is to strike.
    armed: Vec<(Fault, &'static str)>,
    drawn: BTreeMap<Fault, u32>,
    struck: BTreeMap<Fault, u32>,
    /// Of those that last: when they end.
    until: BTreeMap<Fault, Timestamp>,
    calm: bool,
}

impl Faults {
    /// The faults of `seed`, ours and the world's `own`. A third of the kinds is off and the others
    /// come with odds of their own (swarm testing: a fault that is always there hides what happens
    /// without it).
    pub(crate) fn new(seed: u64, own: &[Fault], mercy: Mercy) -> Self {
        let throw = |(index, fault): (usize, &Fault)| {
            let mut dice =
                Rng::with_seed(seed ^ (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let odds = match dice.u32(0..6) {
                0 | 1 => 0,
                2 => fault.odds.div_ceil(3),
                3 | 4 => fault.odds,
                _ => fault.odds * 3,
            };
            (*fault, (dice, odds))
        };
        let dice = ALL.iter().chain(own).enumerate().map(throw).collect();
        let (drawn, struck, until) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { dice, mercy, armed: Vec::new(), drawn, struck, until, calm: false }
    }

    /// Let `fault` strike at its next opportunity with an actor whose name begins with `whom`,
    /// whatever the seed says.
    pub(crate) fn arm(&mut self, fault: Fault, whom: &'static str) {
        self.armed.push((fault, whom));
    }

    /// Whether `fault` strikes `actor` now.
    pub(crate) fn strikes(&mut self, fault: Fault, actor: &str) -> bool {
        let asked = |(armed, whom): &(Fault, &str)| *armed == fault && actor.starts_with(whom);
        if let Some(place) = self.armed.iter().position(asked) {
            self.armed.remove(place);
            *self.struck.entry(fault).or_insert(0) += 1;
            return true;
        }
        if self.calm || self.mercy.kinds.contains(&fault) {
            return false;
        }
        let Some((dice, odds)) = self.dice.get_mut(&fault) else { return false };
        if *odds == 0 || dice.u32(0..10_000) >= *odds {
            return false;
        }
        let drawn = self.drawn.entry(fault).or_insert(0);
        let strike = (fault, *drawn);
        *drawn += 1;
        let strikes = !self.mercy.strikes.contains(&strike);
        *self.struck.entry(fault).or_insert(0) += u32::from(strikes);
        strikes
    }

    /// Whether `fault`, which lasts for `max` at most when it strikes, is on at `now`; and whether
    /// it has just struck.
    pub(crate) fn lasts(
        &mut self,
        fault: Fault,
        actor: &str,
        now: Timestamp,
        max: Duration,
    ) -> (bool, bool) {
        let Some((dice, _)) = self.dice.get_mut(&fault) else { return (false, false) };
        let length = Duration::from_millis(dice.u64(1..=max.as_millis() as u64));
        let is_on = !self.calm && self.until.get(&fault).is_some_and(|until| now < *until);
        if is_on || !self.strikes(fault, actor) {
            return (is_on, false);
        }
        self.until.insert(fault, now + length);
        (true, true)
    }

    /// From now on nothing goes wrong any more.
    pub(crate) fn stop(&mut self) {
        self.calm = true;
    }

    /// How often each kind has struck.
    pub(crate) fn struck(&self) -> &BTreeMap<Fault, u32> {
        &self.struck
    }

    /// Every strike that was drawn, taken back or not.
    pub(crate) fn drawn(&self) -> BTreeSet<(Fault, u32)> {
        let strikes = |(fault, drawn): (&Fault, &u32)| {
            let fault = *fault;
            (0..*drawn).map(move |number| (fault, number))
        };
        self.drawn.iter().flat_map(strikes).collect()
    }
}
