//! The commands that run a job: which steps each needs, and what it goes on with.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::arrive::{Arrived, Patience};
use super::begin::{self, Begun};
pub use super::context::Job;
use super::detail::{Canary, Flags, RunDetail};
use super::endpoint::Endpoint;
use super::inputs::{self, Spool};
use super::lease::Lease;
use super::manifest::Manifest;
use super::recover::Recovery;
use super::store::RunFolder;
use super::surveyed::{Reading, Surveyed};
use super::versus::Versus;
use super::{Fault, age, close, guard};
use crate::core::halt::Stop;
use crate::io::job::dates::Dates;
use crate::io::job::settings::{Gateway, GatewayUrl, Settings};
use crate::io::ledger::{Ledger, RunRow};
use crate::io::source::{Input, STANDARD_INPUT};
use crate::model::{Exit, Outcome};
use crate::wire;

/// What a run is asked for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `--date`.
    pub dates: Option<Dates>,
    /// `--occurred-at`, milliseconds since 1970.
    pub occurred_at_ms: Option<i64>,
    /// `--again`.
    pub again: bool,
    /// `--allow-stale`.
    pub allow_stale: bool,
    /// `--wait`.
    pub wait: Duration,
    /// `--canary`.
    pub canary: Option<Canary>,
    /// `--plan`.
    pub plan: Option<String>,
}

impl Request {
    /// What is recorded of it.
    pub(super) fn flags(&self) -> Flags {
        Flags {
            allow_stale: self.allow_stale,
            again: self.again,
            include: Vec::new(),
            occurred_at_ms: self.occurred_at_ms,
            import: false,
            canary: self.canary,
            plan: self.plan.clone(),
        }
    }
}

/// How a command ended.
#[derive(Clone, Debug, Default)]
pub struct Finished {
    /// The run that was asked for; `None` where an interrupted run over the same inputs was finished instead.
    pub manifest: Option<Manifest>,
    /// An interrupted run that was finished first.
    pub interrupted: Option<Manifest>,
    /// An import that was cut off before it was booked, and is given up: the ledger has nothing of it.
    pub given_up: Option<String>,
    /// Open rows of earlier runs that were replayed first (`replay_open`).
    pub replayed: Option<Manifest>,
    /// Rows that are open in the ledger now.
    pub open_rows: u64,
    /// What the run that was asked for has otherwise than the one before it.
    pub versus: Option<Versus>,
}

impl Finished {
    /// The run that a person asked for, or what was done in its place.
    pub fn newest(&self) -> Option<&Manifest> {
        self.manifest.as_ref().or(self.replayed.as_ref()).or(self.interrupted.as_ref())
    }

    /// The worst of what was done.
    pub fn exit(&self) -> Exit {
        let done = [&self.interrupted, &self.replayed, &self.manifest];
        let exits = done.into_iter().flatten().filter_map(|manifest| Exit::of_code(manifest.exit));
        exits.reduce(Exit::worse).unwrap_or(Exit::Clean)
    }
}

impl Job {
    /// The main job.
    pub fn run(&self, request: &Request) -> Result<Finished, Fault> {
        let endpoint = Endpoint::open(&self.settings, &self.dialect)?;
        let mut finished = Finished::default();
        self.bring_up_to_date(request.wait)?;
        // An interrupted run goes first, before anything is read: its rows in doubt wait for nothing else.
        let lease = if let Some(run) = self.interrupted()? {
            self.guard_agreed(&run, request.plan.as_deref())?;
            let mut lease = self.lease(request.wait)?;
            finished.interrupted = self.finish_interrupted(&self.asked_for(request), &mut lease)?;
            Some(lease)
        } else {
            None
        };
        let done = self.run_tonight(request, &endpoint, lease, &mut finished);
        done.map_err(|fault| fault.not_better_than(finished.exit()))?;
        Ok(finished)
    }

    /// A ledger that an older program made is one of ours from here on.
    fn bring_up_to_date(&self, wait: Duration) -> Result<(), Fault> {
        if Ledger::is_old(&self.settings.ledger) {
            self.lease(wait)?;
        }
        Ok(())
    }

