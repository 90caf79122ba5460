//! [`Plan`]: what is broken, when and for how long. A pure function of a seed and a length.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use client::service_of;
use contracts::ServiceName;
use fastrand::Rng;

/// How many instances of each service the shop has that is broken, where not one.
pub const INSTANCES: [(&str, u16); 3] = [("orders", 2), ("inventory", 2), ("payments", 2)];

/// Nothing is broken before the shop has had some traffic.
const CALM_BEFORE: Duration = Duration::from_secs(8);
/// Orders that are placed after the last fault show that it is over.
const CALM_AFTER: Duration = Duration::from_secs(12);
/// The shortest run that has room for a fault.
pub const LENGTH_MIN: Duration = Duration::from_secs(40);

/// The time from one fault to the next, in ms. What is killed needs up to 14 s to be back, so
/// faults overlap.
const GAP_MS: std::ops::Range<u64> = 4_000..14_000;
/// How long something stays frozen. Some of it is longer than the session timeout of 8 s, and some
/// shorter.
const FREEZE_MS: std::ops::Range<u64> = 2_000..12_000;
const BANK_MS: std::ops::Range<u64> = 4_000..12_000;
const SCALE_MS: std::ops::Range<u64> = 10_000..18_000;
/// What was killed is left alone until its supervisor has brought it back.
const AFTER_KILL: Duration = Duration::from_secs(20);

/// Servers that are killed and frozen.
const SERVERS: [&str; 6] = ["kafka", "connect", "postgres", "registry", "bank", "mail"];

/// A bad day of the bank.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum BankFault {
    /// It declines every charge.
    Declines,
    /// A third of the charges is booked, but the answer is lost.
    LostAnswers,
    /// A third of the charges gets lost.
    LostRequests,
    /// It takes up to a second and a half.
    Latency,
    /// A third of the charges fails.
    Errors,
    /// It refuses everything.
    Outage,
}

impl BankFault {
    /// Each of them.
    pub const ALL: [Self; 6] = [
        Self::Declines,
        Self::LostAnswers,
        Self::LostRequests,
        Self::Latency,
        Self::Errors,
        Self::Outage,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Declines => "declines",
            Self::LostAnswers => "lost answers",
            Self::LostRequests => "lost requests",
            Self::Latency => "latency",
            Self::Errors => "errors",
            Self::Outage => "outage",
        }
    }
}

/// What is done to the shop.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Act {
    /// `kill -9`; its supervisor brings it back.
    Kill(String),
    /// SIGSTOP, and SIGCONT when the time is over.
    Freeze(String),
    /// Another number of instances; the usual one when the time is over.
    Scale {
        /// Of which service.
        service: String,
        /// How many.
        to: u16,
    },
    /// A bad day of the bank, until the time is over.
    Bank(BankFault),
}

impl Act {
    /// The kind of fault: `kill`, `freeze`, `scale`, `bank`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Kill(_) => "kill",
            Self::Freeze(_) => "freeze",
            Self::Scale { .. } => "scale",
            Self::Bank(_) => "bank",
        }
    }

    /// Whether the end of an order shows nothing of it: mails follow an order's end.
    #[must_use]
    pub fn is_beside_the_way(&self) -> bool {
        match self {
            Self::Kill(name) | Self::Freeze(name) | Self::Scale { service: name, .. } => {
                ["email", "mail"].contains(&name.as_str())
            }
            Self::Bank(_) => false,
        }
    }

    /// What it is done to: a process, a service with its instances, a bad day of the bank.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::Kill(name) | Self::Freeze(name) => name.clone(),
            Self::Scale { service, to } => format!("{service}={to}"),
            Self::Bank(fault) => fault.as_str().to_owned(),
        }
    }

    /// The group that it is reported in: the same on another instance, not another bad day of the
    /// bank.
    #[must_use]
    pub fn group(&self) -> String {
        match self {
            Self::Bank(_) => self.to_string(),
            Self::Kill(_) | Self::Freeze(_) | Self::Scale { .. } => {
                format!("{} {}", self.kind(), self.process())
            }
        }
    }

    /// The service or server that is concerned, without the number of the instance.
    #[must_use]
    pub fn process(&self) -> &str {
        match self {
            Self::Kill(name) | Self::Freeze(name) => service_of(name),
            Self::Scale { service, .. } => service,
            Self::Bank(_) => "bank",
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.target())
    }
}

