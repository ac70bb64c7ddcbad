//! Runs from their survey to their closing, through all their processes: cut off, planned again, left until tomorrow,
//! abandoned, reopened.

use passync::core::halt::Stop;
use passync::model::Outcome;

use super::Story;
use crate::simulate::ledger::{Fate, Line, Record, Rest, Run, Survey};
use crate::simulate::process::{Death, End, Process};
use crate::simulate::world::Settings;

impl Story {
    /// A new run. Returns how many revisions it made durable: 0 where nothing was sent.
    pub(super) fn run(&mut self, job: usize, lines: Vec<Line>, settings: Settings) -> usize {
        self.runs += 1;
        self.stage.auditor.coverage.hit_if("a stale row may be sent", settings.allow_stale);
        let mut run = Run {
            ordinal: self.runs,
            job,
            settings,
            lines,
            survey: Survey::default(),
            epoch: 0,
            journal: Vec::new(),
            planned_at: 0,
            is_folded: false,
            ended: End::CutOff,
        };
        self.plan(&mut run);
        self.go_on(run)
    }

    /// The same inputs as those of a run that was closed before its plan was done.
    pub(super) fn reopen(&mut self, mut run: Run, settings: Settings) {
        self.stage.auditor.coverage.hit("a run reopened");
        run.settings = settings;
        self.plan(&mut run);
        self.go_on(run);
    }

    /// Finishes the job's interrupted run, if there is one, or gives it up.
    pub(super) fn finish(&mut self, job: usize) {
        while let Some(mut run) = self.interrupted.remove(&job) {
            self.stage.auditor.coverage.hit("a run finished another day");
            if run.settings.abandon {
                self.abandon(run);
            } else {
                self.refresh(&mut run);
                self.go_on(run);
            }
        }
    }

    /// Interrupted runs of others are folded, and have a stale plan from then on.
    fn fold_others(&mut self) {
        for other in self.interrupted.values_mut().filter(|other| !other.is_folded) {
            self.stage.auditor.coverage.hit("an interrupted run of another job");
            let ends = other.ends(Rest::Open, &self.stage.ledger);
            self.stage.ledger.fold(other, &ends);
        }
    }

    /// A durable plan.
    fn plan(&mut self, run: &mut Run) {
        self.fold_others();
        (run.epoch, run.planned_at) = (self.stage.ledger.epoch, run.journal.len());
        (run.is_folded, run.ended) = (false, End::CutOff);
        run.survey = self.stage.ledger.survey(run.ordinal, &run.lines, &run.settings);
        let now = self.stage.clock.now();
        let Run { ordinal, job, .. } = run;
        self.stage.auditor.stage(now, format!("run {ordinal} of job {job} planned"));
        self.stage.auditor.run(now, &run.survey, &run.settings);
    }

    /// Plans an interrupted run again where its plan is stale, or its survey damaged.
    fn refresh(&mut self, run: &mut Run) {
        let is_damaged = self.stage.dice.percent(5) && self.stage.ledger.answered <= run.epoch;
        let is_final = match &run.ended {
            End::Done(stop) => stop.as_ref().is_none_or(Stop::is_canarys),
            End::CutOff => false,
        };
        if is_final && !is_damaged {
            return self.fold_others(); // it is closed as it was, but for what others went on with
        }
        run.ended = End::CutOff;
        let was_stopping = run.was_stopping();
        if !is_damaged && !was_stopping && !run.is_stale(&self.stage.ledger) {
            return;
        }
        self.stage.auditor.coverage.hit_if("a kill while the run stops", was_stopping);
        self.stage.auditor.coverage.hit("a plan made again");
        self.stage.auditor.coverage.hit_if("a damaged survey", is_damaged);
        if !run.is_folded {
            if is_damaged {
                run.survey = self.stage.ledger.survey(run.ordinal, &run.lines, &run.settings);
            }
            let ends = run.ends(Rest::Open, &self.stage.ledger);
            self.stage.ledger.fold(run, &ends);
        }
        self.plan(run);
    }

    /// Carries a planned run out, through kills, to its closing; or leaves it until another day.
    fn go_on(&mut self, mut run: Run) -> usize {
        loop {
            let is_too_early = run.settings.crashes > 0 && self.stage.dice.percent(3);
            self.stage.auditor.coverage.hit_if("a kill between plan and stamp", is_too_early);
            if run.ended == End::CutOff && !is_too_early {
                let death = if run.settings.crashes == 0 { Death::Never } else { self.death(&run) };
                run.ended = Process::begin(&mut self.stage, &mut run, death).live();
            }
            if let End::Done(stop) = run.ended.clone()
                && self.close(&mut run, stop.as_ref())
            {
                let intents = run.journal.iter().filter(|record| matches!(record, Record::Intent { .. })).count();
                if stop.is_some() {
                    self.stopped.insert(run.job, run);
                }
                return intents;
            }
            run.settings.crashes -= 1;
            match self.behind_a_kill(run) {
                Some(left) => run = left,
                None => return 0,
            }
        }
    }

