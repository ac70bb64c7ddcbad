//! The quota law: in any window of the configured length the gateway sees no more arrivals than the quota.
//!
//! Three layers, each for one reason:
//! * `governor` smooths the pace, so that the first window is not a burst and a gap;
//! * a log of the last N send slots keeps every sliding window of *sends* on our side;
//! * in strict mode a guard proves the law *at the gateway*, whatever the network does: one of N permits is
//!   held from before a send until one window after its call arrived at the latest. A reply proves that it
//!   did; without one it may still be on its way, for one window after we closed its connection (that is
//!   the law's assumption). Two arrivals on one permit are thus at least a window apart, and there are only
//!   N permits.
//!
//! A throttled run slows down by AIMD under all three.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota as Rate, RateLimiter};

use crate::model::Tick;

/// What the quota says to one more send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// Now.
    Granted,
    /// Not before this instant.
    At(Tick),
    /// Not before an exchange that is under way ends.
    AfterReply,
}

/// The quota's arithmetic. One dispatcher asks; nobody waits in a herd.
pub struct Quota {
    arrivals_max: usize,
    window: Duration,
    pace: RateLimiter<NotKeyed, InMemoryState, PaceClock, NoOpMiddleware<Nanos>>,
    clock: PaceClock,
    /// The last `arrivals_max` sends, oldest first.
    slots: VecDeque<Tick>,
    guard: Option<Guard>,
    throttle: Throttle,
    not_before: Tick,
}

/// What is known of whoever sent for this client last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// It sends still, or died sending.
    pub busy: bool,
    /// How long ago its last exchange ended, or its own wait for whoever was before it; negative: that is so far ahead
    /// still; `None`: it was before the machine was started. Nanoseconds.
    pub ended_ns: Option<i64>,
}

impl Predecessor {
    /// How long to wait for what it may have under way: no window may hold sends of both. `rest`: see [`Quota::rest`].
    ///
    /// Where it died over a run that is not ours to finish (abandoned, or another job's), nobody here knows which cards
    /// it was calling, so all of them wait a request timeout; where it is ours, so many rows are `in_doubt`, and wait
    /// alone. What it had to wait for itself when it ended is still to be waited for. Behind a new start of the machine
    /// nobody knows how long any of that is ago.
    pub fn wait(self, rest: Duration, timeout: Duration, in_doubt: Option<usize>) -> Duration {
        let ahead = |ended_ns: i64| Duration::from_nanos((-ended_ns).max(0).unsigned_abs());
        let ago = |ended_ns: i64| Duration::from_nanos(ended_ns.max(0).unsigned_abs());
        match self.ended_ns {
            Some(ended) if in_doubt.is_some_and(|rows| rows > 0 || self.busy) => rest.max(ahead(ended)),
            Some(ended) if !self.busy => (rest + ahead(ended)).saturating_sub(ago(ended)),
            _ => rest.max(timeout),
        }
    }

    /// The same where it sent for another client: no quota is shared, but its calls may have been to our cards.
    pub fn wait_of_another(self, timeout: Duration) -> Duration {
        let ahead = self.ended_ns.map_or(0, |ended_ns| (-ended_ns).max(0).unsigned_abs());
        Duration::from_nanos(ahead).max(if self.busy { timeout } else { Duration::ZERO })
    }
}

/// The permits of strict mode.
#[derive(Default)]
struct Guard {
    under_way: usize,
    /// When permits come back.
    cooling: BinaryHeap<Reverse<Tick>>,
}

/// AIMD on the pace.
struct Throttle {
    /// Of the full pace; 1 is unthrottled.
    factor: f64,
    last_cut: Option<Tick>,
    /// Replies since the last cut: throttles, and others.
    throttled: u32,
    good: u32,
}

impl Throttle {
    /// Slower is no use to anyone: at 1/64 a probe still goes out about once a window of the usual quotas.
    const LEAST: f64 = 1.0 / 64.0;
    /// A cut leaves the share of the pace that was not throttled since the last one, within these bounds: a gateway that
    /// permits a quarter is found in one window, and one that throttles now and then for reasons of its own costs
    /// nothing, since good replies give back as much.
    const KEPT: (f64, f64) = (0.25, 0.9);
    /// What one window of good replies gives back.
    const GAIN: f64 = 0.1;
}

/// Time as governor wants it: set by us before each question.
#[derive(Clone, Debug, Default)]
struct PaceClock(Arc<AtomicU64>);

