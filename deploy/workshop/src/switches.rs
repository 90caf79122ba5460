//! [`SWITCHES`]: what can be broken on the page, each with what to watch and what must hold.

use std::time::Duration;

use contracts::topics::ORDERS;
use load::chaos::{Act, BankFault, ConnectorFault};
use serde::Serialize;

/// A poison record is no message, whatever its size.
const POISON_BYTES: usize = 64;

/// A fault that a person can switch on.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Switch {
    /// Its name in addresses: words with dashes.
    pub name: &'static str,
    /// What a person calls it.
    pub title: &'static str,
    /// What is done.
    pub does: &'static str,
    /// What to watch meanwhile.
    pub watch: &'static str,
    /// Where to watch it: a fragment of the page's address.
    pub look: &'static str,
    /// What must hold, whatever happens.
    pub holds: &'static str,
    /// How long it lasts; none for what happens at once.
    pub seconds: Option<Seconds>,
    #[serde(skip)]
    act: fn() -> Act,
}

/// How long a fault lasts, in seconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Seconds {
    /// Unless a person wants it otherwise.
    pub usual: u64,
    /// At most.
    pub max: u64,
}

/// Shorter than the minute that an order has.
const A_WHILE: Option<Seconds> = Some(Seconds { usual: 20, max: 45 });

/// Every switch, in the order of the page: our services, then what they need, then the log.
pub static SWITCHES: [Switch; 12] = [
    Switch {
        name: "orders-killed",
        title: "Kill orders",
        does: "kill -9 of the service that takes and decides orders. It is started again.",
        watch: "An order that is placed now waits, and goes on where it was.",
        look: "shop",
        holds: "No order is lost and none is made twice: its state is the fold of the log.",
        seconds: None,
        act: || Act::Kill("orders".into()),
    },
    Switch {
        name: "inventory-frozen",
        title: "Freeze inventory",
        does: "SIGSTOP: the process neither works nor dies.",
        watch: "New orders stay Requested: no check of their stock comes.",
        look: "orders",
        holds: "No piece is promised twice. When it goes on, each check is answered once.",
        seconds: A_WHILE,
        act: || Act::Freeze("inventory".into()),
    },
    Switch {
        name: "payments-killed",
        title: "Kill payments",
        does: "kill -9 of the service between bank and books. It is started again.",
        watch: "An order whose charge was under way waits until payments has asked again.",
        look: "orders",
        holds: "Wherever it died: the bank captures an order once, and the books say the same.",
        seconds: None,
        act: || Act::Kill("payments".into()),
    },
    Switch {
        name: "payments-frozen",
        title: "Freeze payments",
        does: "SIGSTOP to the service that holds the baton of each validated order.",
        watch: "Orders stay Validated: the baton lies with payments and does not move.",
        look: "questions/stuck-orders",
        holds: "When it goes on, each order is charged once, or declined at its deadline.",
        seconds: A_WHILE,
        act: || Act::Freeze("payments".into()),
    },
    Switch {
        name: "view-stopped",
        title: "Stop the view",
        does: "It ends in order and stays away. This page lives on in your browser.",
        watch: "The header says that there is no answer. Orders flow on, though none can see them.",
        look: "choreography",
        holds: "When it is back it shows everything, and no mail left before its order was shown.",
        seconds: A_WHILE,
        act: || Act::Stop("view".into()),
    },
    Switch {
        name: "bank-declines",
        title: "The bank declines all",
        does: "Every charge is answered with a decline.",
        watch: "Orders end as Cancelled, and their stock comes back to the shelf.",
        look: "questions/declined-payments",
        holds: "No money is held, and every piece on hold is released.",
        seconds: A_WHILE,
        act: || Act::Bank(BankFault::Declines),
    },
    Switch {
        name: "bank-away",
        title: "The bank is away",
        does: "It answers each request with 503.",
        watch: "Payments asks again, with growing pauses, and keeps the baton.",
        look: "questions/stuck-orders",
        holds: "No order is charged twice; one whose deadline comes first is declined.",
        seconds: A_WHILE,
        act: || Act::Bank(BankFault::Outage),
    },
    Switch {
        name: "bank-answers-lost",
        title: "The bank's answers get lost",
        does: "A third of the charges is booked, and payments never hears of it.",
        watch: "Some payments take seconds: payments has to ask again what became of them.",
        look: "questions/step-latency?seconds=120",
        holds: "A charge has the order's id as its key, so the bank books it once.",
        seconds: A_WHILE,
        act: || Act::Bank(BankFault::LostAnswers),
    },
    Switch {
        name: "mail-silent",
        title: "The mail server falls silent",
        does: "SIGSTOP: it takes connections and says nothing.",
        watch: "Orders are confirmed, and their mails wait.",
        look: "orders",
        holds: "Each mail arrives once when the server speaks again. No order waits for it.",
        seconds: A_WHILE,
        act: || Act::Freeze("mail".into()),
    },
    Switch {
        name: "outbox-cut-off",
        title: "Cut off the outbox",
        does: "The session of Debezium in payments' database is killed, again and again.",
        watch: "The bank has captured the money, and orders does not hear of it.",
        look: "questions/stuck-orders",
        holds: "The slot keeps what was not read: each outcome arrives, and counts once.",
        seconds: Some(Seconds { usual: 15, max: 30 }),
        act: || Act::Connector { name: "payments-outbox", fault: ConnectorFault::CutOff },
    },
    Switch {
        name: "kafka-frozen",
        title: "Freeze Kafka",
        does: "SIGSTOP: the log stands still, and every service with it.",
        watch: "The sky is quiet: no bird takes off.",
        look: "choreography",
        holds: "What was committed is there, and every service goes on by itself.",
        seconds: Some(Seconds { usual: 10, max: 20 }),
        act: || Act::Freeze("kafka".into()),
    },
    Switch {
        name: "poison-record",
        title: "Write a poison record",
        does: "64 bytes that are no message, on the topic orders.",
        watch: "Each reader of the topic puts it aside: see the dead letters on this page.",
        look: "workshop",
        holds: "The partition goes on. The audit names the letters until each is dealt with.",
        seconds: None,
        act: || Act::Garbage { topic: ORDERS.spec.name, bytes: POISON_BYTES },
    },
];

