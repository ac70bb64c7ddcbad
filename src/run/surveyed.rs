//! Inputs that were read: what was found of them, and their rows in a folder that vanishes unless the run is booked.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Fault;
use super::context::Job;
use super::control::{Covering, Judged};
use super::inputs::{self, Occurred};
use super::progress::Phase;
use super::store::{RowsWriter, RunFolder, Seals, state_dir};
use super::survey::{self, Found};
use super::timings::Stage;
use crate::io::StorageError;
use crate::io::folder::{self, Passing};
use crate::io::source::Input;
use crate::model::Outcome;

/// What is to be read.
pub struct Reading<'a> {
    /// The files.
    pub inputs: &'a [Input],
    /// The classes that a replay takes; `None`: a run of the job.
    pub include: Option<&'a [Outcome]>,
    /// `--occurred-at`.
    pub occurred_at_ms: Option<i64>,
    /// The start of the run, milliseconds since 1970.
    pub started_ms: i64,
    /// The control files to compare with.
    pub controls: &'a [Covering],
    /// `--plan` was given.
    pub agreed: bool,
}

/// A folder, the lock that says that it is in use, and where it lies: what was made for it goes after it.
struct Temporary {
    folder: TempDir,
    _in_use: File,
    _runs: Passing,
}

/// Inputs that were read, in a folder that vanishes unless the run is booked.
pub struct Surveyed {
    /// Beside the rows.
    pub found: Found,
    inputs: Vec<Input>,
    /// What control files and trailers state, and what was found of it.
    pub judged: Judged,
    temporary: Temporary,
    /// What the files of the rows are known by.
    pub seals: Seals,
    /// What is recorded of the inputs.
    pub facts: Vec<super::InputFact>,
    /// One digest over them.
    pub digest: String,
    /// Whether it is known that not too many rows are invalid.
    pub are_rejects_judged: bool,
    /// The start of the run, milliseconds since 1970.
    pub started_ms: i64,
    /// What reading took.
    pub took: Duration,
}

impl Surveyed {
    /// Reads every input to its end.
    pub fn read(job: &Job, reading: &Reading<'_>) -> Result<Surveyed, Fault> {
        let began = Instant::now();
        let _counting = job.progress.timings.count(Stage::Survey);
        job.progress.enter(Phase::Survey);
        let runs = state_dir(&job.settings.ledger).join("runs");
        let temporary = Temporary::make(&runs)?;
        let folder = RunFolder::at(temporary.folder.path());
        let mut rows = RowsWriter::create(&folder, job.dialect.scope())?;
        let order = survey::Order {
            dialect: job.dialect.as_ref(),
            input: &job.settings.input,
            guard: &job.settings.guard,
            inputs: reading.inputs,
            include: reading.include,
            started_ms: reading.started_ms,
        };
        let found = survey::read(&order, &mut rows, &job.progress, &job.signals)?;
        let seals = rows.finish()?;
        let occurred = Occurred { given_ms: reading.occurred_at_ms, started_ms: reading.started_ms };
        let facts = inputs::facts(reading.inputs, &found.files, &job.settings, occurred);
        let digest = inputs::digest(&facts);
        let (started_ms, took) = (reading.started_ms, began.elapsed());
        let (inputs, judged) = (reading.inputs.to_vec(), Judged::default());
        let are_rejects_judged = false;
        Ok(Surveyed { found, inputs, judged, temporary, seals, facts, digest, are_rejects_judged, started_ms, took })
    }

    /// Whether the inputs still look as they did when they were read.
    pub fn inputs_are_unchanged(&self) -> Result<(), Fault> {
        let mut files = self.inputs.iter().zip(&self.found.files);
        Ok(files.try_for_each(|(input, file)| file.stamp.unchanged(input))?)
    }

    /// The rows.
    pub fn folder(&self) -> RunFolder {
        RunFolder::at(self.temporary.folder.path())
    }

    /// The rows have another folder now: this one has nothing left that might go.
    pub fn has_moved(self) {
        let _ = self.temporary.folder.keep();
    }
}

impl Temporary {
    fn make(runs: &Path) -> Result<Temporary, Fault> {
        let fault = |error| StorageError::new("make a folder in", runs, error);
        let passing = folder::make_passing(runs).map_err(fault)?;
        remove_orphans(runs).map_err(fault)?;
        let folder = tempfile::Builder::new().prefix(RunFolder::ORPHAN_PREFIX).tempdir_in(runs).map_err(fault)?;
        let in_use = File::open(folder.path()).map_err(fault)?;
        in_use.lock().map_err(fault)?;
        Ok(Temporary { folder, _in_use: in_use, _runs: passing })
    }
}

/// Folders younger than this may not be locked yet.
const ORPHAN_AGE: Duration = Duration::from_secs(60);

/// Removes the folders of surveys that were killed: they hold personal ids, and as much as the inputs had. Surveys need
/// no lease, so others may be under way: their folders are locked.
fn remove_orphans(runs: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(runs)? {
        let path = entry?.path();
        let is_survey =
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(RunFolder::ORPHAN_PREFIX));
        let Ok(folder) = File::open(&path) else { continue }; // it vanished: its survey has ended
        let age = folder.metadata()?.modified()?.elapsed().unwrap_or_default();
        if is_survey && age >= ORPHAN_AGE && folder.try_lock().is_ok() {
            std::fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn folders_of_killed_surveys_vanish_and_others_stay() {
        let runs = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - 2 * ORPHAN_AGE;
        let folder = |name: &str, modified: SystemTime| {
            let path = runs.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("rows"), "ids").unwrap();
            let file = File::open(path).unwrap();
            file.set_modified(modified).unwrap();
            file
        };
        drop(folder(".survey-killed", old));
        let under_way = folder(".survey-under-way", old);
        under_way.lock().unwrap();
        drop(folder(".survey-young", SystemTime::now()));
        drop(folder("20261101T000000Z-00001", old));
        remove_orphans(runs.path()).unwrap();
        let mut left: Vec<String> = std::fs::read_dir(runs.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [".survey-under-way", ".survey-young", "20261101T000000Z-00001"]);
    }
}
