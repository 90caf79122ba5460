//! [`Gate`]: whether the orders that are on their way leave room for another one. It is pure: its
//! clock is an argument, and it is told what happens.
//!
//! An order waits for one [`Step`] after the other. A step is *crowded* when most of the orders
//! that pass it have waited for it longer than is good. Of a crowded step no more may wait than
//! pass it in that time (Little's law), so that the queue is as long as the wait, however fast the
//! step is today. A step that no order passes is not crowded but *stopped*: a fault, and orders
//! wait through a fault.

use std::time::Duration;

/// What an order waits for, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// That the view shows it, or its command is refused.
    Shown,
    /// The outcomes of its checks.
    Checked,
    /// Its payment.
    Paid,
    /// Its end, once the money has spoken.
    Closed,
}

impl Step {
    /// In the order in which an order passes them.
    pub const ALL: [Self; 4] = [Self::Shown, Self::Checked, Self::Paid, Self::Closed];

    /// Its name as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::Checked => "checked",
            Self::Paid => "paid",
            Self::Closed => "closed",
        }
    }
}

/// What is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long orders may wait for one step while the shop is busy.
    pub wait: Duration,
    /// So many may wait for a step, however long they do.
    pub open_min: usize,
}

/// Why another order is one too many.
#[derive(Clone, Debug, PartialEq)]
pub struct Crowd {
    /// What those before it wait for.
    pub step: Step,
    /// How many do.
    pub waiting: usize,
    /// How many may.
    pub limit: usize,
    /// How many pass it in a second.
    pub per_s: f64,
    /// When it is worth coming again.
    pub retry_after: Duration,
}

/// How far the gate remembers: whole seconds, and the present one.
const WINDOW_S: u64 = 5;
/// The seconds that are kept.
const SECONDS: usize = WINDOW_S as usize + 1;
/// Fewer orders in a second say little: then the whole window counts.
const FEW: u32 = 5;
/// The bounds of an advice to come again, before its jitter.
const RETRY_S: (f64, f64) = (1.0, 30.0);

/// See the module.
#[derive(Debug)]
pub struct Gate {
    bounds: Bounds,
    flows: [Flow; Step::ALL.len()],
}

/// What is known of one step.
#[derive(Debug, Default)]
struct Flow {
    waiting: usize,
    seconds: [Second; SECONDS],
    is_crowded: bool,
    /// The last second in which this was judged.
    judged: u64,
}

/// The orders of one second.
#[derive(Clone, Copy, Debug, Default)]
struct Second {
    number: u64,
    passed: u32,
    /// Of these, those that had waited longer than is good,
    late: u32,
    /// and longer than half of that.
    slow: u32,
    refused: u32,
}

impl Gate {
    /// No order is on its way.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, flows: Default::default() }
    }

    /// An order waits for `step` from now on.
    pub fn enters(&mut self, step: Step) {
        self.flow(step).waiting += 1;
    }

    /// An order does not wait for `step` any more, and that says nothing about the step.
    pub fn leaves(&mut self, step: Step) {
        let flow = self.flow(step);
        flow.waiting = flow.waiting.saturating_sub(1);
    }

    /// An order has passed `step`, for which it had `waited`.
    pub fn passes(&mut self, step: Step, waited: Duration, now: Duration) {
        let bounds = self.bounds;
        self.leaves(step);
        let flow = self.flow(step);
        flow.judge(now);
        let second = flow.second(now);
        second.passed += 1;
        second.late += u32::from(waited > bounds.wait);
        second.slow += u32::from(waited > bounds.wait / 2);
    }

    /// Whether there is room for another order. `dice`, from 0 to 1, spreads those that come again.
    ///
    /// # Errors
    /// The [`Crowd`] that it would have to wait behind longest.
    pub fn admit(&mut self, now: Duration, dice: f64) -> Result<(), Crowd> {
        let crowd = self.crowd(now, dice);
        let Some(crowd) = crowd else { return Ok(()) };
        self.flow(crowd.step).second(now).refused += 1;
        Err(crowd)
    }

    /// How many wait for `step`.
    pub fn waiting(&self, step: Step) -> usize {
        self.flows[step as usize].waiting
    }

    /// How many may wait for `step`, while that is bounded.
    pub fn limit(&mut self, step: Step, now: Duration) -> Option<usize> {
        let bounds = self.bounds;
        let flow = self.flow(step);
        flow.judge(now);
        flow.is_crowded.then(|| flow.limit(bounds, now))
    }

    fn crowd(&mut self, now: Duration, dice: f64) -> Option<Crowd> {
        let crowds = Step::ALL.into_iter().filter_map(|step| {
            let limit = self.limit(step, now)?;
            let flow = &self.flows[step as usize];
            (flow.waiting >= limit).then(|| flow.as_crowd(step, limit, now, dice))
        });
        crowds.max_by_key(|crowd| crowd.retry_after)
    }

    fn flow(&mut self, step: Step) -> &mut Flow {
        &mut self.flows[step as usize]
    }
}

