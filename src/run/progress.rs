//! What a run tells while it runs: counters that anyone may read at any time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::timings::Timings;
use crate::model::Outcome;

/// Where a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Reading inputs.
    #[default]
    Survey,
    /// Meeting the ledger.
    Plan,
    /// Sending.
    Apply,
    /// Writing files.
    Finish,
}

/// Counters of a run. All grow, but for `in_flight` and `pace_percent`.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    /// Rows read by the survey.
    pub rows_read: AtomicU64,
    /// Rows that may be sent.
    pub planned: AtomicU64,
    /// Requests begun.
    pub calls: AtomicU64,
    /// Requests that repeat an earlier one of their row.
    pub retries: AtomicU64,
    /// Requests answered by a throttle.
    pub throttled: AtomicU64,
    /// Requests under way.
    pub in_flight: AtomicU64,
    /// The pace in force, in percent of the full one.
    pub pace_percent: AtomicU64,
    /// Processor time by stage.
    pub timings: Arc<Timings>,
    outcomes: [AtomicU64; Outcome::ALL.len()],
}

impl Progress {
    /// Enters a phase.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Where the run is.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Survey,
            1 => Phase::Plan,
            2 => Phase::Apply,
            _ => Phase::Finish,
        }
    }

    /// Counts a settled row.
    pub fn settled(&self, outcome: Outcome) {
        self.outcomes[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Rows settled by calls so far, by outcome.
    pub fn outcomes(&self) -> impl Iterator<Item = (Outcome, u64)> {
        Outcome::ALL.into_iter().map(|outcome| (outcome, self.outcomes[outcome as usize].load(Ordering::Relaxed)))
    }
}
