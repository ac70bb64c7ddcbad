//! Calls by the time at which they began, in slots that double their width where a run lasts long.

use std::time::Duration;

use super::Histogram;

/// The calls that began in one slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// All of them.
    pub calls: u64,
    /// Those that were not their row's first.
    pub retries: u64,
    /// Those that ended in doubt.
    pub in_doubt: u64,
    /// Those that the gateway put off.
    pub throttled: u64,
    /// Those of which no byte left.
    pub not_sent: u64,
    /// How long they took, those not sent apart.
    pub latency: Histogram,
}

impl Slot {
    fn merge(&mut self, other: &Slot) {
        self.calls += other.calls;
        self.retries += other.retries;
        self.in_doubt += other.in_doubt;
        self.throttled += other.throttled;
        self.not_sent += other.not_sent;
        self.latency.merge(&other.latency);
    }
}

/// Slots of equal width, one behind the other.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// Where the first one begins; milliseconds since 1970.
    start_ms: Option<i64>,
    /// A multiple of the quota's window, so that no slot holds more calls than its share of the quota.
    width_ms: i64,
    slots: Vec<Slot>,
}

impl Timeline {
    /// So many slots at most: two screen points each on a small screen.
    pub const MOST: usize = 256;

    /// No calls yet. `window`: the quota's.
    pub fn new(window: Duration) -> Timeline {
        let window_ms = (window.as_millis() as i64).max(1);
        let width_ms = window_ms * ((1_000 + window_ms - 1) / window_ms);
        Timeline { start_ms: None, width_ms, slots: Vec::new() }
    }

    /// The slot of a call that began then. What began before the first one counts into the first: calls are on record
    /// when they end.
    pub fn at(&mut self, sent_ms: i64) -> &mut Slot {
        let start_ms = *self.start_ms.get_or_insert(sent_ms);
        let since_ms = sent_ms.saturating_sub(start_ms).max(0);
        while since_ms / self.width_ms >= Self::MOST as i64 {
            self.halve();
        }
        let at = (since_ms / self.width_ms) as usize;
        if at >= self.slots.len() {
            self.slots.resize_with(at + 1, Slot::default);
        }
        &mut self.slots[at]
    }

    fn halve(&mut self) {
        self.slots = self
            .slots
            .chunks(2)
            .map(|pair| {
                let mut slot = pair[0].clone();
                pair[1..].iter().for_each(|second| slot.merge(second));
                slot
            })
            .collect();
        self.width_ms *= 2;
    }

    /// The same in at most so many slots.
    pub fn coarse(&self, most: usize) -> Timeline {
        let mut coarse = self.clone();
        while coarse.slots.len() > most.max(1) {
            coarse.halve();
        }
        coarse
    }

    /// How long a slot is; milliseconds.
    pub fn width_ms(&self) -> i64 {
        self.width_ms
    }

    /// The slots with the time at which each begins, in milliseconds since 1970.
    pub fn slots(&self) -> impl ExactSizeIterator<Item = (i64, &Slot)> {
        let start_ms = self.start_ms.unwrap_or_default();
        self.slots.iter().enumerate().map(move |(at, slot)| (start_ms + at as i64 * self.width_ms, slot))
    }

    /// All of it in one.
    pub fn total(&self) -> Slot {
        let mut total = Slot::default();
        self.slots.iter().for_each(|slot| total.merge(slot));
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(timeline: &Timeline) -> Vec<(i64, u64)> {
        timeline.slots().map(|(start_ms, slot)| (start_ms, slot.calls)).collect()
    }

    #[test]
    fn a_slot_is_a_whole_number_of_windows_and_no_shorter_than_a_second() {
        let width = |ms| Timeline::new(Duration::from_millis(ms)).width_ms();
        assert_eq!(
            [0, 1, 200, 300, 1_000, 1_500, 60_000].map(width),
            [1_000, 1_000, 1_000, 1_200, 1_000, 1_500, 60_000]
        );
    }

    #[test]
    fn a_long_run_has_wider_slots_and_loses_no_call() {
        let mut timeline = Timeline::new(Duration::from_secs(1));
        for second in 0..100_000_i64 {
            timeline.at(5_000 + second * 1_000).calls += 1;
        }
        assert!(timeline.slots().len() <= Timeline::MOST && timeline.slots().len() > Timeline::MOST / 2);
        assert_eq!(timeline.width_ms(), 512_000);
        assert_eq!(timeline.total().calls, 100_000);
        assert_eq!(starts(&timeline)[..2], [(5_000, 512), (517_000, 512)]);
        let coarse = timeline.coarse(24);
        assert!(coarse.slots().len() <= 24);
        assert_eq!(coarse.total().calls, 100_000);
    }

    #[test]
    fn clocks_that_jump_are_survived() {
        let mut timeline = Timeline::new(Duration::from_secs(1));
        for sent_ms in [10_000, 9_000, i64::MIN, i64::MAX, 10_500] {
            timeline.at(sent_ms).calls += 1;
        }
        assert_eq!(timeline.total().calls, 5);
        assert!(timeline.slots().len() <= Timeline::MOST);
        assert_eq!(starts(&Timeline::new(Duration::from_secs(1)).coarse(8)), []);
    }
}
