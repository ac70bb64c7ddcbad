//! The settings of a job, typed: units in names and types, defaults in one place.
//!
//! They are destructured once, at the top of a command; no function below takes [`Settings`].

use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::model::{Amount, Status};

/// One job: file, environment and flags together.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The job's name; a folder of `output.dir` bears it.
    pub name: String,
    /// The dialect's word.
    pub dialect: String,
    /// The folder of the job file: relative paths start here.
    pub base: PathBuf,
    /// `[input]`.
    pub input: Input,
    /// `[gateway]`.
    pub gateway: Gateway,
    /// `[limits]`.
    pub limits: Limits,
    /// `[retry]`.
    pub retry: Retry,
    /// `[run]`.
    pub run: Run,
    /// `[guard]`.
    pub guard: Guard,
    /// `[output]`.
    pub output: Output,
    /// `[ledger] url`, as a path.
    pub ledger: PathBuf,
    /// `[metrics] textfile`.
    pub metrics_textfile: Option<PathBuf>,
    /// `[metrics] otlp`.
    pub metrics_otlp: Option<String>,
    /// `[notify] url`.
    pub notify_url: Option<Webhook>,
    /// `[notify] on`: exit codes.
    pub notify_on: Vec<u8>,
    /// `[sandbox]`: how the embedded gateway behaves.
    pub sandbox: Sandbox,
    /// Every setting in force with its value as JSON, secrets masked: what the manifest shows.
    pub in_force: serde_json::Value,
}

/// `[input]`.
#[derive(Clone, Debug)]
pub struct Input {
    /// Patterns, made absolute, with `{date}` still in them; "-" is standard input.
    pub files: Vec<String>,
    /// csv, parquet, or by name and content.
    pub format: FormatChoice,
    /// An `encoding_rs` label.
    pub encoding: String,
    /// One byte, or detected from the header.
    pub delimiter: Option<u8>,
    /// For times without a zone.
    pub timezone: TimeZone,
    /// The zone's name, for the manifest.
    pub timezone_name: String,
    /// Days from the start's date to `{date}`.
    pub date_offset_days: i32,
    /// The columns of a bill's key.
    pub bill_key: Vec<String>,
    /// Every row needs a bill.
    pub require_bill_no: bool,
    /// More rejects and conflicts: exit 3.
    pub rejects_max: Share,
    /// Fewer rows: exit 3.
    pub rows_min: u64,
    /// The control file's pattern.
    pub control: Option<String>,
    /// The record behind the rows, where the files have one.
    pub trailer: Option<Trailer>,
    /// The marker file's pattern.
    pub ready: Option<String>,
    /// How long to wait for missing files or the marker.
    pub wait_for: Duration,
    /// Cells that mean absent.
    pub null_values: Vec<String>,
    /// Whether a default fills an empty cell too.
    pub defaults_fill_empty: bool,
    /// Points below zero are valid.
    pub negative_points: bool,
    /// Columns known and not wanted.
    pub ignore: Vec<String>,
    /// Canonical columns whose values are as their maker means them, whatever they look like.
    pub verbatim: Vec<String>,
    /// (canonical name, name in the file).
    pub columns: Vec<(String, String)>,
    /// (canonical name, value) for columns that the file does not have.
    pub defaults: Vec<(String, String)>,
}

/// `[input.trailer]`: a record behind the rows of a CSV file. Fields are counted from 1; 0: it has no such field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Its first field.
    pub mark: String,
    /// The field with the number of rows.
    pub rows: usize,
    /// The field with the sum of `last_changed_points`.
    pub sum: usize,
    /// The field with the hash total of `bill_no`.
    pub hash_total: usize,
}

/// `input.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatChoice {
    /// By the file's name, then its first bytes.
    Auto,
    /// CSV, plain or compressed.
    Csv,
    /// Parquet.
    Parquet,
}

/// `[gateway]`, the keys common to all dialects; the dialect reads its own from `table`.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Scheme, host and port; `sandbox` means the embedded one.
    pub url: GatewayUrl,
    /// Where the private key is; absent for the sandbox.
    pub private_key: Option<Secret>,
    /// Any of these verifies.
    pub platform_keys: Vec<Secret>,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long an exchange may take, from the first byte out.
    pub request_timeout: Duration,
    /// How far a response-time may be from the expected; `None` is off.
    pub max_skew: Option<Duration>,
    /// `None`: no proxy. `Some("env")`: the environment's. Else a URL.
    pub proxy: Option<String>,
    /// Additional roots.
    pub ca_file: Option<PathBuf>,
    /// `http://` is permitted to loopback addresses.
    pub insecure_loopback: bool,
    /// The whole table, for the dialect.
    pub table: toml::Table,
}

