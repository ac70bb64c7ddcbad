//! What a run shows while it runs: a line that moves on a terminal, a line of the log now and then without one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::Screen;
use super::figures::{count, grouped, rate, size, span};
use crate::io::job::settings::Limits;
use crate::io::job::show_duration;
use crate::model::Outcome;
use crate::run::{Job, Phase, Progress};

/// How often the line moves: often enough to look alive, rarely enough to cost nothing.
const FRAME: Duration = Duration::from_millis(200);
/// How often the log tells, in looks, so that a run under cron does not look hung.
const LOG_EVERY: u32 = 30;
/// How often the log looks, so that its first line has rates, too.
const SAMPLE: Duration = Duration::from_secs(1);

/// Shows the counters of a run until it is dropped.
pub struct Watch {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to show.
    pub fn start(screen: Screen, job: &Job) -> Watch {
        let (end, ended) = channel();
        let (progress, clock) = (Arc::clone(&job.progress), job.clock);
        let quota = Quota::of(&job.settings.limits);
        let mut trend = Trend::new();
        let mut look = move || {
            let seen = Seen::of(&progress, clock.now_ms());
            let pace = trend.take(&seen, Instant::now());
            (seen, pace)
        };
        let mut show: Box<dyn FnMut(u32) + Send> = if screen.progress {
            let line = Line::new();
            Box::new(move |_| {
                let (seen, pace) = look();
                line.draw(&seen, pace, &quota);
            })
        } else {
            Box::new(move |times| {
                let (seen, pace) = look();
                if times % LOG_EVERY == 0 {
                    seen.log(pace, &quota);
                }
            })
        };
        let wait = if screen.progress { FRAME } else { SAMPLE };
        let work = move || {
            let mut times = 0;
            while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                times += 1;
                show(times);
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

/// The quota, as it is written and as a rate.
struct Quota {
    written: String,
    per_second: f64,
}

impl Quota {
    fn of(limits: &Limits) -> Quota {
        let (calls, window) = (limits.quota, limits.quota_window);
        let written = format!("{calls}/{}", show_duration(window));
        Quota { written, per_second: f64::from(calls) / window.as_secs_f64() }
    }
}

/// The counters at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    phase: Phase,
    run: String,
    bytes: u64,
    bytes_read: u64,
    rows: u64,
    planned: u64,
    settled: u64,
    outcomes: Vec<(Outcome, u64)>,
    calls: u64,
    retries: u64,
    throttled: u64,
    in_doubt: u64,
    in_flight: u64,
    pace_percent: u64,
    /// How long attempts may still start; `None`: for ever.
    left: Option<Duration>,
}

impl Seen {
    fn of(progress: &Progress, now_ms: i64) -> Seen {
        let at = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let deadline_ms = Some(progress.deadline_ms.load(Ordering::Relaxed)).filter(|deadline_ms| *deadline_ms > 0);
        let outcomes: Vec<_> = progress.outcomes().filter(|(_, rows)| *rows > 0).collect();
        Seen {
            phase: progress.phase(),
            run: progress.run(),
            bytes: at(&progress.bytes),
            bytes_read: at(&progress.bytes_read),
            rows: at(&progress.rows_read),
            planned: at(&progress.planned),
            settled: outcomes.iter().map(|(_, rows)| rows).sum(),
            outcomes,
            calls: at(&progress.calls),
            retries: at(&progress.retries),
            throttled: at(&progress.throttled),
            in_doubt: at(&progress.in_doubt),
            in_flight: at(&progress.in_flight),
            pace_percent: at(&progress.pace_percent),
            left: deadline_ms.map(|at_ms| Duration::from_millis((at_ms - now_ms).max(0).unsigned_abs())),
        }
    }

    fn log(&self, pace: Pace, quota: &Quota) {
        match self.phase {
            Phase::Survey => {
                tracing::info!(rows = self.rows, bytes = self.bytes_read, of_bytes = self.bytes, "reading");
            }
            Phase::Plan => tracing::info!(rows = self.rows, "planning"),
            Phase::Apply => tracing::info!(
                run = self.run,
                settled = self.settled,
                planned = self.planned,
                outcomes = self.words(|_| true).join(", "),
                calls = self.calls,
                calls_per_second = (pace.calls * 10.0).round() / 10.0,
                quota = quota.written,
                in_flight = self.in_flight,
                retries = self.retries,
                throttled = self.throttled,
                in_doubt = self.in_doubt,
                pace_percent = self.pace_percent,
                expected = self.expected(pace).unwrap_or_default(),
                "sending"
            ),
            Phase::Finish => tracing::info!(run = self.run, "writing files"),
        }
    }

    fn text(&self, pace: Pace, quota: &Quota) -> String {
        match self.phase {
            Phase::Survey => {
                let (read, all) = (size(self.bytes_read.min(self.bytes)), size(self.bytes));
                format!("reading, {read} of {all}, {}", count(self.rows, "row"))
            }
            Phase::Plan => format!("planning, {}", count(self.rows, "row")),
            Phase::Finish => "writing files".to_owned(),
            Phase::Apply => self.sending(pace, quota),
        }
    }

    /// What matters most comes first: a narrow terminal cuts the rest.
    fn sending(&self, pace: Pace, quota: &Quota) -> String {
        let (calls, permitted) = (rate(pace.calls), rate(quota.per_second));
        let mut parts = vec![
            format!("{}/{}", grouped(&self.settled), grouped(&self.planned)),
            format!("{calls} of {permitted} calls/s"),
        ];
        parts.extend(self.expected(pace));
        parts.extend(self.words(Outcome::is_failure));
        parts.extend((1..100).contains(&self.pace_percent).then(|| format!("pace {}%", self.pace_percent)));
        parts.push(format!("{} in flight", self.in_flight));
        let seldom = [(self.retries, "retries"), (self.throttled, "throttled"), (self.in_doubt, "in doubt")];
        let met = seldom.into_iter().filter(|(number, _)| *number > 0);
        parts.extend(met.map(|(number, word)| format!("{} {word}", grouped(&number))));
        parts.join("  ")
    }

    /// The outcomes that were met, as `3 refused`.
    fn words(&self, wanted: impl Fn(Outcome) -> bool) -> Vec<String> {
        let met = self.outcomes.iter().filter(|(outcome, _)| wanted(*outcome));
        met.map(|(outcome, rows)| format!("{} {outcome}", grouped(rows))).collect()
    }

    /// When it will be done, or what `finish_by` will leave; `None` where nobody can tell yet.
    fn expected(&self, pace: Pace) -> Option<String> {
        let rows = self.planned.saturating_sub(self.settled);
        if rows == 0 || pace.rows <= 0.0 {
            return None;
        }
        let needed_s = rows as f64 / pace.rows;
        match self.left {
            Some(left) if left.as_secs_f64() < needed_s => {
                let late = rows - (left.as_secs_f64() * pace.rows) as u64;
                let lack = Duration::try_from_secs_f64(needed_s).ok()?.saturating_sub(left);
                Some(format!("finish_by is {} too early for {}", span(lack), count(late, "row")))
            }
            // A rate of a row an hour is no promise for the years to come.
            _ => Duration::try_from_secs_f64(needed_s).ok().map(|needed| format!("done in {}", span(needed))),
        }
    }
}

/// Calls and rows a second, of late.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Pace {
    calls: f64,
    rows: f64,
}

/// The counters of the last half minute.
struct Trend(VecDeque<(Instant, u64, u64)>);

impl Trend {
    /// Calls are told as of the last seconds: that moves as the quota does.
    const OF_CALLS: Duration = Duration::from_secs(3);
    /// Rows as of the last half minute: the end of a run should not dance.
    const OF_ROWS: Duration = Duration::from_secs(30);

