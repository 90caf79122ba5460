//! When a mail is tried again that the server did not take, and when a person is told instead.

use contracts::Timestamp;
use std::time::Duration;

/// Why a mail waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The server has not answered yet. That ends by itself, as each step has its longest time.
    UnderWay,
    /// The server does not take it for now.
    Refused,
    /// The server had all of it, and did not answer.
    Doubtful,
}

/// How often a mail was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// Since when.
    pub since: Timestamp,
    /// How often the server did not take it.
    pub refusals: i32,
    /// How often it did not answer to the whole mail.
    pub doubts: i32,
}

/// What becomes of the mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is tried again.
    Retry {
        /// With the one just made.
        attempts: Attempts,
        /// When.
        at: Timestamp,
    },
    /// It is not tried again: a person is told.
    GiveUp(Attempts),
}

const MINUTE: Duration = Duration::from_secs(60);

/// How often the answer to a mail under way is looked for.
pub const UNDER_WAY_PAUSE: Duration = Duration::from_secs(1);

/// After the first refusal; doubled after each further one. A greylist asks for minutes, or for
/// seconds (RFC 6647, 2).
pub const REFUSED_PAUSE: Duration = Duration::from_secs(15);

/// The longest pause after a refusal (RFC 5321, 4.5.4.1: 30 minutes at least, after the first).
pub const REFUSED_PAUSE_MAX: Duration = Duration::from_secs(30 * 60);

/// How long a refused mail is tried (RFC 5321, 4.5.4.1: 4 to 5 days).
pub const REFUSED_END: Duration = Duration::from_secs(4 * 24 * 60 * 60);

/// The pauses after doubtful ends. Each attempt may be another copy at the customer: so these are
/// few, and soon long.
pub const DOUBTFUL_PAUSES: [Duration; 4] =
    [MINUTE, Duration::from_secs(5 * 60), Duration::from_secs(25 * 60), Duration::from_secs(7200)];

/// What follows at `now` from `trouble`, after the attempts `before`.
pub fn after(before: Option<Attempts>, trouble: Trouble, now: Timestamp) -> Next {
    let mut attempts = before.unwrap_or(Attempts { since: now, refusals: 0, doubts: 0 });
    let pause = match trouble {
        Trouble::UnderWay => Some(UNDER_WAY_PAUSE),
        Trouble::Refused => {
            let doubled = REFUSED_PAUSE
                .saturating_mul(2_u32.saturating_pow(attempts.refusals.try_into().unwrap_or(0)));
            attempts.refusals = attempts.refusals.saturating_add(1);
            (now - attempts.since < REFUSED_END).then_some(doubled.min(REFUSED_PAUSE_MAX))
        }
        Trouble::Doubtful => {
            let pause = usize::try_from(attempts.doubts).ok();
            attempts.doubts = attempts.doubts.saturating_add(1);
            pause.and_then(|doubts| DOUBTFUL_PAUSES.get(doubts)).copied()
        }
    };
    match pause {
        Some(pause) => Next::Retry { attempts, at: now + pause },
        None => Next::GiveUp(attempts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pauses, in seconds, until a mail that meets `trouble` each time is given up.
    fn pauses(trouble: Trouble) -> Vec<u64> {
        let (mut before, mut now, mut pauses) = (None, Timestamp(0), Vec::new());
        while let Next::Retry { attempts, at } = after(before, trouble, now) {
            pauses.push((at - now).as_secs());
            (before, now) = (Some(attempts), at);
        }
        pauses
    }

    #[test]
    fn a_refused_mail_is_tried_for_four_days_with_growing_pauses() {
        let pauses = pauses(Trouble::Refused);
        assert_eq!(pauses[..9], [15, 30, 60, 120, 240, 480, 960, 1800, 1800]);
        let days = pauses.iter().sum::<u64>() / (24 * 60 * 60);
        assert_eq!(days, 4);
    }

    #[test]
    fn a_doubtful_mail_is_sent_five_times_at_most() {
        assert_eq!(pauses(Trouble::Doubtful), [60, 300, 1500, 7200]);
    }

    #[test]
    fn waiting_for_an_answer_is_no_attempt() {
        let before = Attempts { since: Timestamp(5), refusals: 2, doubts: 1 };
        let at = Timestamp(1_010);
        let next = after(Some(before), Trouble::UnderWay, Timestamp(10));
        assert_eq!(next, Next::Retry { attempts: before, at });
    }
}
