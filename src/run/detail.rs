//! What the ledger keeps of a run beside its rows: enough to resume it as it was begun.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Fault;
use super::called::Called;
use super::done::{Done, Durations};
use super::store::Seals;
use crate::core::halt::Stop;
use crate::io::ledger::RunRow;
use crate::model::{Outcome, Total, moment};

/// The facts of a run, as JSON in the ledger and in the manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunDetail {
    /// The program's version.
    pub version: String,
    /// `Delta::CONTENT_FORM`.
    pub content_form: String,
    /// The inputs in their order: a seat's `source` is an index here.
    pub inputs: Vec<InputFact>,
    /// Rows read.
    pub rows: u64,
    /// Rows of a failure file that the replay did not ask for.
    pub passed_over: u64,
    /// Their sum of `last_changed_points`.
    pub passed_over_points: Total,
    /// The sum of `last_changed_points` of all rows read, those passed over included.
    pub points: Total,
    /// Rows that may be sent.
    pub planned: u64,
    /// The digest of the plan.
    #[serde(default)]
    pub plan: String,
    /// What the survey's files are known by.
    pub seals: Seals,
    /// The canonical members of the inputs: bit 0 is the first.
    pub members: Vec<String>,
    /// Flags of the command.
    pub flags: Flags,
    /// Where the files of the run go.
    pub dir: String,
    /// The settings in force, secrets masked.
    pub settings: serde_json::Value,
    /// What the survey warned of.
    pub warnings: Vec<String>,
    /// How it was called; `None` where nobody typed it, or an earlier version wrote this.
    #[serde(default)]
    pub called: Option<Called>,
    /// Rows that its earlier closings had, by outcome: a run that is reopened is counted once.
    #[serde(default)]
    pub counted: BTreeMap<Outcome, u64>,
    /// When it was closed before it was reopened; RFC 3339, empty where it was not.
    #[serde(default)]
    pub closed_at: String,
    /// The most requests that its earlier parts began in one quota window.
    #[serde(default)]
    pub quota_peak: u64,
    /// How sending ended, once it has, and what that took.
    #[serde(default)]
    pub ended: Option<(Done, Durations)>,
    /// `ledger prune` has forgotten its attempts and its settings.
    #[serde(default)]
    pub pruned: bool,
}

/// One input file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFact {
    /// As `source` names it.
    pub name: String,
    /// Where it was read.
    pub path: String,
    /// `csv`, `csv.gz`, `csv.zst`, `parquet`.
    pub format: String,
    /// Bytes.
    pub size: u64,
    /// Rows.
    pub rows: u64,
    /// Of the bytes as stored.
    pub sha256: String,
    /// The place in time of rows without `occurred_at`; milliseconds since 1970.
    pub occurred_default_ms: i64,
}

/// Flags that shape a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags {
    /// `--allow-stale`.
    pub allow_stale: bool,
    /// `--again`.
    pub again: bool,
    /// Classes of a replay; empty for a run.
    pub include: Vec<String>,
    /// `--occurred-at`, milliseconds since 1970.
    pub occurred_at_ms: Option<i64>,
    /// `ledger import`: the rows were applied by another program, and nothing is sent.
    #[serde(default)]
    pub import: bool,
    /// `--canary`.
    #[serde(default)]
    pub canary: Option<Canary>,
    /// `--plan`: the digest of the plan that a person agreed to.
    #[serde(default)]
    pub plan: Option<String>,
}

/// The cards that are sent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// How many.
    pub cards: usize,
    /// Whether the others follow where all of these ended well.
    pub continues: bool,
}

impl Flags {
    /// What the ledger calls such a run.
    pub fn kind(&self) -> &'static str {
        match (self.import, self.include.is_empty()) {
            (true, _) => "import",
            (false, true) => "run",
            (false, false) => "replay",
        }
    }

    /// The classes of a replay; `None` for a run.
    pub fn classes(&self) -> Option<Vec<Outcome>> {
        (!self.include.is_empty()).then(|| self.include.iter().filter_map(|class| class.parse().ok()).collect())
    }
}

impl RunDetail {
    /// What the ledger keeps of a run.
    pub fn of(run: &RunRow) -> Result<RunDetail, Fault> {
        RunDetail::parse(&run.detail).ok_or_else(|| {
            Fault::storage(format!("the ledger's facts of run {} cannot be read: another version wrote them", run.id))
        })
    }

    /// Reads what the ledger keeps.
    pub fn parse(json: &str) -> Option<RunDetail> {
        serde_json::from_str(json).ok()
    }

    /// How sending ended, where nothing is left for whoever finishes the run. Behind a signal, a deadline or a halt there is.
    pub fn final_end(&self) -> Option<(Done, Durations)> {
        self.ended.clone().filter(|(done, _)| done.stop.as_ref().is_none_or(Stop::is_canarys))
    }

    /// What the ledger keeps.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("facts are plain data")
    }
}

/// A run's name: its start in UTC and its ordinal in the ledger, so that names sort as runs do.
pub fn run_id(started_ms: i64, ordinal: u32) -> String {
    let start = moment::format_in(started_ms, &jiff::tz::TimeZone::UTC, "%Y%m%dT%H%M%SZ");
    format!("{start}-{ordinal:05}")
}
