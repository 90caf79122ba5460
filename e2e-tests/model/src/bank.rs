//! The bank, by its contract: it acts once per idempotency key, and a key that was voided can never
//! be charged.

use payments::domain::{Answer, Input, Task};

/// What the bank knows of one order's key, and what it has booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Account {
    /// The state of the key.
    pub standing: Standing,
    /// How often money was taken.
    pub captures: u8,
    /// How often it was given back.
    pub returns: u8,
}

/// The state of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Standing {
    /// Never heard of.
    #[default]
    Unknown,
    /// The money was taken.
    Captured,
    /// The bank has said no.
    Declined,
    /// Taken back, or barred before it was ever charged.
    Voided,
    /// Given back.
    Refunded,
}

impl Account {
    /// Whether the next charge is the first one.
    pub fn is_unknown(&self) -> bool {
        self.standing == Standing::Unknown
    }

    /// Whether money of the customer is with the shop.
    pub fn holds_money(&self) -> bool {
        self.captures > self.returns
    }

    /// The bank gets a request; its answer. `declines` is what it makes of a first charge. Without
    /// its idempotency key each charge is a first one.
    pub fn act(&mut self, task: Task, declines: bool, has_key: bool) -> Input {
        match task {
            Task::Charge => Input::BankAnswered(self.charge(declines, has_key)),
            Task::Void => {
                if self.standing == Standing::Captured {
                    self.returns += 1;
                }
                if matches!(self.standing, Standing::Unknown | Standing::Captured) {
                    self.standing = Standing::Voided;
                }
                Input::VoidConfirmed
            }
            Task::Refund => match self.standing {
                Standing::Captured => {
                    self.returns += 1;
                    self.standing = Standing::Refunded;
                    Input::RefundConfirmed
                }
                Standing::Refunded | Standing::Voided => Input::RefundConfirmed,
                Standing::Unknown | Standing::Declined => {
                    Input::BankUnknown("nothing was captured".into())
                }
            },
        }
    }

    fn charge(&mut self, declines: bool, has_key: bool) -> Answer {
        let captured = Answer::Captured { reference: "ch_1".into() };
        let declined = || Answer::Declined { code: "customer_rule".into(), detail: String::new() };
        match self.standing {
            Standing::Voided => Answer::Voided,
            Standing::Declined => declined(),
            Standing::Captured | Standing::Refunded if has_key => captured,
            Standing::Unknown | Standing::Captured | Standing::Refunded if declines => {
                self.standing = Standing::Declined;
                declined()
            }
            Standing::Unknown | Standing::Captured | Standing::Refunded => {
                self.standing = Standing::Captured;
                self.captures += 1;
                captured
            }
        }
    }
}