    /// The run that was asked for, behind an interrupted one if there was one.
    fn run_tonight(
        &self,
        request: &Request,
        endpoint: &Endpoint,
        lease: Option<Lease>,
        finished: &mut Finished,
    ) -> Result<(), Fault> {
        let started_ms = self.clock.now_ms();
        let patience = Patience::new(self.settings.input.wait_for, &self.signals);
        let lease = lease.filter(|_| self.settings.input.wait_for.is_zero()); // nobody waits for our inputs with us
        let Arrived { inputs: mut files, controls, .. } = patience.until(|| self.look(request.dates)?.ready())?;
        let spool = self.spool(&mut files, started_ms)?;
        let reading = Reading {
            inputs: &files,
            include: None,
            occurred_at_ms: request.occurred_at_ms,
            started_ms,
            controls: &controls,
            agreed: request.plan.is_some(),
        };
        let mut surveyed = patience.until(|| begin::survey(self, &reading))?;
        let mut lease = lease.map_or_else(|| self.lease(request.wait), Ok)?;
        if finished.interrupted.is_none() {
            // One that was cut off while we read.
            finished.interrupted = self.finish_interrupted(&self.asked_for(request), &mut lease)?;
        } else if self.interrupted()?.is_some() {
            return Err(Fault::storage(
                "another run of the job was begun and cut off while this one waited for its inputs",
            )
            .help("run the job again: it is finished first"));
        }
        let mut ledger = lease.open()?;
        age::runs_are_known(self, &ledger)?;
        if finished.interrupted.as_ref().is_none_or(|manifest| inputs::digest(&manifest.inputs) != surveyed.digest) {
            let reopened = self.guard_same_inputs(&surveyed, request.again, &ledger)?;
            if reopened.is_none()
                && let Some(compared) = guard::volume(self, &surveyed, &ledger)?
            {
                tracing::info!("{compared}");
            }
            if self.settings.run.replay_open && request.plan.is_none() {
                let files = self.open_files(reopened.as_ref(), &ledger)?;
                if !files.is_empty() {
                    begin::judge_rejects(self, &mut surveyed, &request.flags(), reopened.as_ref(), &mut ledger)?;
                    finished.replayed = Some(self.replay_open(&files, endpoint, &mut ledger)?);
                }
            }
            self.tell_of_import(&ledger)?;
            self.tell_open_rows(&ledger)?;
            let begun = begin::book(self, surveyed, request.flags(), reopened.as_ref(), &mut ledger);
            if begun.as_ref().map_or_else(|fault| fault.exit() == Exit::Storage, |_| true) {
                spool.keep(); // behind a storage fault nobody knows whether the run is booked
            }
            let manifest = self.carry_out(begun?, Some(&files), endpoint, &mut ledger)?;
            finished.versus = Versus::of(&manifest, &ledger);
            finished.manifest = Some(manifest);
        }
        finished.open_rows = ledger.open_count()?;
        Ok(())
    }

    /// A run over a failure file, or over all those of a run directory.
    pub fn replay(&self, failures: &Path, include: &[Outcome], request: &Request) -> Result<Finished, Fault> {
        let endpoint = Endpoint::open(&self.settings, &self.dialect)?;
        let mut finished = Finished::default();
        self.bring_up_to_date(request.wait)?;
        // An interrupted run goes first, before anything is read: the failure files may be its own, which it writes anew.
        let lease = if self.interrupted()?.is_some() {
            inputs::of_replay(&self.settings, failures)?;
            let mut lease = self.lease(request.wait)?;
            finished.interrupted = self.finish_interrupted(&[], &mut lease)?;
            Some(lease)
        } else {
            None
        };
        let done = self.replay_tonight(failures, include, request, &endpoint, lease, &mut finished);
        done.map_err(|fault| fault.not_better_than(finished.exit()))?;
        Ok(finished)
    }

    /// The replay that was asked for, behind an interrupted run if there was one.
    fn replay_tonight(
        &self,
        failures: &Path,
        include: &[Outcome],
        request: &Request,
        endpoint: &Endpoint,
        lease: Option<Lease>,
        finished: &mut Finished,
    ) -> Result<(), Fault> {
        let files = inputs::of_replay(&self.settings, failures)?;
        let surveyed = self.survey_replay(&files, include, request.occurred_at_ms)?;
        let mut lease = lease.map_or_else(|| self.lease(request.wait), Ok)?;
        if finished.interrupted.is_none() {
            // One that was cut off while we read.
            finished.interrupted = self.finish_interrupted(&[], &mut lease)?;
        }
        let mut ledger = lease.open()?;
        age::runs_are_known(self, &ledger)?;
        let replayed = self.replay_surveyed(surveyed, &files, include, request.allow_stale, endpoint, &mut ledger)?;
        finished.manifest = Some(replayed);
        finished.open_rows = ledger.open_count()?;
        Ok(())
    }

