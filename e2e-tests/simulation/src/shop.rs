//! [`Shop`]: what the services of a seed share, and the world around them.

use crate::{
    effects::Effects,
    mutation,
    outside::{
        bank::Bank,
        customers::{self, Customers},
        relay::Relay,
    },
    view::Rows,
};
use payments::memory::Tables;
use std::time::Duration;
use streams_sim::{Scenario, Sim};

/// What the shop of a seed goes by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// What every order gets.
    pub(crate) deadline: Duration,
    /// The most open value of a customer; none in a shop without fraud.
    pub(crate) fraud_limit_minor: Option<i64>,
}

/// The shop, and the world around it.
pub(crate) struct Shop {
    /// What it goes by.
    pub(crate) rules: Rules,
    /// Who orders, cancels and restocks.
    pub(crate) customers: Customers,
    /// What view and email write to.
    pub(crate) effects: Effects,
    /// The database of payments.
    pub(crate) payments: Tables,
    /// The bank.
    pub(crate) bank: Bank,
    /// Debezium, between the outbox and `orders`.
    pub(crate) relay: Relay,
}

impl Shop {
    /// The shop of a scenario, before anything has happened.
    pub(crate) fn new(sim: &mut Sim, scenario: &Scenario) -> Self {
        let deadline = Duration::from_secs([4, 15, 60][sim.dice.usize(0..3)]);
        let fraud_limit_minor = (sim.dice.u32(0..3) == 0).then(|| sim.dice.i64(5_000..=60_000));
        let customers = Customers::new(scenario, sim.now, deadline);
        Self::with(sim, Rules { deadline, fraud_limit_minor }, customers)
    }

    /// A shop that goes by these rules, before anything has happened.
    pub(crate) fn with(sim: &Sim, rules: Rules, customers: Customers) -> Self {
        let rows = Rows::new(sim.has(mutation::NO_VIEW_GUARD));
        let mut shop = Self {
            rules,
            customers,
            effects: Effects::new(sim.outside.clone(), rows),
            payments: Tables::default(),
            bank: Bank::new(customers::DECLINED),
            relay: Relay::default(),
        };
        shop.payments.relayed = (!sim.has(mutation::NO_RESEND)).then_some(0);
        shop.payments.unfenced = sim.has(streams_sim::mutation::NO_FENCING);
        shop.bank.keyless = sim.has(mutation::NO_BANK_KEY);
        shop
    }
}
