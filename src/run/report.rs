//! `report`: the files of a closed run and its page, written again from its inputs and the ledger. The ledger stays as it is.

use std::path::Path;

use super::Fault;
use super::close;
use super::detail::RunDetail;
use super::done::Durations;
use super::inputs;
use super::manifest::{Calls, Manifest};
use super::page::Ground;
use super::store::RunFolder;
use crate::io::job;
use crate::io::ledger::{Ledger, RunRow, RunState};
use crate::io::source::ReadRules;

/// Writes the files of the run that `dir` is named after.
pub fn report(ledger: &Path, dir: &Path) -> Result<Manifest, Fault> {
    // `latest` is a link: the folder behind it bears the run's name.
    let dir = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let id = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let ledger = Ledger::open_existing(ledger)?;
    let run = ledger.run_by_id(&id)?.ok_or_else(|| {
        Fault::usage(format!("{}: the ledger {} has no run {id}", dir.display(), ledger.path().display()))
            .help("the folder of a run bears its name; --job JOB or --state DIR say which ledger is meant")
    })?;
    let closed = manifest_of(&run)?;
    let detail = RunDetail::parse(&run.detail).ok_or_else(|| unreadable(&run))?;
    if detail.pruned {
        return Err(Fault::input(format!("run {id} was pruned: what its files are made from is forgotten")));
    }
    let settings = job::recorded(&detail.settings, Path::new("/")).map_err(Fault::usage)?;
    let rules = ReadRules::new(&settings.input).map_err(Fault::usage)?;
    let files = inputs::recorded(&detail.inputs, &[])
        .map_err(|fault| Fault::input(format!("the files of run {id} need its inputs: {fault}")))?;
    let folder = RunFolder::new(ledger.path(), &id);
    if !folder.is_whole(&detail.seals)? {
        return Err(Fault::input(format!("what run {id} read was dropped; only the newest closed runs keep it")));
    }
    let order = close::Order {
        run: &run,
        detail: &detail,
        folder: &folder,
        inputs: Some((&files, &rules)),
        parquet: settings.output.parquet,
        stop: None,
        calls: Calls::default(),
        durations: Durations::default(),
        warnings: Vec::new(),
        ground: Ground::of(&settings, &detail),
        now_ms: run.closed_ms.unwrap_or_default(),
    };
    close::rewrite(&order, &dir, &ledger, closed)
}

fn manifest_of(run: &RunRow) -> Result<Manifest, Fault> {
    if run.state != RunState::Closed {
        return Err(Fault::usage(format!("run {} is interrupted: it has no files yet", run.id))
            .help(format!("`passync resume` finishes it: it belongs to job {}", run.job)));
    }
    Manifest::of(run).ok_or_else(|| unreadable(run))
}

fn unreadable(run: &RunRow) -> Fault {
    Fault::storage(format!("the ledger's facts of run {} cannot be read: another version wrote them", run.id))
}
