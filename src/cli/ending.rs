//! The last screen of a run: what happened to how many rows, where the files are, what to do next.

use super::{CliError, Screen};
use crate::model::Exit;
use crate::run::{Fault, Finished, Job, Manifest};

/// Carries a run out.
pub fn watch(
    _screen: Screen,
    _job: &Job,
    work: impl FnOnce() -> Result<Finished, Fault>,
) -> Result<Finished, CliError> {
    work().map_err(CliError::from)
}

/// Shows how it ended.
pub fn show(screen: Screen, _job: &Job, finished: &Finished, json: bool) -> Result<Exit, CliError> {
    let manifest: &Manifest =
        finished.manifest.as_ref().or(finished.interrupted.as_ref()).expect("one of them was done");
    if json {
        screen.print_json(manifest)?;
    } else {
        for (outcome, sum) in &manifest.rows.outcomes {
            screen.say(&format!("{outcome:16} {:8} {}", sum.rows, sum.points));
        }
        screen.say(&format!(
            "calls {} retries {} peak {} {:?} stop {}",
            manifest.calls.attempts,
            manifest.calls.retries,
            manifest.calls.quota_peak,
            manifest.durations_ms,
            manifest.stopped
        ));
    }
    Ok(finished.exit())
}
