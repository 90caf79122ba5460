//! What customers are up to: a pure function of a seed and a number, so that a run can be had
//! again.

use std::str::FromStr;
use std::time::Duration;

use fastrand::Rng;

/// What is special about an order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// Nothing: TEA, of which there is plenty, and perhaps something else.
    Plain,
    /// The customer is declan, whom the bank declines.
    Declined,
    /// Products of which there are few.
    Scarce,
    /// Products that are gone, or as good as.
    SoldOut,
    /// It is cancelled at a random moment after it was accepted.
    Cancelled,
    /// It is sent twice at the same time under one Idempotency-Key.
    Twice,
    /// A customer, a product or a quantity that the shop must refuse with 422.
    Wrong,
}

impl Kind {
    /// Each of them, in the order of the weights of a [`Mix`].
    pub const ALL: [Self; 7] = [
        Self::Plain,
        Self::Declined,
        Self::Scarce,
        Self::SoldOut,
        Self::Cancelled,
        Self::Twice,
        Self::Wrong,
    ];

    /// Its name in `--mix`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Declined => "declined",
            Self::Scarce => "scarce",
            Self::SoldOut => "sold-out",
            Self::Cancelled => "cancelled",
            Self::Twice => "twice",
            Self::Wrong => "wrong",
        }
    }
}

/// How often each [`Kind`] comes, relative to the others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mix([u32; Kind::ALL.len()]);

const WEIGHT_MAX: u32 = 1_000_000;

impl Default for Mix {
    fn default() -> Self {
        Self([60, 8, 10, 3, 10, 5, 4])
    }
}

impl FromStr for Mix {
    type Err = String;

    /// `plain=60,declined=8`: kinds that are left out do not come.
    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Kind::ALL.map(Kind::as_str).join(", ");
        let mut weights = [0; Kind::ALL.len()];
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').ok_or_else(|| {
                format!("`{part}` is not KIND=WEIGHT, such as plain=60; kinds are {}", known())
            })?;
            let place = Kind::ALL.iter().position(|kind| kind.as_str() == name.trim());
            let place = place
                .ok_or_else(|| format!("`{name}` is no kind of order; there are {}", known()))?;
            let weight = weight.trim().parse().ok().filter(|weight| *weight <= WEIGHT_MAX);
            weights[place] = weight.ok_or_else(|| {
                format!("the weight of {name} must be between 0 and {WEIGHT_MAX}")
            })?;
        }
        if weights.iter().all(|weight| *weight == 0) {
            return Err("every weight is 0: give one kind at least a weight of 1".to_owned());
        }
        Ok(Self(weights))
    }
}

impl std::fmt::Display for Mix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = Kind::ALL.iter().zip(self.0).filter(|(_, weight)| *weight > 0);
        let parts = parts.map(|(kind, weight)| format!("{}={weight}", kind.as_str()));
        f.write_str(&parts.collect::<Vec<_>>().join(","))
    }
}

impl Mix {
    fn kind(&self, dice: &mut Rng) -> Kind {
        let mut rest = dice.u32(0..self.0.iter().sum());
        for (kind, weight) in Kind::ALL.into_iter().zip(self.0) {
            if rest < weight {
                return kind;
            }
            rest -= weight;
        }
        unreachable!("the number drawn is below the sum of all weights")
    }
}

/// SKU and quantity.
pub type Line = (&'static str, i64);

/// What the n-th customer of a run does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Intent {
    /// What is special about it.
    pub kind: Kind,
    /// The customer.
    pub customer: &'static str,
    /// What is ordered.
    pub lines: Vec<Line>,
    /// How long after its acceptance it is cancelled, if it is.
    pub cancel_after: Option<Duration>,
    /// Goods that arrive at the same time, now and then, so that scarce products recover.
    pub restock: Option<Line>,
}

const CUSTOMERS: [&str; 3] = ["ada", "grace", "alan"];
const STOCKED: [&str; 4] = ["MUG", "HONEY", "SCONE", "SEEDS"];
const SCARCE: [&str; 4] = ["KETTLE", "LAMP", "SCARF", "BINOC"];
const SOLD_OUT: [&str; 2] = ["LAST", "GONE"];
/// A story of an order takes some 250 ms on an idle machine: a cancellation meets it in every
/// status.
const CANCEL_AFTER_MS_MAX: u64 = 400;
/// One order in so many comes with a restock.
const RESTOCK_EVERY: u32 = 30;

