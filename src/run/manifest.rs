//! The manifest: what a run was, did and left. Written last; a run that is reopened keeps the one before until it is being
//! closed again.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::detail::{Flags, InputFact};
use super::done::Durations;
use super::fold::Ended;
use super::words::Stopped;
use crate::io::ledger::RunRow;
use crate::model::{Amount, Codes, Exit, Outcome, Total};

/// `manifest.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The program's version.
    pub version: String,
    /// The job's name.
    pub job: String,
    /// The run's name.
    pub run: String,
    /// `run`, `replay` or `import`.
    pub kind: String,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339.
    pub closed_at: String,
    /// The exit code.
    pub exit: u8,
    /// Why the run stopped before its plan was done, if it did.
    pub stopped: Option<Stopped>,
    /// Where the run's files were written; absolute.
    pub dir: String,
    /// The ledger that they are derived from; absolute.
    pub ledger: String,
    /// What tells that ledger from every other; a copy of it has the same.
    #[serde(default)]
    pub ledger_id: String,
    /// The inputs in their order.
    pub inputs: Vec<InputFact>,
    /// The digest of the plan: what `--plan` names.
    #[serde(default)]
    pub plan: String,
    /// What became of the rows.
    pub rows: Tally,
    /// What the calls were.
    pub calls: Calls,
    /// How long it took; milliseconds.
    pub durations_ms: Durations,
    /// What the survey and the run warn of.
    pub warnings: Vec<String>,
    /// Flags of the command.
    pub flags: Flags,
    /// Settings in force, secrets masked.
    pub settings: serde_json::Value,
    /// The other files, by name.
    pub files: BTreeMap<String, FileFact>,
}

impl Manifest {
    /// The file's name.
    pub const FILE: &str = "manifest.json";

    /// Reads the manifest of a run directory. The error says what is there in its place.
    pub fn read(dir: &Path) -> Result<Manifest, String> {
        let path = dir.join(Self::FILE);
        let text = std::fs::read(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound if !dir.is_dir() => format!("{}: there is no such folder", dir.display()),
            ErrorKind::NotFound => {
                format!(
                    "{} has no {}: it is no run's folder (such as out/nightly-points/latest), or the run is not closed: \
                     `passync run JOB` finishes it",
                    dir.display(),
                    Self::FILE
                )
            }
            _ => format!("{} cannot be read: {error}", path.display()),
        })?;
        serde_json::from_slice(&text).map_err(|error| format!("{} is no manifest: {error}", path.display()))
    }

    /// The manifest with which the ledger closed a run last; `None` where it did not, or another version wrote it.
    pub fn of(run: &RunRow) -> Option<Manifest> {
        serde_json::from_str(run.summary.as_deref()?).ok()
    }

    /// What it says against itself.
    pub fn contradictions(&self) -> Vec<String> {
        let failures = self.rows.failures();
        let exits = match (&self.stopped, failures) {
            (Some(_), _) => &[Exit::Halted, Exit::Stopped][..],
            (None, 0) => &[Exit::Clean],
            (None, _) => &[Exit::Failures],
        };
        let exit = format!("exit {} does not go with {failures} rows that failed", self.exit);
        let exit = (!exits.iter().any(|exit| exit.code() == self.exit)).then_some(exit);
        self.rows.conserved().err().into_iter().chain(exit).collect()
    }
}

/// One file of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFact {
    /// Bytes.
    pub size: u64,
    /// SHA-256, in hex.
    pub sha256: String,
}

/// Rows and their sum of `last_changed_points`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Rows.
    pub rows: u64,
    /// Exact.
    pub points: Total,
}

impl Sum {
    /// Adds a row with its change of points, where that is known.
    pub fn take(&mut self, change: Option<Amount>) {
        self.rows += 1;
        if let Some(change) = change {
            self.points.add(change);
        }
    }
}

/// What became of the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Rows read.
    pub read: Sum,
    /// Rows of a failure file that the replay did not ask for.
    pub passed_over: Sum,
    /// By outcome.
    pub outcomes: BTreeMap<Outcome, Sum>,
    /// Rows whose `last_changed_points` is filled but not a number: they are in no sum.
    pub unsummed: u64,
    /// Bills that the gateway was never told of: superseded, trimmed or coalesced rows.
    pub not_told: Sum,
    /// Codes of rows in the failure file, and how many have each.
    pub failure_codes: Codes,
}

impl Tally {
    /// Counts a row.
    pub fn add(&mut self, ended: &Ended) {
        self.outcomes.entry(ended.settled.outcome).or_default().take(ended.row.change);
        self.unsummed += u64::from(ended.row.unsummed);
        if ended.settled.outcome.is_failure() {
            self.failure_codes.count(&ended.settled.code);
        }
        let untold = match ended.settled.outcome {
            Outcome::Superseded | Outcome::Coalesced => true,
            Outcome::Applied => ended.settled.trimmed.iter().any(|member| member == "points"),
            _ => false,
        };
        if untold && ended.row.bill_no.is_some() {
            self.not_told.take(ended.row.change);
        }
    }

    /// Rows with this outcome.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).map_or(0, |sum| sum.rows)
    }

    /// Rows in the failure file.
    pub fn failures(&self) -> u64 {
        self.outcomes.iter().filter(|(outcome, _)| outcome.is_failure()).map(|(_, sum)| sum.rows).sum()
    }

    /// Rows that a replay would take as they stand.
    pub fn open(&self) -> u64 {
        self.outcomes.iter().filter(|(outcome, _)| outcome.is_open()).map(|(_, sum)| sum.rows).sum()
    }

    /// Law 1: rows read = outcomes + passed over, and the same for the points. The error shows both sides.
    pub fn conserved(&self) -> Result<(), String> {
        let mut ended = self.passed_over;
        for sum in self.outcomes.values() {
            ended.rows += sum.rows;
            ended.points.merge(sum.points);
        }
        if ended == self.read {
            return Ok(());
        }
        Err(format!(
            "conservation is broken: {} rows with {} points were read, {} rows with {} points have an outcome",
            self.read.rows, self.read.points, ended.rows, ended.points
        ))
    }
}

/// What the calls were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// HTTP requests, those of interrupted parts included.
    pub attempts: u64,
    /// Those that repeat an earlier one of their row.
    pub retries: u64,
    /// Those that ended in doubt.
    pub in_doubt: u64,
    /// The quota, as `50/1s`.
    pub quota: String,
    /// The most requests begun in one quota window, as measured on our side by this process and by those that closed the
    /// run before it was reopened.
    pub quota_peak: u64,
    /// Codes that the dialect's table does not list.
    pub unlisted_codes: Codes,
}

impl Calls {
    /// Counts a row's attempts.
    pub fn add(&mut self, ended: &Ended) {
        let attempts = u64::from(ended.settled.attempts);
        self.attempts += attempts;
        self.retries += attempts.saturating_sub(1);
        // The doubt that the row brought from earlier runs belongs to their calls.
        let carried = ended.facts.as_ref().map_or(0, |facts| facts.doubt);
        self.in_doubt += u64::from(ended.settled.in_doubt.saturating_sub(carried));
    }
}
