//! Which files a run reads: the job's, a replay's, or those that an interrupted run recorded.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::civil::Date;
use sha2::{Digest as _, Sha256};
use tempfile::TempPath;

use super::Fault;
use super::close::file_fact;
use super::detail::{InputFact, RunDetail};
use super::store::state_dir;
use super::survey::FileFound;
use crate::io::folder::{self, Passing};
use crate::io::job::dates::{Dates, end_of_day_ms};
use crate::io::job::settings::{FormatChoice, Settings};
use crate::io::ledger::Ledger;
use crate::io::source::{self, Format, Input, STANDARD_INPUT};
use crate::io::{StorageError, fault};

/// The files of a run of the job.
pub fn of_job(settings: &Settings, dates: Option<Dates>, started_ms: i64) -> Result<Vec<Input>, Fault> {
    let zone = &settings.input.timezone;
    let dates = dates.unwrap_or_else(|| Dates::of_start(started_ms, zone, settings.input.date_offset_days));
    let days: Vec<Date> = dates.days().collect();
    Ok(source::resolve(&settings.input, &settings.base, &days)?)
}

/// Where standard input is kept; absolute, as the ledger has it.
pub fn stdin_folder(ledger: &Path) -> PathBuf {
    let folder = state_dir(ledger).join("stdin");
    std::path::absolute(&folder).unwrap_or(folder)
}

/// Standard input where it can be read twice. The file goes when this is dropped, unless a run is booked that needs it.
#[derive(Default)]
pub struct Spool {
    file: Option<TempPath>,
    _folder: Passing,
}

impl Spool {
    /// Reads standard input into `path`, if it is among the inputs.
    pub fn standard_input(inputs: &mut [Input], path: &Path, format: FormatChoice) -> Result<Spool, Fault> {
        let mut spool = Spool::default();
        for input in inputs.iter_mut().filter(|input| input.name == STANDARD_INPUT) {
            let folder = folder::of(path);
            let passing = folder::make_passing(folder).map_err(|error| StorageError::new("create", folder, error))?;
            source::spool(&mut std::io::stdin().lock(), path)?;
            *input = Input::new(input.name.clone(), path.to_owned(), format, input.date)?;
            let kept = TempPath::try_from_path(path).map_err(|error| StorageError::new("keep", path, error))?;
            spool = Spool { file: Some(kept), _folder: passing };
        }
        Ok(spool)
    }

    /// From here on a booked run needs it: [`forget_standard_input`] removes it.
    pub fn keep(self) {
        self.file.into_iter().for_each(|path| drop(path.keep()));
    }
}

/// Removes what was kept of standard input, now that the run is closed, and what a kill has left of others.
pub fn forget_standard_input(inputs: &[Input], ledger: &Ledger) -> Result<(), Fault> {
    let folder = stdin_folder(ledger.path());
    let needed = ledger.interrupted_all()?.iter().map(RunDetail::of).collect::<Result<Vec<_>, _>>()?;
    let is_needed = |path: &Path| needed.iter().flat_map(|run| &run.inputs).any(|input| Path::new(&input.path) == path);
    for entry in std::fs::read_dir(&folder).into_iter().flatten() {
        let fault = |error| StorageError::new("look into", &folder, error);
        let path = entry.map_err(fault)?.path();
        let is_ours = inputs.iter().any(|input| input.path == path);
        if is_ours || !is_needed(&path) && is_orphan(&path) {
            fault::around("file", "remove", || std::fs::remove_file(&path))
                .map_err(|error| StorageError::new("remove", &path, error))?;
        }
    }
    Ok(())
}

/// Whether a file is so old that no survey can still be reading it before its run is booked.
fn is_orphan(path: &Path) -> bool {
    const AGE: Duration = Duration::from_secs(24 * 3600);
    let modified = std::fs::metadata(path).and_then(|file| file.modified());
    modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > AGE))
}

/// The files of a replay: a failure file, or all those of a run directory.
pub fn of_replay(settings: &Settings, failures: &Path) -> Result<Vec<Input>, Fault> {
    // `latest` is a link that points elsewhere once this replay is closed.
    let failures = &std::fs::canonicalize(failures).unwrap_or_else(|_| failures.to_owned());
    let paths = if failures.is_dir() { failure_files(failures)? } else { vec![failures.clone()] };
    let name = |path: &Path| path.strip_prefix(&settings.base).unwrap_or(path).display().to_string();
    let inputs = paths.into_iter().map(|path| Input::new(name(&path), path, FormatChoice::Auto, None));
    Ok(inputs.collect::<Result<_, _>>()?)
}

