//! Closing a run: bills and cards, ends that only this moment tells, outcomes, failures, page, manifest, `latest`, durable
//! in this order; then the ledger calls it closed. A run that was cut off before that is closed again from the beginning,
//! and what is folded is not folded twice. The files of a closed run can be written again.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Fault;
use super::detail::{InputFact, RunDetail};
use super::done::Durations;
use super::figures::Figures;
use super::fold::{self, Ended, Fold, Rest};
use super::manifest::{Calls, FileFact, Manifest, Sum, Tally};
use super::page::{self, Failing, Ground, SlowCall};
use super::store::{Rows, RunFolder};
use super::words::Stopped;
use crate::core::halt::Stop;
use crate::io::atomic::{AtomicFile, is_unfinished};
use crate::io::failures::{self, Tail};
use crate::io::frames::{FrameReader, FrameWriter};
use crate::io::ledger::{Ledger, RunRow};
use crate::io::outcomes::{OutcomeLine, OutcomeWriter};
use crate::io::source::{Input, ReadRules};
use crate::io::{StorageError, fault, folder};
use crate::model::{Exit, Seat, Settled, moment};

/// What closing is told.
pub struct Order<'a> {
    /// The run in the ledger.
    pub run: &'a RunRow,
    /// Its facts.
    pub detail: &'a RunDetail,
    /// The survey's files.
    pub folder: &'a RunFolder,
    /// The inputs, for the rows of the failure file; `None` where they are gone (`resume --abandon`).
    pub inputs: Option<(&'a [Input], &'a ReadRules)>,
    /// Whether outcomes are Parquet.
    pub parquet: bool,
    /// Why the run stopped, if it did.
    pub stop: Option<Stop>,
    /// The quota as written, its measured peak, unlisted codes.
    pub calls: Calls,
    /// How long survey and apply took.
    pub durations: Durations,
    /// More that a person should know.
    pub warnings: Vec<String>,
    /// What the job says about the page.
    pub ground: Ground,
    /// Wall clock, milliseconds since 1970.
    pub now_ms: i64,
}

/// Writes the files of a run, folds it into the ledger, and closes it.
pub fn close(order: &Order<'_>, ledger: &mut Ledger) -> Result<Manifest, Fault> {
    let began = std::time::Instant::now();
    let dir = PathBuf::from(&order.detail.dir);
    make_folder(&dir)?;
    reopen(&dir, &order.run.job, ledger)?;
    let mut writing = Writing::begin(order, &dir)?;
    let rest = Rest::Unsent(order.stop.as_ref().map(Stopped::from));
    let members = &order.detail.members;
    let (run, watch) = (order.run.ordinal, |record: &_| writing.figures.take(record));
    let fold = Fold::watched(ledger, run, order.folder, members, rest, order.now_ms, watch)?;
    let mut found = Found::new(order.folder)?;
    fold::into_ledger(ledger, order.run.ordinal, order.folder, fold, order.detail.flags.allow_stale, |ended| {
        found.take(ended)?;
        writing.take(ended)
    })?;
    found.book(order.run.ordinal, ledger)?;
    let written = writing.finish(order, &dir).map_err(behind_the_calls)?;
    let exit = exit(order.stop.as_ref(), &written.tally);
    let mut manifest = manifest(order, &dir, ledger, &written, exit)?;
    manifest.durations_ms.finish = began.elapsed().as_millis() as u64;
    written.page.write(&dir, &mut manifest, &order.ground)?;
    let json = write_manifest(&dir, &manifest)?;
    point_latest(&dir)?;
    // Last: a run that is not closed yet is closed again, with all of the above.
    ledger.close_run(order.run.ordinal, exit.code(), order.now_ms, &json)?;
    tracing::info!(run = manifest.run, exit = manifest.exit, failures = manifest.rows.failures(), "closed");
    Ok(manifest)
}