impl Intent {
    /// What customer `n` of the run with this seed does.
    #[must_use]
    pub fn draw(mix: &Mix, seed: u64, n: u64) -> Self {
        // Each has dice of its own, so that it does not matter in which order they come. The factor
        // is that of Knuth's multiplicative hashing: neighbours get seeds that are far apart.
        let dice = &mut Rng::with_seed(seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let kind = mix.kind(dice);
        let mut intent = Self {
            kind,
            customer: pick(dice, &CUSTOMERS),
            lines: vec![("TEA", dice.i64(1..=3))],
            cancel_after: None,
            restock: (dice.u32(0..RESTOCK_EVERY) == 0).then(|| restock(dice)),
        };
        match kind {
            Kind::Plain | Kind::Twice => intent.add_stocked(dice),
            Kind::Declined => {
                intent.customer = "declan";
                intent.add_stocked(dice);
            }
            Kind::Scarce => intent.lines.push((pick(dice, &SCARCE), dice.i64(1..=2))),
            Kind::SoldOut => intent.lines.push((pick(dice, &SOLD_OUT), 1)),
            Kind::Cancelled => {
                intent.add_stocked(dice);
                let after = dice.u64(0..=CANCEL_AFTER_MS_MAX);
                intent.cancel_after = Some(Duration::from_millis(after));
            }
            Kind::Wrong => match dice.u8(0..3) {
                0 => intent.customer = "nobody",
                1 => intent.lines.push(("TAE", 1)),
                _ => intent.lines = vec![("TEA", 0)],
            },
        }
        intent
    }

    /// Two orders in five have a second line.
    fn add_stocked(&mut self, dice: &mut Rng) {
        if dice.u8(0..5) < 2 {
            self.lines.push((pick(dice, &STOCKED), dice.i64(1..=2)));
        }
    }
}

fn restock(dice: &mut Rng) -> Line {
    if dice.bool() {
        (pick(dice, &STOCKED), dice.i64(20..=60))
    } else {
        (pick(dice, &SCARCE), dice.i64(2..=6))
    }
}

fn pick(dice: &mut Rng, names: &[&'static str]) -> &'static str {
    names[dice.usize(0..names.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(mix: &Mix, seed: u64) -> Vec<Intent> {
        (0..2000).map(|n| Intent::draw(mix, seed, n)).collect()
    }

    #[test]
    fn a_seed_is_a_run_and_another_seed_is_another_run() {
        let mix = Mix::default();
        assert_eq!(run(&mix, 1), run(&mix, 1));
        assert_ne!(run(&mix, 1), run(&mix, 2));
    }

    #[test]
    fn every_kind_comes_as_often_as_its_weight_says() {
        let (mix, intents) = (Mix::default(), run(&Mix::default(), 7));
        for (kind, weight) in Kind::ALL.into_iter().zip(mix.0) {
            let count = intents.iter().filter(|intent| intent.kind == kind).count();
            let expected = usize::try_from(weight).unwrap() * intents.len() / 100;
            assert!(
                count.abs_diff(expected) < expected / 2 + 10,
                "{kind:?}: {count}, not {expected}"
            );
        }
        let restocks = intents.iter().filter(|intent| intent.restock.is_some()).count();
        assert!((20..200).contains(&restocks), "{restocks}");
    }

    #[test]
    fn only_what_shall_be_refused_is_wrong() {
        for intent in run(&Mix::default(), 3) {
            let skus: std::collections::BTreeSet<_> =
                intent.lines.iter().map(|line| line.0).collect();
            assert_eq!(skus.len(), intent.lines.len(), "each sku once: {intent:?}");
            let wrong = intent.customer == "nobody"
                || intent.lines.iter().any(|(sku, quantity)| *sku == "TAE" || *quantity < 1);
            assert_eq!(wrong, intent.kind == Kind::Wrong, "{intent:?}");
            assert_eq!(intent.cancel_after.is_some(), intent.kind == Kind::Cancelled);
            assert_eq!(intent.customer == "declan", intent.kind == Kind::Declined);
        }
    }

    #[test]
    fn a_mix_is_written_as_it_is_read() {
        let mix: Mix = "plain=3, wrong=1".parse().unwrap();
        assert_eq!(mix.to_string(), "plain=3,wrong=1");
        let kinds = |kind| run(&mix, 1).iter().filter(|intent| intent.kind == kind).count();
        assert_eq!(kinds(Kind::Plain) + kinds(Kind::Wrong), 2000);
        assert_eq!(Mix::default().to_string().parse(), Ok(Mix::default()));
    }

    #[test]
    fn a_mix_that_is_none_is_explained() {
        for (text, named) in [
            ("plain", "KIND=WEIGHT"),
            ("", "KIND=WEIGHT"),
            ("fancy=1", "sold-out"),
            ("plain=-1", "between 0 and 1000000"),
            ("plain=0", "every weight is 0"),
        ] {
            let error = text.parse::<Mix>().unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