/// Whether a run directory can be replayed: a run that was closed without its inputs has no failure file.
pub fn can_replay(dir: &Path) -> bool {
    failure_files(dir).is_ok()
}

fn failure_files(dir: &Path) -> Result<Vec<PathBuf>, Fault> {
    let fault = |error| Fault::input(format!("cannot look into {}: {error}", dir.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("failures.") || name.starts_with("failures-") {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Fault::input(format!(
            "{} has no failure file; expected a file, or a run directory with failures.csv or failures.parquet",
            dir.display()
        )));
    }
    files.sort();
    Ok(files)
}

/// The files that an interrupted run recorded, if they are still what they were. `moved`: where they are now.
pub fn recorded(facts: &[InputFact], moved: &[PathBuf]) -> Result<Vec<Input>, Fault> {
    facts
        .iter()
        .map(|fact| {
            let own = PathBuf::from(&fact.path);
            let mut candidates = std::iter::once(&own).chain(moved);
            let same = |path: &&PathBuf| file_fact(path).is_ok_and(|now| now.sha256 == fact.sha256);
            let path = candidates.find(same).cloned().map_or_else(|| Err(gone_or_unreadable(fact)), Ok)?;
            Ok(of_fact(fact, path))
        })
        .collect()
}

/// One that is there and cannot be read is not gone: that may pass.
fn gone_or_unreadable(fact: &InputFact) -> Fault {
    match file_fact(Path::new(&fact.path)) {
        Err(fault) if Path::new(&fact.path).exists() => Fault::input(fault).passing(),
        _ => gone(fact),
    }
}

/// A recorded input, at its place of now.
pub fn of_fact(fact: &InputFact, path: PathBuf) -> Input {
    Input { name: fact.name.clone(), path, format: format_of(&fact.format), date: None }
}

fn gone(fact: &InputFact) -> Fault {
    Fault::input(format!(
        "the input {}, which the run has read, is gone or changed (expected {} bytes, sha256 {})",
        fact.path, fact.size, fact.sha256
    ))
}

/// What is recorded of inputs that were read.
pub fn facts(inputs: &[Input], files: &[FileFound], settings: &Settings, occurred: Occurred) -> Vec<InputFact> {
    let zone = &settings.input.timezone;
    let fact = |(input, FileFound { stamp, .. }): (&Input, &FileFound)| InputFact {
        name: input.name.clone(),
        path: absolute(&input.path),
        format: format_name(input.format).to_owned(),
        size: stamp.size,
        rows: stamp.rows,
        sha256: stamp.sha256.clone(),
        occurred_default_ms: occurred
            .given_ms
            .or_else(|| input.date.map(|day| end_of_day_ms(day, zone)))
            .unwrap_or(occurred.started_ms),
    };
    inputs.iter().zip(files).map(fact).collect()
}

/// What stands in for `occurred_at`.
#[derive(Clone, Copy, Debug)]
pub struct Occurred {
    /// `--occurred-at`.
    pub given_ms: Option<i64>,
    /// The start of the run.
    pub started_ms: i64,
}

/// One digest over the inputs' digests: the same inputs are the same bytes in the same order.
pub fn digest(facts: &[InputFact]) -> String {
    let mut hash = Sha256::new();
    for fact in facts {
        hash.update(fact.sha256.as_bytes());
        hash.update(b"\n");
    }
    hash.finalize().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

const FORMATS: [(Format, &str); 4] =
    [(Format::Csv, "csv"), (Format::CsvGz, "csv.gz"), (Format::CsvZst, "csv.zst"), (Format::Parquet, "parquet")];

fn format_name(format: Format) -> &'static str {
    FORMATS.iter().find(|(known, _)| *known == format).expect("every format has a name").1
}

fn format_of(name: &str) -> Format {
    FORMATS.iter().find(|(_, known)| *known == name).map_or(Format::Csv, |(format, _)| *format)
}
