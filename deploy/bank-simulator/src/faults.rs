//! Faults on demand: what can go wrong, how often, and the dice that decide it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use service_kit::Problem;

use crate::ledger::Rules;

/// Longest latency that can be asked for: a minute is beyond any client's patience.
const LATENCY_MS_MAX: u64 = 60_000;

/// Most customers on the list of those who are declined.
const DECLINED_CUSTOMERS_MAX: usize = 1_000;

/// The faults that are switched on. A member that is left out has its default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Added to every request.
    pub latency_ms: LatencyMs,
    /// Share of requests that are carried out, but whose answer is lost (0 to 1).
    pub timeout_rate: f64,
    /// Share of requests that are lost before they are carried out (0 to 1).
    pub lost_before_rate: f64,
    /// Share of requests that are answered with 500 and not carried out (0 to 1).
    pub error_rate: f64,
    /// Answer everything with 503, except health, the statement and the faults.
    pub outage: bool,
    /// Customers who are always declined.
    pub declined_customers: Vec<String>,
    /// Amounts whose last two digits are these are declined; null declines none.
    pub decline_amount_ending_minor: Option<u8>,
    /// Makes the sequence of faults the same every time it is set.
    pub seed: Option<u64>,
}

/// Bounds of a latency, each included, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LatencyMs {
    /// The shortest.
    pub min: u64,
    /// The longest.
    pub max: u64,
}

/// What is to happen to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interference {
    /// How long it takes, on top.
    pub latency: Duration,
    /// How it ends.
    pub fate: Fate,
}

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// As it should.
    Answered,
    /// Carried out, but the caller gets no answer.
    AnswerLost,
    /// The request is lost, and the bank does not carry it out.
    RequestLost,
    /// An error; it is not carried out.
    Failed,
    /// Refused at once.
    Outage,
}

/// Draws what happens to each request.
#[derive(Debug, Default)]
pub struct Interferer {
    faults: Faults,
    dice: fastrand::Rng,
}

impl Default for Faults {
    /// A good day: quick, no faults, and only the two decline rules.
    fn default() -> Self {
        Self {
            latency_ms: LatencyMs::default(),
            timeout_rate: 0.0,
            lost_before_rate: 0.0,
            error_rate: 0.0,
            outage: false,
            declined_customers: vec!["declan".to_owned()],
            decline_amount_ending_minor: Some(13),
            seed: None,
        }
    }
}

impl Default for LatencyMs {
    fn default() -> Self {
        Self { min: 0, max: 5 }
    }
}

impl Faults {
    /// Checks what serde cannot.
    ///
    /// # Errors
    /// A problem that names every member that is out of bounds.
    pub fn checked(self) -> Result<Self, Problem> {
        let mut problem = Problem::invalid("these faults cannot be switched on");
        let LatencyMs { min, max } = self.latency_ms;
        if max > LATENCY_MS_MAX {
            let detail = format!("must be at most {LATENCY_MS_MAX}");
            problem = problem.field("latency_ms.max", "out_of_range", detail);
        }
        if min > max {
            let detail = format!("must not be above latency_ms.max, which is {max}");
            problem = problem.field("latency_ms.min", "out_of_range", detail);
        }
        let rates = [
            ("timeout_rate", self.timeout_rate),
            ("lost_before_rate", self.lost_before_rate),
            ("error_rate", self.error_rate),
        ];
        for (field, rate) in rates {
            if !(0.0..=1.0).contains(&rate) {
                problem = problem.field(field, "out_of_range", "must be between 0 and 1");
            }
        }
        if problem.errors().is_empty() && rates.iter().map(|(_, rate)| rate).sum::<f64>() > 1.0 {
            let detail = "timeout_rate, lost_before_rate and error_rate may be 1 in sum";
            problem = problem.field("timeout_rate", "out_of_range", detail);
        }
        if self.decline_amount_ending_minor.is_some_and(|ending| ending > 99) {
            let detail = "must be between 0 and 99, or null";
            problem = problem.field("decline_amount_ending_minor", "out_of_range", detail);
        }
        if self.declined_customers.len() > DECLINED_CUSTOMERS_MAX {
            let detail = format!("must not have more than {DECLINED_CUSTOMERS_MAX} members");
            problem = problem.field("declined_customers", "too_many", detail);
        }
        if problem.errors().is_empty() { Ok(self) } else { Err(problem) }
    }

    /// The part that the ledger decides by.
    pub fn rules(&self) -> Rules {
        Rules {
            declined_customers: self.declined_customers.clone(),
            decline_amount_ending_minor: self.decline_amount_ending_minor,
        }
    }
}

impl Interferer {
    /// Dice for these faults, which have been checked.
    pub fn new(faults: Faults) -> Self {
        let dice = faults.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        Self { faults, dice }
    }

    /// The faults that are switched on.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// What is to happen to the next request.
    pub fn draw(&mut self) -> Interference {
        let faults = &self.faults;
        if faults.outage {
            return Interference { latency: Duration::ZERO, fate: Fate::Outage };
        }
        let LatencyMs { min, max } = faults.latency_ms;
        let latency = Duration::from_millis(self.dice.u64(min..=max));
        let mut left = self.dice.f64();
        for (rate, fate) in [
            (faults.timeout_rate, Fate::AnswerLost),
            (faults.lost_before_rate, Fate::RequestLost),
            (faults.error_rate, Fate::Failed),
        ] {
            if left < rate {
                return Interference { latency, fate };
            }
            left -= rate;
        }
        Interference { latency, fate: Fate::Answered }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_out_of_bounds_is_named() {
        let latency_ms = LatencyMs { min: 70_001, max: 70_000 };
        let faults = Faults {
            latency_ms,
            timeout_rate: -0.1,
            lost_before_rate: 1.1,
            error_rate: f64::NAN,
            decline_amount_ending_minor: Some(100),
            ..Faults::default()
        };
        let problem = faults.checked().unwrap_err();
        let fields: Vec<_> = problem.errors().iter().map(|error| &*error.field).collect();
        let expected = [
            "latency_ms.max",
            "latency_ms.min",
            "timeout_rate",
            "lost_before_rate",
            "error_rate",
            "decline_amount_ending_minor",
        ];
        assert_eq!(fields, expected);
        let sum = Faults { timeout_rate: 0.6, error_rate: 0.6, ..Faults::default() };
        assert!(sum.checked().is_err());
        assert!(Faults::default().checked().is_ok());
    }

    #[test]
    fn faults_come_as_often_as_asked_for_and_the_same_for_a_seed() {
        let faults = Faults {
            timeout_rate: 0.1,
            lost_before_rate: 0.2,
            error_rate: 0.3,
            seed: Some(42),
            ..Faults::default()
        };
        let draw = || {
            let mut interferer = Interferer::new(faults.clone());
            (0..10_000).map(|_| interferer.draw()).collect::<Vec<_>>()
        };
        let drawn = draw();
        assert_eq!(drawn, draw());
        for (fate, expected) in [
            (Fate::AnswerLost, 1_000),
            (Fate::RequestLost, 2_000),
            (Fate::Failed, 3_000),
            (Fate::Answered, 4_000_usize),
        ] {
            let count = drawn.iter().filter(|one| one.fate == fate).count();
            assert!(count.abs_diff(expected) < 200, "{fate:?}: {count}, not about {expected}");
        }
        assert!(drawn.iter().all(|one| one.latency <= Duration::from_millis(5)));
    }
}