/// Writes the files of a closed run again, into `dir`. The ledger stays as it is; `closed` is its manifest of the run.
pub fn rewrite(order: &Order<'_>, dir: &Path, ledger: &Ledger, closed: Manifest) -> Result<Manifest, Fault> {
    make_folder(dir)?;
    let mut writing = Writing::begin(order, dir)?;
    let rest = Rest::Unsent(closed.stopped.clone());
    let (run, watch) = (order.run.ordinal, |record: &_| writing.figures.take(record));
    Fold::watched(ledger, run, order.folder, &order.detail.members, rest, order.now_ms, watch)?
        .each(order.folder, |ended| writing.take(&ended))?;
    let written = writing.finish(order, dir)?;
    let mut manifest = Manifest { rows: written.tally, files: facts_of(&written.files)?, ..closed };
    written.page.write(dir, &mut manifest, &order.ground)?;
    write_manifest(dir, &manifest)?;
    Ok(manifest)
}

/// Rows whose ends only the moment of closing tells: a crash cut them off, and their intents go with the closing; or
/// another run went on from what this one had left. From then on the journal tells them.
struct Found {
    rows: FrameWriter<(u64, Settled)>,
    folder: PathBuf,
}

impl Found {
    fn new(folder: &RunFolder) -> Result<Found, Fault> {
        let folder = folder.path().to_owned();
        let file =
            tempfile::tempfile_in(&folder).map_err(|error| StorageError::new("create a file in", &folder, error))?;
        Ok(Found { rows: FrameWriter::over(file, &folder), folder })
    }

    fn take(&mut self, ended: &Ended) -> Result<(), Fault> {
        if ended.is_found {
            // The attempts of a row's ends add up.
            let attempts = ended.settled.attempts.saturating_sub(ended.told);
            self.rows.push(&(ended.id, Settled { attempts, ..ended.settled.clone() }))?;
        }
        Ok(())
    }

    fn book(self, run: u32, ledger: &mut Ledger) -> Result<(), Fault> {
        let mut file = self.rows.into_file()?;
        file.rewind().map_err(|error| StorageError::new("read a file in", &self.folder, error))?;
        Ok(ledger.end_rows(run, FrameReader::over(file, &self.folder))?)
    }
}

fn exit(stop: Option<&Stop>, tally: &Tally) -> Exit {
    match stop {
        Some(stop) if stop.is_halt() => Exit::Halted,
        Some(_) => Exit::Stopped,
        None if tally.failures() > 0 => Exit::Failures,
        None => Exit::Clean,
    }
}

/// The files of a run while its rows are handed over.
struct Writing {
    outcomes: OutcomeWriter,
    tails: FrameWriter<(Seat, StoredTail)>,
    tails_path: PathBuf,
    rows: Rows,
    sources: Vec<String>,
    run_id: String,
    tally: Tally,
    calls: Calls,
    figures: Figures,
    failing: Failing,
}

/// A [`Tail`] on its way through a file.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct StoredTail {
    outcome: crate::model::Outcome,
    code: String,
    message: String,
    attempts: u32,
    run: String,
    source: String,
    line: u64,
}

impl Writing {
    fn begin(order: &Order<'_>, dir: &Path) -> Result<Writing, Fault> {
        let tails_path = order.folder.path().join("tails");
        let detail = order.detail;
        let read = Sum { rows: detail.rows + detail.passed_over, points: detail.points };
        let passed_over = Sum { rows: detail.passed_over, points: detail.passed_over_points };
        Ok(Writing {
            outcomes: OutcomeWriter::create(dir, order.parquet)?,
            tails: FrameWriter::create(&tails_path)?,
            tails_path,
            rows: Rows::open(order.folder)?,
            sources: detail.inputs.iter().map(|input| input.name.clone()).collect(),
            run_id: order.run.id.clone(),
            tally: Tally { read, passed_over, ..Tally::default() },
            calls: order.calls.clone(),
            figures: Figures::new(order.ground.window),
            failing: Failing::default(),
        })
    }