/// One fault of a [`Plan`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// When it begins, from the first order on.
    pub at: Duration,
    /// How long it lasts; zero for a kill.
    pub lasts: Duration,
    /// What is done.
    pub act: Act,
}

impl Fault {
    fn end(&self) -> Duration {
        self.at + self.lasts
    }

    /// Until when nothing else is done to the same process.
    fn busy_until(&self) -> Duration {
        match self.act {
            Act::Kill(_) => self.at + AFTER_KILL,
            Act::Freeze(_) | Act::Scale { .. } | Act::Bank(_) => {
                self.end() + Duration::from_secs(2)
            }
        }
    }
}

/// The faults of one run, in the order of their begin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan(pub Vec<Fault>);

/// A fault without its time and its details.
#[derive(Clone, Copy, Debug)]
enum Card {
    Kill(&'static str),
    Freeze(&'static str),
    Scale(&'static str),
    Bank(BankFault),
}

impl Plan {
    /// The plan of this seed for a run of this length.
    ///
    /// Every fault that there is comes once before one comes twice: cards are dealt from a shuffled
    /// deck. Faults overlap, but never on the same process.
    #[must_use]
    pub fn draw(seed: u64, length: Duration) -> Self {
        let dice = &mut Rng::with_seed(seed);
        let last_end = length.saturating_sub(CALM_AFTER);
        let mut faults: Vec<Fault> = Vec::new();
        let mut busy: BTreeMap<String, Duration> = BTreeMap::new();
        let mut deck = Vec::new();
        let mut at = CALM_BEFORE;
        while at < last_end {
            if deck.is_empty() {
                deck = new_deck();
                dice.shuffle(&mut deck);
            }
            // The uppermost card whose process has no other fault; there may be none for a while.
            let free = |card: &Card| busy.get(card.process()).is_none_or(|until| *until <= at);
            if let Some(place) = deck.iter().rposition(free) {
                let fault = deck.remove(place).at(at, dice);
                if fault.end() <= last_end {
                    busy.insert(fault.act.process().to_owned(), fault.busy_until());
                    faults.push(fault);
                }
            }
            at += Duration::from_millis(dice.u64(GAP_MS));
        }
        Self(faults)
    }
}

impl fmt::Display for Plan {
    /// One line per fault.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Fault { at, lasts, act } in &self.0 {
            write!(f, "{:>6.1} s  {act}", at.as_secs_f64())?;
            if !lasts.is_zero() {
                write!(f, " for {:.1} s", lasts.as_secs_f64())?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// How many instances of a service there usually are.
#[must_use]
pub fn usual_instances(service: &str) -> u16 {
    INSTANCES.iter().find(|(name, _)| *name == service).map_or(1, |(_, count)| *count)
}

/// The services that every shop has.
fn services() -> impl Iterator<Item = &'static str> {
    ServiceName::by_default().map(ServiceName::as_str)
}

fn new_deck() -> Vec<Card> {
    let processes = || services().chain(SERVERS);
    let mut deck: Vec<_> =
        processes().map(Card::Kill).chain(processes().map(Card::Freeze)).collect();
    deck.extend(services().map(Card::Scale));
    deck.extend(BankFault::ALL.map(Card::Bank));
    deck
}

impl Card {
    fn process(&self) -> &'static str {
        match *self {
            Self::Kill(process) | Self::Freeze(process) | Self::Scale(process) => process,
            Self::Bank(_) => "bank",
        }
    }

    fn at(self, at: Duration, dice: &mut Rng) -> Fault {
        let (act, lasts_ms) = match self {
            Self::Kill(process) => (Act::Kill(process_of(process, dice)), 0),
            Self::Freeze(process) => (Act::Freeze(process_of(process, dice)), dice.u64(FREEZE_MS)),
            Self::Scale(service) => {
                let usual = usual_instances(service);
                let to = if usual > 1 && dice.bool() { usual - 1 } else { usual + 1 };
                (Act::Scale { service: service.to_owned(), to }, dice.u64(SCALE_MS))
            }
            Self::Bank(fault) => (Act::Bank(fault), dice.u64(BANK_MS)),
        };
        Fault { at, lasts: Duration::from_millis(lasts_ms), act }
    }
}

/// One instance of a process, by a name that means no other (`orders-0`).
fn process_of(process: &str, dice: &mut Rng) -> String {
    match usual_instances(process) {
        1 => process.to_owned(),
        instances => format!("{process}-{}", dice.u16(0..instances)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_plan_is_a_function_of_seed_and_length() {
        assert_eq!(Plan::draw(1, 5 * MINUTE), Plan::draw(1, 5 * MINUTE));
        assert_ne!(Plan::draw(1, 5 * MINUTE), Plan::draw(2, 5 * MINUTE));
    }

    #[test]
    fn every_plan_keeps_the_calm_before_and_after() {
        for seed in 0..200 {
            let faults = Plan::draw(seed, MINUTE).0;
            assert!(!faults.is_empty(), "seed {seed}");
            for fault in &faults {
                assert!(fault.at >= CALM_BEFORE && fault.end() <= MINUTE - CALM_AFTER, "{fault:?}");
            }
            assert!(faults.is_sorted_by_key(|fault| fault.at));
        }
        assert!(!Plan::draw(1, LENGTH_MIN).0.is_empty());
    }

    #[test]
    fn nothing_is_done_to_a_process_that_is_not_back_yet() {
        for seed in 0..200 {
            let mut busy: BTreeMap<String, Duration> = BTreeMap::new();
            for fault in Plan::draw(seed, 10 * MINUTE).0 {
                let process = fault.act.process().to_owned();
                let until = busy.insert(process, fault.busy_until()).unwrap_or_default();
                assert!(until <= fault.at, "seed {seed}: {fault:?} while busy until {until:?}");
            }
        }
    }

    #[test]
    fn a_long_run_has_every_fault_that_there_is() {
        let plan = Plan::draw(3, 20 * MINUTE);
        let seen = |kind: &str, process: &str| {
            plan.0.iter().any(|fault| fault.act.kind() == kind && fault.act.process() == process)
        };
        for process in services().chain(SERVERS) {
            assert!(seen("kill", process) && seen("freeze", process), "{process} in\n{plan}");
        }
        for service in services() {
            assert!(seen("scale", service), "{service} in\n{plan}");
        }
        for fault in BankFault::ALL {
            assert!(plan.0.iter().any(|f| f.act == Act::Bank(fault)), "{fault:?} in\n{plan}");
        }
    }

    #[test]
    fn both_instances_of_a_service_have_their_turn() {
        let plans = (0..50).flat_map(|seed| Plan::draw(seed, 5 * MINUTE).0);
        let killed: Vec<_> =
            plans.filter(|f| f.act.kind() == "kill").map(|f| f.act.target()).collect();
        for name in ["orders-0", "orders-1", "payments-0", "payments-1", "view", "email", "kafka"] {
            assert!(killed.iter().any(|target| target == name), "{name}");
        }
    }

    #[test]
    fn a_plan_is_read_like_a_list() {
        let act = Act::Scale { service: "orders".into(), to: 3 };
        let lasts = Duration::from_secs(10);
        let kill = Act::Kill("kafka".into());
        let plan = Plan(vec![
            Fault { at: Duration::from_millis(8_500), lasts: Duration::ZERO, act: kill },
            Fault { at: MINUTE, lasts, act },
        ]);
        assert_eq!(plan.to_string(), "   8.5 s  kill kafka\n  60.0 s  scale orders=3 for 10.0 s\n");
    }
}
