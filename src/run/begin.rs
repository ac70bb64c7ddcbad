//! The beginning of a run: inputs are read and judged, the plan becomes durable, the run is booked. Nothing is sent.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::context::Job;
use super::detail::{Flags, RunDetail, run_id};
use super::manifest::Manifest;
use super::numbers::count;
use super::plan::{self, Plan};
use super::progress::Phase;
use super::recover::Recovery;
use super::space::Need;
use super::store::{RunFolder, state_dir};
use super::surveyed::{Reading, Surveyed};
use super::timings::Stage;
use super::{Fault, close, control, findings, fold, guard};
use crate::io::StorageError;
use crate::io::folder;
use crate::io::ledger::{Ledger, NewRun, RunRow, RunState};
use crate::io::source::Input;
use crate::model::moment::rfc3339_ms;
use crate::model::{Delta, Outcome};

/// Reads every input to its end, and refuses what cannot be right as a whole. Neither lease nor ledger are needed.
pub fn survey(job: &Job, reading: &Reading<'_>) -> Result<Surveyed, Fault> {
    let mut surveyed = Surveyed::read(job, reading)?;
    if reading.include.is_none() {
        guard::inputs(job, &surveyed.found, reading.agreed).into_iter().next().map_or(Ok(()), Err)?;
        surveyed.judged = control::judge(job, reading.controls, reading.inputs, &surveyed.found.files)?;
        guard::totals(&surveyed.judged.compared)?;
    }
    Ok(surveyed)
}

/// A run whose plan is durable.
pub struct Begun {
    /// In the ledger.
    pub run: RunRow,
    /// Its facts.
    pub detail: RunDetail,
    /// What reading and planning took, in this process.
    pub took: Duration,
    /// What an interrupted part left, and since when no other process has sent for this ledger; `None` where nothing was
    /// left by this plan.
    pub left: Option<(Recovery, Instant)>,
}

/// Plans a survey against the ledger without booking it: what `check` shows.
/// `again`: the closed run that would be reopened.
pub fn rehearse(
    job: &Job,
    surveyed: &Surveyed,
    flags: &Flags,
    again: Option<&RunRow>,
    ledger: &Ledger,
) -> Result<Plan, Fault> {
    make_plan(job, surveyed, flags, &Name::of(surveyed, again, ledger)?, ledger, &surveyed.folder())
}

/// Refuses too many invalid rows now, since something is sent before the run is booked: what that makes of them later
/// is no reason to refuse them any more.
pub fn judge_rejects(
    job: &Job,
    surveyed: &mut Surveyed,
    flags: &Flags,
    again: Option<&RunRow>,
    ledger: &mut Ledger,
) -> Result<(), Fault> {
    if again.is_none() {
        fold_others(job, ledger)?;
        let plan = rehearse(job, surveyed, flags, None, ledger)?;
        guard::rejects(job, surveyed, &plan.counts)?;
        surveyed.are_rejects_judged = true;
    }
    Ok(())
}

/// What a run is known by in the ledger.
struct Name {
    ordinal: u32,
    id: String,
    started_ms: i64,
}

impl Name {
    /// The name of an earlier closing or of an interrupted run, or a new one.
    fn of(surveyed: &Surveyed, again: Option<&RunRow>, ledger: &Ledger) -> Result<Name, Fault> {
        if let Some(run) = again {
            return Ok(Name { ordinal: run.ordinal, id: run.id.clone(), started_ms: run.started_ms });
        }
        let (ordinal, started_ms) = (ledger.next_ordinal()?, surveyed.started_ms);
        Ok(Name { ordinal, id: run_id(started_ms, ordinal), started_ms })
    }
}