    fn take(&mut self, ended: &Ended) -> Result<(), Fault> {
        self.tally.add(ended);
        self.calls.add(ended);
        let seat = ended.row.seat;
        let source = &self.sources[usize::from(seat.source)];
        self.failing.take(ended, source);
        let carried_by = match ended.settled.carried_by {
            Some(id) => {
                let carrier = self.rows.get(id)?.seat;
                Some(format!("{}:{}", self.sources[usize::from(carrier.source)], carrier.line))
            }
            None => None,
        };
        self.outcomes.write(&OutcomeLine {
            source,
            line: seat.line,
            bill_no: ended.row.bill_no.as_deref(),
            card: &ended.row.card_no,
            settled: &ended.settled,
            carried_by: carried_by.as_deref(),
        })?;
        if ended.settled.outcome.is_failure() {
            let (run, source, line) = match &ended.row.origin {
                Some(origin) => (origin.run.clone(), origin.source.clone(), origin.line),
                None => (self.run_id.clone(), source.clone(), seat.line),
            };
            let message = match &carried_by {
                Some(other) => format!("{} ({other})", ended.settled.message),
                None => ended.settled.message.clone(),
            };
            let settled = &ended.settled;
            let (outcome, code, attempts) = (settled.outcome, settled.code.clone(), settled.attempts);
            self.tails.push(&(seat, StoredTail { outcome, code, message, attempts, run, source, line }))?;
        }
        Ok(())
    }

    fn finish(mut self, order: &Order<'_>, dir: &Path) -> Result<Written, Fault> {
        let slowest = self.slowest()?;
        let mut files = vec![self.outcomes.finish()?];
        self.tails.finish()?;
        let tails = FrameReader::<(Seat, StoredTail)>::open(&self.tails_path)?;
        let mut tails = tails.map(|tail| tail.map(|(seat, tail)| (seat, tail.into())));
        let mut warnings = Vec::new();
        if let Some((inputs, rules)) = order.inputs {
            let copied = failures::write(dir, inputs, rules, &mut tails)?;
            if self.tally.failures() > 0 {
                still_the_same(inputs, &order.detail.inputs, &copied.files)?;
            }
            files.extend(copied.files);
            warnings = copied.left_out;
        } else {
            let what = "the inputs are gone, or not what they were: there is no failure file; `passync open` lists the open \
                        rows, and the outcomes name the others";
            tracing::warn!("{what}");
            warnings.push(what.to_owned());
        }
        fault::around("tails", "remove", || std::fs::remove_file(&self.tails_path))
            .map_err(|error| StorageError::new("remove", &self.tails_path, error))?;
        self.tally.conserved().map_err(Fault::broken)?;
        let page = Page { figures: self.figures, failing: self.failing, slowest };
        Ok(Written { tally: self.tally, calls: self.calls, files, warnings, page })
    }

    /// The slowest calls, with what their rows are known by.
    fn slowest(&mut self) -> Result<Vec<SlowCall>, Fault> {
        let mut slowest = Vec::new();
        for call in self.figures.slowest.iter() {
            let row = self.rows.get(call.row)?;
            slowest.push(SlowCall {
                call: call.clone(),
                place: page::place(&self.sources[usize::from(row.seat.source)], row.seat.line),
                bill: page::bill(row.bill_no.as_deref()),
                card: page::card(&row.card_no),
            });
        }
        Ok(slowest)
    }
}

/// What the page of a run shows beside its manifest.
struct Page {
    figures: Figures,
    failing: Failing,
    slowest: Vec<SlowCall>,
}

impl Page {
    const FILE: &str = "report.html";

