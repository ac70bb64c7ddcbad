//! What a run does about a gateway that cannot be reached: park the rows, at no cost to them, and probe.

use std::time::Duration;

use super::limits;
use crate::model::Tick;

/// Counts requests that never left.
#[derive(Debug, Default)]
pub struct Breaker {
    reached: bool,
    streak: u32,
    since: Option<Tick>,
}

impl Breaker {
    /// The first pause; it doubles up to [`Breaker::PAUSE_MAX`].
    const PAUSE: Duration = Duration::from_millis(250);
    const PAUSE_MAX: Duration = Duration::from_secs(10);

    /// An exchange took place, whatever came of it.
    pub fn reached(&mut self) {
        *self = Breaker { reached: true, ..Breaker::default() };
    }

    /// A request never left. Returns the pause of the whole run, or `None` when it is time to give up.
    pub fn not_reached(&mut self, now: Tick) -> Option<Duration> {
        let since = *self.since.get_or_insert(now);
        let patience = if self.reached { limits::OUTAGE } else { limits::NEVER_REACHED };
        if now.since(since) >= patience {
            return None;
        }
        self.streak += 1;
        Some(Self::PAUSE.saturating_mul(1 << self.streak.min(10)).min(Self::PAUSE_MAX))
    }

    /// Whether only one probe at a time may go out.
    pub fn is_open(&self) -> bool {
        self.streak > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_minutes_of_outage_are_waited_out_and_a_wrong_address_is_not() {
        let at = |seconds: u64| Tick(seconds * 1_000_000_000);
        let mut breaker = Breaker::default();
        assert!(breaker.not_reached(at(0)).is_some());
        assert!(breaker.not_reached(at(119)).is_some());
        assert_eq!(breaker.not_reached(at(120)), None);
        breaker.reached();
        assert!(!breaker.is_open());
        assert!(breaker.not_reached(at(1_000)).is_some());
        assert!(breaker.not_reached(at(1_600)).is_some());
        assert_eq!(breaker.not_reached(at(1_900)), None);
    }
}
