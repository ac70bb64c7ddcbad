//! `ledger prune`: old runs keep their names, sums and places; their attempts, bodies and settings are forgotten. With a
//! horizon, so are the bills that they settled before it.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::detail::RunDetail;
use super::lease::Lease;
use super::manifest::Manifest;
use super::store::RunFolder;
use super::{Fault, wall_ms};
use crate::io::ledger::{Ledger, LedgerError, PrunedRun, RunRow};
use crate::model::moment::rfc3339_ms;

/// What is to be forgotten.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Runs that were closed longer ago.
    pub older_than: Duration,
    /// Settled bills that happened before, too; milliseconds since 1970.
    pub bills_before_ms: Option<i64>,
    /// Else it is only said what would be.
    pub apply: bool,
}

/// What was forgotten, or would be.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Pruned {
    /// Whether it was.
    pub applied: bool,
    /// Runs that were closed before this.
    pub before: String,
    /// Names of the runs.
    pub runs: Vec<String>,
    /// Runs that are as old, and have open rows.
    pub kept_for_open_rows: Vec<String>,
    /// Records of attempts and ends.
    pub records: u64,
    /// Their bytes. The file does not shrink: later runs fill it again, and a backup is packed.
    pub bytes: u64,
    /// Bills.
    pub bills: u64,
    /// The horizon from now on, if there is one: rows from before it are rejected, unless the ledger knows their bills.
    pub horizon: Option<String>,
}

/// Prunes a ledger; nobody may write into it meanwhile.
pub fn prune(ledger: &Path, order: Order) -> Result<Pruned, Fault> {
    if !ledger.exists() {
        return Err(LedgerError::Absent(ledger.to_owned()).into());
    }
    if !order.apply {
        drop(Ledger::open_existing(ledger)?); // who only looks brings none up to date
    }
    let mut lease = Lease::take(ledger, "ledger prune", Duration::ZERO, || false)?;
    let mut ledger = lease.open()?;
    if let Some(run) = ledger.interrupted_all()?.first() {
        return Err(Fault::input(format!("run {} of job {} was cut off: what it needs is not known", run.id, run.job))
            .help("finish it first: `passync resume` with its job file"));
    }
    let before_ms = wall_ms().saturating_sub(order.older_than.as_millis() as i64);
    if let Some(horizon) = order.bills_before_ms.filter(|horizon| *horizon > before_ms) {
        return Err(Fault::usage(format!(
            "--bills-before {} is later than --older-than reaches ({}): rows of these days may still come again",
            rfc3339_ms(horizon),
            rfc3339_ms(before_ms)
        )));
    }
    let Old { fresh, all, kept } = Old::of(&ledger, before_ms)?;
    let mut pruned = Pruned {
        applied: order.apply,
        before: rfc3339_ms(before_ms),
        runs: fresh.iter().map(|run| run.id.clone()).collect(),
        kept_for_open_rows: kept,
        ..Pruned::default()
    };
    let ordinals: Vec<u32> = fresh.iter().map(|run| run.ordinal).collect();
    (pruned.records, pruned.bytes) = ledger.journal_size(&ordinals)?;
    if order.apply {
        let runs = fresh.iter().map(forget).collect::<Result<Vec<_>, Fault>>()?;
        // Surveys first: one that outlived its records would be proved against them, and would keep personal ids.
        fresh.iter().try_for_each(|run| RunFolder::new(ledger.path(), &run.id).remove())?;
        pruned.bills = ledger.prune(&runs, order.bills_before_ms, &all)?;
    } else if let Some(horizon) = order.bills_before_ms {
        pruned.bills = ledger.forgettable(horizon, &all)?;
    }
    let planned = order.bills_before_ms.filter(|_| !order.apply);
    pruned.horizon = ledger.horizon()?.max(planned).map(rfc3339_ms);
    Ok(pruned)
}

/// Old runs.
struct Old {
    /// Those that still have their records.
    fresh: Vec<RunRow>,
    /// The ordinals of these, and of those that were pruned before.
    all: Vec<u32>,
    /// The names of those that have open rows.
    kept: Vec<String>,
}

impl Old {
    fn of(ledger: &Ledger, before_ms: i64) -> Result<Old, Fault> {
        let spans = ledger.open_spans()?;
        let mut old = Old { fresh: Vec::new(), all: Vec::new(), kept: Vec::new() };
        for ordinal in ledger.closed_before(None, before_ms)? {
            let Some(run) = ledger.run(ordinal)? else { continue };
            if spans.iter().any(|(first, last)| (*first..=*last).contains(&ordinal)) {
                old.kept.push(run.id);
                continue;
            }
            old.all.push(ordinal);
            if !RunDetail::of(&run)?.pruned {
                old.fresh.push(run);
            }
        }
        Ok(old)
    }
}

/// What is left of a run: its name, its inputs, its sums.
fn forget(run: &RunRow) -> Result<PrunedRun, Fault> {
    let nothing = || serde_json::Value::Null;
    let detail = RunDetail { pruned: true, called: None, settings: nothing(), ..RunDetail::of(run)? };
    let summary = match Manifest::of(run) {
        Some(manifest) => {
            serde_json::to_string(&Manifest { settings: nothing(), ..manifest }).expect("a manifest is plain data")
        }
        None => run.summary.clone().unwrap_or_default(), // what another version wrote stays as it is
    };
    Ok(PrunedRun { ordinal: run.ordinal, detail: detail.json(), summary })
}