    /// Writes it, and names it in the manifest, of which it shows all the rest.
    fn write(&self, dir: &Path, manifest: &mut Manifest, ground: &Ground) -> Result<(), Fault> {
        let Page { figures, failing, slowest } = self;
        let path = dir.join(Self::FILE);
        page::write(&path, &page::report(&page::Told { manifest, figures, failing, slowest, ground }))?;
        manifest.files.insert(Self::FILE.to_owned(), file_fact(&path)?);
        Ok(())
    }
}

/// An input that cannot be read any more refuses nothing: the calls were made.
fn behind_the_calls(fault: Fault) -> Fault {
    if fault.exit() != Exit::Input {
        return fault;
    }
    Fault::storage(format!(
        "{fault}; the run was past its calls, and the failure file wants the rows as they were read"
    ))
    .help("put the input back as it was, then run the job again: it goes on from disk")
}

/// A failure file is copied from the inputs: were one replaced under the run, it would hold rows that did not fail, and
/// goes.
fn still_the_same(inputs: &[Input], recorded: &[InputFact], copied: &[PathBuf]) -> Result<(), Fault> {
    for (input, fact) in inputs.iter().zip(recorded) {
        if file_fact(&input.path)?.sha256 != fact.sha256 {
            copied.iter().try_for_each(|path| remove(path))?;
            let changed = format!("{} changed while the run was on: its failing rows cannot be copied", fact.path);
            return Err(Fault::storage(changed)
                .help("restore the file as it was, then run the job again: it goes on from disk"));
        }
    }
    Ok(())
}

/// What was written.
struct Written {
    tally: Tally,
    calls: Calls,
    files: Vec<PathBuf>,
    /// What a person should know of them.
    warnings: Vec<String>,
    page: Page,
}

impl From<StoredTail> for Tail {
    fn from(tail: StoredTail) -> Tail {
        Tail {
            outcome: tail.outcome.as_str(),
            code: tail.code,
            message: tail.message,
            attempts: tail.attempts,
            run: tail.run,
            source: tail.source,
            line: tail.line,
        }
    }
}

/// A path as manifests have it.
pub fn absolute(path: &Path) -> String {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

fn manifest(order: &Order<'_>, dir: &Path, ledger: &Ledger, written: &Written, exit: Exit) -> Result<Manifest, Fault> {
    let detail = order.detail;
    Ok(Manifest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        job: order.run.job.clone(),
        run: order.run.id.clone(),
        kind: order.run.kind.clone(),
        started_at: moment::rfc3339_ms(order.run.started_ms),
        closed_at: moment::rfc3339_ms(order.now_ms),
        exit: exit.code(),
        stopped: order.stop.as_ref().map(Stopped::from),
        dir: absolute(dir),
        ledger: absolute(ledger.path()),
        ledger_id: ledger.identity()?,
        inputs: detail.inputs.clone(),
        plan: detail.plan.clone(),
        rows: written.tally.clone(),
        calls: written.calls.clone(),
        durations_ms: order.durations,
        warnings: [&detail.warnings, &order.warnings, &written.warnings].into_iter().flatten().cloned().collect(),
        flags: detail.flags.clone(),
        settings: detail.settings.clone(),
        files: facts_of(&written.files)?,
    })
}

fn facts_of(files: &[PathBuf]) -> Result<BTreeMap<String, FileFact>, Fault> {
    let name = |path: &PathBuf| path.file_name().expect("a file has a name").to_string_lossy().into_owned();
    files.iter().map(|path| Ok((name(path), file_fact(path)?))).collect()
}

/// The manifest's JSON, durable under its name.
fn write_manifest(dir: &Path, manifest: &Manifest) -> Result<String, Fault> {
    let path = dir.join(Manifest::FILE);
    let json = serde_json::to_string_pretty(manifest).expect("a manifest is plain data");
    let mut file = AtomicFile::create(&path)?;
    std::io::Write::write_all(&mut file, json.as_bytes()).map_err(|error| StorageError::new("write", &path, error))?;
    file.commit()?;
    Ok(json)
}