/// Plans a survey against the ledger and books the run. `again`: an earlier closing of the same run, or one whose
/// plan is stale; it keeps its name and its place in history. The lease is held.
pub fn book(
    job: &Job,
    surveyed: Surveyed,
    flags: Flags,
    again: Option<&RunRow>,
    ledger: &mut Ledger,
) -> Result<Begun, Fault> {
    let began = Instant::now();
    let _counting = job.progress.timings.count(Stage::Plan);
    job.progress.enter(Phase::Plan);
    fold_others(job, ledger)?;
    ledger.agree("bill_key", &job.dialect.scope(), &job.settings.input.bill_key.join(","))?;
    ledger.agree("content_form", "all", Delta::CONTENT_FORM)?;
    let kind = flags.kind();
    let name = Name::of(&surveyed, again, ledger)?;
    let folder = RunFolder::new(&job.settings.ledger, &name.id);
    let plan = make_plan(job, &surveyed, &flags, &name, ledger, &surveyed.folder())?;
    if plan.counts.ended.contains_key(&Outcome::Rejected) {
        findings::warn_of_rejects(&surveyed)?;
    }
    if kind == "run" && again.is_none() && !surveyed.are_rejects_judged {
        guard::rejects(job, &surveyed, &plan.counts)?;
    }
    if flags.import {
        guard::import(&plan.counts)?;
    }
    // What was agreed to was agreed to when the run began: a resume carries out what is left of it.
    if again.is_none_or(|run| run.state == RunState::Closed) {
        guard::plan(job, &plan, flags.plan.as_deref())?;
    }
    surveyed.inputs_are_unchanged()?;
    let counts = &plan.counts;
    let mut detail = detail(job, &surveyed, flags, &plan, &name.id, again);
    detail.seals.extend(plan.seals);
    let spool = surveyed.seals.values().map(|seal| seal.length).sum();
    let need = Need::of(detail.rows, counts.planned, spool);
    if let Some(warning) = need.check(state_dir(&job.settings.ledger), Path::new(&detail.dir))? {
        tracing::warn!("{warning}");
        detail.warnings.push(warning);
    }
    let home = folder::of(Path::new(&detail.dir));
    folder::prove(home).map_err(|error| StorageError::new("make the files of the run in", home, error))?;
    folder.remove()?;
    surveyed.folder().place(&folder)?;
    ledger.begin_run(&NewRun {
        ordinal: name.ordinal,
        id: &name.id,
        job: &job.settings.name,
        kind,
        started_ms: name.started_ms,
        inputs: &surveyed.digest,
        detail: &detail.json(),
    })?;
    job.progress.planned.store(counts.planned, Ordering::Relaxed);
    let took = surveyed.took;
    surveyed.has_moved();
    let run = ledger.run(name.ordinal)?.expect("just booked");
    tracing::info!(
        run = run.id,
        rows = detail.rows,
        planned = counts.planned,
        cards = counts.cards,
        messages = counts.messages,
        "planned"
    );
    Ok(Begun { run, detail, took: took + began.elapsed(), left: None })
}

fn make_plan(
    job: &Job,
    surveyed: &Surveyed,
    flags: &Flags,
    name: &Name,
    ledger: &Ledger,
    folder: &RunFolder,
) -> Result<Plan, Fault> {
    let order = plan::Order {
        timings: &job.progress.timings,
        scope: &job.dialect.scope(),
        ordinal: name.ordinal,
        run_id: &name.id,
        started_ms: surveyed.started_ms,
        inputs: &surveyed.facts,
        settings: &job.settings.in_force,
        members: &surveyed.found.members,
        suspects: &surveyed.found.suspects,
        timed: &surveyed.found.timed,
        coalesce: job.settings.run.coalesce,
        coalesce_bills: job.settings.run.coalesce_bills,
        allow_stale: flags.allow_stale,
        import: flags.import,
        include_refused: flags.include.iter().any(|class| class == Outcome::Refused.as_str()),
    };
    plan::make(&order, ledger, folder)
}

fn detail(job: &Job, surveyed: &Surveyed, flags: Flags, plan: &Plan, id: &str, again: Option<&RunRow>) -> RunDetail {
    let found = &surveyed.found;
    let mut points = found.points;
    points.merge(found.passed_over_points);
    let dir = again.and_then(|run| RunDetail::parse(&run.detail)).map_or_else(
        || job.settings.output.dir.join(&job.settings.name).join(id).display().to_string(),
        |detail| detail.dir,
    );
    let warnings = warnings(surveyed, &flags);
    RunDetail {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        content_form: Delta::CONTENT_FORM.to_owned(),
        inputs: surveyed.facts.clone(),
        rows: found.rows,
        passed_over: found.passed_over,
        passed_over_points: found.passed_over_points,
        points,
        planned: plan.counts.planned,
        plan: plan.digest.to_string(),
        seals: surveyed.seals.clone(),
        members: found.members.0.clone(),
        flags,
        dir,
        settings: job.settings.in_force.clone(),
        warnings,
        called: job.called.clone(),
        counted: again.map(counted).unwrap_or_default(),
        closed_at: again.map(closed_at).unwrap_or_default(),
        quota_peak: again.map(quota_peak).unwrap_or_default(),
        ended: None,
        pruned: false,
    }
}

/// The rows of a run's earlier closings, by outcome.
fn counted(run: &RunRow) -> BTreeMap<Outcome, u64> {
    let mut counted = RunDetail::parse(&run.detail).map(|detail| detail.counted).unwrap_or_default();
    for (outcome, sum) in Manifest::of(run).iter().flat_map(|manifest| &manifest.rows.outcomes) {
        let rows = counted.entry(*outcome).or_default();
        *rows = sum.rows.max(*rows);
    }
    counted
}

/// When a run was closed last.
fn closed_at(run: &RunRow) -> String {
    let before = || RunDetail::parse(&run.detail).map(|detail| detail.closed_at).unwrap_or_default();
    Manifest::of(run).map_or_else(before, |manifest| manifest.closed_at)
}

/// The most requests in a window of its earlier closings.
fn quota_peak(run: &RunRow) -> u64 {
    let before = RunDetail::parse(&run.detail).map_or(0, |detail| detail.quota_peak);
    Manifest::of(run).map_or(before, |manifest| manifest.calls.quota_peak.max(before))
}

