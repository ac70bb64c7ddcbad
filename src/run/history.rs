//! Past runs of a job, as the ledger knows them. Nothing changes.

use std::collections::HashMap;

use serde::Serialize;

use super::Fault;
use super::context::holder_of;
use super::detail::RunDetail;
use super::manifest::Manifest;
use crate::io::ledger::{Ledger, RunRow, RunState};
use crate::io::lock::Lock;
use crate::model::moment::rfc3339_ms;
use crate::model::{Outcome, Total};

/// One past run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PastRun {
    /// Its name.
    pub run: String,
    /// `run` or `replay`.
    pub kind: String,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339; `None` where it is interrupted.
    pub closed_at: Option<String>,
    /// `closed`, `on` or `interrupted`.
    pub state: &'static str,
    /// Rows read, those that a replay passed over included.
    pub rows: u64,
    /// Their sum of `last_changed_points`.
    pub points: Total,
    /// Rows that it applied.
    pub applied: Option<u64>,
    /// Rows that did not end well.
    pub failures: Option<u64>,
    /// Rows that it left open and that are open still.
    pub open_now: u64,
    /// Its exit code.
    pub exit: Option<u8>,
    /// From its start to its end, interruptions included; milliseconds.
    pub took_ms: Option<u64>,
    /// Where its files were written.
    pub dir: String,
}

/// The newest runs of a job, newest first.
pub fn past_runs(ledger: &Ledger, job: &str, most: u32) -> Result<Vec<PastRun>, Fault> {
    let open: HashMap<u32, u64> = ledger.open_by_run()?.into_iter().collect();
    let mut runs = ledger.closed_runs(job, most)?;
    runs.extend(ledger.interrupted(job)?);
    runs.sort_by_key(|run| std::cmp::Reverse(run.ordinal));
    runs.truncate(most as usize);
    let is_on = Lock::is_held_by(ledger.path(), &holder_of(job));
    runs.iter().map(|run| past_run(run, open.get(&run.ordinal).copied().unwrap_or_default(), is_on)).collect()
}

fn past_run(run: &RunRow, open_now: u64, is_on: bool) -> Result<PastRun, Fault> {
    let detail = RunDetail::of(run)?;
    let manifest = Manifest::of(run);
    let closed_ms = run.closed_ms.filter(|_| run.state == RunState::Closed);
    Ok(PastRun {
        run: run.id.clone(),
        kind: run.kind.clone(),
        started_at: rfc3339_ms(run.started_ms),
        closed_at: closed_ms.map(rfc3339_ms),
        state: match run.state {
            RunState::Closed => "closed",
            RunState::Interrupted if is_on => "on",
            RunState::Interrupted => "interrupted",
        },
        rows: detail.rows + detail.passed_over,
        points: detail.points,
        applied: manifest.as_ref().map(|manifest| manifest.rows.of(Outcome::Applied)),
        failures: manifest.as_ref().map(|manifest| manifest.rows.failures()),
        open_now,
        exit: run.exit.filter(|_| closed_ms.is_some()),
        took_ms: closed_ms.map(|closed_ms| (closed_ms - run.started_ms).max(0).unsigned_abs()),
        dir: manifest.map_or(detail.dir, |manifest| manifest.dir),
    })
}
