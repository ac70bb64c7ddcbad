//! `check`: what a run would do, and what it would leave to a person. Nothing is sent, no ledger changes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::begin::{self, Reading, Surveyed};
use super::context::Job;
use super::detail::{Flags, InputFact};
use super::inputs;
use super::job::Request;
use super::manifest::Sum;
use super::plan::Counts;
use super::store::{Fate, Rows, RunFolder, rows_and_fates};
use super::{Fault, wall_ms};
use crate::io::ledger::Ledger;
use crate::model::{Exit, Outcome};

/// What a run would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Checked {
    /// The job's name.
    pub job: String,
    /// The inputs in their order.
    pub inputs: Vec<InputFact>,
    /// Rows read.
    pub read: Sum,
    /// Rows that may be sent: a call each, retries apart.
    pub planned: Sum,
    /// Their cards.
    pub cards: u64,
    /// Messages that the calls send to customers, if each call is made once.
    pub messages: u64,
    /// Rows that end without a call.
    pub ended: BTreeMap<Outcome, Sum>,
    /// Rejected rows by the code of the rule.
    pub rejects: BTreeMap<String, u64>,
    /// The first rejected rows.
    pub first_rejects: Vec<Finding>,
    /// The first rows in conflict.
    pub first_conflicts: Vec<Finding>,
    /// Why a run would be refused.
    pub refused: Vec<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// The interrupted run that a run would finish first.
    pub interrupted: Option<String>,
    /// Open rows of earlier runs.
    pub open_rows: u64,
}

/// One row that wants a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `source:line`.
    pub place: String,
    /// The rule, or the kind of conflict.
    pub code: String,
    /// Its bill, where it has one that can be read.
    pub bill_no: Option<String>,
    /// What was found, and what was expected; personal ids are masked.
    pub message: String,
    /// `source:line` of the row that it clashes with.
    pub other: Option<String>,
}

/// Findings shown of each kind.
const SHOWN: usize = 20;

impl Checked {
    /// What `check` ends with.
    pub fn exit(&self) -> Exit {
        match self.ended.keys().any(|outcome| outcome.is_failure()) {
            _ if !self.refused.is_empty() => Exit::Input,
            true => Exit::Failures,
            false => Exit::Clean,
        }
    }
}

impl Job {
    /// What a run would do: reads, validates, deduplicates, plans.
    pub fn check(&self, request: &Request) -> Result<Checked, Fault> {
        let started_ms = wall_ms();
        let mut files = inputs::of_job(&self.settings, request.dates, started_ms)?;
        let _spool = self.spool(&mut files, started_ms)?;
        let reading = Reading { inputs: &files, include: None, occurred_at_ms: request.occurred_at_ms, started_ms };
        begin::read(self, &reading).and_then(|surveyed| self.judge(&surveyed, request))
    }

    fn judge(&self, surveyed: &Surveyed, request: &Request) -> Result<Checked, Fault> {
        // Without a ledger every bill and every card is new.
        let empty = tempfile::tempdir().map_err(|error| Fault::storage(format!("no temporary folder: {error}")))?;
        let ledger = if self.settings.ledger.exists() {
            Ledger::open_existing(&self.settings.ledger)?
        } else {
            Ledger::open(&empty.path().join("ledger.db"))?
        };
        let flags = Flags {
            allow_stale: request.allow_stale,
            again: request.again,
            include: Vec::new(),
            occurred_at_ms: request.occurred_at_ms,
        };
        let counts = begin::rehearse(self, surveyed, &flags, &ledger)?;
        let found = surveyed.found();
        let mut checked = Checked {
            job: self.settings.name.clone(),
            inputs: surveyed.facts.clone(),
            read: Sum { rows: found.rows, points: found.points },
            cards: counts.cards,
            messages: counts.messages,
            refused: self.refusals(surveyed, &counts, request.again, &ledger)?,
            warnings: begin::warnings(surveyed, &flags),
            interrupted: ledger.interrupted(&self.settings.name)?.map(|run| run.id),
            open_rows: ledger.open_count()?,
            ..Checked::default()
        };
        checked.take_rows(&surveyed.folder())?;
        Ok(checked)
    }

    /// Every reason for which a run would end with 3, not only the first.
    fn refusals(
        &self,
        surveyed: &Surveyed,
        counts: &Counts,
        again: bool,
        ledger: &Ledger,
    ) -> Result<Vec<String>, Fault> {
        let verdicts = [
            begin::judge(self, surveyed.found()),
            begin::guard_rejects(self, surveyed, counts),
            self.guard_same_inputs(surveyed, again, ledger).map(drop),
        ];
        let mut refused = Vec::new();
        for fault in verdicts.into_iter().filter_map(Result::err) {
            if fault.exit() != Exit::Input {
                return Err(fault);
            }
            refused.push(fault.to_string());
        }
        Ok(refused)
    }
}

impl Checked {
    fn take_rows(&mut self, folder: &RunFolder) -> Result<(), Fault> {
        let rows = Rows::open(folder)?;
        let names: Vec<String> = self.inputs.iter().map(|input| input.name.clone()).collect();
        let place = |seat: crate::model::Seat| format!("{}:{}", names[usize::from(seat.source)], seat.line);
        for item in rows_and_fates(folder)? {
            let (_, row, fate) = item?;
            let Fate::End { outcome, code, message, by, .. } = fate else {
                self.planned.take(row.change);
                continue;
            };
            self.ended.entry(outcome).or_default().take(row.change);
            let findings = match outcome {
                Outcome::Rejected => {
                    *self.rejects.entry(code.clone()).or_default() += 1;
                    &mut self.first_rejects
                }
                Outcome::Conflict => &mut self.first_conflicts,
                _ => continue,
            };
            if findings.len() < SHOWN {
                let other = by.map(|id| rows.get(id)).transpose()?.map(|row| place(row.seat));
                findings.push(Finding { place: place(row.seat), code, bill_no: row.bill_no, message, other });
            }
        }
        Ok(())
    }
}
