//! [`Press`]: a fault that a person asks for while a run is watched.

use crate::faults;
use contracts::ServiceName;
use std::{fmt, str::FromStr};
use streams_sim::{Fault, OUTSIDE, faults as common};

/// What to do to the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A process of the service dies, whatever it is doing.
    Crash,
    /// The answer to the next commit of the service is lost; of payments, the next one of the bank.
    LostAnswer,
    /// A process of the service stops in the middle of what it is doing, for a while.
    Freeze,
    /// The bank declines the next charge.
    Decline,
    /// A process of the service dies, and what it had on its disk is gone.
    DiskLost,
    /// The last command is sent once more, and so are rows of the outbox.
    Duplicate,
    /// The next call reaches the bank when payments has given it up.
    LateMoney,
    /// All clocks go forward by half a minute.
    ClockJump,
}

/// A button: its kind, its name in an address, its label, what it does, whether it is about one
/// service.
type Button = (Kind, &'static str, &'static str, &'static str, bool);

/// Every button, in the order of the page.
pub const BUTTONS: [Button; 8] = [
    (Kind::Crash, "crash", "Crash here", "The process dies, whatever it is doing.", true),
    (Kind::LostAnswer, "lost-answer", "Lost answer", "What is asked is done; no answer.", true),
    (Kind::Freeze, "freeze", "Frozen instance", "The process stops for a while.", true),
    (Kind::DiskLost, "disk-lost", "Disk lost", "The process dies, and its disk is gone.", true),
    (Kind::Decline, "decline", "Bank declines", "The bank says no to the next charge.", false),
    (Kind::Duplicate, "duplicate", "Duplicate", "The last command is sent once more.", false),
    (Kind::LateMoney, "late-money", "Late money", "A call reaches the bank too late.", false),
    (Kind::ClockJump, "clock-jump", "Clock jump", "Every clock goes half a minute on.", false),
];

/// The services that a button can be about.
const SERVICES: [ServiceName; 5] = [
    ServiceName::Orders,
    ServiceName::Inventory,
    ServiceName::Payments,
    ServiceName::View,
    ServiceName::Email,
];

/// A button that was pressed before a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Press {
    /// After how many steps of the run.
    pub step: u64,
    /// Which button.
    pub kind: Kind,
    /// The service that it is about, if it is about one.
    pub service: Option<ServiceName>,
}

impl Press {
    /// The label of its button.
    pub fn label(&self) -> &'static str {
        button(self.kind).2
    }

    /// The fault that waits for its opportunity, and whom it strikes.
    pub(crate) fn armed(&self) -> Option<(Fault, &'static str)> {
        match (self.kind, self.service) {
            (Kind::LostAnswer, Some(ServiceName::Payments)) => {
                Some((faults::BANK_ANSWER_LOST, "bank"))
            }
            (Kind::LostAnswer, Some(ServiceName::View)) => Some((faults::SQL_UNKNOWN, OUTSIDE)),
            (Kind::LostAnswer, Some(ServiceName::Email)) => {
                Some((faults::MAIL_ANSWER_LOST, OUTSIDE))
            }
            (Kind::LostAnswer, Some(service)) => Some((common::COMMIT_UNKNOWN, service.as_str())),
            (Kind::DiskLost, Some(service)) => Some((common::LOST_DISK, service.as_str())),
            (Kind::LateMoney, _) => Some((faults::BANK_LATE, "bank")),
            (Kind::Duplicate, _) => Some((faults::RELAY_REPLAY, "relay")),
            _ => None,
        }
    }
}

fn button(kind: Kind) -> Button {
    let found = BUTTONS.into_iter().find(|button| button.0 == kind);
    found.expect("each kind has its button")
}

impl fmt::Display for Press {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.step, button(self.kind).1)?;
        self.service.map_or(Ok(()), |service| write!(f, ".{service}"))
    }
}

impl FromStr for Press {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            let form = "STEP.KIND or STEP.KIND.SERVICE, such as 2140.crash.payments";
            Err(format!("the press `{text}` {why}; one is {form}"))
        };
        let mut parts = text.split('.');
        let Some(step) = parts.next().and_then(|step| step.parse().ok()) else {
            return wrong("has no step");
        };
        let name = parts.next().unwrap_or_default();
        let Some((kind, .., of_service)) = BUTTONS.into_iter().find(|button| button.1 == name)
        else {
            let names = BUTTONS.map(|button| button.1).join(", ");
            return wrong(&format!("is of no kind that there is ({names})"));
        };
        let service = parts.next();
        let known = service.and_then(|name| SERVICES.into_iter().find(|s| s.as_str() == name));
        if service.is_some() != of_service || service.is_some() != known.is_some() {
            let names = SERVICES.map(ServiceName::as_str).join(", ");
            let needs = if of_service { "needs a service" } else { "is about no service" };
            return wrong(&format!("{needs} ({names})"));
        }
        if parts.next().is_some() {
            return wrong("goes on after its service");
        }
        Ok(Self { step, kind, service: known })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_press_is_read_as_it_is_written() {
        for text in ["0.decline", "2140.crash.payments", "7.disk-lost.inventory"] {
            assert_eq!(text.parse::<Press>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_press_that_is_none_says_what_is_wrong_with_it() {
        for (text, why) in [
            ("crash.payments", "has no step"),
            ("7.explode", "crash, lost-answer"),
            ("7.crash", "needs a service"),
            ("7.crash.bank", "orders, inventory"),
            ("7.decline.orders", "is about no service"),
            ("7.crash.orders.twice", "goes on"),
        ] {
            let error = text.parse::<Press>().unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
