//! [`Plan`]: what is broken, when and for how long. A pure function of a seed and a length.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use contracts::{
    ServiceName,
    topics::{
        INVENTORY_COMMANDS, ORDER_COMMANDS, ORDER_VALIDATIONS, ORDER_VIEWS, ORDERS, TopicSpec,
    },
};
use fastrand::Rng;
use streams::limits::{MESSAGE_BYTES_MAX, VALUE_BYTES_MAX};

use super::fault::{Act, BankFault, ConnectorFault, MailFault};

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
/// How long a mail server is bad, a connector does nothing, or a database takes no writes.
const ELSEWHERE_MS: std::ops::Range<u64> = 4_000..12_000;
/// What was killed is left alone until its supervisor has brought it back.
const AFTER_KILL: Duration = Duration::from_secs(20);

/// Servers that are killed and frozen.
const SERVERS: [&str; 6] = ["kafka", "connect", "postgres", "registry", "bank", "mail"];

/// The connectors of change data capture.
pub(super) const CONNECTORS: [&str; 2] = ["catalog", "payments-outbox"];
/// The databases to which services write.
pub(super) const DATABASES: [&str; 2] = ["payments", "view"];
/// Topics on which a stranger writes. What cannot be read there becomes a dead letter of each
/// reader; they are not compacted, so that the garbage stays where an auditor finds it.
const LITTERED: [&TopicSpec; 5] = [
    &ORDER_COMMANDS.spec,
    &INVENTORY_COMMANDS.spec,
    &ORDERS.spec,
    &ORDER_VALIDATIONS.spec,
    &ORDER_VIEWS.spec,
];
/// Sizes of garbage, in bytes: above the largest value of ours, above what Kafka's own producers
/// send, and nearly all that a topic takes.
const GARBAGE_BYTES: [usize; 3] = [VALUE_BYTES_MAX + 1, 1_100_000, MESSAGE_BYTES_MAX - 200];

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
            Act::Freeze(_)
            | Act::Stop(_)
            | Act::Scale { .. }
            | Act::Bank(_)
            | Act::Mail(_)
            | Act::Connector { .. }
            | Act::ReadOnly(_)
            | Act::Garbage { .. } => self.end() + Duration::from_secs(2),
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
    Mail(MailFault),
    Connector(ConnectorFault),
    ReadOnly,
    Garbage,
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
    deck.extend(MailFault::ALL.map(Card::Mail));
    deck.extend(ConnectorFault::ALL.map(Card::Connector));
    deck.extend([Card::ReadOnly, Card::Garbage]);
    deck
}

impl Card {
    fn process(&self) -> &'static str {
        match *self {
            Self::Kill(process) | Self::Freeze(process) | Self::Scale(process) => process,
            Self::Bank(_) => "bank",
            Self::Mail(_) => "mail",
            Self::Connector(_) => "connect",
            Self::ReadOnly => "postgres",
            Self::Garbage => "kafka",
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
            Self::Mail(fault) => (Act::Mail(fault), dice.u64(ELSEWHERE_MS)),
            Self::Connector(fault) => {
                let name = one_of(&CONNECTORS, dice);
                (Act::Connector { name, fault }, dice.u64(ELSEWHERE_MS))
            }
            Self::ReadOnly => (Act::ReadOnly(one_of(&DATABASES, dice)), dice.u64(ELSEWHERE_MS)),
            Self::Garbage => {
                let (topic, bytes) = (one_of(&LITTERED, dice).name, one_of(&GARBAGE_BYTES, dice));
                (Act::Garbage { topic, bytes }, 0)
            }
        };
        Fault { at, lasts: Duration::from_millis(lasts_ms), act }
    }
}

fn one_of<T: Copy>(all: &[T], dice: &mut Rng) -> T {
    all[dice.usize(0..all.len())]
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
        for fault in MailFault::ALL {
            assert!(plan.0.iter().any(|f| f.act == Act::Mail(fault)), "{fault:?} in\n{plan}");
        }
        for group in ["connector stopped", "connector paused", "connector cut off", "garbage"] {
            assert!(plan.0.iter().any(|f| f.act.group() == group), "{group} in\n{plan}");
        }
        assert!(seen("read-only", "postgres"), "in\n{plan}");
    }

    #[test]
    fn no_fault_comes_twice_before_each_came_once() {
        let deck = new_deck().len();
        for seed in 0..50 {
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            for fault in Plan::draw(seed, 10 * MINUTE).0 {
                let name = match fault.act.kind() {
                    "read-only" => "read-only".to_owned(),
                    _ => fault.act.group(),
                };
                *seen.entry(name).or_default() += 1;
            }
            let most = seen.values().max().copied().unwrap_or_default();
            // What did not end in time was dealt, and is not in the plan.
            assert!(most == 1 || seen.len() + 3 >= deck, "seed {seed}: {seen:?}");
        }
    }

    #[test]
    fn garbage_and_read_only_databases_differ_from_seed_to_seed() {
        let acts: BTreeMap<_, _> = (0..200)
            .flat_map(|seed| Plan::draw(seed, 5 * MINUTE).0)
            .filter(|fault| ["garbage", "read-only", "connector"].contains(&fault.act.kind()))
            .map(|fault| (fault.act.target(), ()))
            .collect();
        let expected = LITTERED.len() + DATABASES.len() + CONNECTORS.len() * 3;
        assert_eq!(acts.len(), expected, "{acts:?}");
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