/// What a person should know of the inputs.
pub fn warnings(surveyed: &Surveyed, flags: &Flags) -> Vec<String> {
    let mut warnings = surveyed.judged.warnings.clone();
    for name in &surveyed.found.open_ended {
        warnings.push(format!(
            "{name} does not end its last line: if its writer does, it was cut off, and its last value may be too"
        ));
    }
    if surveyed.found.folded > 0 {
        warnings.push(format!(
            "{} rows have an `occurred_at` that the clocks showed twice, when summer time ended; the earlier instant was taken: \
             an export with zones would tell them apart",
            surveyed.found.folded
        ));
    }
    if let Some((rows, first)) = &surveyed.found.unclassed {
        warnings.push(format!(
            "{} of the input have an `_outcome` that is no class, and were passed over (the first: {first}); write one of those \
             that --include names, or take the column out",
            count(*rows, "row")
        ));
    }
    let (ahead, last_ms) = surveyed.found.ahead;
    if ahead > 0 {
        warnings.push(format!(
            "{} of the input have an `occurred_at` that lies ahead, up to {}: until then all that comes for their cards is older, and \
             superseded; see to the export's dates and to input.timezone",
            count(ahead, "row"),
            rfc3339_ms(last_ms)
        ));
    }
    let bare = surveyed.found.timed.iter().filter(|(_, timed)| timed.is_bare()).count();
    if bare > 0
        && flags.occurred_at_ms.is_none()
        && surveyed.facts.iter().any(|fact| fact.occurred_default_ms == surveyed.started_ms)
    {
        warnings.push(
            "rows without `occurred_at` take the start of the run as their time: a file read out of its order would roll cards back; \
             give --occurred-at, or a {date} in the file's name"
                .to_owned(),
        );
    }
    warnings
}

/// Interrupted runs of other jobs on the ledger: what they know is folded in before we look anything up. Their
/// plans are stale from then on, and they are planned anew when they are resumed. An import knows nothing until it is
/// booked, which is for a person to decide.
pub fn fold_others(job: &Job, ledger: &mut Ledger) -> Result<(), Fault> {
    let others = ledger.interrupted_others(&job.settings.name)?;
    for other in others.into_iter().filter(|other| !other.is_folded() && !other.is_import()) {
        let folder = RunFolder::new(&job.settings.ledger, &other.id);
        let detail = RunDetail::of(&other)?;
        if !folder.is_whole(&detail.seals)? {
            return Err(Fault::storage(format!(
                "the survey of job {}'s interrupted run {} is damaged or gone: what that run has sent cannot be told from here",
                other.job, other.id
            ))
            .help("finish it first: `passync resume` with its job file"));
        }
        tracing::info!(run = other.id, job = other.job, "taking over what an interrupted run knows");
        fold_partly(&other, &detail, &folder, job.clock.now_ms(), ledger)?;
    }
    Ok(())
}

/// Folds what an interrupted run knows so far; it stays interrupted. `folder`: its survey.
fn fold_partly(
    run: &RunRow,
    detail: &RunDetail,
    folder: &RunFolder,
    now_ms: i64,
    ledger: &mut Ledger,
) -> Result<(), Fault> {
    let fold = fold::Fold::new(ledger, run.ordinal, folder, &detail.members, fold::Rest::Open, now_ms)?;
    fold::into_ledger(ledger, run.ordinal, folder, fold, detail.flags.allow_stale, |_| Ok(()))
}

/// Plans an interrupted run again over the same inputs: others changed the ledger since, it was about to stop, or its
/// survey is damaged or gone. What it has learnt so far goes into the ledger first; else its applied bills would be planned as new ones.
pub fn book_again(
    job: &Job,
    run: &RunRow,
    detail: &RunDetail,
    inputs: &[Input],
    ledger: &mut Ledger,
) -> Result<Begun, Fault> {
    let dir = Path::new(&detail.dir);
    if run.is_folded() && dir.exists() {
        close::reopen(dir, &run.job, ledger)?; // it was being closed, and is not closed
    }
    let include = detail.flags.classes();
    let reading = Reading {
        inputs,
        include: include.as_deref(),
        occurred_at_ms: detail.flags.occurred_at_ms,
        started_ms: run.started_ms,
        controls: &[], // they agreed when the run began, and may be gone
        agreed: detail.flags.plan.is_some() || detail.flags.import,
    };
    let mut surveyed = survey(job, &reading)?;
    surveyed.facts.clone_from(&detail.inputs); // the places in time that were given first are kept
    if !run.is_folded() && !run.is_import() {
        let mut folder = RunFolder::new(&job.settings.ledger, &run.id);
        if !folder.is_whole(&detail.seals)? {
            tracing::warn!(run = run.id, "its survey is damaged or gone: it is made again from the inputs");
            folder = surveyed.folder();
            // The same rows against the same ledger: the plan that is missing.
            make_plan(job, &surveyed, &detail.flags, &Name::of(&surveyed, Some(run), ledger)?, ledger, &folder)?;
        }
        fold_partly(run, detail, &folder, job.clock.now_ms(), ledger)?;
    }
    book(job, surveyed, detail.flags.clone(), Some(run), ledger)
}
