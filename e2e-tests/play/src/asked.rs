//! [`Asked`]: which run, as the page has it in its address.

use anyhow::{Context, bail, ensure};
use axum::{extract::Query, http::Uri};
use serde::Deserialize;
use simulation::{live::Watched, mutation, press::Press};

/// Most orders of a run: a person watches it, and it is kept whole.
const ORDERS_MAX: usize = 200;

/// Most presses of a run.
const PRESSES_MAX: usize = 200;

/// The longest run.
pub(crate) const STEPS_MAX: u64 = 1_000_000;

/// What stands between presses.
const BETWEEN: char = '_';

/// A run, as its address says it.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Asked {
    /// Decides everything but the presses.
    pub seed: u64,
    /// How many orders there are.
    pub orders: usize,
    /// The deliberate fault, by its name; none if it is empty.
    pub mutation: String,
    /// `calm`, or `storm`: the seed brings faults as well.
    pub weather: String,
    /// `STEP.KIND` or `STEP.KIND.SERVICE`, with `_` in between.
    pub presses: String,
    /// Where the page is.
    pub t: u64,
}

impl Default for Asked {
    fn default() -> Self {
        let (mutation, presses) = (String::new(), String::new());
        Self { seed: 11, orders: 40, mutation, weather: "calm".to_owned(), presses, t: 0 }
    }
}

impl Asked {
    /// What the query of an address asks for; a whole address will do as well.
    ///
    /// # Errors
    /// Which part of it is not as it should be.
    pub fn read(address: &str) -> anyhow::Result<Self> {
        let address = address.split('#').next().unwrap_or_default();
        let query = address.split_once('?').map_or(address, |(_, query)| query);
        let uri: Uri = format!("/?{query}").parse().context("this is no query of an address")?;
        let Query(asked) = Query::<Self>::try_from_uri(&uri)?;
        asked.run()?;
        Ok(asked)
    }

    /// The same as the query of an address, without what is usual.
    pub(crate) fn query(&self) -> String {
        let usual = Self::default();
        let Self { seed, orders, mutation, weather, presses, t } = self;
        let parts = [
            ("seed", seed.to_string(), *seed != usual.seed),
            ("orders", orders.to_string(), *orders != usual.orders),
            ("mutation", mutation.clone(), *mutation != usual.mutation),
            ("weather", weather.clone(), *weather != usual.weather),
            ("presses", presses.clone(), *presses != usual.presses),
            ("t", t.to_string(), *t != usual.t),
        ];
        let parts = parts.into_iter().filter(|(.., is_told)| *is_told);
        let parts: Vec<_> = parts.map(|(name, value, _)| format!("{name}={value}")).collect();
        if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
    }

    /// The run, and what is pressed in it, in the order of its steps.
    ///
    /// # Errors
    /// Which part of it is not as it should be.
    pub fn run(&self) -> anyhow::Result<(Watched, Vec<Press>)> {
        let Self { seed, orders, t, .. } = *self;
        ensure!(
            (1..=ORDERS_MAX).contains(&orders),
            "orders={orders}: a run has 1 to {ORDERS_MAX} of them"
        );
        ensure!(t <= STEPS_MAX, "t={t}: a run has {STEPS_MAX} steps at most");
        let stormy = match &*self.weather {
            "calm" => false,
            "storm" => true,
            other => bail!("weather={other}: it is calm or storm"),
        };
        let mutation = match &*self.mutation {
            "" => None,
            name => Some(mutation::named(name).map_err(anyhow::Error::msg)?),
        };
        let presses = self.presses.split(BETWEEN).filter(|press| !press.is_empty());
        let presses: Result<Vec<Press>, _> = presses.map(str::parse).collect();
        let mut presses = presses.map_err(anyhow::Error::msg)?;
        ensure!(presses.len() <= PRESSES_MAX, "presses: {PRESSES_MAX} at most");
        presses.sort_by_key(|press| press.step);
        Ok((Watched { seed, orders, mutation, stormy }, presses))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_the_run_and_what_is_left_out_is_usual() {
        let address = "http://127.0.0.1:8090/?seed=3&presses=9.decline_4.crash.orders#/orders";
        let asked = Asked::read(address).unwrap();
        let (watched, presses) = asked.run().unwrap();
        assert_eq!((watched.seed, watched.orders, watched.stormy), (3, 40, false));
        assert_eq!(presses.iter().map(|press| press.step).collect::<Vec<_>>(), [4, 9]);
        assert_eq!(Asked::read("").unwrap(), Asked::default());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_limit() {
        for (query, why) in [
            ("orders=0", "1 to 200"),
            ("seed=many", "invalid digit"),
            ("weather=rain", "calm or storm"),
            ("mutation=no-sleep", "no-bank-key"),
            ("presses=9.explode", "explode"),
            ("t=99999999", "1000000 steps"),
        ] {
            let error = format!("{:#}", Asked::read(query).unwrap_err());
            assert!(error.contains(why), "{query}: {error}");
        }
    }
}
