//! The clock check: a response-time far from the expected is a reply of another time, and no proof.

/// Compares the gateway's times with ours, corrected by what the first verified replies showed.
#[derive(Debug)]
pub struct Skew {
    max_ms: Option<i64>,
    /// The first different times that verified replies had ...
    times: Vec<i64>,
    /// ... and how far each was from ours when it came first, ascending.
    learnt: Vec<i64>,
}

impl Skew {
    /// Verified replies of so many different times teach the difference of the clocks: one of them could be an old one, and
    /// every copy of it says the same.
    const TIMES: usize = 5;

    /// `max_ms`: how far a response-time may be from the expected; `None` is off.
    pub fn new(max_ms: Option<i64>) -> Skew {
        Skew { max_ms, times: Vec::new(), learnt: Vec::new() }
    }

    /// Whether a verified reply with response-time `theirs_ms`, read at `ours_ms`, is of its own time; `None`: it has one that
    /// cannot be read, and shows nothing.
    /// Both in milliseconds since 1970; ours is the run's clock, so that a wall clock that is set meanwhile makes no reply
    /// one of another time. Until the difference is known our own clock counts: were the
    /// first reply its own measure, a stale success could be the first. A host whose clock is wrong pays a few retries: the gateway
    /// is not heard for it, and is probed until its times have shown the difference.
    pub fn believes(&mut self, theirs_ms: Option<i64>, ours_ms: i64) -> bool {
        let Some(max_ms) = self.max_ms else { return true };
        let Some(theirs_ms) = theirs_ms else { return false };
        let difference = theirs_ms.saturating_sub(ours_ms);
        if self.times.len() < Self::TIMES && !self.times.contains(&theirs_ms) {
            self.times.push(theirs_ms);
            let at = self.learnt.partition_point(|known| *known < difference);
            self.learnt.insert(at, difference);
        }
        difference.saturating_sub(self.difference_ms()).saturating_abs() <= max_ms
    }

    /// The gateway's clock less ours, as far as it is known; milliseconds.
    fn difference_ms(&self) -> i64 {
        if self.learnt.len() < Self::TIMES { 0 } else { self.learnt[Self::TIMES / 2] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_wrong_clock_is_corrected_by_the_first_replies() {
        let mut skew = Skew::new(Some(300_000));
        let hour = 3_600_000;
        let believed: Vec<bool> = (0..6).map(|at| skew.believes(Some(hour + at), at)).collect();
        assert_eq!(believed, [false, false, false, false, true, true]);
        assert!(skew.believes(Some(hour + 299_000), 0));
        assert!(!skew.believes(Some(0), 0), "a reply of an hour ago");
        assert!(Skew::new(None).believes(Some(i64::MAX), 0));
    }

    #[test]
    fn a_stale_success_is_not_believed_even_as_the_first() {
        let mut skew = Skew::new(Some(300_000));
        assert!(!skew.believes(Some(-5 * 3_600_000), 0));
        assert!((0..10).all(|at| skew.believes(Some(at), 0)));
        assert!(!skew.believes(Some(-5 * 3_600_000), 0));
    }

    #[test]
    fn copies_of_one_reply_teach_nothing_and_a_time_that_cannot_be_read_shows_nothing() {
        let mut skew = Skew::new(Some(300_000));
        assert!((0..100).all(|at| !skew.believes(Some(-5 * 3_600_000), at)));
        assert!((0..10).all(|at| skew.believes(Some(at), at)), "however many there were");
        assert!(!skew.believes(Some(-5 * 3_600_000), 100));
        assert!(!skew.believes(None, 0) && Skew::new(None).believes(None, 0));
    }
}
