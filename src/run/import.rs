//! `ledger import`: the cut-over from another program. Its rows are read, judged and planned as a run's are, and each ends
//! as applied before anything could be sent: an import is a run whose plan is empty.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::begin::{self, Begun};
use super::context::Job;
use super::detail::{Flags, RunDetail};
use super::done::{Done, Durations};
use super::findings::{Clash, Finder, Finding};
use super::manifest::Sum;
use super::plan::Counts;
use super::store::{Briefs, fates};
use super::stored::Fate;
use super::surveyed::{Reading, Surveyed};
use super::{Fault, diff, guard};
use crate::io::job::settings::{FormatChoice, Settings};
use crate::io::ledger::Ledger;
use crate::io::source::{Input, ReadRules, Reader};
use crate::model::Outcome;

/// What an import booked, or would book.
#[derive(Clone, Debug, Serialize)]
pub struct Imported {
    /// The run as which it was booked; `None`: nothing was.
    pub run: Option<String>,
    /// Its files.
    pub dir: Option<String>,
    /// Rows read, and the sum of `last_changed_points`.
    pub read: Sum,
    /// Rows by how they ended: `applied` ones are new to the ledger.
    pub ended: BTreeMap<Outcome, Sum>,
    /// Why it is refused.
    pub refused: Option<String>,
    /// The first rows that are not valid.
    pub first_rejects: Vec<Finding>,
    /// The first rows that contradict the ledger or each other.
    pub first_conflicts: Vec<Clash>,
}

impl Job {
    /// Books the rows of `files` as applied by another program, all or none; without `apply` only says what it would do.
    /// `occurred_at_ms`: when rows without a time happened.
    pub fn import(&self, files: &[PathBuf], occurred_at_ms: Option<i64>, apply: bool) -> Result<Imported, Fault> {
        let inputs = self.inputs_of_import(files)?;
        match self.for_snapshots(&inputs, occurred_at_ms)? {
            Some(job) => job.import_as_it_is(&inputs, occurred_at_ms, apply),
            None => self.import_as_it_is(&inputs, occurred_at_ms, apply),
        }
    }

    /// The job as it reads balances, where none of the files has bills. Where they have, each row must be whole: what a bill
    /// says is compared when it comes again.
    fn for_snapshots(&self, inputs: &[Input], occurred_at_ms: Option<i64>) -> Result<Option<Job>, Fault> {
        let rules = ReadRules::new(&self.settings.input).map_err(Fault::usage)?;
        let mut header: Vec<String> = Vec::new();
        for input in inputs {
            header.extend_from_slice(Reader::open(input, &rules)?.header());
        }
        if diff::has_bills(&self.settings.input, &header) {
            return Ok(None);
        }
        let input = diff::as_snapshot(self.settings.input.clone(), &header, occurred_at_ms);
        Ok(Some(self.with(Settings { input, ..self.settings.clone() })))
    }

    fn import_as_it_is(&self, inputs: &[Input], occurred_at_ms: Option<i64>, apply: bool) -> Result<Imported, Fault> {
        let mut lease = apply.then(|| self.lease(std::time::Duration::ZERO)).transpose()?;
        let started_ms = self.clock.now_ms();
        let reading = Reading { inputs, include: None, occurred_at_ms, started_ms, controls: &[], agreed: true };
        let surveyed = Surveyed::read(self, &reading)?;
        guard::inputs(self, &surveyed.found, true).into_iter().next().map_or(Ok(()), Err)?;
        has_times(&surveyed, occurred_at_ms)?;
        let flags = Flags { import: true, occurred_at_ms, ..Flags::default() };
        let Some(lease) = &mut lease else { return self.rehearse_import(&surveyed, &flags) };
        let mut ledger = lease.open()?;
        nothing_is_interrupted(&ledger)?;
        let begun = begin::book(self, surveyed, flags, None, &mut ledger)?;
        self.book_import(&begun, inputs, &mut ledger)
    }

    fn inputs_of_import(&self, files: &[PathBuf]) -> Result<Vec<Input>, Fault> {
        let name = |path: &PathBuf| path.strip_prefix(&self.settings.base).unwrap_or(path).display().to_string();
        let inputs = files.iter().map(|path| Input::new(name(path), path.clone(), FormatChoice::Auto, None));
        Ok(inputs.collect::<Result<_, _>>()?)
    }

    fn rehearse_import(&self, surveyed: &Surveyed, flags: &Flags) -> Result<Imported, Fault> {
        let (_empty, ledger) = self.ledger_of_this_moment()?;
        nothing_is_interrupted(&ledger)?;
        let plan = begin::rehearse(self, surveyed, flags, None, &ledger)?;
        let found = &surveyed.found;
        let mut imported = Imported {
            run: None,
            dir: None,
            read: Sum { rows: found.rows, points: found.points },
            ended: BTreeMap::new(),
            refused: refusal(&plan.counts),
            first_rejects: Vec::new(),
            first_conflicts: Vec::new(),
        };
        let mut finder = Finder::new(surveyed, self.dialect.as_ref(), &ledger)?;
        let (mut rows, mut fates) = (Briefs::open(&surveyed.folder())?, fates(&surveyed.folder())?);
        while let (Some(row), Some(fate)) = (rows.next()?, fates.next().transpose()?) {
            finder.take(&rows, &fate)?;
            if let Fate::End { outcome, .. } = fate {
                imported.ended.entry(outcome).or_default().take(row.change);
            }
        }
        imported.first_rejects = finder.findings.first_rejects;
        imported.first_conflicts = finder.findings.first_conflicts;
        Ok(imported)
    }

    fn book_import(&self, begun: &Begun, inputs: &[Input], ledger: &mut Ledger) -> Result<Imported, Fault> {
        let durations = Durations { survey: begun.took.as_millis() as u64, ..Durations::default() };
        let manifest = self.close(begun, Some(inputs), Done::default(), durations, ledger)?;
        Ok(Imported {
            run: Some(manifest.run),
            dir: Some(manifest.dir),
            read: manifest.rows.read,
            ended: manifest.rows.outcomes,
            refused: None,
            first_rejects: Vec::new(),
            first_conflicts: Vec::new(),
        })
    }
}

fn refusal(counts: &Counts) -> Option<String> {
    guard::import(counts).err().map(|fault| fault.to_string())
}

/// Rows without a time would stand where the import does: whatever happened before it could not be sent any more.
fn has_times(surveyed: &Surveyed, occurred_at_ms: Option<i64>) -> Result<(), Fault> {
    if occurred_at_ms.is_some() || !surveyed.found.timed.values().any(|timed| timed.is_bare()) {
        return Ok(());
    }
    Err(Fault::input("the rows have no `occurred_at`: where they stand in the history of their cards cannot be told")
        .help("say when the newest of them was applied: --occurred-at TIME; older rows of their cards are not sent any more"))
}

/// An interrupted run may have sent what the import says; its plan does not know of it.
fn nothing_is_interrupted(ledger: &Ledger) -> Result<(), Fault> {
    let Some(run) = ledger.interrupted_all()?.into_iter().next() else { return Ok(()) };
    let dir = RunDetail::parse(&run.detail).map(|detail| detail.dir).unwrap_or_default();
    Err(Fault::input(format!(
        "{} {} of job {} was cut off, and may know of what is to be imported",
        run.kind, run.id, run.job
    ))
    .help(format!(
        "finish it first: `passync resume` with its job file (its files go to {dir}); one of a ledger that was restored is closed \
         with --abandon"
    )))
}
