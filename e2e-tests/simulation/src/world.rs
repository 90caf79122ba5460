//! A run of the shop: its processes start, the world around it moves, the auditor looks.

use crate::{evidence, faults, process, read, shop::Shop};
use auditor::Verdict;
use contracts::{ServiceName, Timestamp, partition, topics};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use streams::{Codec, MemoryRegistry};
use streams_sim::{Actor, Program, Progress, Ran, Scenario, Sim, World};

impl World for Shop {
    const PARTS: usize = 3;

    fn start(
        &mut self,
        sim: &mut Sim,
        service: &'static str,
        instance: u32,
    ) -> Vec<Box<dyn Actor<Self>>> {
        process::start(sim, self, service, instance)
    }

    fn step(&mut self, sim: &mut Sim, part: usize) -> Progress {
        match part {
            0 => self.customers.step(sim),
            1 => self.bank.step(sim),
            _ => self.relay.step(sim, &mut self.payments),
        }
    }

    fn is_done(&self) -> bool {
        self.customers.are_done()
    }

    fn silence(&self) -> Duration {
        self.rules.deadline + Duration::from_secs(20)
    }

    fn next_due(&self, sim: &Sim) -> Option<Timestamp> {
        evidence::last_mail_due(sim).max(self.payments.resend_at())
    }
}

/// What has come of a run of the shop.
#[derive(Debug)]
pub struct Outcome {
    /// The auditor's.
    pub verdict: Verdict,
    /// Mails that an email process has sent again after the mail server had accepted them from it.
    /// Another process, or one that lost the answer, may repeat a mail.
    pub mails_again: usize,
    /// What happened on the way.
    pub ran: Ran,
}

impl Outcome {
    /// Whether every law holds, nothing was left to do, and no mail was repeated without need.
    pub fn is_clean(&self) -> bool {
        let at_rest = self.ran.rested && self.verdict.pending() == 0;
        at_rest && self.verdict.is_clean() && self.mails_again == 0
    }
}

impl AsRef<Ran> for Outcome {
    fn as_ref(&self) -> &Ran {
        &self.ran
    }
}

/// Run the shop of a scenario to its end, and let the auditor look.
pub fn run(scenario: &Scenario) -> Outcome {
    let (topics, codec) = (&topics::ALL, codec().clone());
    let program = Program { topics, codec, faults: faults::ALL, words: read::words };
    let mut sim = Sim::new(scenario, program);
    let shop = Shop::new(&mut sim, scenario);
    let instances = sim.dice.u32(1..=2);
    let fraud = shop.rules.fraud_limit_minor.map(|_| ServiceName::Fraud);
    let services = ServiceName::by_default().chain(fraud).map(ServiceName::as_str);
    let (ran, (evidence, mails_again)) =
        streams_sim::run(sim, shop, services, instances, |sim, shop| {
            (evidence::take(sim, shop, evidence::GRACE), shop.effects.written().mails_again)
        });
    Outcome { verdict: auditor::audit(&evidence), mails_again, ran }
}

/// The option for the partitions that this process takes topics to have; nothing for the default.
pub(crate) fn partitions() -> String {
    match partition::count() {
        partition::DEFAULT => String::new(),
        other => format!(" --partitions {other}"),
    }
}

/// The command that makes the run of a scenario again.
pub fn replay(scenario: &Scenario) -> String {
    let Scenario { seed, requests, mutation, .. } = scenario;
    let mutation = mutation.map(|name| format!(" --mutation {name}")).unwrap_or_default();
    let partitions = partitions();
    format!("./shop simulate --seed {seed} --orders {requests}{partitions}{mutation}")
}

/// One codec for all runs of the process: ids of schemas are the same everywhere.
pub(crate) fn codec() -> &'static Codec {
    static CODEC: OnceLock<Codec> = OnceLock::new();
    CODEC.get_or_init(|| {
        let codec = Codec::new(Arc::new(MemoryRegistry::default()));
        codec.warm_up(&topics::ALL).expect("a registry in memory takes every schema");
        codec
    })
}