impl Switch {
    /// The switch of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        SWITCHES.iter().find(|switch| switch.name == name)
    }

    /// What is done to the shop.
    #[must_use]
    pub fn act(&self) -> Act {
        (self.act)()
    }

    /// How long it lasts if a person wants `wanted` seconds.
    ///
    /// # Errors
    /// What would be right.
    pub fn lasts(&self, wanted: Option<u64>) -> Result<Duration, String> {
        let seconds = match (self.seconds, wanted) {
            (None, None) => 0,
            (None, Some(_)) => return Err("happens at once, and takes no time".to_owned()),
            (Some(Seconds { usual, .. }), None) => usual,
            (Some(Seconds { max, .. }), Some(wanted)) if (1..=max).contains(&wanted) => wanted,
            (Some(Seconds { max, .. }), Some(_)) => return Err(format!("must be from 1 to {max}")),
        };
        Ok(Duration::from_secs(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_switch_has_a_name_of_its_own_and_says_all_that_a_person_needs() {
        let names: BTreeSet<_> = SWITCHES.iter().map(|switch| switch.name).collect();
        assert_eq!(names.len(), SWITCHES.len());
        for Switch { name, title, does, watch, look, holds, .. } in &SWITCHES {
            for text in [title, does, watch, look, holds] {
                assert!(!text.is_empty(), "{name}");
            }
        }
    }

    #[test]
    fn what_lasts_is_bounded_and_what_happens_at_once_takes_no_time() {
        for switch in &SWITCHES {
            let usual = switch.lasts(None).unwrap();
            assert!(usual < Duration::from_secs(60), "{}: an order has a minute", switch.name);
            assert!(switch.lasts(Some(0)).is_err() && switch.lasts(Some(46)).is_err());
            let is_instant = matches!(switch.act(), Act::Kill(_) | Act::Garbage { .. });
            assert_eq!(usual.is_zero(), is_instant, "{}", switch.name);
        }
    }

    #[test]
    fn nothing_is_broken_that_would_stay_so_without_this_program() {
        for switch in &SWITCHES {
            let stays = match switch.act() {
                Act::ReadOnly(_) | Act::Scale { .. } => true,
                Act::Connector { fault, .. } => fault != ConnectorFault::CutOff,
                Act::Kill(_)
                | Act::Freeze(_)
                | Act::Stop(_)
                | Act::Bank(_)
                | Act::Mail(_)
                | Act::Garbage { .. } => false,
            };
            assert!(!stays, "{}", switch.name);
        }
    }
}