    /// Finishes the interrupted run; `moved`: where its inputs are now.
    pub fn resume(&self, moved: &[PathBuf], wait: Duration) -> Result<Finished, Fault> {
        let mut lease = self.lease(wait)?;
        let interrupted = self.finish_interrupted(moved, &mut lease)?;
        let interrupted = interrupted.ok_or_else(|| self.nothing_to_resume())?;
        let open_rows = lease.open()?.open_count()?;
        Ok(Finished { interrupted: Some(interrupted), open_rows, ..Finished::default() })
    }

    /// Closes the interrupted run as it stands: in doubt becomes `unknown`, the rest `unsent`. An import that was not booked
    /// yet is given up: its rows were never to be sent.
    pub fn abandon(&self, moved: &[PathBuf], wait: Duration) -> Result<Finished, Fault> {
        let mut lease = self.lease(wait)?;
        let mut ledger = lease.open()?;
        let run = ledger.interrupted(&self.settings.name)?.ok_or_else(|| self.nothing_to_resume())?;
        let detail = RunDetail::of(&run)?;
        if run.is_import() && !ledger.has_bills_of(run.ordinal)? {
            close::discard(Path::new(&detail.dir))?;
            RunFolder::new(&self.settings.ledger, &run.id).remove()?;
            ledger.give_up(run.ordinal)?;
            let open_rows = ledger.open_count()?;
            return Ok(Finished { given_up: Some(run.id), open_rows, ..Finished::default() });
        }
        age::set_aside(self, &run, &detail, &ledger)?;
        let is_whole = RunFolder::new(&self.settings.ledger, &run.id).is_whole(&detail.seals)?;
        let files = match inputs::recorded(&detail.inputs, moved).map_err(|fault| self.tell_of_gone(fault)) {
            // Neither survey nor inputs: nobody can say what the rows were. And what cannot be read for once is not gone.
            Err(fault) if !is_whole || fault.is_passing() => return Err(fault),
            files => files.ok(),
        };
        let (done, durations) = detail.final_end().unwrap_or_default();
        let begun = match &files {
            Some(files) if !is_whole => {
                begin::book_again(&self.as_recorded(&detail)?, &run, &detail, files, &mut ledger)?
            }
            _ => Begun { run, detail, took: Duration::ZERO, left: None },
        };
        // Rows that another job's run went on with may be under way there.
        if let Err(fault) = begin::fold_others(self, &mut ledger) {
            tracing::warn!("{fault}; rows of that run may be on their cards, whatever is booked for them here");
        }
        let manifest = self.close(&begun, files.as_deref(), done, durations, &mut ledger)?;
        let open_rows = ledger.open_count()?;
        Ok(Finished { interrupted: Some(manifest), open_rows, ..Finished::default() })
    }

    // ---- steps

    fn interrupted(&self) -> Result<Option<RunRow>, Fault> {
        if !self.settings.ledger.exists() {
            return Ok(None);
        }
        Ok(Ledger::open_existing(&self.settings.ledger)?.interrupted(&self.settings.name)?)
    }

    /// `--plan` permits nothing but that plan: an interrupted run is finished under it only where it is its own.
    fn guard_agreed(&self, run: &RunRow, agreed: Option<&str>) -> Result<(), Fault> {
        let Some(agreed) = agreed else { return Ok(()) };
        let detail = RunDetail::of(run)?;
        if detail.plan == agreed || detail.flags.plan.as_deref() == Some(agreed) {
            return Ok(());
        }
        Err(Fault::input(format!(
            "run {} was cut off and would be finished first; its plan is {}, and --plan names {agreed}",
            run.id, detail.plan
        ))
        .help(format!(
            "finish it: `{}`; then look at the plan again: `{}`",
            self.command("resume", &[]),
            self.command("check", &[])
        )))
    }

    /// The files that a run asks for, as far as they are there: an interrupted run's input may be among them, moved.
    fn asked_for(&self, request: &Request) -> Vec<PathBuf> {
        let files = inputs::of_job(&self.settings, request.dates, self.clock.began_ms()).unwrap_or_default();
        files.into_iter().filter(|input| input.name != STANDARD_INPUT).map(|input| input.path).collect()
    }

    /// Standard input is read more than once: it lies beside the ledger until the run is closed.
    pub(super) fn spool(&self, files: &mut [Input], started_ms: i64) -> Result<Spool, Fault> {
        let name = format!("{started_ms}-{}", std::process::id());
        let path = inputs::stdin_folder(&self.settings.ledger).join(name);
        Spool::standard_input(files, &path, self.settings.input.format)
    }

