//! When a run stops before its plan is done, and why.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::limits;
use crate::model::Digest;

/// Why a run stops sending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stop {
    /// A signal.
    Signal,
    /// `finish_by`.
    Deadline,
    /// The gateway refuses our identity, with this code.
    Misconfigured(String),
    /// `halt_after_errors` was passed.
    Errors,
    /// The gateway could not be reached, or gave no answer that can be believed, for too long.
    Unreachable,
    /// More cards hold rows back than a run keeps in memory.
    TooMuchDoubt,
    /// The canary was sent; the rest waits for a person.
    Canary,
    /// A row of the canary did not end well.
    CanaryFailed,
}

impl Stop {
    /// One of each.
    pub const ALL: [Stop; 8] = [
        Stop::Signal,
        Stop::Deadline,
        Stop::Misconfigured(String::new()),
        Stop::Errors,
        Stop::Unreachable,
        Stop::TooMuchDoubt,
        Stop::Canary,
        Stop::CanaryFailed,
    ];

    /// Halted (exit 4), or stopped (exit 5).
    pub fn is_halt(&self) -> bool {
        !matches!(self, Stop::Signal | Stop::Deadline | Stop::Canary | Stop::CanaryFailed)
    }

    /// The code of rows that were not sent because of it.
    pub fn code(&self) -> &'static str {
        match self {
            Stop::Signal => "STOPPED_BY_SIGNAL",
            Stop::Deadline => "FINISH_BY",
            Stop::Misconfigured(_) => "HALTED_CONFIGURATION",
            Stop::Errors => "HALTED_ERRORS",
            Stop::Unreachable => "HALTED_UNREACHABLE",
            Stop::TooMuchDoubt => "HALTED_DOUBT",
            Stop::Canary => "CANARY",
            Stop::CanaryFailed => "CANARY_FAILED",
        }
    }

    /// The stop because of which a row with this code was not sent.
    pub fn of_code(code: &str) -> Option<Stop> {
        Stop::ALL.into_iter().find(|stop| stop.code() == code)
    }

    /// Whether a person is to decide what becomes of the rest: it stands for whoever finishes the run, too.
    pub fn is_canarys(&self) -> bool {
        matches!(self, Stop::Canary | Stop::CanaryFailed)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Signal => f.write_str("stopped by a signal"),
            Stop::Deadline => f.write_str("`finish_by` is near: no attempt could end before it"),
            Stop::Misconfigured(code) => write!(f, "the gateway refuses our identity: {code}"),
            Stop::Errors => f.write_str("more errors than `halt_after_errors` permits"),
            Stop::Unreachable => f.write_str("the gateway cannot be reached, or gives no answer that can be believed"),
            Stop::TooMuchDoubt => f.write_str("too many cards are in doubt"),
            Stop::Canary => f.write_str("the canary was sent, and the rest waits"),
            Stop::CanaryFailed => f.write_str("a row of the canary did not end well, and the rest waits"),
        }
    }
}

/// `halt_after_errors`.
#[derive(Clone, Copy, Debug)]
pub enum ErrorLimit {
    /// Never.
    Off,
    /// Of the settled sends.
    Percent(f64),
    /// So many.
    Count(u64),
}

/// Watches for the errors that halt a run.
pub struct Watch {
    limit: ErrorLimit,
    settled: u64,
    errors: u64,
    unsigned_configuration: BTreeSet<Digest>,
}

impl Watch {
    /// A watch over one run.
    pub fn new(limit: ErrorLimit) -> Watch {
        Watch { limit, settled: 0, errors: 0, unsigned_configuration: BTreeSet::new() }
    }

    /// A row that was sent is settled; `error`: refused or unknown. Returns whether the run halts.
    pub fn settled(&mut self, error: bool) -> bool {
        self.settled += 1;
        self.errors += u64::from(error);
        match self.limit {
            ErrorLimit::Off => false,
            ErrorLimit::Count(limit) => self.errors > limit,
            ErrorLimit::Percent(percent) => {
                percent < 100.0
                    && self.settled >= limits::ERRORS_JUDGED_FROM
                    && self.errors as f64 > self.settled as f64 * percent / 100.0
            }
        }
    }

    /// A verified reply: we are who the gateway thinks we are.
    pub fn verified(&mut self) {
        self.unsigned_configuration.clear();
    }

    /// An unsigned configuration code for `card`. Returns whether the run halts.
    pub fn unsigned_configuration(&mut self, card: Digest) -> bool {
        self.unsigned_configuration.insert(card);
        self.unsigned_configuration.len() >= limits::UNSIGNED_CONFIGURATION
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_judged_from_a_hundred_on() {
        let mut watch = Watch::new(ErrorLimit::Percent(5.0));
        assert!((0..99).all(|_| !watch.settled(true)));
        assert!(watch.settled(true));
        let mut watch = Watch::new(ErrorLimit::Percent(5.0));
        assert!((0..1_000).all(|at| !watch.settled(at % 20 == 19)), "exactly 5% is permitted");
        let mut watch = Watch::new(ErrorLimit::Percent(100.0));
        assert!((0..1_000).all(|_| !watch.settled(true)));
    }

    #[test]
    fn a_number_is_exact() {
        let mut watch = Watch::new(ErrorLimit::Count(2));
        assert!(!watch.settled(true) && !watch.settled(true) && watch.settled(true));
    }

    #[test]
    fn five_unsigned_configuration_codes_on_different_cards_halt() {
        let card = |n: u8| Digest([n; 16]);
        let mut watch = Watch::new(ErrorLimit::Off);
        assert!((0..20).all(|_| !watch.unsigned_configuration(card(0))), "one card is one card");
        assert!((1..4).all(|n| !watch.unsigned_configuration(card(n))));
        watch.verified();
        assert!((0..4).all(|n| !watch.unsigned_configuration(card(n))));
        assert!(watch.unsigned_configuration(card(9)));
    }
}
