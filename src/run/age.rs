//! Whether a ledger is as new as the files that were derived from it. A backup that was put back is not: what was applied
//! since would be sent again, or rolled back.

use std::path::Path;

use super::Fault;
use super::close::absolute;
use super::context::Job;
use super::detail::RunDetail;
use super::manifest::Manifest;
use crate::io::StorageError;
use crate::io::ledger::{Ledger, RunRow};
use crate::model::Exit;
use crate::model::moment::rfc3339_ms;

/// What [`set_aside`] adds to the name of a folder.
const NEWER: &str = ".newer";

/// No file of the job is newer than the ledger that it was derived from. Where one tells of an end that the ledger does not
/// know, this is an older copy of it, and what that run applied would be sent again, or rolled back. An import since then
/// says what it was.
pub fn runs_are_known(job: &Job, ledger: &Ledger) -> Result<(), Fault> {
    let Ok(entries) = std::fs::read_dir(job.settings.output.dir.join(&job.settings.name)) else { return Ok(()) };
    let imported_at = ledger.newest_import()?.map(|run| rfc3339_ms(run.started_ms)).unwrap_or_default();
    let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())); // `latest` is a link
    for entry in folders {
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let known = match ledger.run_by_id(&name)? {
            // Only runs that were cut short are closed twice.
            Some(run) if run.exit.is_none_or(|exit| exit < Exit::Halted.code()) => continue,
            Some(run) => ends_of(&run),
            None => Vec::new(),
        };
        let is_its_own = |manifest: &Manifest| manifest.run == name || name.ends_with(NEWER);
        if let Some(manifest) = manifest_of(&entry.path(), ledger)?.filter(is_its_own)
            && !known.contains(&manifest.closed_at)
            && manifest.closed_at > imported_at
        {
            return Err(is_older(job, &manifest, &entry.path(), ledger));
        }
    }
    Ok(())
}

/// When a closed run was closed, and before that if it was reopened. Clocks may be set back: later ends are not told by
/// their time, but by their being unknown.
fn ends_of(run: &RunRow) -> Vec<String> {
    let last = Manifest::of(run).map(|manifest| manifest.closed_at);
    last.into_iter().chain(RunDetail::parse(&run.detail).map(|detail| detail.closed_at)).collect()
}

/// A run that the ledger has as cut off was not closed since by files that it does not know: see [`runs_are_known`].
pub fn end_is_known(job: &Job, run: &RunRow, detail: &RunDetail, ledger: &Ledger) -> Result<(), Fault> {
    let dir = Path::new(&detail.dir);
    let closed = manifest_of(dir, ledger)?.filter(|manifest| manifest.run == run.id);
    match closed {
        // One that is folded was being closed; one that was reopened has its earlier files.
        Some(manifest) if !run.is_folded() && manifest.closed_at != detail.closed_at => {
            let fault = is_older(job, &manifest, dir, ledger);
            let advice = fault.advice().unwrap_or_default().to_owned();
            Err(fault.help(format!(
                "close it as it stands, never resume it: `{}`; {advice}",
                job.command("resume", &["--abandon"])
            )))
        }
        _ => Ok(()),
    }
}

/// Sets the files of a run aside that tell of an end which the ledger does not know: it is about to be given another one.
pub fn set_aside(job: &Job, run: &RunRow, detail: &RunDetail, ledger: &Ledger) -> Result<(), Fault> {
    match end_is_known(job, run, detail, ledger) {
        Err(fault) if fault.exit() == Exit::Input => {}
        known => return known,
    }
    let newer = format!("{}{NEWER}", detail.dir);
    std::fs::rename(&detail.dir, &newer).map_err(|error| StorageError::new("rename", Path::new(&detail.dir), error))?;
    tracing::warn!("{newer} has the files of an end that the ledger does not know: settle what they call applied");
    Ok(())
}

/// The manifest in a folder, if it was derived from this ledger, at this place: a copy elsewhere goes its own ways.
fn manifest_of(dir: &Path, ledger: &Ledger) -> Result<Option<Manifest>, Fault> {
    let (identity, path) = (ledger.identity()?, absolute(ledger.path()));
    let is_own = |manifest: &Manifest| manifest.ledger_id == identity && manifest.ledger == path;
    Ok(Manifest::read(dir).ok().filter(is_own))
}

fn is_older(job: &Job, manifest: &Manifest, dir: &Path, ledger: &Ledger) -> Fault {
    Fault::input(format!(
        "run {} was closed at {} ({}), and the ledger {} does not know of that: it is older than its files, as a backup is that was \
         put back; what was applied since would be sent again, or rolled back",
        manifest.run,
        manifest.closed_at,
        dir.display(),
        ledger.path().display()
    ))
    .help(format!(
        "see \"Restoring a ledger\" in the runbook: make known what was applied since (`{} --apply`); once all is known, that \
         folder can be moved away, too",
        job.import_command()
    ))
}
