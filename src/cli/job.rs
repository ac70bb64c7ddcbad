//! Arguments that several commands share: the job, what overrides it, its days, and where a ledger is.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tempfile::TempDir;

use super::CliError;
use crate::io::folder;
use crate::io::job::dates::Dates;
use crate::io::job::settings::GatewayUrl;
use crate::io::job::{self, JobFault, Overrides, Settings};
use crate::io::ledger::Ledger;
use crate::model::LocalTime;
use crate::run::called::Called;
use crate::run::{Fault, Job, Request, Signals, tell_unopened};

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
    /// The same, for commands that name the job by a flag.
    pub fn named(job: PathBuf, state: Option<String>, set: Vec<String>) -> JobArgs {
        JobArgs { job, state, set }
    }

    /// The job's settings; `inputs` and `out` stand in for those of the job file.
    pub fn load(&self, inputs: &[String], out: Option<&String>) -> Result<Settings, CliError> {
        Ok(self.read(inputs, out)?)
    }

    fn read(&self, inputs: &[String], out: Option<&String>) -> Result<Settings, JobFault> {
        let overrides = Overrides {
            environment: environment(),
            set: self.set.clone(),
            inputs: inputs.to_vec(),
            out: out.cloned(),
            state: self.state.clone(),
        };
        job::load(&self.job, &overrides)
    }

    /// The job, for a command that tells how it ended: those who watch are told, too, of a job that cannot be opened, as
    /// far as it says who they are.
    pub fn open_watched(&self, inputs: &[String], out: Option<&String>) -> Result<Opened, CliError> {
        let settings = self.read(inputs, out).inspect_err(|fault| {
            fault.settings().into_iter().for_each(|settings| tell_unopened(settings, &Fault::usage(fault)));
        })?;
        let watchers = settings.clone();
        self.made_ready(settings, out).map_err(|fault| {
            tell_unopened(&watchers, &fault);
            fault.into()
        })
    }

    /// The job, ready to do something. With the embedded sandbox the ledger is new for each run unless `--state` is
    /// given: its gateway forgets, too.
    pub fn open(&self, inputs: &[String], out: Option<&String>) -> Result<Opened, CliError> {
        Ok(self.made_ready(self.load(inputs, out)?, out)?)
    }

    fn made_ready(&self, mut settings: Settings, out: Option<&String>) -> Result<Opened, Fault> {
        let called = self.called(&settings, out);
        let thrown_away = if called.forgets {
            let folder = tempfile::Builder::new().prefix("passync-sandbox-").tempdir();
            let folder =
                folder.map_err(|error| Fault::storage(format!("no folder for the sandbox's ledger: {error}")))?;
            settings.ledger = folder.path().join("ledger.db");
            Some(folder)
        } else {
            None
        };
        let signals = Signals::listen().map_err(Fault::storage)?;
        let job = Job { called: Some(called.clone().from_anywhere()), ..Job::new(settings, &self.job, signals)? };
        Ok(Opened { job, called, thrown_away })
    }

    /// The ledger of a job, for commands that only look into it.
    pub fn ledger(&self, settings: &Settings) -> Result<Ledger, CliError> {
        if self.keeps_ledger(settings) {
            return Ok(Ledger::open_existing(&settings.ledger).map_err(Fault::from)?);
        }
        let what = "the ledger of the embedded sandbox was thrown away when its run ended";
        Err(CliError::usage(what).help("give the --state DIR that the run was given"))
    }

    fn keeps_ledger(&self, settings: &Settings) -> bool {
        settings.gateway.url != GatewayUrl::Sandbox || self.state.is_some()
    }

    /// How the job was called: what a command that a person types next says again.
    pub fn called(&self, settings: &Settings, out: Option<&String>) -> Called {
        // The path of an address may be a token, and the next command does well without.
        const ADDRESSES: [&str; 4] = ["notify", "notify.url", "metrics", "metrics.otlp"];
        let told = |set: &&String| !ADDRESSES.contains(&set.split('=').next().unwrap_or_default().trim());
        Called {
            program: program(),
            job: self.job.display().to_string(),
            state: self.state.clone(),
            set: self.set.iter().filter(told).cloned().collect(),
            out: out.cloned(),
            forgets: !self.keeps_ledger(settings),
            misbehaves: settings.gateway.url == GatewayUrl::Sandbox && !settings.sandbox.faults.is_empty(),
        }
    }

    /// What tells a `ledger` command where the ledger is.
    pub fn ledger_words(&self) -> [String; 2] {
        match &self.state {
            Some(state) => ["--state".to_owned(), state.clone()],
            None => ["--job".to_owned(), self.job.display().to_string()],
        }
    }
}

/// This program as it was called.
pub fn program() -> String {
    std::env::args_os().next().map_or_else(|| "passync".to_owned(), |program| program.to_string_lossy().into_owned())
}

/// A job, and the folder of its ledger where that is thrown away at the end.
pub struct Opened {
    /// The job.
    pub job: Job,
    /// How it was called.
    pub called: Called,
    thrown_away: Option<TempDir>,
}

impl Opened {
    /// Whether the ledger goes with the embedded sandbox.
    pub fn forgets(&self) -> bool {
        self.thrown_away.is_some()
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
        ..Request::default()
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
    pub occurred_at: Option<String>,
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
    pub job: Option<PathBuf>,
    /// The folder in which the ledger lives
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

impl LedgerArgs {
    /// The ledger, for looking.
    pub fn open(&self) -> Result<Ledger, CliError> {
        Ok(Ledger::open_existing(&self.path()?).map_err(Fault::from)?)
    }

    /// The ledger's path.
    pub fn path(&self) -> Result<PathBuf, CliError> {
        match (self.settings()?, &self.state) {
            (Some(settings), _) => Ok(settings.ledger),
            (None, Some(state)) => Ok(folder::behind_link(state.join("ledger.db"))),
            (None, None) => unreachable!("clap requires one of the group"),
        }
    }

    /// The settings of the job, where it is one that is named.
    pub fn settings(&self) -> Result<Option<Settings>, CliError> {
        let overrides = Overrides { environment: environment(), ..Overrides::default() };
        Ok(self.job.as_ref().map(|job| job::load(job, &overrides)).transpose()?)
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
