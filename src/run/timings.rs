//! Where a run's processor time goes, by the clocks of its threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::io::cpu;

/// What a thread works for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Inputs are read, judged and stored.
    Survey,
    /// Rows meet the ledger.
    Plan,
    /// Requests are signed; their encoding, half a percent of it, is in.
    Sign,
    /// Replies are verified and read.
    Read,
    /// The dispatcher, and HTTP.
    Exchange,
    /// Records become durable.
    Ledger,
    /// Files are written, bills and cards merged.
    Finish,
}

impl Stage {
    /// In the order of a run.
    pub const ALL: [Stage; 7] =
        [Stage::Survey, Stage::Plan, Stage::Sign, Stage::Read, Stage::Exchange, Stage::Ledger, Stage::Finish];

    /// The stage in a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Survey => "survey",
            Stage::Plan => "plan",
            Stage::Sign => "sign",
            Stage::Read => "verify",
            Stage::Exchange => "exchange",
            Stage::Ledger => "ledger",
            Stage::Finish => "finish",
        }
    }
}

/// Processor time by stage, in nanoseconds.
#[derive(Debug, Default)]
pub struct Timings([AtomicU64; Stage::ALL.len()]);

impl Timings {
    /// Counts what the calling thread uses until the answer is dropped.
    pub fn count(&self, stage: Stage) -> Counting<'_> {
        Counting { timings: self, stage, since: cpu::of_thread() }
    }

    /// Counts time that was measured elsewhere.
    pub fn add(&self, stage: Stage, time: Duration) {
        self.0[stage as usize].fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn of(&self, stage: Stage) -> Duration {
        Duration::from_nanos(self.0[stage as usize].load(Ordering::Relaxed))
    }
}

/// Work that is being counted, on the thread that does it.
pub struct Counting<'a> {
    timings: &'a Timings,
    stage: Stage,
    since: Duration,
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.timings.add(self.stage, cpu::of_thread().saturating_sub(self.since));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted_where_it_is_done() {
        let timings = Timings::default();
        let counting = timings.count(Stage::Plan);
        let mut work = 0_u64;
        while cpu::of_thread().saturating_sub(counting.since) < Duration::from_millis(2) {
            work = work.wrapping_mul(31).wrapping_add(1);
        }
        drop(counting);
        assert!(work > 0 && timings.of(Stage::Plan) >= Duration::from_millis(2));
        assert_eq!(timings.of(Stage::Sign), Duration::ZERO);
        assert!(cpu::of_process() >= timings.of(Stage::Plan));
    }

    #[test]
    fn stages_stand_in_their_own_places() {
        assert!(Stage::ALL.iter().enumerate().all(|(at, stage)| *stage as usize == at));
    }
}