    fn tell_of_gone(&self, fault: Fault) -> Fault {
        fault.help(format!(
            "say where it is now: `{}`, or close that run as it stands: `{}`",
            self.command("resume", &["--input", "PATH"]),
            self.command("resume", &["--abandon"])
        ))
    }

    fn nothing_to_resume(&self) -> Fault {
        Fault::usage(format!("job {} has no interrupted run: nothing to resume", self.settings.name))
    }

    /// Finishes the job's interrupted run, if there is one, under the settings that it was begun with.
    fn finish_interrupted(&self, moved: &[PathBuf], lease: &mut Lease) -> Result<Option<Manifest>, Fault> {
        if !self.settings.ledger.exists() {
            return Ok(None);
        }
        let mut ledger = lease.open()?;
        let Some(run) = ledger.interrupted(&self.settings.name)? else { return Ok(None) };
        tracing::info!(run = run.id, "finishing an interrupted run first");
        let detail = RunDetail::of(&run)?;
        age::end_is_known(self, &run, &detail, &ledger)?;
        age::runs_are_known(self, &ledger)?;
        let files = inputs::recorded(&detail.inputs, moved).map_err(|fault| self.tell_of_gone(fault))?;
        let job = self.as_recorded(&detail)?;
        let folder = RunFolder::new(&self.settings.ledger, &run.id);
        let is_whole = folder.is_whole(&detail.seals)?;
        if let Some((done, durations)) = detail.final_end() {
            begin::fold_others(&job, &mut ledger)?; // rows that were left open may be under way there
            let begun = if is_whole {
                Begun { run, detail, took: Duration::ZERO, left: None }
            } else {
                begin::book_again(&job, &run, &detail, &files, &mut ledger)?
            };
            return job.close(&begun, Some(&files), done, durations, &mut ledger).map(Some);
        }
        let endpoint = Endpoint::open(&job.settings, &job.dialect)?;
        let is_fresh = is_whole && run.epoch == ledger.epoch()?;
        let left = is_fresh.then(|| Recovery::fold(&ledger, run.ordinal, folder.path())).transpose()?;
        let left = left.filter(|left| left.stopping().is_none_or(Stop::is_canarys));
        let begun = if left.is_some() {
            self.progress.planned.store(detail.planned, Ordering::Relaxed);
            Begun { run, detail, took: Duration::ZERO, left: left.map(|left| (left, lease.since())) }
        } else {
            begin::book_again(&job, &run, &detail, &files, &mut ledger)?
        };
        job.carry_out(begun, Some(&files), &endpoint, &mut ledger).map(Some)
    }

    /// The job as it was when a run began. Keys, and what the gateway knows them by, are those of today: they may have been
    /// rotated since; and the ledger is the one that we look into.
    fn as_recorded(&self, detail: &RunDetail) -> Result<Job, Fault> {
        let recorded = crate::io::job::restore(&detail.settings, &self.settings).map_err(Fault::usage)?;
        let of_today = &self.settings.gateway;
        let mut table = recorded.gateway.table;
        for name in wire::KEY_SETTINGS {
            match of_today.table.get(name) {
                Some(value) => drop(table.insert(name.to_owned(), value.clone())),
                None => drop(table.remove(name)),
            }
        }
        let gateway = Gateway {
            private_key: of_today.private_key.clone(),
            platform_keys: of_today.platform_keys.clone(),
            table,
            ..recorded.gateway
        };
        let settings = Settings { gateway, ledger: self.settings.ledger.clone(), ..recorded };
        let dialect = super::dialect(&settings)?;
        let (progress, signals) = (Arc::clone(&self.progress), self.signals.clone());
        let called = detail.called.clone().or_else(|| self.called.clone());
        Ok(Job { settings, file: self.file.clone(), called, dialect, progress, signals, clock: self.clock })
    }

