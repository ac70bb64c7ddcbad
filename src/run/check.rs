//! `check`: what a run would do, and what it would leave to a person. Nothing is sent, no ledger changes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::arrive::Arrived;
use super::begin;
use super::context::Job;
use super::control::{self, Judged};
use super::detail::{Flags, InputFact, RunDetail};
use super::findings::{Clash, Finder, Finding, Findings};
use super::job::Request;
use super::manifest::Sum;
use super::plan::Plan;
use super::store::{Briefs, fates};
use super::stored::Fate;
use super::survey::Columns;
use super::surveyed::{Reading, Surveyed};
use super::{Fault, age, guard};
use crate::io::control::Compared;
use crate::io::ledger::{Ledger, RunRow};
use crate::model::{Exit, Outcome, Rule};

/// What a run would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Checked {
    /// The job's name.
    pub job: String,
    /// What `run --plan` names: the same inputs, ledger and settings have the same.
    pub plan: String,
    /// The inputs in their order.
    pub inputs: Vec<InputFact>,
    /// What their columns are taken for, in the same order.
    pub columns: Vec<Columns>,
    /// What control files and trailers state, and what was found.
    pub control: Vec<Compared>,
    /// Rows read.
    pub read: Sum,
    /// Rows that may be sent.
    pub planned: Sum,
    /// Calls that they need, retries apart: a row that a newer one carries needs none.
    pub calls: u64,
    /// Their cards.
    pub cards: u64,
    /// Messages that the calls send to customers, if each call is made once.
    pub messages: u64,
    /// How long the calls take.
    pub time: Time,
    /// Rows that an earlier part of the run settled, where a run that was cut short would be reopened.
    pub kept: Sum,
    /// Rows that end without a call.
    pub ended: BTreeMap<Outcome, Sum>,
    /// Rejected rows whose id was damaged on its way.
    pub suspect_ids: u64,
    /// Rejected rows by the code of the rule.
    pub rejects: BTreeMap<String, u64>,
    /// The first rejected rows.
    pub first_rejects: Vec<Finding>,
    /// The first rows in conflict.
    pub first_conflicts: Vec<Clash>,
    /// Why a run would be refused.
    pub refused: Vec<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// The interrupted run that a run would finish first.
    pub interrupted: Option<String>,
    /// The run over the same inputs, cut short, that a run would reopen.
    pub reopens: Option<String>,
    /// Open rows of earlier runs.
    pub open_rows: u64,
}

/// How long the calls take at the quota.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Time {
    /// At least so long, in milliseconds: no retries, and a gateway that answers at once.
    pub least_ms: u64,
    /// `run.finish_by`, as the job has it.
    pub finish_by: Option<String>,
    /// Milliseconds from now until no attempt may start any more.
    pub left_ms: Option<u64>,
    /// Whether there is time for all calls; `None` without `finish_by`.
    pub fits: Option<bool>,
}

