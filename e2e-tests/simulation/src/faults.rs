//! What goes wrong, and when. Every kind of fault has dice of its own, all of them thrown from the
//! one seed: to switch a kind off, or to take one fault back, does not move the others.

use fastrand::Rng;
use std::collections::{BTreeMap, BTreeSet};

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident, $name:literal, $odds:literal;)+) => {
        /// A kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[$doc])* $fault,)+
        }

        impl Fault {
            /// Every kind.
            pub const ALL: &[Fault] = &[$(Fault::$fault),+];

            /// Its name on the command line and in a trace.
            pub fn name(self) -> &'static str {
                match self {
                    $(Fault::$fault => $name,)+
                }
            }

            /// How often it strikes, of 10,000 opportunities.
            fn odds(self) -> u32 {
                match self {
                    $(Fault::$fault => $odds,)+
                }
            }
        }
    };
}

faults! {
    /// A process dies with a batch that it has not looked at.
    CrashAfterPoll, "crash after poll", 20;
    /// A process dies when it has decided, and done what it does outside of Kafka.
    CrashAfterDecide, "crash after decide", 20;
    /// A process dies when a part of its records is sent.
    CrashWhileSending, "crash while sending", 20;
    /// A process dies when all its records are sent, and the offsets are not.
    CrashBeforeOffsets, "crash before offsets", 20;
    /// A process dies when the offsets are in the transaction as well.
    CrashBeforeCommit, "crash before commit", 20;
    /// A process dies when Kafka has committed, before its store knows.
    CrashAfterCommit, "crash after commit", 30;
    /// A process dies while it restores its state.
    CrashInRestore, "crash in restore", 60;
    /// A process dies before an SQL transaction is committed.
    CrashBeforeSql, "crash before SQL commit", 30;
    /// A process dies after an SQL transaction was committed, before it does anything else.
    CrashAfterSql, "crash after SQL commit", 30;
    /// A process dies when the mail server has accepted a mail.
    CrashWhileMailing, "crash while mailing", 100;
    /// What a process that died had on its disk is gone.
    LostDisk, "lost disk", 3_000;
    /// A process freezes for longer than its session, and goes on as if nothing had happened.
    Freeze, "freeze", 15;
    /// A process is replaced under the same name, and goes on beside its successor.
    Twin, "twin", 6;
    /// The group reassigns its partitions.
    Rebalance, "rebalance", 80;
    /// A record is not taken: the transaction must be aborted.
    SendFails, "send fails", 20;
    /// Kafka commits, and the answer is lost.
    CommitUnknown, "commit unknown", 30;
    /// The request to commit is still on its way when the client sends it again.
    CommitDelayed, "commit delayed", 60;
    /// The local store cannot be written.
    StoreFails, "store fails", 10;
    /// A value in the local store cannot be read any more.
    StoreRots, "store rots", 10;
    /// The markers of a transaction, and its offsets, take their time.
    SlowMarkers, "slow markers", 2_000;
    /// The database does not answer, and nothing was written.
    SqlAway, "SQL away", 60;
    /// The database commits, and the answer is lost.
    SqlUnknown, "SQL commit unknown", 60;
    /// A request to the bank is lost.
    BankRequestLost, "bank request lost", 400;
    /// The bank does what it is asked, and the answer is lost.
    BankAnswerLost, "bank answer lost", 400;
    /// The bank does what it is asked long after the caller has given up.
    BankLate, "bank late", 400;
    /// The bank fails before it does anything.
    BankError, "bank error", 400;
    /// The relay dies and sends again what it has sent since it last wrote down its position.
    RelayReplay, "relay replay", 150;
    /// The relay stops for seconds.
    RelayStall, "relay stall", 30;
    /// The mail server does not answer, and has not taken the mail.
    MailAway, "mail away", 200;
    /// The mail server takes a mail, and the answer is lost.
    MailAnswerLost, "mail answer lost", 150;
    /// All clocks go forward by as much as a minute.
    ClockJump, "clock jump", 3;
    /// An instance of orders finds an empty catalog, and goes by that until it dies.
    LateCatalog, "late catalog", 1_500;
    /// A stranger writes garbage, as large as a topic takes.
    Garbage, "garbage near the limit", 20;
    /// An instance of orders cannot read the row of a product, and goes by that until it dies.
    UnreadableRow, "unreadable row", 1_500;
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
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
    drawn: BTreeMap<Fault, u32>,
    struck: BTreeMap<Fault, u32>,
    calm: bool,
}

impl Faults {
    /// The faults of `seed`. A third of the kinds is off and the others come with odds of their own
    /// (swarm testing: a fault that is always there hides what happens without it).
    pub(crate) fn new(seed: u64, mercy: Mercy) -> Self {
        let throw = |(index, fault): (usize, &Fault)| {
            let mut dice =
                Rng::with_seed(seed ^ (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let odds = match dice.u32(0..6) {
                0 | 1 => 0,
                2 => fault.odds().div_ceil(3),
                3 | 4 => fault.odds(),
                _ => fault.odds() * 3,
            };
            (*fault, (dice, odds))
        };
        let dice = Fault::ALL.iter().enumerate().map(throw).collect();
        Self { dice, mercy, drawn: BTreeMap::new(), struck: BTreeMap::new(), calm: false }
    }

    /// Whether `fault` strikes now.
    pub(crate) fn strikes(&mut self, fault: Fault) -> bool {
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
