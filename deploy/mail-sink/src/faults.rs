//! Faults on demand: what real mail servers do, when, and the dice that decide it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// The largest mail that is taken, in bytes, as it travels.
pub(crate) const MAIL_BYTES_MAX: usize = 1024 * 1024;
/// Longest pause before the answer to a mail: half as long again as RFC 5321 (4.5.3.2.6) allows.
const END_LATENCY_MS_MAX: u64 = 15 * 60 * 1000;
/// Longest greylisting: a day.
const GREYLIST_S_MAX: u64 = 24 * 60 * 60;
/// Most rules, and most recipients of the greylist.
const MEMBERS_MAX: usize = 1_000;
/// So many recipients are remembered as greylisted; then all begin again.
const GREYLISTED_MAX: usize = 10_000;

/// The faults that are switched on. A member that is left out has its default: a good day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Faults {
    /// Before the answer to the final dot, in milliseconds.
    pub(crate) end_latency_ms: u64,
    /// New recipients are told to come later.
    pub(crate) greylist: Option<Greylist>,
    /// What the server says instead of success. The first one that applies counts.
    pub(crate) rules: Vec<Rule>,
    /// The largest mail, in bytes; as always, if left out.
    pub(crate) mail_bytes_max: Option<usize>,
    /// Makes the dice the same every time that it is set.
    pub(crate) seed: Option<u64>,
}

/// RFC 6647: each recipient is refused for now (451), until so much time after the first attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Greylist {
    pub(crate) seconds: u64,
    /// Only these recipients; every one if empty.
    #[serde(default)]
    pub(crate) to: Vec<String>,
}

/// What the server does at a step of a conversation instead of what it should.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) at: Step,
    pub(crate) says: Says,
    /// Only about a mail to this recipient; of no use before `rcpt`.
    #[serde(default)]
    pub(crate) to: Option<String>,
    /// How often (0 to 1).
    #[serde(default = "always")]
    pub(crate) rate: f64,
}

/// A step of a conversation (RFC 5321, 3).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Step {
    /// The connection.
    Greeting,
    /// `EHLO`; `HELO` is always answered.
    Ehlo,
    Mail,
    Rcpt,
    /// `DATA`.
    Data,
    /// In the middle of the mail.
    Content,
    /// The final dot.
    End,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Says {
    /// A reply of this code, 400 to 599. 421 closes the connection (RFC 5321, 3.8), and so does any
    /// in the middle of a mail.
    Code(u16),
    Nothing(Nothing),
}

/// No reply. At the final dot the mail is kept all the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Nothing {
    /// The connection stays open.
    Silence,
    /// It is closed.
    Close,
}

/// A member of [`Faults`] that cannot be switched on.
#[derive(Debug, Eq, PartialEq, Serialize)]
pub(crate) struct OutOfBounds {
    pub(crate) field: String,
    pub(crate) detail: String,
}

fn always() -> f64 {
    1.0
}

impl Faults {
    /// Checks what serde cannot.
    ///
    /// # Errors
    /// Every member that is out of bounds, with the bound.
    pub(crate) fn checked(self) -> Result<Self, Vec<OutOfBounds>> {
        let mut wrong = Vec::new();
        let mut expect = |holds: bool, field: &str, detail: String| {
            if !holds {
                wrong.push(OutOfBounds { field: field.to_owned(), detail });
            }
        };
        let at_most = |max: u64| format!("must be at most {max}");
        let latency = self.end_latency_ms <= END_LATENCY_MS_MAX;
        expect(latency, "end_latency_ms", at_most(END_LATENCY_MS_MAX));
        if let Some(greylist) = &self.greylist {
            let seconds = (1..=GREYLIST_S_MAX).contains(&greylist.seconds);
            let bounds = format!("must be between 1 and {GREYLIST_S_MAX}");
            expect(seconds, "greylist.seconds", bounds);
            let members = format!("must not have more than {MEMBERS_MAX} members");
            expect(greylist.to.len() <= MEMBERS_MAX, "greylist.to", members);
        }
        if let Some(bytes) = self.mail_bytes_max {
            let bounds = format!("must be between 1 and {MAIL_BYTES_MAX}");
            expect((1..=MAIL_BYTES_MAX).contains(&bytes), "mail_bytes_max", bounds);
        }
        let members = format!("must not have more than {MEMBERS_MAX} members");
        expect(self.rules.len() <= MEMBERS_MAX, "rules", members);
        for (n, rule) in self.rules.iter().enumerate().take(MEMBERS_MAX) {
            let rate = (0.0..=1.0).contains(&rule.rate);
            expect(rate, &format!("rules[{n}].rate"), "must be between 0 and 1".to_owned());
            let code = !matches!(rule.says, Says::Code(code) if !(400..=599).contains(&code));
            let codes = "must be a code from 400 to 599, \"silence\" or \"close\"".to_owned();
            expect(code, &format!("rules[{n}].says"), codes);
        }
        if wrong.is_empty() { Ok(self) } else { Err(wrong) }
    }
}

