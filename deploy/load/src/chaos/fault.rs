//! [`Act`]: what can be done to a shop.

use std::fmt;

use client::service_of;

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

/// A bad day of the mail server.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum MailFault {
    /// It answers to a mail after four seconds.
    Slow,
    /// It asks for the mail of a new recipient later.
    Greylists,
}

/// What a connector does instead of its work.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum ConnectorFault {
    /// An operator stops it: its task ends.
    Stopped,
    /// An operator pauses it.
    Paused,
    /// Its session in the database is killed, again and again: its task fails.
    CutOff,
}

impl MailFault {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::Slow, Self::Greylists];

    fn as_str(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Greylists => "greylists",
        }
    }
}

impl ConnectorFault {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Stopped, Self::Paused, Self::CutOff];

    fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Paused => "paused",
            Self::CutOff => "cut off",
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
    /// Stopped in order, and started again when the time is over. No plan has it: a kill says more.
    Stop(String),
    /// Another number of instances; the usual one when the time is over.
    Scale {
        /// Of which service.
        service: String,
        /// How many.
        to: u16,
    },
    /// A bad day of the bank, until the time is over.
    Bank(BankFault),
    /// A bad day of the mail server, until the time is over.
    Mail(MailFault),
    /// A connector that does not work, until the time is over.
    Connector {
        /// Which one.
        name: &'static str,
        /// Why.
        fault: ConnectorFault,
    },
    /// A database that takes no writes, until the time is over: sessions that write are ended, and
    /// new ones can read only.
    ReadOnly(&'static str),
    /// A stranger writes a record that cannot be read.
    Garbage {
        /// Where.
        topic: &'static str,
        /// How large, in bytes.
        bytes: usize,
    },
}

impl Act {
    /// The kind of fault: `kill`, `freeze`, `stop`, `scale`, `bank`, `mail`, `connector`,
    /// `read-only`, `garbage`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Kill(_) => "kill",
            Self::Freeze(_) => "freeze",
            Self::Stop(_) => "stop",
            Self::Scale { .. } => "scale",
            Self::Bank(_) => "bank",
            Self::Mail(_) => "mail",
            Self::Connector { .. } => "connector",
            Self::ReadOnly(_) => "read-only",
            Self::Garbage { .. } => "garbage",
        }
    }

    /// Whether the end of an order shows nothing of it: mails follow an order's end.
    #[must_use]
    pub fn is_beside_the_way(&self) -> bool {
        match self {
            Self::Kill(name)
            | Self::Freeze(name)
            | Self::Stop(name)
            | Self::Scale { service: name, .. } => ["email", "mail"].contains(&name.as_str()),
            Self::Mail(_) => true,
            Self::Bank(_) | Self::Connector { .. } | Self::ReadOnly(_) | Self::Garbage { .. } => {
                false
            }
        }
    }

    /// What it is done to: a process, a service with its instances, a connector, a database, a
    /// topic; or a bad day.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::Kill(name) | Self::Freeze(name) | Self::Stop(name) => name.clone(),
            Self::Scale { service, to } => format!("{service}={to}"),
            Self::Bank(fault) => fault.as_str().to_owned(),
            Self::Mail(fault) => fault.as_str().to_owned(),
            Self::Connector { name, fault } => format!("{name} {}", fault.as_str()),
            Self::ReadOnly(database) => (*database).to_owned(),
            Self::Garbage { topic, .. } => (*topic).to_owned(),
        }
    }

    /// The group that it is reported in: the same on another instance, not another bad day of the
    /// bank.
    #[must_use]
    pub fn group(&self) -> String {
        match self {
            Self::Bank(_) | Self::Mail(_) | Self::ReadOnly(_) => self.to_string(),
            Self::Connector { fault, .. } => format!("connector {}", fault.as_str()),
            Self::Garbage { .. } => self.kind().to_owned(),
            Self::Kill(_) | Self::Freeze(_) | Self::Stop(_) | Self::Scale { .. } => {
                format!("{} {}", self.kind(), self.process())
            }
        }
    }

    /// The service or server that is concerned, without the number of the instance.
    #[must_use]
    pub fn process(&self) -> &str {
        match self {
            Self::Kill(name) | Self::Freeze(name) | Self::Stop(name) => service_of(name),
            Self::Scale { service, .. } => service,
            Self::Bank(_) => "bank",
            Self::Mail(_) => "mail",
            Self::Connector { .. } => "connect",
            Self::ReadOnly(_) => "postgres",
            Self::Garbage { .. } => "kafka",
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.target())
    }
}