    /// The same inputs as those of a closed run: reopened where that one was cut short, refused otherwise.
    pub(super) fn guard_same_inputs(
        &self,
        surveyed: &Surveyed,
        again: bool,
        ledger: &Ledger,
    ) -> Result<Option<RunRow>, Fault> {
        let Some(run) = ledger.closed_with_inputs(&self.settings.name, &surveyed.digest)? else { return Ok(None) };
        match run.exit.and_then(Exit::of_code) {
            _ if again => Ok(None),
            // Its records are gone: what is left of it makes a run of its own, in which the ledger decides.
            Some(Exit::Halted | Exit::Stopped) if RunDetail::of(&run)?.pruned => Ok(None),
            Some(Exit::Halted | Exit::Stopped) => {
                if !guard::are_same_bills(self, &run, &RunDetail::of(&run)?, false, ledger)? {
                    return Ok(None); // a run of its own
                }
                tracing::info!(run = run.id, "the same inputs: reopening that run");
                Ok(Some(run))
            }
            _ => Err(Fault::input(format!("run {} has read the same inputs and is closed (exit {})", run.id, run.exit.unwrap_or(0)))
                .help("--again makes a new run of them, in which the ledger decides row by row; failed rows are replayed with `passync replay`")),
        }
    }

    /// Whoever takes over from another program has bills that were applied before.
    fn tell_of_import(&self, ledger: &Ledger) -> Result<(), Fault> {
        let is_new = ledger.next_ordinal()? == 1 && self.settings.gateway.url != GatewayUrl::Sandbox;
        if is_new {
            tracing::info!(
                "the ledger {} is empty: every bill is a new one; those that another program has applied are made known with `{}`",
                ledger.path().display(),
                self.import_command()
            );
        }
        Ok(())
    }

    fn tell_open_rows(&self, ledger: &Ledger) -> Result<(), Fault> {
        let open = ledger.open_count()?;
        if open == 0 {
            return Ok(());
        }
        tracing::warn!("{open} rows of earlier runs are open; `{}` lists them", self.command("open", &[]));
        for ordinal in ledger.open_runs()? {
            // Another job's rows are its own to replay.
            let run = ledger.run(ordinal)?.filter(|run| run.job == self.settings.name);
            let dir = run.and_then(|run| RunDetail::parse(&run.detail)).map(|detail| detail.dir);
            if let Some(dir) = dir.filter(|dir| inputs::can_replay(Path::new(dir))) {
                tracing::warn!("{}", self.command("replay", &[&dir]));
            }
        }
        Ok(())
    }

    fn survey_replay(
        &self,
        files: &[Input],
        include: &[Outcome],
        occurred_at_ms: Option<i64>,
    ) -> Result<Surveyed, Fault> {
        let started_ms = self.clock.now_ms();
        let include = Some(include);
        let reading = Reading { inputs: files, include, occurred_at_ms, started_ms, controls: &[], agreed: false };
        begin::survey(self, &reading)
    }

    fn replay_surveyed(
        &self,
        surveyed: Surveyed,
        files: &[Input],
        include: &[Outcome],
        allow_stale: bool,
        endpoint: &Endpoint,
        ledger: &mut Ledger,
    ) -> Result<Manifest, Fault> {
        guard::origins(self, &surveyed, ledger)?;
        let include = include.iter().map(|class| class.as_str().to_owned()).collect();
        let flags = Flags { allow_stale, include, ..Flags::default() };
        let begun = begin::book(self, surveyed, flags, None, ledger)?;
        self.carry_out(begun, Some(files), endpoint, ledger)
    }

    /// The failure files of earlier runs that have open rows. `reopened`: that run sends its own.
    fn open_files(&self, reopened: Option<&RunRow>, ledger: &Ledger) -> Result<Vec<Input>, Fault> {
        let mut files = Vec::new();
        for ordinal in ledger.open_runs()?.into_iter().filter(|open| reopened.is_none_or(|run| run.ordinal != *open)) {
            let Some(run) = ledger.run(ordinal)?.filter(|run| run.job == self.settings.name) else { continue };
            let detail = RunDetail::of(&run)?;
            if let Some(other) = guard::another_owner(self, &detail, false) {
                tracing::warn!("open rows of run {} are not replayed: it had {other}", run.id);
                continue;
            }
            match inputs::of_replay(&self.settings, Path::new(&detail.dir)) {
                Ok(found) => files.extend(found),
                Err(fault) => tracing::warn!("open rows of run {} cannot be replayed: {fault}", run.id),
            }
        }
        Ok(files)
    }

    /// Replays the open rows of earlier runs, from the failure files that they left.
    fn replay_open(&self, files: &[Input], endpoint: &Endpoint, ledger: &mut Ledger) -> Result<Manifest, Fault> {
        let include = [Outcome::Unknown, Outcome::Held, Outcome::Unsent];
        let surveyed = self.survey_replay(files, &include, None)?;
        self.replay_surveyed(surveyed, files, &include, false, endpoint, ledger)
    }
}