impl Clock for PaceClock {
    type Instant = Nanos;
    fn now(&self) -> Nanos {
        Nanos::from(self.0.load(Ordering::Relaxed))
    }
}

impl Quota {
    /// A quota of `arrivals_max` in any `window`, nothing before `not_before` (stamps of an earlier process).
    pub fn new(arrivals_max: u32, window: Duration, strict: bool, not_before: Tick) -> Quota {
        let arrivals = NonZeroU32::new(arrivals_max.max(1)).expect("at least 1");
        // Whoever measures at the other side rounds to milliseconds: keep one between the windows.
        let window = window + Duration::from_millis(1);
        let clock = PaceClock::default();
        // A twentieth of a window as burst: governor's default (all of it) doubles the first window, 1 loses
        // up to a third of the pace to timer granularity.
        let burst = NonZeroU32::new((arrivals.get() / 20).max(1)).expect("at least 1");
        let rate = Rate::with_period((window / arrivals.get()).max(Duration::from_nanos(1)))
            .expect("the period is not zero")
            .allow_burst(burst);
        Quota {
            arrivals_max: arrivals.get() as usize,
            window,
            pace: RateLimiter::direct_with_clock(rate, clock.clone()),
            clock,
            slots: VecDeque::new(),
            guard: strict.then(Guard::default),
            throttle: Throttle { factor: 1.0, last_cut: None, throttled: 0, good: 0 },
            not_before,
        }
    }

    /// Asks for one send at `now`. `Granted` books it.
    pub fn acquire(&mut self, now: Tick) -> Permit {
        if now < self.not_before {
            return Permit::At(self.not_before);
        }
        if let Some(at) = self.slot_free_at(now).into_iter().chain(self.throttled_until(now)).max() {
            return Permit::At(at);
        }
        if let Some(blocked) = self.guard.as_mut().and_then(|guard| guard.blocked(self.arrivals_max, now)) {
            return blocked;
        }
        self.clock.0.store(now.0, Ordering::Relaxed);
        if let Err(early) = self.pace.check() {
            let wait = early.wait_time_from(self.clock.now()).max(Duration::from_micros(1));
            return Permit::At(now + wait);
        }
        self.book(now);
        Permit::Granted
    }

    /// An exchange ended at `now`: with a reply (`answered`), or with a connection that was closed without one.
    pub fn ended(&mut self, now: Tick, answered: bool) {
        if let Some(guard) = &mut self.guard {
            guard.under_way -= 1;
            let arrived_by = if answered { now } else { now + self.window };
            guard.cooling.push(Reverse(arrived_by + self.window));
        }
    }

    /// How long nothing may be sent after the last exchange of an earlier process ended, or after that process died:
    /// what is still on its way then belongs to the window before.
    pub fn rest(window: Duration, strict: bool) -> Duration {
        if strict { 2 * window } else { window }
    }

    /// The gateway asked for a slower pace: cuts it, at most once a window, and waits for `pause`.
    pub fn throttled(&mut self, now: Tick, pause: Duration) {
        self.not_before = self.not_before.max(now + pause);
        let throttle = &mut self.throttle;
        throttle.throttled += 1;
        if throttle.last_cut.is_none_or(|cut| now.since(cut) >= self.window) {
            let kept = f64::from(throttle.good) / f64::from(throttle.good + throttle.throttled);
            let (least, most) = Throttle::KEPT;
            throttle.factor = (throttle.factor * kept.clamp(least, most)).max(Throttle::LEAST);
            (throttle.last_cut, throttle.throttled, throttle.good) = (Some(now), 0, 0);
        }
    }

    /// Nothing goes out before `at`.
    pub fn pause_until(&mut self, at: Tick) {
        self.not_before = self.not_before.max(at);
    }

    /// The gateway answered without a throttle: some of the pace comes back.
    pub fn relieved(&mut self) {
        let throttle = &mut self.throttle;
        throttle.good = throttle.good.saturating_add(1);
        if throttle.factor < 1.0 {
            let replies_per_window = (self.arrivals_max as f64 * throttle.factor).max(1.0);
            throttle.factor = (throttle.factor + Throttle::GAIN / replies_per_window).min(1.0);
        }
    }

    /// The pace in force, of the full one; 1 is unthrottled.
    pub fn factor(&self) -> f64 {
        self.throttle.factor
    }

    fn book(&mut self, now: Tick) {
        if self.slots.len() == self.arrivals_max {
            self.slots.pop_front();
        }
        self.slots.push_back(now);
        if let Some(guard) = &mut self.guard {
            guard.under_way += 1;
        }
    }

