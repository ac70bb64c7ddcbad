//! What a run tells those who watch many: the list of all metrics, of which the text file and OTLP are two forms.
//!
//! Names and units follow the conventions of Prometheus. Counters go on from one night to the next, as those of a
//! process that never ends would.

mod text;
pub mod textfile;

use super::latency::Spread;
use crate::model::Outcome;

/// What only grows, but for a lost file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// Requests begun.
    pub attempts: f64,
    /// Those that repeat an earlier one of their row.
    pub retries: f64,
    /// Those answered by a throttle.
    pub throttles: f64,
    /// Those that ended in doubt.
    pub in_doubt: f64,
    /// Rows of closed runs, in the order of [`Outcome::ALL`].
    pub rows: [f64; Outcome::ALL.len()],
    /// How long calls took.
    pub latencies: Spread,
}

impl Counters {
    /// Goes on from these.
    pub fn add(&mut self, earlier: &Counters) {
        self.attempts += earlier.attempts;
        self.retries += earlier.retries;
        self.throttles += earlier.throttles;
        self.in_doubt += earlier.in_doubt;
        self.rows.iter_mut().zip(earlier.rows).for_each(|(own, more)| *own += more);
        self.latencies.add(&earlier.latencies);
    }
}

/// How the last command on the job ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LastRun {
    /// Seconds since 1970.
    pub start_s: f64,
    /// Seconds since 1970.
    pub end_s: f64,
    /// The exit code.
    pub exit: f64,
}

/// Everything at one moment.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    /// The job's name.
    pub job: String,
    /// Its dialect.
    pub dialect: String,
    /// What only grows.
    pub counters: Counters,
    /// Since when a run is on, in seconds since 1970; `None`: it has ended.
    pub running_since_s: Option<f64>,
    /// The last one that ended.
    pub last: Option<LastRun>,
    /// When a run was last complete (exit 0 or 1), in seconds since 1970.
    pub success_s: Option<f64>,
    /// Rows that may be sent.
    pub planned: f64,
    /// Rows of the current or the last run, in the order of [`Outcome::ALL`].
    pub rows: [f64; Outcome::ALL.len()],
    /// Requests under way.
    pub in_flight: f64,
    /// The pace in force: 1 is the full one.
    pub pace: f64,
    /// Requests permitted in any window ...
    pub quota: f64,
    /// ... of so many seconds.
    pub quota_window_s: f64,
    /// The most requests begun in one window.
    pub quota_peak: f64,
    /// Rows that are open in the ledger; `None`: it cannot be asked.
    pub open_rows: Option<f64>,
    /// Bytes of the ledger with its write-ahead log.
    pub ledger_bytes: Option<f64>,
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Durations in buckets.
    Histogram,
}

/// The value of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// Of a counter or a gauge.
    Number(f64),
    /// Of a histogram.
    Spread(Spread),
}

/// One metric with its series.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Its name, with the unit at its end.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub help: &'static str,
    /// What kind of metric.
    pub kind: Kind,
    /// The one label by which its series differ, beside job and dialect.
    pub label: Option<&'static str>,
    /// Value of the label, and of the series.
    pub series: Vec<(&'static str, Value)>,
}

impl Family {
    fn one(name: &'static str, kind: Kind, help: &'static str, value: Value) -> Family {
        Family { name, help, kind, label: None, series: vec![("", value)] }
    }

    fn counter(name: &'static str, help: &'static str, value: f64) -> Family {
        Family::one(name, Kind::Counter, help, Value::Number(value))
    }

    fn gauge(name: &'static str, help: &'static str, value: f64) -> Family {
        Family::one(name, Kind::Gauge, help, Value::Number(value))
    }

    fn by_outcome(name: &'static str, kind: Kind, help: &'static str, rows: &[f64; Outcome::ALL.len()]) -> Family {
        let series = Outcome::ALL.iter().zip(rows).map(|(outcome, rows)| (outcome.as_str(), Value::Number(*rows)));
        Family { name, help, kind, label: Some("outcome"), series: series.collect() }
    }
}

