//! [`Run`]: the figures of one run of the benchmark, and what changed since another one.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// A ratio that fell by more than this share is worth a look.
const FALL: f64 = 0.2;

/// Figures by name. A name says what was measured and ends with its unit: `burst.validated_per_s`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Figures(pub BTreeMap<String, f64>);

impl Figures {
    /// Adds a figure, to three digits after the point.
    pub fn add(&mut self, name: impl Into<String>, value: f64) {
        self.0.insert(name.into(), (value * 1e3).round() / 1e3);
    }

    /// The figure of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// Adds those of another measurement.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// What the shop does as a share of what the machine can do in the same run: the figures that
    /// can be compared between machines. Higher is better.
    #[must_use]
    pub fn ratios(&self) -> Self {
        let mut ratios = Self::default();
        for (name, figure, limit) in RATIOS {
            if let (Some(figure), Some(limit)) = (self.get(figure), self.get(limit))
                && limit > 0.0
            {
                ratios.add(*name, figure / limit);
            }
        }
        ratios
    }
}

/// Name, figure, and the limit that it is divided by.
const RATIOS: &[(&str, &str, &str)] = &[
    ("validated / bare stage", "burst.validated_per_s", "limit.stage_per_s"),
    ("records of validation / bare stage", "burst.records_per_s", "limit.stage_per_s"),
    ("settled / bare stage", "burst.settled_per_s", "limit.stage_per_s"),
    ("the sale / mixed load", "sale.validated_per_s", "burst.validated_per_s"),
    ("held / bare stage", "held.orders_per_s", "limit.stage_per_s"),
    ("restored / produced", "restart.restored_per_s", "limit.produce_per_s"),
];

/// One run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Run {
    /// When it began, in RFC 3339.
    pub at: String,
    /// The commit of the programs, with `+` when files had changed since.
    pub commit: String,
    /// Where it ran.
    pub machine: Machine,
    /// What was asked for: orders, seconds, rates.
    pub settings: BTreeMap<String, String>,
    /// What was measured.
    pub figures: Figures,
}

impl Run {
    /// Appends the run to a file, one line of JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append_to(&self, path: &Path) -> Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.as_mut().map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        writeln!(file, "{}", serde_json::to_string(self)?)?;
        Ok(())
    }

    /// The runs in a file, the oldest first; none when there is no file.
    ///
    /// # Errors
    /// When a line is no run: with its number.
    pub fn all_in(path: &Path) -> Result<Vec<Self>> {
        let Ok(text) = std::fs::read_to_string(path) else { return Ok(Vec::new()) };
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let runs = lines.map(|(n, line)| {
            serde_json::from_str(line)
                .with_context(|| format!("{}, line {}", path.display(), n + 1))
        });
        runs.collect()
    }

    /// The ratios that are more than a fifth lower than in `before`, one line each.
    #[must_use]
    pub fn falls_since(&self, before: &Self) -> Vec<String> {
        let (old, new) = (before.figures.ratios(), self.figures.ratios());
        let fell = new.0.iter().filter_map(|(name, now)| {
            let was = old.get(name)?;
            (*now < was * (1.0 - FALL)).then(|| {
                let less = (1.0 - now / was) * 100.0;
                format!("{name}: {now:.3}, {less:.0} % less than at {} ({was:.3})", before.commit)
            })
        });
        fell.collect()
    }

    /// All figures and ratios, a line each.
    #[must_use]
    pub fn table(&self) -> String {
        let line = |(name, value): (&String, &f64)| format!("{name:<40} {value:>12.3}\n");
        let figures: String = self.figures.0.iter().map(line).collect();
        let ratios: String = self.figures.ratios().0.iter().map(line).collect();
        format!("{figures}{ratios}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(commit: &str, validated: f64, stage: f64) -> Run {
        let mut figures = Figures::default();
        figures.add("burst.validated_per_s", validated);
        figures.add("limit.stage_per_s", stage);
        let machine = Machine { cores: 2, memory_mb: 1_000, yardstick_s: 1.0, handover_us: 1.0 };
        let (at, commit) = ("2026-01-01T00:00:00Z".to_owned(), commit.to_owned());
        Run { at, commit, machine, settings: BTreeMap::new(), figures }
    }

    #[test]
    fn a_slower_machine_is_no_fall_and_a_slower_shop_is_one() {
        let before = run("aaa", 1_000.0, 5_000.0);
        assert_eq!(run("bbb", 200.0, 1_000.0).falls_since(&before), Vec::<String>::new());
        let falls = run("bbb", 100.0, 1_000.0).falls_since(&before);
        assert_eq!(falls.len(), 1, "{falls:?}");
        assert!(falls[0].contains("50 % less") && falls[0].contains("aaa"), "{falls:?}");
    }

    #[test]
    fn runs_are_kept_line_by_line_and_a_bad_line_is_named() {
        let dir = std::env::temp_dir().join(format!("bench-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("bench.jsonl");
        assert!(Run::all_in(&path).unwrap().is_empty());
        run("aaa", 1.0, 2.0).append_to(&path).unwrap();
        run("bbb", 1.0, 2.0).append_to(&path).unwrap();
        let runs = Run::all_in(&path).unwrap();
        assert_eq!(runs.iter().map(|run| &*run.commit).collect::<Vec<_>>(), ["aaa", "bbb"]);
        std::fs::write(&path, "\n{}\n").unwrap();
        let error = format!("{:#}", Run::all_in(&path).unwrap_err());
        assert!(error.contains("line 2"), "{error}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
