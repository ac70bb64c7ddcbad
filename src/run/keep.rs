//! `[output] keep`: the files of old closed runs are removed. What may still be asked for stays: the newest run, runs
//! whose failure files have rows that are open in the ledger, files that an interrupted replay reads, and whatever in a
//! run's folder the run has not written.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Fault;
use super::detail::RunDetail;
use super::manifest::Manifest;
use crate::io::atomic::is_unfinished;
use crate::io::ledger::{Ledger, RunRow};
use crate::io::{StorageError, fault};

/// Removes the files of the job's runs that were closed longer than `keep` ago; returns how many runs that were.
pub fn remove_old(ledger: &Ledger, job: &str, keep: Duration, now_ms: i64) -> Result<u64, Fault> {
    let Some(newest) = ledger.closed_runs(job, 1)?.pop() else { return Ok(0) };
    let before_ms = now_ms.saturating_sub(keep.as_millis() as i64);
    let needed = Needed::of(ledger)?;
    let mut removed = 0;
    for ordinal in ledger.closed_before(Some(job), before_ms)? {
        let Some(run) = ledger.run(ordinal)?.filter(|run| run.ordinal != newest.ordinal) else { continue };
        let Some(dir) = RunDetail::parse(&run.detail).map(|detail| PathBuf::from(detail.dir)) else { continue };
        if needed.has(&run, &dir) {
            continue;
        }
        if let Some(manifest) = own(&run, &dir) {
            remove(&dir, &manifest)?;
            tracing::info!(run = run.id, "removed, as [output] keep says");
            removed += 1;
        } else if bears_name(&run, &dir) {
            let _ = std::fs::remove_dir(&dir); // empty, if a removal was cut off at its very end; mostly long gone
        }
    }
    Ok(removed)
}

/// What open rows and interrupted runs still need.
struct Needed {
    /// First and last run of open rows: any between may have them in its failure file.
    spans: Vec<(u32, u32)>,
    inputs: Vec<PathBuf>,
}

impl Needed {
    fn of(ledger: &Ledger) -> Result<Needed, Fault> {
        let interrupted = ledger.interrupted_all()?;
        let details = interrupted.iter().filter_map(|run| RunDetail::parse(&run.detail));
        let inputs = details.flat_map(|detail| detail.inputs).map(|input| PathBuf::from(input.path)).collect();
        Ok(Needed { spans: ledger.open_spans()?, inputs })
    }

    fn has(&self, run: &RunRow, dir: &Path) -> bool {
        let dir = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
        self.spans.iter().any(|(first, last)| (*first..=*last).contains(&run.ordinal))
            || self.inputs.iter().any(|input| input.starts_with(&dir))
    }
}

/// The manifest in a folder, if both are the run's own.
fn own(run: &RunRow, dir: &Path) -> Option<Manifest> {
    let is_folder = std::fs::symlink_metadata(dir).is_ok_and(|found| found.is_dir());
    let manifest = (is_folder && bears_name(run, dir)).then(|| Manifest::read(dir).ok()).flatten()?;
    (manifest.run == run.id && manifest.job == run.job).then_some(manifest)
}

fn bears_name(run: &RunRow, dir: &Path) -> bool {
    dir.file_name().is_some_and(|name| name.to_string_lossy() == run.id)
}

/// The manifest goes last: a removal that was cut off is taken up the next time.
fn remove(dir: &Path, manifest: &Manifest) -> Result<(), Fault> {
    let there = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let unfinished = there.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_unfinished(name));
    for name in unfinished.chain(manifest.files.keys().cloned()).chain([Manifest::FILE.to_owned()]) {
        let path = dir.join(name);
        match fault::around("kept", "remove", || std::fs::remove_file(&path)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StorageError::new("remove", &path, error).into());
            }
            _ => {}
        }
    }
    if let Err(error) = std::fs::remove_dir(dir) {
        tracing::info!("{}: left as it is: {error}", dir.display()); // it has files of somebody else
    }
    Ok(())
}