/// Size and digest of a file.
pub fn file_fact(path: &Path) -> Result<FileFact, Fault> {
    let fault = |error| StorageError::new("read", path, error);
    let mut file = std::fs::File::open(path).map_err(fault)?;
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer).map_err(fault)? {
            0 => break,
            read => {
                hash.update(&buffer[..read]);
                size += read as u64;
            }
        }
    }
    let sha256 = hash.finalize().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    Ok(FileFact { size, sha256 })
}

/// The folder of a run. That it is there is durable before anything in it counts.
fn make_folder(dir: &Path) -> Result<(), Fault> {
    // Synced even where it is there: an earlier closing may have been cut off right behind its making.
    let make = || folder::make(dir).and_then(|()| folder::sync(folder::of(dir)));
    fault::around("folder", "create", make).map_err(|error| StorageError::new("create", dir, error).into())
}

/// A run that is closed, planned or sent again is not closed until then. Each step is durable before the next one: whenever the power
/// fails, `latest` leads to a manifest, and a manifest to the files that it has digested.
pub fn reopen(dir: &Path, job: &str, ledger: &Ledger) -> Result<(), Fault> {
    point_elsewhere(dir, job, ledger)?;
    let manifest = dir.join(Manifest::FILE);
    if manifest.exists() {
        remove(&manifest)?;
        sync_stale(dir)?;
    }
    remove_stale(dir)
}

/// Removes what a closing that did not come to its end has left, and the folder if nothing else is in it.
pub fn discard(dir: &Path) -> Result<(), Fault> {
    if dir.exists() {
        remove_stale(dir)?;
        let _ = std::fs::remove_dir(dir);
    }
    Ok(())
}

/// Points `latest` at the newest run that is closed, if it points at this one.
fn point_elsewhere(dir: &Path, job: &str, ledger: &Ledger) -> Result<(), Fault> {
    let latest = folder::of(dir).join("latest");
    if std::fs::read_link(&latest).ok().as_deref().and_then(Path::file_name) != dir.file_name() {
        return Ok(());
    }
    let newest = ledger.closed_runs(job, 1)?.first().map(RunDetail::of).transpose()?;
    match newest.map(|detail| PathBuf::from(detail.dir)) {
        Some(other) if other.parent() == dir.parent() && other.join(Manifest::FILE).exists() => point_latest(&other),
        _ => {
            remove(&latest)?;
            sync_stale(folder::of(dir))
        }
    }
}

/// Removes what an earlier closing of a run has left.
fn remove_stale(dir: &Path) -> Result<(), Fault> {
    let fault = |error| StorageError::new("look into", dir, error);
    for entry in std::fs::read_dir(dir).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if is_unfinished(&name)
            || ["outcomes.", "failures.", "failures-", "report."].iter().any(|prefix| name.starts_with(prefix))
        {
            remove(&path)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), Fault> {
    fault::around("stale", "remove", || std::fs::remove_file(path))
        .map_err(|error| StorageError::new("remove", path, error).into())
}

fn sync_stale(dir: &Path) -> Result<(), Fault> {
    fault::around("stale", "sync-folder", || folder::sync(dir))
        .map_err(|error| StorageError::new("sync", dir, error).into())
}

/// `latest` points at the newest closed run: a link made beside it and renamed over it.
fn point_latest(dir: &Path) -> Result<(), Fault> {
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else { return Ok(()) };
    let temporary = parent.join(".latest.tmp");
    let latest = parent.join("latest");
    let fault = |error| StorageError::new("link", &latest, error);
    let _ = std::fs::remove_file(&temporary); // of a crash between these two lines
    fault::around("latest", "link", || std::os::unix::fs::symlink(name, &temporary)).map_err(fault)?;
    fault::around("latest", "rename", || std::fs::rename(&temporary, &latest)).map_err(fault)?;
    fault::around("latest", "sync-folder", || folder::sync(parent)).map_err(fault)?;
    Ok(())
}
