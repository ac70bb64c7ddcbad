//! How far our wall clock is from the gateway's. It is told, never acted upon: what it may cost is that the gateway
//! refuses our signed request times, and only a person can set a clock.

use std::time::Duration;

use super::limits;

/// Watches the times of replies.
#[derive(Debug, Default)]
pub struct Drift {
    worst_ms: i64,
}

impl Drift {
    /// A reply that came at `ours_ms` (wall clock), `latency` after its request, says that it was written at
    /// `theirs_ms`; both in milliseconds since 1970. Returns whether that is too far away, for the first time.
    pub fn hear(&mut self, theirs_ms: i64, ours_ms: i64, latency: Duration) -> bool {
        let earliest = ours_ms.saturating_sub(latency.as_millis() as i64);
        // It was written at some instant of the exchange: only what lies outside of that is a difference.
        let difference = theirs_ms.saturating_sub(theirs_ms.clamp(earliest, ours_ms));
        let is_known = self.is_off();
        if difference.saturating_abs() > self.worst_ms.saturating_abs() {
            self.worst_ms = difference;
        }
        self.is_off() && !is_known
    }

    /// The gateway's clock less ours where they are too far apart, at its worst; milliseconds.
    pub fn off_by_ms(&self) -> Option<i64> {
        self.is_off().then_some(self.worst_ms)
    }

    fn is_off(&self) -> bool {
        self.worst_ms.saturating_abs() > limits::CLOCK_TOLERANCE.as_millis() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;
    const QUICK: Duration = Duration::from_millis(20);

    #[test]
    fn a_minute_is_permitted_and_more_is_told_once() {
        for sign in [1, -1] {
            let mut drift = Drift::default();
            assert!(!drift.hear(NOW + sign * 60_000, NOW, Duration::ZERO));
            assert_eq!(drift.off_by_ms(), None);
            assert!(drift.hear(NOW + sign * 60_100, NOW, QUICK));
            assert!(!drift.hear(NOW + sign * 7_200_000, NOW, Duration::ZERO), "told already");
            assert!(!drift.hear(NOW, NOW, QUICK));
            assert_eq!(drift.off_by_ms(), Some(sign * 7_200_000));
        }
    }

    #[test]
    fn a_reply_that_was_long_on_its_way_is_no_difference() {
        let mut drift = Drift::default();
        assert!(!drift.hear(NOW - 119_000, NOW, Duration::from_secs(60)));
        assert!(drift.hear(NOW - 121_000, NOW, Duration::from_secs(60)));
        assert!(Drift::default().hear(i64::MIN, i64::MAX, QUICK), "no overflow");
    }
}
