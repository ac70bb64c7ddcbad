//! What a run shows while it runs: a line that moves on a terminal, a line of the log now and then without one.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::Screen;
use super::figures::{count, grouped};
use crate::run::{Phase, Progress};

/// How often the line moves: often enough to look alive, rarely enough to cost nothing.
const FRAME: Duration = Duration::from_millis(200);
/// How often the log tells, so that a run under cron does not look hung.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// Shows the counters of a run until it is dropped.
pub struct Watch {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to show.
    pub fn start(screen: Screen, progress: &Arc<Progress>) -> Watch {
        let (end, ended) = channel();
        let progress = Arc::clone(progress);
        let mut show: Box<dyn FnMut() + Send> = if screen.progress {
            let line = Line::new();
            let mut pace = Pace::new();
            Box::new(move || line.draw(&Seen::of(&progress), &mut pace))
        } else {
            Box::new(move || Seen::of(&progress).log())
        };
        let wait = if screen.progress { FRAME } else { LOG_EVERY };
        let work = move || {
            while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                show();
            }
        };
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(work);
        // A run without its display is still a run.
        Watch { end: Some(end), thread: thread.ok() }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The counters at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    phase: Phase,
    rows: u64,
    planned: u64,
    settled: u64,
    calls: u64,
    retries: u64,
    throttled: u64,
    in_flight: u64,
    pace_percent: u64,
}

impl Seen {
    fn of(progress: &Progress) -> Seen {
        let at = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Seen {
            phase: progress.phase(),
            rows: at(&progress.rows_read),
            planned: at(&progress.planned),
            settled: progress.outcomes().map(|(_, rows)| rows).sum(),
            calls: at(&progress.calls),
            retries: at(&progress.retries),
            throttled: at(&progress.throttled),
            in_flight: at(&progress.in_flight),
            pace_percent: at(&progress.pace_percent),
        }
    }

    fn log(&self) {
        match self.phase {
            Phase::Survey => tracing::info!(rows = self.rows, "reading"),
            Phase::Plan => tracing::info!(rows = self.rows, "planning"),
            Phase::Apply => tracing::info!(
                settled = self.settled,
                planned = self.planned,
                calls = self.calls,
                retries = self.retries,
                throttled = self.throttled,
                in_flight = self.in_flight,
                pace_percent = self.pace_percent,
                "sending"
            ),
            Phase::Finish => tracing::info!("writing files"),
        }
    }

    /// `per_second`: calls.
    fn text(&self, per_second: u64) -> String {
        match self.phase {
            Phase::Survey => format!("reading, {}", count(self.rows, "row")),
            Phase::Plan => format!("planning, {}", count(self.rows, "row")),
            Phase::Finish => "writing files".to_owned(),
            Phase::Apply => {
                // What matters most comes first: a narrow terminal cuts the rest.
                let (settled, planned) = (grouped(&self.settled), grouped(&self.planned));
                let mut text = format!("{settled}/{planned}  {per_second} calls/s");
                if (1..100).contains(&self.pace_percent) {
                    let _ = write!(text, "  pace {}%", self.pace_percent);
                }
                let _ = write!(text, "  {} in flight", self.in_flight);
                for (number, word) in [(self.retries, "retries"), (self.throttled, "throttled")] {
                    if number > 0 {
                        let _ = write!(text, "  {} {word}", grouped(&number));
                    }
                }
                text
            }
        }
    }
}

/// Calls a second over the last seconds.
struct Pace {
    began: Instant,
    seen: Vec<(Duration, u64)>,
}

impl Pace {
    const OVER: Duration = Duration::from_secs(3);

    fn new() -> Pace {
        Pace { began: Instant::now(), seen: Vec::new() }
    }

    fn per_second(&mut self, calls: u64) -> u64 {
        let now = self.began.elapsed();
        self.seen.retain(|(at, _)| now.saturating_sub(*at) <= Self::OVER);
        self.seen.push((now, calls));
        let (from, before) = self.seen[0];
        let time = now.saturating_sub(from).as_secs_f64();
        if time < 0.1 { 0 } else { ((calls - before) as f64 / time).round() as u64 }
    }
}

/// The line that moves.
struct Line(ProgressBar);

impl Line {
    fn new() -> Line {
        let bar = ProgressBar::new(0);
        bar.set_style(ProgressStyle::with_template("{spinner} {wide_msg}").expect("a template of ours"));
        Line(bar)
    }

    fn draw(&self, seen: &Seen, pace: &mut Pace) {
        let bar = if seen.phase == Phase::Apply { "[{bar:14}] " } else { "" };
        let style = ProgressStyle::with_template(&format!("{{spinner}} {bar}{{wide_msg}}"));
        self.0.set_style(style.expect("a template of ours").progress_chars("=> "));
        self.0.set_length(seen.planned.max(1));
        self.0.set_position(seen.settled);
        self.0.set_message(seen.text(pace.per_second(seen.calls)));
        self.0.tick();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Outcome;

    #[test]
    fn the_line_says_what_is_not_as_it_should_be() {
        let progress = Progress::default();
        progress.rows_read.store(12_345, Ordering::Relaxed);
        assert_eq!(Seen::of(&progress).text(0), "reading, 12,345 rows");
        progress.enter(Phase::Apply);
        progress.planned.store(5_000, Ordering::Relaxed);
        progress.in_flight.store(64, Ordering::Relaxed);
        progress.pace_percent.store(100, Ordering::Relaxed);
        progress.settled(Outcome::Applied);
        assert_eq!(Seen::of(&progress).text(398), "1/5,000  398 calls/s  64 in flight");
        progress.retries.store(1_204, Ordering::Relaxed);
        progress.pace_percent.store(50, Ordering::Relaxed);
        let text = Seen::of(&progress).text(398);
        assert_eq!(text, "1/5,000  398 calls/s  pace 50%  64 in flight  1,204 retries");
    }
}