    fn new() -> Trend {
        Trend(VecDeque::new())
    }

    fn take(&mut self, seen: &Seen, now: Instant) -> Pace {
        if seen.phase != Phase::Apply {
            self.0.clear();
        }
        let age = |at: Instant| now.saturating_duration_since(at);
        while self.0.get(1).is_some_and(|(at, ..)| age(*at) >= Self::OF_ROWS) {
            self.0.pop_front();
        }
        self.0.push_back((now, seen.calls, seen.settled));
        let per_second = |since: &(Instant, u64, u64), of: fn(&(Instant, u64, u64)) -> u64| {
            let time = age(since.0).as_secs_f64();
            let now = of(&(now, seen.calls, seen.settled));
            if time < 0.1 { 0.0 } else { now.saturating_sub(of(since)) as f64 / time }
        };
        let oldest = &self.0[0];
        let lately = self.0.iter().rev().find(|(at, ..)| age(*at) >= Self::OF_CALLS).unwrap_or(oldest);
        Pace { calls: per_second(lately, |(_, calls, _)| *calls), rows: per_second(oldest, |(.., rows)| *rows) }
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

    fn draw(&self, seen: &Seen, pace: Pace, quota: &Quota) {
        let (bar, (done, of)) = match seen.phase {
            Phase::Survey => ("[{bar:14}] ", (seen.bytes_read, seen.bytes)),
            Phase::Apply => ("[{bar:14}] ", (seen.settled, seen.planned)),
            Phase::Plan | Phase::Finish => ("", (0, 1)),
        };
        let style = ProgressStyle::with_template(&format!("{{spinner}} {bar}{{wide_msg}}"));
        self.0.set_style(style.expect("a template of ours").progress_chars("=> "));
        self.0.set_length(of.max(1));
        self.0.set_position(done);
        self.0.set_message(seen.text(pace, quota));
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

    const QUOTA: u32 = 400;

    fn quota() -> Quota {
        Quota { written: format!("{QUOTA}/1s"), per_second: f64::from(QUOTA) }
    }

    #[test]
    fn the_line_says_what_is_not_as_it_should_be() {
        let progress = Progress::default();
        progress.bytes.store(3 << 20, Ordering::Relaxed);
        progress.bytes_read.store(1 << 20, Ordering::Relaxed);
        progress.rows_read.store(12_345, Ordering::Relaxed);
        let text = |progress: &Progress, pace| Seen::of(progress, 0).text(pace, &quota());
        assert_eq!(text(&progress, Pace::default()), "reading, 1.0 MiB of 3.0 MiB, 12,345 rows");
        progress.begin_apply("r");
        progress.planned.store(5_001, Ordering::Relaxed);
        progress.in_flight.store(64, Ordering::Relaxed);
        progress.pace_percent.store(100, Ordering::Relaxed);
        progress.settled(Outcome::Applied);
        let pace = Pace { calls: 398.2, rows: 100.0 };
        assert_eq!(text(&progress, Pace { rows: 0.0, ..pace }), "1/5,001  398 of 400 calls/s  64 in flight");
        progress.retries.store(1_204, Ordering::Relaxed);
        progress.in_doubt.store(2, Ordering::Relaxed);
        progress.pace_percent.store(50, Ordering::Relaxed);
        (0..3).for_each(|_| progress.settled(Outcome::Refused));
        let said = text(&progress, pace);
        let expected =
            "4/5,001  398 of 400 calls/s  done in 50.0 s  3 refused  pace 50%  64 in flight  1,204 retries  2 in doubt";
        assert_eq!(said, expected);
    }

    #[test]
    fn finish_by_is_held_against_what_is_left() {
        let progress = Progress::default();
        progress.begin_apply("r");
        progress.planned.store(1_000, Ordering::Relaxed);
        progress.deadline_ms.store(70_000, Ordering::Relaxed);
        let pace = Pace { calls: 10.0, rows: 10.0 };
        let expected = |now_ms| Seen::of(&progress, now_ms).expected(pace).unwrap();
        assert_eq!(expected(10_000), "finish_by is 40.0 s too early for 400 rows");
        progress.deadline_ms.store(700_000, Ordering::Relaxed);
        assert_eq!(Seen::of(&progress, 10_000).expected(pace).unwrap(), "done in 1 min 40 s");
        assert_eq!(Seen::of(&progress, 10_000).expected(Pace::default()), None);
    }

    #[test]
    fn a_trend_is_that_of_late() {
        let progress = Progress::default();
        progress.begin_apply("r");
        let (begin, mut trend) = (Instant::now(), Trend::new());
        let mut pace = Pace::default();
        for second in 0..=60_u64 {
            progress.calls.store(if second < 50 { second * 10 } else { 500 }, Ordering::Relaxed);
            pace = trend.take(&Seen::of(&progress, 0), begin + Duration::from_secs(second));
            if second == 40 {
                assert!((pace.calls - 10.0).abs() < 1e-9, "{pace:?}");
            }
        }
        assert_eq!(pace, Pace::default(), "it has stood still for ten seconds");
        assert!(trend.0.len() <= 32);
    }
}