    /// What happens before the next process; `None`: nothing today.
    fn behind_a_kill(&mut self, mut run: Run) -> Option<Run> {
        let quick = self.stage.dice.percent(30);
        self.rest(if quick { 100 } else { 2_000_000 });
        self.stage.boots += u64::from(self.stage.dice.percent(10));
        // One signal is for one process.
        run.settings.signal = self.stage.dice.percent(6).then(|| self.stage.dice.micros(0..=2_000_000));
        self.stage.auditor.coverage.hit_if("a signal to a recovering process", run.settings.signal.is_some());
        match self.stage.dice.of(0..=19) {
            0..=3 if !self.is_aside => run = self.meanwhile(run),
            4 => self.answer_any(&run),
            5 | 6 => {
                self.interrupted.insert(run.job, run);
                return None;
            }
            _ if run.settings.crashes == 0 && run.settings.abandon => {
                self.abandon(run);
                return None;
            }
            _ => {}
        }
        self.refresh(&mut run);
        Some(run)
    }

    /// The other job works over the same ledger.
    fn meanwhile(&mut self, run: Run) -> Run {
        let (job, other) = (run.job, 1 - run.job);
        self.interrupted.insert(job, run);
        self.is_aside = true;
        if let Some((_, file)) = self.nights.pop_front() {
            self.night(other, &file);
        } else {
            self.finish(other);
            let (failures, settings) = (self.failures(), self.settings());
            self.run(other, failures, settings);
        }
        self.is_aside = false;
        self.interrupted.remove(&job).expect("a job leaves the other's run alone")
    }

    fn abandon(&mut self, mut run: Run) {
        self.stage.auditor.coverage.hit("an abandoned run");
        run.settings.crashes = 0;
        self.fold_others();
        self.close(&mut run, Some(&Stop::Signal));
    }

    fn death(&mut self, run: &Run) -> Death {
        let dice = &mut self.stage.dice;
        match dice.of(0..=4) {
            0 => Death::At(self.stage.clock.now() + dice.micros(0..=3_000_000)),
            1 => Death::AfterRecords(dice.of(0..=4)),
            2 => Death::AmidCommit(dice.of(0..=8), dice.of(0..=1) as usize),
            3 => Death::Never, // before its closing is over
            _ => Death::AfterRecords(dice.of(0..=run.survey.plan.len() as u64 * 3)),
        }
    }

    /// Whether the run is closed; else the process died between fold and manifest.
    fn close(&mut self, run: &mut Run, stop: Option<&Stop>) -> bool {
        assert!(stop.is_some() || run.is_complete(), "law 1: a row without an outcome");
        let (ends, is_stale) = (run.ends(Rest::Unsent, &self.stage.ledger), run.is_stale(&self.stage.ledger));
        self.stage.ledger.fold(run, &ends);
        if run.settings.crashes > 0 && self.stage.dice.percent(50) {
            self.stage.auditor.coverage.hit("a kill between fold and manifest");
            return false;
        }
        run.end_cut_off(&self.stage.ledger);
        assert_eq!(ends.len(), run.lines.len(), "law 1");
        for (fate, ended) in run.survey.fates.iter().zip(&ends) {
            let ended = ended.as_ref().expect("law 1: every row has an outcome");
            let is_trimmed = ended.outcome == Outcome::Applied && ended.drop != 0;
            self.stage.auditor.coverage.hit_if("a trimmed revision", is_trimmed);
            self.stage.auditor.coverage.hit_if("a row kept", matches!(fate, Fate::Keep(..)));
            let is_others = is_stale && !ended.is_news && matches!(fate, Fate::Send(_));
            self.stage.auditor.coverage.hit_if("a row that others went on with", is_others);
            let mut facts = fate.facts().clone();
            if let Some(bill) = self.stage.ledger.bills.get(&facts.bill).filter(|_| is_others) {
                facts.place = bill.facts.place; // of the row that gave the bill its end
            }
            self.stage.auditor.closed(&facts, ended.outcome);
        }
        self.rest(2_000_000);
        true
    }
}
