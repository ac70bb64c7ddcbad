//! Arguments that several commands share: the job, what overrides it, its days, and where a ledger is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::CliError;
use crate::io::job::dates::Dates;
use crate::io::job::settings::GatewayUrl;
use crate::io::job::{self, Overrides, Settings};
use crate::model::{Exit, LocalTime};
use crate::run::{Job, Request, Signals};

/// The job and its overrides.
#[derive(Debug, Args)]
pub struct JobArgs {
    /// The job file (TOML)
    job: PathBuf,
    /// Where ledger, lock, plan and spool live, in place of the folder of ledger.url
    #[arg(long, value_name = "DIR")]
    state: Option<String>,
    /// Override a key of the job file; the value is TOML, else text
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

impl JobArgs {
    /// The job's settings; `inputs` and `out` stand in for those of the job file.
    pub fn load(&self, inputs: &[String], out: Option<&String>) -> Result<Settings, CliError> {
        let overrides = Overrides {
            environment: environment(),
            set: self.set.clone(),
            inputs: inputs.to_vec(),
            out: out.cloned(),
            state: self.state.clone(),
        };
        Ok(job::load(&self.job, &overrides)?)
    }

    /// Whether the ledger's folder was named on the command line: the embedded sandbox then keeps its ledger.
    pub fn names_state(&self) -> bool {
        self.state.is_some()
    }
}

impl JobArgs {
    /// The job, ready to do something. With the embedded sandbox the ledger is new for each run unless `--state` is
    /// given: its gateway forgets, too.
    pub fn open(&self, inputs: &[String], out: Option<&String>) -> Result<Job, CliError> {
        let mut settings = self.load(inputs, out)?;
        if settings.gateway.url == GatewayUrl::Sandbox && !self.names_state() {
            let folder = settings.ledger.parent().map(Path::to_owned).unwrap_or_default();
            settings.ledger = folder.join(format!("sandbox-{}", std::process::id())).join("ledger.db");
        }
        let signals = Signals::listen().map_err(|error| CliError::new(Exit::Storage, error))?;
        Ok(Job::new(settings, &self.job, signals)?)
    }
}

/// What a run is asked for.
pub fn request(send: &SendArgs, input: Option<(&InputArgs, &Settings)>) -> Result<Request, CliError> {
    let occurred_at_ms = match input {
        Some((input, settings)) => input.occurred_ms(settings)?,
        None => None,
    };
    Ok(Request {
        dates: input.and_then(|(input, _)| input.date),
        occurred_at_ms,
        again: false,
        allow_stale: send.allow_stale,
        wait: send.wait,
    })
}

/// What is read, and as of when.
#[derive(Debug, Args)]
pub struct InputArgs {
    /// Read this file in place of input.files; may be repeated, "-" is standard input
    #[arg(long = "input", value_name = "FILE")]
    pub inputs: Vec<String>,
    /// The day or days of {date}, both ends included
    #[arg(long, value_name = "DAY[..DAY]", value_parser = Dates::parse)]
    pub date: Option<Dates>,
    /// When the rows happened, for files without `occurred_at`
    #[arg(long, value_name = "TIME")]
    occurred_at: Option<String>,
}

impl InputArgs {
    /// `--occurred-at` in milliseconds since 1970; a time without a zone is one of the input's.
    pub fn occurred_ms(&self, settings: &Settings) -> Result<Option<i64>, CliError> {
        let local = LocalTime { zone: settings.input.timezone.clone() };
        let read = |text: &String| match local.parse(text) {
            Ok(moment) => Ok(moment.ms),
            Err(fault) => Err(CliError::usage(format!("--occurred-at {text}: expected {fault}"))),
        };
        self.occurred_at.as_ref().map(read).transpose()
    }
}

/// How calls are made.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// Folder of the run's files, in place of output.dir
    #[arg(long, value_name = "DIR")]
    pub out: Option<String>,
    /// Go on only if the plan has this digest, as `check` printed it
    #[arg(long, value_name = "DIGEST")]
    pub plan: Option<String>,
    /// Stop after so many calls were confirmed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub canary: Option<u64>,
    /// Send rows that are older than what their cards show, too
    #[arg(long)]
    pub allow_stale: bool,
    /// Wait so long for another run on this ledger to end
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub wait: Duration,
}

/// Where a ledger is, for commands that only look into it.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct LedgerArgs {
    /// The job whose ledger it is
    #[arg(long, value_name = "JOB")]
    job: Option<PathBuf>,
    /// The folder in which the ledger lives
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl LedgerArgs {
    /// The ledger's path.
    pub fn path(&self) -> Result<PathBuf, CliError> {
        match (&self.job, &self.state) {
            (Some(job), _) => {
                let overrides = Overrides { environment: environment(), ..Overrides::default() };
                Ok(job::load(job, &overrides)?.ledger)
            }
            (None, Some(state)) => Ok(state.join("ledger.db")),
            (None, None) => unreachable!("clap requires one of the group"),
        }
    }
}

/// A duration of the command line, written as in the job file.
pub fn duration(text: &str) -> Result<Duration, String> {
    job::parse_duration(text).ok_or_else(|| "expected a duration such as 500ms, 5s, 10m, 2h or 90d".to_owned())
}

/// Our own variables; nobody else's are carried around.
pub fn environment() -> Vec<(String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let pairs = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    pairs.filter(|(name, _)| name.starts_with("PASSYNC_")).collect()
}