impl Flow {
    /// Once in a second: is it crowded? It begins when most come late, and ends when most wait for
    /// less than half of that, or when none comes: so it does not flutter.
    fn judge(&mut self, now: Duration) {
        let this = now.as_secs();
        if self.judged == this {
            return;
        }
        self.judged = this;
        let last = self.sum(this.saturating_sub(1), this);
        let seen = if last.passed >= FEW { last } else { self.window(now) };
        self.is_crowded = match self.is_crowded {
            false => seen.passed >= FEW && 2 * seen.late > seen.passed,
            true => 2 * seen.slow > seen.passed,
        };
    }

    /// How many pass in the time that is good to wait, or as many as may anyway.
    fn limit(&self, bounds: Bounds, now: Duration) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is not negative, and far below 2^52"
        )]
        let in_time = (self.per_s(now) * bounds.wait.as_secs_f64()) as usize;
        in_time.max(bounds.open_min)
    }

    fn per_s(&self, now: Duration) -> f64 {
        let seconds = now.as_secs_f64().min(WINDOW_S as f64 + f64::from(now.subsec_nanos()) / 1e9);
        let passed = self.window(now).passed + self.of(now.as_secs()).passed;
        f64::from(passed) / seconds.max(1.0)
    }

    /// Those that wait come first, and those that were refused a moment ago come again as well.
    fn as_crowd(&self, step: Step, limit: usize, now: Duration, dice: f64) -> Crowd {
        let per_s = self.per_s(now);
        let refused = self.window(now).refused + self.of(now.as_secs()).refused;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let ahead = self.waiting as f64 + f64::from(refused);
        let drained_in = (ahead / per_s.max(0.1)).clamp(RETRY_S.0, RETRY_S.1);
        let retry_after = Duration::from_secs_f64((drained_in * (0.5 + dice)).ceil());
        Crowd { step, waiting: self.waiting, limit, per_s, retry_after }
    }

    /// The whole seconds of the window.
    fn window(&self, now: Duration) -> Second {
        let this = now.as_secs();
        self.sum(this.saturating_sub(WINDOW_S), this)
    }

    fn of(&self, number: u64) -> Second {
        self.sum(number, number + 1)
    }

    /// The sum over the seconds from `from`, without `to`.
    fn sum(&self, from: u64, to: u64) -> Second {
        let within = self.seconds.iter().filter(|second| (from..to).contains(&second.number));
        within.fold(Second::default(), |sum, second| Second {
            number: to,
            passed: sum.passed + second.passed,
            late: sum.late + second.late,
            slow: sum.slow + second.slow,
            refused: sum.refused + second.refused,
        })
    }

    /// The present second.
    fn second(&mut self, now: Duration) -> &mut Second {
        let number = now.as_secs();
        let place = usize::try_from(number % SECONDS as u64).expect("it is below SECONDS");
        let second = &mut self.seconds[place];
        if second.number != number {
            *second = Second { number, ..Second::default() };
        }
        second
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    const BOUNDS: Bounds = Bounds { wait: Duration::from_secs(2), open_min: 50 };

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A gate for which `waiting` wait, after the second before `now` saw `passes`: how many
    /// passed, and after how long.
    fn gate(waiting: usize, passes: &[(u32, Duration)], now: Duration) -> Gate {
        let mut gate = Gate::new(BOUNDS);
        for &(count, waited) in passes {
            for _ in 0..count {
                gate.enters(Step::Paid);
                gate.passes(Step::Paid, waited, now - s(1));
            }
        }
        (0..waiting).for_each(|_| gate.enters(Step::Paid));
        gate
    }

    #[test]
    fn one_is_too_many_only_behind_a_crowd_that_moves() {
        let ms = Duration::from_millis;
        for (what, waiting, passes, admitted) in [
            ("an idle shop", 0, &[][..], true),
            ("a sudden burst, of which nothing is known yet", 5_000, &[], true),
            ("many, and they pass in time", 5_000, &[(100, ms(300))], true),
            ("many, and they pass late", 500, &[(100, ms(2_100))], false),
            ("late, but few wait", 49, &[(100, ms(2_100))], true),
            ("late, but so fast that they are through in time", 600, &[(2_000, ms(2_100))], true),
            ("most are in time", 500, &[(51, ms(300)), (49, s(9))], true),
            ("most are late", 500, &[(49, ms(300)), (51, s(9))], false),
            ("too few to say", 500, &[(4, s(9))], true),
        ] {
            let mut gate = gate(waiting, passes, s(10));
            assert_eq!(gate.admit(s(10), 0.5).is_ok(), admitted, "{what}");
        }
    }

    #[test]
    fn a_stop_is_a_fault_and_orders_wait_through_it() {
        let mut gate = gate(500, &[(100, s(3))], s(10));
        assert!(gate.admit(s(10), 0.5).is_err());
        assert!(gate.admit(s(14), 0.5).is_err(), "four seconds may be a pause");
        assert!(gate.admit(s(15), 0.5).is_ok(), "nothing has passed in the window");
        // When it goes on, those that have waited come late, and tell of the crowd.
        (0..10).for_each(|_| gate.passes(Step::Paid, s(20), s(30)));
        assert!(gate.admit(s(31), 0.5).is_err());
    }

    #[test]
    fn it_ends_at_half_of_the_wait_and_not_before() {
        let ms = Duration::from_millis;
        for (waited, admitted) in [(ms(1_900), false), (ms(1_100), false), (ms(900), true)] {
            let mut gate = gate(500, &[(100, s(3))], s(10));
            assert!(gate.admit(s(10), 0.5).is_err());
            (0..100).for_each(|_| gate.passes(Step::Paid, waited, s(10)));
            assert_eq!(gate.admit(s(11), 0.5).is_ok(), admitted, "{waited:?}");
        }
    }

    #[test]
    fn the_advice_grows_with_the_queue_and_with_the_refused_and_is_spread() {
        let retry_after = |waiting, refused: usize, dice| {
            let mut gate = gate(waiting, &[(500, s(3))], s(10));
            (0..refused).for_each(|_| drop(gate.admit(s(10), 0.5)));
            gate.admit(s(10), dice).unwrap_err().retry_after.as_secs()
        };
        // 100 pass in a second of the window.
        assert_eq!(retry_after(300, 0, 0.5), 3);
        assert_eq!(retry_after(900, 0, 0.5), 9);
        assert_eq!(retry_after(300, 600, 0.5), 9, "the refused come again");
        assert_eq!((retry_after(900, 0, 0.0), retry_after(900, 0, 1.0)), (5, 14));
        assert_eq!(retry_after(90_000, 0, 1.0), 45, "never for longer");
    }

    #[test]
    fn each_step_is_judged_by_itself_and_the_longest_queue_is_named() {
        let mut gate = gate(300, &[(100, s(3))], s(10));
        for _ in 0..100 {
            gate.enters(Step::Shown);
            gate.passes(Step::Shown, s(3), s(9));
        }
        (0..400).for_each(|_| gate.enters(Step::Shown));
        let crowd = gate.admit(s(10), 0.5).unwrap_err();
        assert_eq!((crowd.step, crowd.waiting, crowd.limit), (Step::Shown, 400, 50));
        (0..390).for_each(|_| gate.leaves(Step::Shown));
        assert_eq!(gate.admit(s(10), 0.5).unwrap_err().step, Step::Paid);
    }

    /// A queue that serves `per_s`, behind a way that takes `delay`: what the gate makes of
    /// `offered` orders per second until `load_ends`.
    #[derive(Default)]
    struct Run {
        offered: u64,
        refused: u64,
        longest_queue: usize,
        longest_wait: Duration,
        /// When the last refusal was.
        refused_until: Duration,
        /// Waits of those that came after the load.
        after: Vec<Duration>,
    }

    fn run(per_s: u64, offered: impl Fn(u64) -> u64, delay: Duration, load_ends: u64) -> Run {
        const TICK: Duration = Duration::from_millis(10);
        let (mut gate, mut queue, mut run) =
            (Gate::new(BOUNDS), VecDeque::<Duration>::new(), Run::default());
        let (mut arrived, mut served) = (0.0, 0.0);
        for tick in 0..(load_ends + 30) * 100 {
            let now = TICK * u32::try_from(tick).unwrap();
            arrived += offered(now.as_secs()) as f64 * TICK.as_secs_f64();
            while arrived >= 1.0 {
                arrived -= 1.0;
                run.offered += 1;
                match gate.admit(now, 0.5) {
                    Ok(()) => {
                        gate.enters(Step::Paid);
                        queue.push_back(now);
                    }
                    Err(_) => (run.refused, run.refused_until) = (run.refused + 1, now),
                }
            }
            served += per_s as f64 * TICK.as_secs_f64();
            while served >= 1.0 {
                served -= 1.0;
                let Some(since) = queue.front().filter(|since| now >= **since + delay) else {
                    continue;
                };
                gate.passes(Step::Paid, now - *since, now);
                run.longest_wait = run.longest_wait.max(now - *since);
                if now.as_secs() > load_ends + 10 {
                    run.after.push(now - *since);
                }
                queue.pop_front();
            }
            run.longest_queue = run.longest_queue.max(queue.len());
        }
        run
    }

    #[test]
    fn under_twice_what_it_can_do_the_queue_stays_short_and_the_end_is_soon() {
        for (per_s, delay_ms) in [(100, 50), (100, 500), (1_000, 50), (1_000, 500), (40, 300)] {
            let (load, delay) = (60, Duration::from_millis(delay_ms));
            let offered = |second| if second < load { 2 * per_s } else { per_s / 4 };
            let run = run(per_s, offered, delay, load);
            let what = format!("{per_s}/s, {delay_ms} ms");
            // Half of the orders of a minute are too many; those of the first seconds get in.
            let served = run.offered - run.refused;
            assert!(served * 10 > per_s * load * 9, "{what}: {served} were served");
            assert!(run.refused * 100 > per_s * load * 85, "{what}: {} were refused", run.refused);
            assert!(run.longest_wait < s(7), "{what}: {:?}", run.longest_wait);
            assert!((run.longest_queue as u64) < per_s * 7, "{what}: {}", run.longest_queue);
            assert!(run.refused_until < s(load + 5), "{what}: until {:?}", run.refused_until);
            let longest_after = run.after.iter().max().unwrap();
            assert!(*longest_after < delay + s(1), "{what}: {longest_after:?} after the load");
        }
    }

    #[test]
    fn what_it_can_do_is_not_refused() {
        for (per_s, offered) in [(100, 90), (1_000, 900), (40, 30)] {
            let run = run(per_s, |_| offered, Duration::from_millis(300), 60);
            assert_eq!(run.refused, 0, "{offered} of {per_s} per second");
        }
    }
}
