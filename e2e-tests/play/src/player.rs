//! [`Player`]: makes the runs that are asked for, piece by piece.

use crate::{
    asked::{Asked, STEPS_MAX},
    tape::{Audit, Entry, Tape, Told, What},
};
use anyhow::ensure;
use simulation::{
    live::{Live, Watched},
    press::Press,
};
use std::collections::VecDeque;

/// Steps between two looks of the auditor.
const AUDIT_EVERY: u64 = 250;

/// Steps between two times on a tape.
const CLOCK_EVERY: u64 = 100;

/// Most steps of a piece.
const PIECE_MAX: u64 = 20_000;

/// Runs that are kept where they are, as the next piece is likely to be asked for.
const KEPT_MAX: usize = 4;

/// Makes runs.
#[derive(Default)]
pub struct Player {
    kept: VecDeque<Playing>,
}

/// A run, as far as it was made.
struct Playing {
    watched: Watched,
    live: Live,
    began_ms: i64,
    pressed: Vec<Press>,
    /// When the auditor looks next.
    audit_at: u64,
    told: Told,
    over: bool,
}

impl Player {
    /// What happens after step `from`, up to step `to` or to the end.
    ///
    /// # Errors
    /// When it is not as it should be; the message says which part of it.
    pub fn play(&mut self, asked: &Asked, from: u64, to: u64) -> anyhow::Result<Tape> {
        let (watched, presses) = asked.run()?;
        ensure!(from <= to, "from={from}: it comes after to={to}");
        ensure!(to - from <= PIECE_MAX, "to={to}: a piece has {PIECE_MAX} steps at most");
        ensure!(to <= STEPS_MAX, "to={to}: a run has {STEPS_MAX} steps at most");
        let known = self.kept.iter().position(|run| run.can_go_on(&watched, &presses, from));
        let known = known.and_then(|place| self.kept.remove(place));
        let mut run = known.unwrap_or_else(|| Playing::new(watched));
        while run.live.step_number() < from && !run.over {
            // What is known is not told again, so the auditor need not look.
            run.step(&presses, false);
        }
        let mut tape = Tape { from, to, over: false, clock: Vec::new(), entries: Vec::new() };
        while run.live.step_number() < to && !run.over {
            tape.entries.extend(run.step(&presses, true));
            if run.live.step_number().is_multiple_of(CLOCK_EVERY) {
                tape.clock.push(run.time());
            }
        }
        tape.clock.push(run.time());
        (tape.to, tape.over) = (run.live.step_number(), run.over);
        self.kept.push_front(run);
        self.kept.truncate(KEPT_MAX);
        Ok(tape)
    }

    /// The whole run, for a file.
    ///
    /// # Errors
    /// As [`Player::play`].
    pub fn record(&mut self, asked: &Asked) -> anyhow::Result<Tape> {
        let mut whole = self.play(asked, 0, PIECE_MAX)?;
        while !whole.over && whole.to < STEPS_MAX {
            let next = self.play(asked, whole.to, (whole.to + PIECE_MAX).min(STEPS_MAX))?;
            whole.clock.extend(next.clock);
            whole.entries.extend(next.entries);
            (whole.to, whole.over) = (next.to, next.over);
        }
        whole.over = true;
        Ok(whole)
    }
}

impl Playing {
    fn new(watched: Watched) -> Self {
        let live = Live::new(&watched);
        let (began_ms, pressed) = (live.now().millis(), Vec::new());
        let (audit_at, told, over) = (AUDIT_EVERY, Told::default(), false);
        Self { watched, live, began_ms, pressed, audit_at, told, over }
    }

    /// Whether it is the run of these presses, and not beyond `from`.
    fn can_go_on(&self, watched: &Watched, presses: &[Press], from: u64) -> bool {
        let at = self.live.step_number();
        let so_far = presses.iter().filter(|press| press.step < at);
        self.watched == *watched && at <= from && !self.over && so_far.eq(&self.pressed)
    }

    fn time(&self) -> (u64, i64) {
        (self.live.step_number(), self.live.now().millis() - self.began_ms)
    }

    /// One step, with what is pressed before it.
    fn step(&mut self, presses: &[Press], audited: bool) -> Vec<Entry> {
        let at = self.live.step_number();
        for press in presses.iter().filter(|press| press.step == at) {
            self.live.press(press);
            self.pressed.push(*press);
        }
        let mut what: Vec<_> = self.live.step().into_iter().map(What::Shop).collect();
        let (t, ms) = self.time();
        if t >= self.audit_at && self.live.is_whole() {
            self.audit_at = t - t % AUDIT_EVERY + AUDIT_EVERY;
            if audited {
                what.extend(self.audit(presses).into_iter().map(What::Audit));
            }
        }
        self.over |= t >= STEPS_MAX;
        what.into_iter().map(|what| Entry { t, ms, what }).collect()
    }

    fn audit(&mut self, presses: &[Press]) -> Vec<Audit> {
        let verdict = self.live.audit();
        let mut found = self.told.news(&verdict);
        let pressed = presses.iter().all(|press| press.step < self.live.step_number());
        if self.live.is_done() && verdict.pending() == 0 && pressed {
            found.push(Audit::Rest);
            self.over = true;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Asked {
        Asked::read(query).unwrap()
    }

    fn text(tape: &Tape) -> String {
        serde_json::to_string(tape).unwrap()
    }

    #[test]
    fn the_same_address_gives_the_same_tape_however_it_is_cut() {
        let run = asked("seed=3&orders=4&presses=1500.crash.payments_2500.lost-answer.orders");
        let whole = text(&Player::default().play(&run, 0, 6_000).unwrap());
        assert_eq!(whole, text(&Player::default().play(&run, 0, 6_000).unwrap()));
        let mut player = Player::default();
        let first = player.play(&run, 0, 2_000).unwrap();
        let rest = player.play(&run, 2_000, 6_000).unwrap();
        let cut: Vec<_> = first.entries.iter().chain(&rest.entries).collect();
        let entries = serde_json::to_string(&cut).unwrap();
        assert!(whole.contains(&entries), "{whole}\n{entries}");
    }

    #[test]
    fn a_press_changes_what_comes_after_it_and_nothing_before() {
        let mut player = Player::default();
        let quiet = player.play(&asked("seed=3&orders=4"), 0, 1_500).unwrap();
        let pressed = asked("seed=3&orders=4&presses=1500.crash.payments");
        let before = player.play(&pressed, 0, 1_500).unwrap();
        assert_eq!(text(&quiet), text(&before));
        let after = text(&player.play(&pressed, 1_500, 1_600).unwrap());
        assert!(after.contains("! Crash here: payments"), "{after}");
        assert!(after.contains("is dead") && after.contains(r#""condition":"down""#), "{after}");
    }

    #[test]
    fn a_run_comes_to_rest_with_every_law_held() {
        let tape = text(&Player::default().record(&asked("seed=3&orders=4")).unwrap());
        assert!(tape.contains(r#""kind":"rest""#), "{tape}");
        assert!(!tape.contains(r#""kind":"violation""#), "{tape}");
        assert!(tape.contains(r#""holds""#) && tape.contains("OrderConfirmed"), "{tape}");
    }

    #[test]
    fn a_piece_that_is_none_is_refused() {
        let mut player = Player::default();
        assert!(player.play(&Asked::default(), 9, 8).is_err());
        assert!(player.play(&Asked::default(), 0, PIECE_MAX + 1).is_err());
    }
}
