//! [`kill_at_every_step`]: a process must survive its death between any two of its effects.

use contracts::failpoints::FAILPOINTS;
use std::time::Instant;
use streams::failpoint::Failpoint;

/// A failpoint in a processor.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Where the process dies.
    pub point: Failpoint,
    /// In which processor; none if the process passes the point in one only.
    pub in_processor: Option<&'static str>,
}

impl Step {
    /// What the variable `FAILPOINT` must be.
    pub fn failpoint(&self) -> String {
        let name = self.point.name;
        self.in_processor
            .map_or_else(|| name.to_owned(), |in_processor| format!("{in_processor}/{name}"))
    }
}

/// The steps of a process that runs these processors: every failpoint that they pass.
pub fn steps_of(processors: &[&'static str]) -> Vec<Step> {
    let mut steps = Vec::new();
    for point in FAILPOINTS {
        let passing: Vec<_> =
            processors.iter().filter(|name| point.processors.contains(name)).collect();
        let in_processor = |name| if passing.len() > 1 { Some(name) } else { None };
        steps.extend(passing.iter().map(|name| Step { point, in_processor: in_processor(**name) }));
    }
    steps
}

/// Kills the process that runs `processors` at each of its steps. `kill` starts it with the
/// failpoint, sends work through it, checks what came of that, and gives what the process has
/// logged.
///
/// # Panics
/// When the log does not say that the process died at the step, once.
pub async fn kill_at_every_step(
    processors: &[&'static str],
    mut kill: impl AsyncFnMut(&Step) -> String,
) {
    let steps = steps_of(processors);
    assert!(!steps.is_empty(), "none of {processors:?} passes a failpoint");
    for step in steps {
        let (started, failpoint) = (Instant::now(), step.failpoint());
        println!("killed at {failpoint}: {} ...", step.point.when);
        let log = kill(&step).await;
        died_once(&log, &failpoint);
        println!("... and nothing shows, after {:.1?}", started.elapsed());
    }
}

/// Checks that a process has died at `failpoint`, once, by what it has logged.
///
/// # Panics
/// When it has not.
pub fn died_once(log: &str, failpoint: &str) {
    let deaths = log.matches(&format!("failpoint {failpoint} is reached")).count();
    assert_eq!(deaths, 1, "the process dies at {failpoint} once; its log:\n{log}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_named_where_several_pass_a_point() {
        let names = |processors: &[&'static str]| -> Vec<String> {
            steps_of(processors).iter().map(Step::failpoint).collect()
        };
        let inventory = names(&["inventory-split", "inventory-stock"]);
        assert!(inventory.contains(&"inventory-split/sent".to_owned()), "{inventory:?}");
        assert!(inventory.contains(&"inventory-stock/sent".to_owned()), "{inventory:?}");
        assert!(inventory.contains(&"restoring".to_owned()), "only one of them restores");
        assert!(names(&["email"]).contains(&"mailed".to_owned()));
    }

    #[test]
    #[should_panic(expected = "dies at sent once")]
    fn a_process_that_did_not_die_is_noticed() {
        died_once("all is well", "sent");
    }
}