/// `gateway.url`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayUrl {
    /// The embedded sandbox, started for this run.
    Sandbox,
    /// `https://host[:port]`, or a permitted loopback `http://`.
    Url(String),
}

/// `notify.url`: a webhook's path may be a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Webhook {
    /// As it stands in the job.
    Url(String),
    /// Where it is.
    Secret(Secret),
}

/// Where a secret is. Its value is never part of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// `file:PATH`, made absolute.
    File(PathBuf),
    /// `env:NAME`.
    Env(String),
    /// `cred:NAME`: a file below `$CREDENTIALS_DIRECTORY`.
    Cred(String),
}

impl Secret {
    /// Reads `file:PATH`, `env:NAME` or `cred:NAME`; anything else may be the secret itself, and is none.
    pub fn parse(text: &str) -> Option<Secret> {
        let (kind, place) = text.split_once(':')?;
        let is_name =
            !place.is_empty() && place.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        match kind {
            "file" if !place.is_empty() => Some(Secret::File(PathBuf::from(place))),
            "env" if is_name => Some(Secret::Env(place.to_owned())),
            "cred" if is_name && !place.starts_with('.') => Some(Secret::Cred(place.to_owned())),
            _ => None,
        }
    }
}

/// `[limits]`.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Arrivals permitted ...
    pub quota: u32,
    /// ... in any window of this length.
    pub quota_window: Duration,
    /// Whether the law is proved at the gateway (strict) or paced on our side.
    pub quota_strict: bool,
    /// Rows between intent and durable outcome.
    pub concurrency: u32,
}

/// `[retry]`.
#[derive(Clone, Debug)]
pub struct Retry {
    /// HTTP requests a row may cost in one run.
    pub attempts_max: u32,
    /// The first wait's ceiling (full jitter).
    pub backoff_base: Duration,
    /// No ceiling is higher.
    pub backoff_max: Duration,
    /// Waits in place of the exponential ones; the last one repeats.
    pub schedule: Vec<Duration>,
    /// In-doubt retries a run may spend, of its planned sends.
    pub budget: Share,
}

/// `[run]`.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the job file")]
pub struct Run {
    /// Local time of the next such instant at which all is finished.
    pub finish_by: Option<Time>,
    /// Whether rows after a doubtful one of their card wait for a replay.
    pub hold_on_doubt: bool,
    /// Whether newer rows absorb older ones.
    pub coalesce: bool,
    /// ... those of Alipay transactions too.
    pub coalesce_bills: bool,
    /// Whether open rows of earlier runs are replayed after the survey.
    pub replay_open: bool,
    /// More errors: halt. `None` is off.
    pub halt_after_errors: Option<Share>,
}

/// `[guard]`.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Rows with another status are rejected.
    pub statuses: Vec<Status>,
    /// More closing rows: exit 3.
    pub closing_max: u64,
    /// Larger totals are rejected.
    pub points_max: Option<Amount>,
    /// Larger changes are rejected.
    pub change_max: Option<Amount>,
    /// Percent off the median of the last seven runs: exit 3.
    pub volume_percent: Option<f64>,
}

/// `[output]`.
#[derive(Clone, Debug)]
pub struct Output {
    /// Runs go to `DIR/<job>/<run-id>/`.
    pub dir: PathBuf,
    /// Whether outcomes are Parquet.
    pub parquet: bool,
    /// Older closed runs without open rows are removed.
    pub keep: Option<Duration>,
}

/// `[sandbox]`.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// The same seed gives the same faults to the same bills.
    pub seed: u64,
    /// Which faults, and how often, in the sandbox's own words; empty: none.
    pub faults: String,
    /// Arrivals that it permits in any window of this length.
    pub quota: Option<(u32, Duration)>,
}

/// A limit as a share of a whole, or a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    /// `"5%"`; 100 and more mean no limit.
    Percent(f64),
    /// `"12"`: exactly.
    Count(u64),
}

impl Share {
    /// The limit for a whole of `whole`: at least `least` where it is a percentage.
    pub fn of(self, whole: u64, least: u64) -> u64 {
        match self {
            Share::Percent(percent) if percent >= 100.0 => u64::MAX,
            Share::Percent(percent) => ((whole as f64 * percent / 100.0) as u64).max(least),
            Share::Count(count) => count,
        }
    }
}
