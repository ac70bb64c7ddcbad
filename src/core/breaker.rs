//! What a run does about a gateway that is gone: park the rows, at no cost to them, and probe.
//!
//! Gone is a gateway that cannot be reached, and one in whose place others speak: a balancer's 503, a connection that
//! breaks, silence up to the timeout. The first costs a row nothing, so one such request opens the breaker. The second
//! costs each probe an attempt, and may be the fault of one row: it takes several cards in a row, and probes are rarer.

use std::collections::BTreeSet;
use std::time::Duration;

use super::limits;
use crate::model::{Digest, Tick};

/// Counts what came to nothing since the gateway was heard last.
#[derive(Debug)]
pub struct Breaker {
    /// Whether the gateway was ever heard in this run.
    heard: bool,
    /// Cards without an answer that open it.
    opens_at: usize,
    /// Their cards, as long as it is closed.
    unanswered: BTreeSet<Digest>,
    /// Probes that came to nothing; 0: it is closed.
    probes: u32,
    /// When the trouble began.
    since: Option<Tick>,
}

/// What the whole run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It goes on.
    GoOn,
    /// It sends nothing for so long, then one probe.
    Pause(Duration),
    /// It has waited long enough.
    GiveUp,
}

impl Breaker {
    /// The first pause; it doubles up to the longest.
    const PAUSE: Duration = Duration::from_millis(250);
    /// The longest pause between two connections that fail.
    const UNREACHED_MAX: Duration = Duration::from_secs(10);
    /// The longest pause between two probes that cost an attempt: about 25 of them in ten minutes, which the rows in
    /// the slots share among them.
    const UNANSWERED_MAX: Duration = Duration::from_secs(30);

    /// A closed breaker of a run with so many slots: where fewer cards than [`limits::UNANSWERED_CARDS`] can be under
    /// way, all of them together open it.
    pub fn new(slots: usize) -> Breaker {
        Breaker {
            heard: false,
            opens_at: limits::UNANSWERED_CARDS.min(slots),
            unanswered: BTreeSet::new(),
            probes: 0,
            since: None,
        }
    }

    /// The gateway itself spoke.
    pub fn heard(&mut self) {
        *self = Breaker { heard: true, ..Breaker::new(self.opens_at) };
    }

    /// A request never left.
    pub fn unreached(&mut self, now: Tick) -> Next {
        self.in_vain(now, Self::UNREACHED_MAX)
    }

    /// A request for `card` left, and nothing came back that can be believed.
    pub fn unanswered(&mut self, card: Digest, now: Tick) -> Next {
        self.since.get_or_insert(now);
        if !self.is_open() {
            self.unanswered.insert(card);
            if self.unanswered.len() < self.opens_at {
                return Next::GoOn;
            }
        }
        self.in_vain(now, Self::UNANSWERED_MAX)
    }

    fn in_vain(&mut self, now: Tick, pause_max: Duration) -> Next {
        let since = *self.since.get_or_insert(now);
        let patience = if self.heard { limits::OUTAGE } else { limits::NEVER_HEARD };
        if now.since(since) >= patience {
            return Next::GiveUp;
        }
        self.probes += 1;
        Next::Pause(Self::PAUSE.saturating_mul(1 << self.probes.min(10)).min(pause_max))
    }

    /// Whether only one probe at a time may go out.
    pub fn is_open(&self) -> bool {
        self.probes > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Tick {
        Tick(seconds * 1_000_000_000)
    }

    fn card(n: usize) -> Digest {
        Digest([n as u8; 16])
    }

    #[test]
    fn ten_minutes_of_outage_are_waited_out_and_a_wrong_address_is_not() {
        let mut breaker = Breaker::new(32);
        assert!(matches!(breaker.unreached(at(0)), Next::Pause(_)));
        assert!(matches!(breaker.unreached(at(119)), Next::Pause(_)));
        assert_eq!(breaker.unreached(at(120)), Next::GiveUp);
        breaker.heard();
        assert!(!breaker.is_open());
        assert!(matches!(breaker.unreached(at(1_000)), Next::Pause(_)));
        assert!(matches!(breaker.unreached(at(1_600)), Next::Pause(_)));
        assert_eq!(breaker.unreached(at(1_900)), Next::GiveUp);
    }

    #[test]
    fn silence_is_the_gateways_only_on_several_cards_in_a_row() {
        let mut breaker = Breaker::new(32);
        assert!((0..50).all(|second| breaker.unanswered(card(0), at(second)) == Next::GoOn), "one card is one card");
        assert!((1..7).all(|n| breaker.unanswered(card(n), at(60)) == Next::GoOn));
        breaker.heard();
        assert!((0..7).all(|n| breaker.unanswered(card(n), at(60)) == Next::GoOn));
        assert_eq!(breaker.unanswered(card(7), at(61)), Next::Pause(Duration::from_millis(500)));
        assert_eq!(breaker.unreached(at(62)), Next::Pause(Duration::from_secs(1)), "one trouble, one count");
        assert!(breaker.is_open());
        // Two slots never have eight cards under way.
        let mut breaker = Breaker::new(2);
        assert_eq!(breaker.unanswered(card(0), at(0)), Next::GoOn);
        assert!(matches!(breaker.unanswered(card(1), at(0)), Next::Pause(_)));
    }

    #[test]
    fn the_probes_of_ten_minutes_are_few() {
        let mut breaker = Breaker::new(1);
        breaker.heard();
        let (mut now, mut probes) = (Tick::ZERO, 0);
        while now.since(Tick::ZERO) < Duration::from_secs(600) {
            let Next::Pause(pause) = breaker.unanswered(card(0), now) else { panic!("given up at {now:?}") };
            (now, probes) = (now + pause, probes + 1);
        }
        assert_eq!(probes, 25);
    }
}