/// Every metric there is; one that has no value yet is left away.
pub fn families(now: &Moment) -> Vec<Family> {
    let mut families = vec![Family {
        label: Some("version"),
        series: vec![(env!("CARGO_PKG_VERSION"), Value::Number(1.0))],
        ..Family::gauge("passync_build_info", "The program that wrote this, by its version.", 1.0)
    }];
    families.extend(counted(&now.counters));
    families.extend(runs(now));
    families.extend(quota(now));
    let rest = [
        (
            "passync_open_rows",
            "Rows that the ledger has open: unknown, held or unsent, and not settled since.",
            now.open_rows,
        ),
        ("passync_ledger_size_bytes", "Size of the ledger with its write-ahead log.", now.ledger_bytes),
    ];
    families.extend(rest.into_iter().filter_map(|(name, help, value)| Some(Family::gauge(name, help, value?))));
    families
}

fn counted(counters: &Counters) -> [Family; 6] {
    [
        Family::counter("passync_attempts_total", "HTTP requests to the gateway that were begun.", counters.attempts),
        Family::counter("passync_retries_total", "Requests that repeat an earlier one of their row.", counters.retries),
        Family::counter("passync_throttles_total", "Requests that the gateway throttled.", counters.throttles),
        Family::counter(
            "passync_in_doubt_attempts_total",
            "Requests that ended in doubt: they may or may not have been applied.",
            counters.in_doubt,
        ),
        Family::by_outcome(
            "passync_rows_total",
            Kind::Counter,
            "Rows of closed runs, by outcome; of a run that is reopened, those that it has beyond its earlier closings.",
            &counters.rows,
        ),
        Family::one(
            "passync_attempt_duration_seconds",
            Kind::Histogram,
            "Time from the first byte of a request to the end of its reply, or to the fault in its place.",
            Value::Spread(counters.latencies),
        ),
    ]
}

fn runs(now: &Moment) -> Vec<Family> {
    let mut families = vec![
        Family::gauge(
            "passync_run_in_progress",
            "1 while a run is on; it stays 1 behind a process that was killed, whose file grows old.",
            f64::from(u8::from(now.running_since_s.is_some())),
        ),
        Family::gauge("passync_run_planned_rows", "Rows of the current or last run that may be sent.", now.planned),
        Family::by_outcome(
            "passync_run_rows",
            Kind::Gauge,
            "Rows of the current or last run that have their outcome, by outcome.",
            &now.rows,
        ),
    ];
    let start_s = now.running_since_s.or(now.last.map(|last| last.start_s));
    let timed = [
        ("passync_run_start_timestamp_seconds", "When the current or last run began.", start_s),
        ("passync_last_run_end_timestamp_seconds", "When the last run ended.", now.last.map(|last| last.end_s)),
        (
            "passync_last_run_duration_seconds",
            "How long the last run took.",
            now.last.map(|last| (last.end_s - last.start_s).max(0.0)),
        ),
        (
            "passync_last_run_exit_code",
            "How the last run ended: 0 well, 1 rows failed, 2 usage, 3 input refused, 4 halted, 5 stopped, 6 storage.",
            now.last.map(|last| last.exit),
        ),
        (
            "passync_last_success_timestamp_seconds",
            "When a run last came to its end (exit 0, or 1: the failure file has rows).",
            now.success_s,
        ),
    ];
    families.extend(timed.into_iter().filter_map(|(name, help, value)| Some(Family::gauge(name, help, value?))));
    families
}

fn quota(now: &Moment) -> [Family; 6] {
    let used = if now.quota > 0.0 { now.quota_peak / now.quota } else { 0.0 };
    [
        Family::gauge("passync_attempts_in_flight", "Requests under way.", now.in_flight),
        Family::gauge("passync_pace_ratio", "The pace in force; 1 is all that the quota permits.", now.pace),
        Family::gauge("passync_quota_attempts", "Requests that the quota permits in any window.", now.quota),
        Family::gauge("passync_quota_window_seconds", "The quota's window.", now.quota_window_s),
        Family::gauge(
            "passync_quota_peak_attempts",
            "The most requests begun in one window by the current or last run, as measured on our side.",
            now.quota_peak,
        ),
        Family::gauge("passync_quota_used_ratio", "That peak over what the quota permits.", used),
    ]
}
