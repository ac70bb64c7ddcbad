//! `--timings`: what a command's processor time went into.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;

use crate::run::{Progress, Stage};

/// Processor time by stage.
#[derive(Serialize)]
pub struct Spent {
    /// Requests made.
    calls: u64,
    /// Of the whole command.
    total_us: u64,
    /// Stages, in the order of a run.
    stages: Vec<StageTime>,
}

#[derive(Serialize)]
struct StageTime {
    name: &'static str,
    us: u64,
}

impl Spent {
    /// What a command counted, of `total` that its process used.
    pub fn of(progress: &Progress, total: Duration) -> Spent {
        let us = |time: Duration| time.as_micros() as u64;
        let of = |stage: Stage| StageTime { name: stage.as_str(), us: us(progress.timings.of(stage)) };
        let mut stages: Vec<StageTime> = Stage::ALL.into_iter().map(of).collect();
        let counted: u64 = stages.iter().map(|stage| stage.us).sum();
        stages.push(StageTime { name: "other", us: us(total).saturating_sub(counted) });
        Spent { calls: progress.calls.load(Ordering::Relaxed), total_us: us(total), stages }
    }

    /// A line a stage: seconds, share, microseconds a call.
    pub fn table(&self) -> String {
        let mut text = format!("  {:<10}{:>10}{:>9}{:>12}\n", "processor", "seconds", "share", "us a call");
        let whole = StageTime { name: "all", us: self.total_us };
        for StageTime { name, us } in self.stages.iter().chain([&whole]) {
            let share = *us as f64 / self.total_us.max(1) as f64;
            let call = *us as f64 / self.calls.max(1) as f64;
            let _ = writeln!(text, "  {name:<10}{:>10.2}{:>8.1}%{call:>12.1}", *us as f64 / 1e6, share * 100.0);
        }
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_whole() {
        let progress = Progress::default();
        progress.calls.store(1_000, Ordering::Relaxed);
        progress.timings.add(Stage::Sign, Duration::from_millis(900));
        let table = Spent::of(&progress, Duration::from_secs(1)).table();
        let line = |name: &str| table.lines().find(|line| line.trim_start().starts_with(name)).unwrap().to_owned();
        assert_eq!(line("sign").split_whitespace().collect::<Vec<_>>(), ["sign", "0.90", "90.0%", "900.0"]);
        assert_eq!(line("other").split_whitespace().collect::<Vec<_>>(), ["other", "0.10", "10.0%", "100.0"]);
        assert_eq!(line("all").split_whitespace().collect::<Vec<_>>(), ["all", "1.00", "100.0%", "1000.0"]);
    }
}