    fn slot_free_at(&self, now: Tick) -> Option<Tick> {
        let oldest = *self.slots.front().filter(|_| self.slots.len() == self.arrivals_max)?;
        Some(oldest + self.window).filter(|at| *at > now)
    }

    fn throttled_until(&self, now: Tick) -> Option<Tick> {
        let last = *self.slots.back().filter(|_| self.throttle.factor < 1.0)?;
        let interval = self.window.as_secs_f64() / (self.arrivals_max as f64 * self.throttle.factor);
        Some(last + Duration::from_secs_f64(interval)).filter(|at| *at > now)
    }
}

impl Guard {
    fn blocked(&mut self, permits: usize, now: Tick) -> Option<Permit> {
        while self.cooling.peek().is_some_and(|Reverse(back)| *back <= now) {
            self.cooling.pop();
        }
        if self.under_way + self.cooling.len() < permits {
            return None;
        }
        Some(self.cooling.peek().map_or(Permit::AfterReply, |Reverse(back)| Permit::At(*back)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sends as fast as the quota allows for `seconds`; each exchange arrives and ends as `network` says.
    /// Returns the arrivals at the gateway.
    fn drive(strict: bool, quota: u32, seconds: u64, mut network: impl FnMut(usize) -> (u64, u64)) -> Vec<u64> {
        let mut law = Quota::new(quota, SECOND, strict, Tick::ZERO);
        let (mut now, mut arrivals, mut ends) = (Tick::ZERO, Vec::new(), std::collections::BinaryHeap::new());
        while now < Tick(seconds * 1_000_000_000) {
            while ends.peek().is_some_and(|std::cmp::Reverse(end)| *end <= now) {
                ends.pop();
                law.ended(now, true);
            }
            match law.acquire(now) {
                Permit::Granted => {
                    let (there, back) = network(arrivals.len());
                    arrivals.push(now.0 + there);
                    ends.push(std::cmp::Reverse(now + Duration::from_nanos(there + back)));
                }
                Permit::At(at) => {
                    let next_end = ends.peek().map_or(Tick::NEVER, |end| end.0);
                    now = at.min(next_end).max(now + Duration::from_nanos(1));
                }
                Permit::AfterReply => now = ends.peek().expect("a permit is under way").0,
            }
        }
        arrivals
    }

    /// What a start waits, milliseconds: a window's rest of 2 s, a timeout of 15 s. `ended`: how long ago.
    fn wait(busy: bool, ended_ms: Option<i64>, in_doubt: Option<usize>) -> u128 {
        let known = Predecessor { busy, ended_ns: ended_ms.map(|ms| ms * 1_000_000) };
        known.wait(Duration::from_secs(2), Duration::from_secs(15), in_doubt).as_millis()
    }

    #[test]
    fn a_young_stamp_costs_what_is_left_of_the_rest_and_an_old_one_nothing() {
        let left = [0, 500, 1_999, 2_000, 60_000].map(|ago| wait(false, Some(ago), None));
        assert_eq!(left, [2_000, 1_500, 1, 0, 0]);
        assert_eq!(wait(false, Some(-3_000), None), 5_000, "what it had to wait for itself is still to be waited for");
    }

    #[test]
    fn an_intent_without_an_outcome_costs_a_whole_rest() {
        assert_eq!(wait(false, Some(60_000), Some(1)), 2_000);
        assert_eq!(wait(true, Some(60_000), Some(1)), 2_000, "its own rows in doubt wait a timeout, the others do not");
    }

    #[test]
    fn who_died_over_a_run_that_is_not_ours_or_in_another_boot_costs_a_timeout() {
        assert_eq!(wait(true, Some(60_000), None), 15_000);
        assert_eq!([wait(false, None, None), wait(true, None, Some(1))], [15_000, 15_000]);
    }

    #[test]
    fn what_a_predecessor_left_is_waited_for_line_by_line() {
        let seconds = Duration::from_secs;
        let ns = |seconds: i64| Some(seconds * 1_000_000_000);
        for (busy, ended_ns, in_doubt, wait) in [
            (false, ns(0), None, 2),
            (false, ns(1), None, 1),
            (false, ns(3), None, 0),
            (false, ns(-4), None, 6), // it was done before its own wait was over
            (false, None, None, 9),   // another boot: nobody knows when
            (true, ns(100), None, 9), // nobody knows which cards it was calling
            (true, None, None, 9),
            (true, ns(100), Some(1), 2), // those of our own rows in doubt, which wait by themselves
            (true, ns(-4), Some(1), 4),  // and those that it was waiting for
            (true, None, Some(1), 9),
            (true, ns(100), Some(0), 2), // it died between its calls
            (false, ns(3), Some(0), 0),
        ] {
            let predecessor = Predecessor { busy, ended_ns };
            assert_eq!(
                predecessor.wait(seconds(2), seconds(9), in_doubt),
                seconds(wait),
                "{predecessor:?} {in_doubt:?}"
            );
        }
    }

    #[test]
    fn who_died_calling_for_another_client_may_have_called_our_cards() {
        let seconds = Duration::from_secs;
        for (busy, ended_s, wait) in [
            (false, Some(0), 0),
            (false, Some(-4), 4),
            (false, None, 0), // another boot
            (true, Some(100), 9),
            (true, Some(-12), 12),
            (true, None, 9),
        ] {
            let another = Predecessor { busy, ended_ns: ended_s.map(|ago: i64| ago * 1_000_000_000) };
            assert_eq!(another.wait_of_another(seconds(9)), seconds(wait), "{another:?}");
        }
    }

    fn worst_window(arrivals: &mut [u64]) -> usize {
        arrivals.sort_unstable();
        let mut from = 0;
        let mut worst = 0;
        for to in 0..arrivals.len() {
            while arrivals[to] - arrivals[from] >= 1_000_000_000 {
                from += 1;
            }
            worst = worst.max(to - from + 1);
        }
        worst
    }

    /// An exchange of a hostile network.
    #[derive(Clone, Copy, Debug)]
    enum Course {
        /// It arrives after so long, and its reply takes as long again.
        Answered(u64, u64),
        /// We close the connection after so long; it arrives so long after that, within the law's assumption.
        Silent(u64, u64),
        /// As `Answered`, but the gateway asks for a slower pace, and for a pause.
        Throttled(u64, u64),
    }

    /// Everything in thousandths of the window. Few permits and the latest arrivals are where a guard is too short.
    fn course() -> impl Strategy<Value = Course> {
        prop_oneof![
            4 => (0_u64..1_500, 0_u64..1_500).prop_map(|(there, back)| Course::Answered(there, back)),
            2 => (0_u64..2_000, prop_oneof![0_u64..=1_000, Just(1_000)])
                .prop_map(|(patience, late)| Course::Silent(patience, late)),
            1 => (0_u64..300, 0_u64..2_000).prop_map(|(there, pause)| Course::Throttled(there, pause)),
        ]
    }

    /// One process from `from` until it dies: sends as fast as the quota allows. What is under way then arrives, at the
    /// latest, one window later. Everything in ns.
    fn live(law: &mut Quota, window: u64, (from, until): (u64, u64), courses: &[Course], arrivals: &mut Vec<u64>) {
        let (mut now, mut sent) = (0, 0);
        let mut ends: Vec<(u64, Course)> = Vec::new();
        while from + now < until {
            ends.sort_by_key(|(at, _)| Reverse(*at));
            while ends.last().is_some_and(|(at, _)| *at <= now) {
                let (_, course) = ends.pop().unwrap();
                law.ended(Tick(now), !matches!(course, Course::Silent(..)));
                match course {
                    Course::Throttled(_, pause) => {
                        law.throttled(Tick(now), Duration::from_nanos(pause * window / 1_000));
                    }
                    Course::Answered(..) => law.relieved(),
                    Course::Silent(..) => {}
                }
            }
            let next_end = ends.last().map_or(u64::MAX, |(at, _)| *at);
            match law.acquire(Tick(now)) {
                Permit::Granted => {
                    let course = courses[sent % courses.len()];
                    sent += 1;
                    let (arrives, ends_at) = match course {
                        Course::Answered(there, back) => (there, there + back),
                        Course::Silent(patience, late) => (patience + late, patience),
                        Course::Throttled(there, _) => (there, 2 * there),
                    };
                    let death = until + window;
                    arrivals.push((from + now + arrives * window / 1_000).min(death.max(from + now)));
                    ends.push((now + ends_at * window / 1_000, course));
                }
                Permit::At(at) => now = at.0.min(next_end).max(now + 1),
                Permit::AfterReply => now = next_end,
            }
        }
    }

    fn worst(arrivals: &mut [u64], window: u64) -> usize {
        arrivals.sort_unstable();
        let inside = |to: usize| arrivals[..=to].iter().rev().take_while(|at| arrivals[to] - **at < window).count();
        (0..arrivals.len()).map(inside).max().unwrap_or(0)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// Two processes, the second behind the death of the first: no window at the gateway has more arrivals than the
        /// quota, whatever the network does and the gateway says.
        #[test]
        fn strict_mode_proves_the_law_at_the_gateway(
            quota in prop_oneof![1_u32..4, 1_u32..40],
            window_ms in 1_u64..5_000,
            courses in proptest::collection::vec(course(), 1..60),
            (life, pause) in (1_000_u64..6_000, 0_u64..3_000),
        ) {
            let window = Duration::from_millis(window_ms);
            let ns = window_ms * 1_000_000;
            let (death, rebirth) = (life * ns / 1_000, (life + pause) * ns / 1_000);
            let mut arrivals = Vec::new();
            live(&mut Quota::new(quota, window, true, Tick::ZERO), ns, (0, death), &courses, &mut arrivals);
            let rest = Predecessor { busy: true, ended_ns: Some(0) }.wait(Quota::rest(window, true), Duration::ZERO, Some(1));
            let mut second = Quota::new(quota, window, true, Tick::ZERO + rest);
            live(&mut second, ns, (rebirth, rebirth + 4 * ns), &courses, &mut arrivals);
            prop_assert!(worst(&mut arrivals, ns) <= quota as usize);
        }

        /// Without the proof at the gateway the law holds for what we send.
        #[test]
        fn paced_mode_keeps_the_law_on_our_side(quota in 1_u32..40, courses in proptest::collection::vec(course(), 1..60)) {
            let at_once = |course: &Course| match course {
                Course::Answered(_, back) => Course::Answered(0, *back),
                Course::Silent(..) => Course::Answered(0, 0),
                Course::Throttled(_, pause) => Course::Throttled(0, *pause),
            };
            let courses: Vec<Course> = courses.iter().map(at_once).collect();
            let (mut sends, ns) = (Vec::new(), 1_000_000_000);
            live(&mut Quota::new(quota, SECOND, false, Tick::ZERO), ns, (0, 5 * ns), &courses, &mut sends);
            prop_assert!(worst(&mut sends, ns) <= quota as usize);
        }
    }

    #[test]
    fn both_modes_deliver_nearly_all_of_the_quota() {
        for (strict, least) in [(true, 0.97), (false, 0.99)] {
            let mut arrivals = drive(strict, 150, 10, |_| (1_000_000, 14_000_000));
            let delivered = arrivals.len() as f64 / 1_500.0;
            assert!(delivered >= least, "strict {strict}: {delivered}");
            assert!(worst_window(&mut arrivals) <= 150);
        }
    }

    #[test]
    fn a_gateway_that_permits_less_is_found_and_noise_costs_little() {
        // (share of the quota that is permitted, every how-manieth reply is throttled anyway) -> the pace in the end.
        let pace = |permitted: f64, noise: u32| {
            let mut law = Quota::new(200, SECOND, false, Tick::ZERO);
            let mut refused = 0;
            for window in 0..30_u64 {
                let sends = (200.0 * law.factor()) as u32;
                for send in 0..sends {
                    let now = Tick(window * 1_002_000_000 + u64::from(send) * 1_000_000);
                    if f64::from(send) >= 200.0 * permitted || send % noise == noise - 1 {
                        law.throttled(now, Duration::ZERO);
                        refused += 1;
                    } else {
                        law.relieved();
                    }
                }
            }
            (law.factor(), refused)
        };
        let (quarter, refused) = pace(0.25, u32::MAX);
        assert!((0.2..0.5).contains(&quarter) && refused < 1_200, "{quarter} {refused}");
        let (noisy, _) = pace(1.0, 50);
        assert!(noisy > 0.8, "{noisy}");
    }

    #[test]
    fn a_throttle_cuts_the_pace_and_good_replies_restore_it() {
        let mut law = Quota::new(100, SECOND, false, Tick::ZERO);
        law.throttled(Tick(1), Duration::from_millis(250));
        law.throttled(Tick(2), Duration::ZERO);
        assert!(
            (law.factor() - Throttle::KEPT.0).abs() < 1e-9,
            "nothing was good, and there is at most one cut a window"
        );
        assert_eq!(law.acquire(Tick(3)), Permit::At(Tick(1) + Duration::from_millis(250)));
        for _ in 0..2_000 {
            law.relieved();
        }
        assert!((law.factor() - 1.0).abs() < 1e-9);
    }
}