/// Draws what happens in the conversations.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    faults: Faults,
    dice: fastrand::Rng,
    /// When each recipient was greylisted.
    greylisted: HashMap<String, Instant>,
}

impl Weather {
    /// Dice for these faults, which have been checked.
    pub(crate) fn new(faults: Faults) -> Self {
        let dice = faults.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        Self { faults, dice, greylisted: HashMap::new() }
    }

    /// The faults that are switched on.
    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// What the server does at `step` about a mail to `recipients`, if not what it should.
    pub(crate) fn at(&mut self, step: Step, recipients: &[String]) -> Option<Says> {
        let Self { faults, dice, .. } = self;
        let concerns = |rule: &&Rule| {
            let to = rule.to.as_ref().is_none_or(|to| recipients.contains(to));
            rule.at == step && to && dice.f64() < rule.rate
        };
        faults.rules.iter().find(concerns).map(|rule| rule.says)
    }

    /// The same at `RCPT`, where `to` may be greylisted besides.
    pub(crate) fn at_recipient(&mut self, to: &str, now: Instant) -> Option<Says> {
        if let Some(says) = self.at(Step::Rcpt, &[to.to_owned()]) {
            return Some(says);
        }
        let Greylist { seconds, to: only } = self.faults.greylist.as_ref()?;
        if !only.is_empty() && !only.iter().any(|one| one == to) {
            return None;
        }
        if self.greylisted.len() >= GREYLISTED_MAX && !self.greylisted.contains_key(to) {
            self.greylisted.clear();
        }
        let since = *self.greylisted.entry(to.to_owned()).or_insert(now);
        let is_new = now.saturating_duration_since(since) < Duration::from_secs(*seconds);
        is_new.then_some(Says::Code(451))
    }

    /// How long the answer to a mail takes.
    pub(crate) fn end_latency(&self) -> Duration {
        Duration::from_millis(self.faults.end_latency_ms)
    }

    /// The largest mail, in bytes.
    pub(crate) fn mail_bytes_max(&self) -> usize {
        self.faults.mail_bytes_max.unwrap_or(MAIL_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: &str = "ada@example.org";
    const BOB: &str = "bob@example.org";

    fn faults(json: serde_json::Value) -> Result<Faults, Vec<OutOfBounds>> {
        serde_json::from_value::<Faults>(json).unwrap().checked()
    }

    fn weather(json: serde_json::Value) -> Weather {
        Weather::new(faults(json).unwrap())
    }

    #[test]
    fn every_member_out_of_bounds_is_named() {
        let wrong = faults(serde_json::json!({
            "end_latency_ms": 900_001,
            "greylist": { "seconds": 0, "to": vec![ADA; 1_001] },
            "mail_bytes_max": 0,
            "rules": [
                { "at": "rcpt", "says": 451 },
                { "at": "end", "says": 250, "rate": 1.5 },
            ],
        }));
        let fields: Vec<_> = wrong.unwrap_err().into_iter().map(|wrong| wrong.field).collect();
        let expected = [
            "end_latency_ms",
            "greylist.seconds",
            "greylist.to",
            "mail_bytes_max",
            "rules[1].rate",
            "rules[1].says",
        ];
        assert_eq!(fields, expected);
        assert_eq!(faults(serde_json::json!({})), Ok(Faults::default()));
        let unknown = serde_json::json!({ "greylisted": true });
        assert!(serde_json::from_value::<Faults>(unknown).is_err());
    }

    #[test]
    fn a_new_recipient_is_greylisted_for_its_time() {
        let mut weather =
            weather(serde_json::json!({ "greylist": { "seconds": 30, "to": [ADA] } }));
        let begin = Instant::now();
        let mut at = |to: &str, s: u64| weather.at_recipient(to, begin + Duration::from_secs(s));
        assert_eq!(at(ADA, 0), Some(Says::Code(451)));
        assert_eq!(at(BOB, 1), None);
        assert_eq!(at(ADA, 29), Some(Says::Code(451)));
        assert_eq!(at(ADA, 30), None);
    }

    #[test]
    fn a_rule_is_about_its_step_and_its_recipient_and_as_often_as_asked_for() {
        let mut weather = weather(serde_json::json!({ "seed": 7, "rules": [
            { "at": "rcpt", "says": 550, "to": ADA },
            { "at": "end", "says": "silence", "rate": 0.3 },
            { "at": "ehlo", "says": 502 },
        ]}));
        let now = Instant::now();
        assert_eq!(weather.at_recipient(ADA, now), Some(Says::Code(550)));
        assert_eq!(weather.at_recipient(BOB, now), None);
        assert_eq!(weather.at(Step::Ehlo, &[]), Some(Says::Code(502)));
        assert_eq!(weather.at(Step::Mail, &[]), None);
        let silent = (0..1_000).filter(|_| weather.at(Step::End, &[]).is_some()).count();
        assert!(silent.abs_diff(300) < 60, "{silent}");
    }
}