/// `--write-control`.
#[derive(Clone, Copy, Debug)]
pub struct WriteControl {
    /// Over files that are there.
    pub force: bool,
}

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
    /// What a run would do: reads, validates, deduplicates, plans. `write`: also writes the control files of what was
    /// read, in place of comparing with them.
    pub fn check(&self, request: &Request, write: Option<WriteControl>) -> Result<Checked, Fault> {
        let started_ms = self.clock.now_ms();
        let mut arrived = self.look(request.dates)?;
        if let Some(WriteControl { force }) = write {
            control::may_write(&arrived.controls, force)?;
            arrived.uncontrolled.clear();
            arrived = arrived.ready()?;
        }
        let Arrived { mut inputs, controls, not_yet, uncontrolled } = arrived;
        let _spool = self.spool(&mut inputs, started_ms)?;
        let mut reading = Reading {
            inputs: &inputs,
            include: None,
            occurred_at_ms: request.occurred_at_ms,
            started_ms,
            controls: &controls,
            agreed: false,
        };
        let surveyed = Surveyed::read(self, &reading)?;
        if write.is_some() {
            control::write(&controls, &inputs, &surveyed.found.files)?;
        }
        if !uncontrolled.is_empty() {
            reading.controls = &[];
        }
        let judged = control::judge(self, reading.controls, &inputs, &surveyed.found.files);
        self.judge(&surveyed, judged, not_yet.into_iter().chain(uncontrolled).collect(), request)
    }

    /// The ledger for a rehearsal, as it stands now: a run may be on. Where there is none, every bill and every card is
    /// new; the folder is that one's, and goes behind it.
    pub(super) fn ledger_of_this_moment(&self) -> Result<(tempfile::TempDir, Ledger), Fault> {
        let empty = tempfile::tempdir().map_err(|error| Fault::storage(format!("no temporary folder: {error}")))?;
        let ledger = if self.settings.ledger.exists() {
            Ledger::open_existing(&self.settings.ledger)?
        } else {
            Ledger::open(&empty.path().join("ledger.db"))?
        };
        ledger.hold_still()?;
        Ok((empty, ledger))
    }

    fn judge(
        &self,
        surveyed: &Surveyed,
        judged: Result<Judged, Fault>,
        not_yet: Vec<Fault>,
        request: &Request,
    ) -> Result<Checked, Fault> {
        let (_empty, ledger) = self.ledger_of_this_moment()?;
        let flags = request.flags();
        let reopened = self.guard_same_inputs(surveyed, request.again, &ledger);
        let again = reopened.as_ref().ok().and_then(Option::as_ref);
        let plan = begin::rehearse(self, surveyed, &flags, again, &ledger)?;
        let mut checked = self.checked(surveyed, &plan, &flags, again, &ledger)?;
        let mut faults = not_yet;
        match judged {
            Ok(Judged { compared, warnings }) => {
                faults.extend(guard::totals(&compared).err());
                checked.control = compared;
                checked.warnings.extend(warnings);
            }
            Err(fault) => faults.push(fault),
        }
        faults.extend(guard::inputs(self, &surveyed.found, false));
        faults.extend(guard::rejects(self, surveyed, &plan.counts).err());
        if again.is_none() {
            match guard::volume(self, surveyed, &ledger) {
                Ok(compared) => checked.warnings.extend(compared),
                Err(fault) => faults.push(fault),
            }
        }
        faults.extend(reopened.err());
        faults.extend(age::runs_are_known(self, &ledger).err());
        if let Some(run) = ledger.interrupted(&self.settings.name)? {
            faults.extend(age::end_is_known(self, &run, &RunDetail::of(&run)?, &ledger).err());
        }
        for fault in faults {
            if fault.exit() != Exit::Input {
                return Err(fault);
            }
            let advice = fault.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
            checked.refused.push(format!("{fault}{advice}"));
        }
        Ok(checked)
    }

    fn checked(
        &self,
        surveyed: &Surveyed,
        plan: &Plan,
        flags: &Flags,
        again: Option<&RunRow>,
        ledger: &Ledger,
    ) -> Result<Checked, Fault> {
        let found = &surveyed.found;
        let calls = plan.counts.planned - plan.counts.absorbed;
        let mut checked = Checked {
            job: self.settings.name.clone(),
            plan: plan.digest.to_string(),
            inputs: surveyed.facts.clone(),
            columns: found.files.iter().map(|file| file.columns.clone()).collect(),
            read: Sum { rows: found.rows, points: found.points },
            calls,
            cards: plan.counts.cards,
            messages: plan.counts.messages,
            time: self.time(calls),
            warnings: begin::warnings(surveyed, flags),
            interrupted: ledger.interrupted(&self.settings.name)?.map(|run| run.id),
            reopens: again.map(|run| run.id.clone()),
            open_rows: ledger.open_count()?,
            ..Checked::default()
        };
        let mut finder = Finder::new(surveyed, self.dialect.as_ref(), ledger)?;
        let (mut rows, mut fates) = (Briefs::open(&surveyed.folder())?, fates(&surveyed.folder())?);
        while let (Some(row), Some(fate)) = (rows.next()?, fates.next().transpose()?) {
            finder.take(&rows, &fate)?;
            match fate {
                Fate::End { outcome, .. } => checked.ended.entry(outcome).or_default().take(row.change),
                Fate::Keep { .. } => checked.kept.take(row.change),
                Fate::Send(_) => checked.planned.take(row.change),
            }
        }
        let Findings { rejects, first_rejects, first_conflicts } = finder.findings;
        let of_id = |code: &String| Rule::ALL.iter().any(|rule| rule.code() == code && rule.slug().starts_with("id-"));
        checked.suspect_ids = rejects.iter().filter(|(code, _)| of_id(code)).map(|(_, rows)| rows).sum();
        Ok(Checked { rejects, first_rejects, first_conflicts, ..checked })
    }

    fn time(&self, calls: u64) -> Time {
        let limits = &self.settings.limits;
        let least = limits.quota_window.mul_f64(calls as f64 / f64::from(limits.quota));
        let left = self.time_left();
        let ms = |time: Duration| time.as_millis() as u64;
        Time {
            least_ms: ms(least),
            finish_by: self.settings.run.finish_by.map(|time| time.strftime("%H:%M").to_string()),
            left_ms: left.map(ms),
            fits: left.map(|left| least <= left),
        }
    }
}
