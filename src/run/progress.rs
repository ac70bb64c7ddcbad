//! What a run tells while it runs: counters that anyone may read at any time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::latency::Latencies;
use super::manifest::Manifest;
use super::otlp::Sink;
use super::timings::Timings;
use crate::io::ledger::{Ledger, RunRow};
use crate::model::{Exit, Outcome};

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

/// What the ledger says of a job, as it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Rows that are open.
    pub open_rows: Option<u64>,
    /// When a run last came to its end (exit 0 or 1); milliseconds since 1970.
    pub success_ms: Option<i64>,
}

impl Standing {
    /// Runs that are looked at for one that came to its end: beyond them it is no news any more.
    const RUNS: u32 = 50;

    /// Asks the ledger. What it cannot say is not known: who runs into the fault by himself will tell it.
    pub fn of(ledger: &Ledger, job: &str) -> Standing {
        let is_success = |run: &&RunRow| matches!(run.exit.and_then(Exit::of_code), Some(Exit::Clean | Exit::Failures));
        let runs = ledger.closed_runs(job, Self::RUNS).unwrap_or_default();
        Standing {
            open_rows: ledger.open_count().ok(),
            success_ms: runs.iter().find(is_success).and_then(|run| run.closed_ms),
        }
    }
}

/// Counters of a run. All grow, but for `in_flight` and `pace_percent`.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    /// Bytes of the inputs, as stored.
    pub bytes: AtomicU64,
    /// Those that the survey has read.
    pub bytes_read: AtomicU64,
    /// Rows read by the survey.
    pub rows_read: AtomicU64,
    /// Rows that may be sent.
    pub planned: AtomicU64,
    /// Requests begun.
    pub calls: AtomicU64,
    /// Requests that repeat an earlier one of their row.
    pub retries: AtomicU64,
    /// Requests that ended in doubt.
    pub in_doubt: AtomicU64,
    /// Requests answered by a throttle.
    pub throttled: AtomicU64,
    /// Requests under way.
    pub in_flight: Arc<AtomicU64>,
    /// The pace in force, in percent of the full one.
    pub pace_percent: AtomicU64,
    /// The most requests begun in one quota window.
    pub quota_peak: AtomicU64,
    /// Until when attempts may start, milliseconds since 1970; 0: for ever.
    pub deadline_ms: AtomicI64,
    /// How long calls took.
    pub latencies: Latencies,
    /// Processor time by stage.
    pub timings: Arc<Timings>,
    outcomes: [AtomicU64; Outcome::ALL.len()],
    closed: [AtomicU64; Outcome::ALL.len()],
    /// Where spans are handed in, if anybody wants them.
    pub spans: OnceLock<Sink>,
    standing: Mutex<Standing>,
    run: Mutex<String>,
    /// Cards and bills are shown whole (`--log-pii`).
    pub log_pii: AtomicBool,
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

    /// Begins to send another run: its rows are counted from none.
    pub fn begin_apply(&self, run: &str) {
        run.clone_into(&mut self.run.lock().unwrap_or_else(PoisonError::into_inner));
        self.outcomes.iter().for_each(|rows| rows.store(0, Ordering::Relaxed));
        self.enter(Phase::Apply);
    }

    /// Counts the rows of a run that is closed. Those that no call was made for have their outcome from here on, too.
    /// `counted`: what its earlier closings had.
    pub fn close(&self, manifest: &Manifest, counted: &BTreeMap<Outcome, u64>) {
        for outcome in Outcome::ALL {
            let rows = manifest.rows.of(outcome);
            let known = counted.get(&outcome).copied().unwrap_or_default();
            self.closed[outcome as usize].fetch_add(rows.saturating_sub(known), Ordering::Relaxed);
            self.outcomes[outcome as usize].store(rows, Ordering::Relaxed);
        }
    }

    /// Rows of runs closed by this process, by outcome.
    pub fn closed(&self) -> impl Iterator<Item = (Outcome, u64)> {
        Outcome::ALL.into_iter().map(|outcome| (outcome, self.closed[outcome as usize].load(Ordering::Relaxed)))
    }

    /// The name of the run that is on; empty before the first.
    pub fn run(&self) -> String {
        self.run.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what the ledger says.
    pub fn note(&self, standing: Standing) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    /// What the ledger said last.
    pub fn standing(&self) -> Standing {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
