//! What is refused before any call (exit 3). One function a guard: what was found, what was expected, what to do.

use std::fmt::Write as _;

use super::Fault;
use super::context::Job;
use super::detail::RunDetail;
use super::plan::{Counts, Plan};
use super::survey::Found;
use super::surveyed::Surveyed;
use crate::io::control::Compared;
use crate::io::job::settings::Share;
use crate::io::ledger::{Ledger, RunRow};
use crate::model::Outcome;

/// What can be said of the inputs before the ledger is asked; every refusal. `agreed`: `--plan` was given.
pub fn inputs(job: &Job, found: &Found, agreed: bool) -> Vec<Fault> {
    let guards = [rows_min(job, found), ids(found), closing_max(job, found, agreed)];
    guards.into_iter().filter_map(Result::err).collect()
}

/// Files whose ids are not what they were.
fn ids(found: &Found) -> Result<(), Fault> {
    if found.refusals.is_empty() { Ok(()) } else { Err(Fault::input(found.refusals.join("\n"))) }
}

fn rows_min(job: &Job, found: &Found) -> Result<(), Fault> {
    let least = job.settings.input.rows_min;
    if found.rows >= least {
        return Ok(());
    }
    Err(Fault::input(format!(
        "the inputs have {} rows, expected at least {least} ([input] rows_min); an empty night is permitted by rows_min = 0",
        found.rows
    )))
}

fn closing_max(job: &Job, found: &Found, agreed: bool) -> Result<(), Fault> {
    let most = job.settings.guard.closing_max;
    if agreed || found.closing <= most {
        return Ok(());
    }
    Err(Fault::input(format!(
        "{} rows close their cards, expected at most {most} ([guard] closing_max)",
        found.closing
    ))
    .help(format!(
        "a wrong mapping would close them all: look at `{}`, and if it is meant, give its digest: `{}`",
        job.command("check", &[]),
        job.command("run", &["--plan", "DIGEST"])
    )))
}

/// Whether control files and trailers state what was read.
pub fn totals(compared: &[Compared]) -> Result<(), Fault> {
    let mut text = String::new();
    for one in compared.iter().filter(|one| !one.agrees()) {
        let _ = write!(text, "\n  {} says of {}:", one.by, one.covers.join(", "));
        for item in one.items.iter().filter(|item| !item.agrees) {
            let difference =
                if item.difference.is_empty() { String::new() } else { format!(", difference {}", item.difference) };
            let _ = write!(text, "\n    {}: expected {}, found {}{difference}", item.what, item.expected, item.found);
        }
        if !one.note.is_empty() {
            let _ = write!(text, "\n    ({})", one.note);
        }
    }
    if text.is_empty() {
        return Ok(());
    }
    Err(Fault::input(format!("control totals differ{text}"))
        .help("the file is not whole, or not the one that was exported: fetch it and its control file again"))
}

/// Closed runs that a night is compared with.
const NIGHTS: u32 = 7;

/// With fewer nights behind it, nobody knows what is usual.
const NIGHTS_LEAST: usize = 3;

/// Compares rows and sum with the median of the job's last closed runs. `None`: the guard is off; else what was
/// compared, for a person.
pub fn volume(job: &Job, surveyed: &Surveyed, ledger: &Ledger) -> Result<Option<String>, Fault> {
    let Some(percent) = job.settings.guard.volume_percent.filter(|percent| *percent < 100.0) else { return Ok(None) };
    let mut nights = Vec::new();
    for run in ledger.closed_nights(&job.settings.name, NIGHTS)? {
        nights.extend(RunDetail::parse(&run.detail).map(|detail| (detail.rows as f64, detail.points.about())));
    }
    if nights.len() < NIGHTS_LEAST {
        let runs = nights.len();
        return Ok(Some(format!("[guard] volume: {runs} closed runs to compare with, judged from {NIGHTS_LEAST} on")));
    }
    let found = &surveyed.found;
    let rows = median(nights.iter().map(|night| night.0).collect());
    let sum = median(nights.iter().map(|night| night.1).collect());
    let is_off = |found: f64, usual: f64| (found - usual).abs() > usual.abs() * percent / 100.0;
    let compared = format!(
        "{} rows with the sum {}, usual are {rows} rows with the sum {sum} (the median of the last {} runs)",
        found.rows,
        found.points,
        nights.len()
    );
    if is_off(found.rows as f64, rows) || is_off(found.points.about(), sum) {
        return Err(Fault::input(format!("{compared}: off by more than {percent}% ([guard] volume)"))
            .help("see whether the export is whole, and of this night alone; if it is meant: --set guard.volume=off"));
    }
    Ok(Some(format!("[guard] volume: {compared}")))
}

/// The middle, or the mean of the two in the middle. There is at least one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    low.midpoint(high)
}

/// What a job has otherwise than a run had it, so that its rows would be other bills on other cards. `named`: rows name their
/// merchants themselves.
pub fn another_owner(job: &Job, detail: &RunDetail, named: bool) -> Option<String> {
    const WHOSE: [&str; 4] = ["/dialect", "/gateway/client_id", "/gateway/app_id", "/gateway/merchant_id"];
    WHOSE[..if named { 3 } else { 4 }].iter().find_map(|name| {
        let [then, now] = [&detail.settings, &job.settings.in_force].map(|settings| settings.pointer(name));
        let (then, now) = (then?, now?);
        (then != now).then(|| format!("{} = {then}, this job has {now}", name[1..].replace('/', ".")))
    })
}

/// Whether rows of an earlier run are the bills that they were. Under another owner they are other ones: of a run that was
/// under the wrong one this is the way out, but what is in doubt would be sent twice, and stay so.
pub fn are_same_bills(
    job: &Job,
    run: &RunRow,
    detail: &RunDetail,
    named: bool,
    ledger: &Ledger,
) -> Result<bool, Fault> {
    match another_owner(job, detail, named) {
        None => Ok(true),
        Some(other) if ledger.has_doubts_of(run.ordinal)? => Err(Fault::usage(format!(
            "run {} had {other}: its rows would be sent as other bills, on other cards, and some of them may have been applied",
            run.id
        ))
        .help("take the job that they were read by, or that setting as it was (--set); if it was wrong, settle the bills in \
               doubt before, and then those that were never sent as not applied (`passync ledger settle`)")),
        Some(_) => Ok(false),
    }
}

/// Refuses a replay of rows in doubt as other bills: [`are_same_bills`] of all runs from which it has rows.
pub fn origins(job: &Job, surveyed: &Surveyed, ledger: &Ledger) -> Result<(), Fault> {
    let named = surveyed.found.files.iter().all(|file| file.columns.in_file("merchant_id").is_some());
    for id in surveyed.found.origins() {
        if let Some(run) = ledger.run_by_id(id)?
            && let Some(detail) = RunDetail::parse(&run.detail)
        {
            are_same_bills(job, &run, &detail, named, ledger)?;
        }
    }
    Ok(())
}

/// Whether so many rows are invalid that the file as a whole is not to be trusted.
pub fn rejects(job: &Job, surveyed: &Surveyed, counts: &Counts) -> Result<(), Fault> {
    let of = |outcome| counts.ended.get(&outcome).copied().unwrap_or(0);
    let (rejected, conflicts) = (of(Outcome::Rejected), of(Outcome::Conflict));
    let limit = job.settings.input.rejects_max.of(surveyed.found.rows, 1);
    if rejected + conflicts <= limit {
        return Ok(());
    }
    let written = match job.settings.input.rejects_max {
        Share::Percent(percent) => format!("{percent}% of {}", surveyed.found.rows),
        Share::Count(count) => count.to_string(),
    };
    Err(Fault::input(format!(
        "{rejected} rows are not valid and {conflicts} are in conflict, expected at most {limit} ([input] rejects_max = {written})"
    ))
    .help("`passync check` shows them all; mend the export or the mapping, or raise input.rejects_max"))
}

/// Whether an import says nothing but what the ledger does not know yet, or knows likewise: all of it is booked, or nothing.
pub fn import(counts: &Counts) -> Result<(), Fault> {
    let of = |outcome| counts.ended.get(&outcome).copied().unwrap_or(0);
    let (rejected, conflicts) = (of(Outcome::Rejected), of(Outcome::Conflict));
    if rejected + conflicts == 0 {
        return Ok(());
    }
    Err(Fault::input(format!(
        "{rejected} rows are not valid, and {conflicts} contradict the ledger or each other; expected none: nothing was booked"
    ))
    .help("without --apply the import shows the first of them: take them out, or settle what is in doubt: `passync ledger settle`"))
}

/// Whether the plan is the one that was agreed to.
pub fn plan(job: &Job, plan: &Plan, agreed: Option<&str>) -> Result<(), Fault> {
    let found = plan.digest.to_string();
    match agreed {
        Some(agreed) if agreed != found => Err(Fault::input(format!(
            "the plan is {found} now, and --plan names {agreed}: the inputs, the ledger or the settings have changed since"
        ))
        .help(format!("`{}` shows the plan of now: look at it, and give its digest", job.command("check", &[])))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        for (values, expected) in [(vec![3.0], 3.0), (vec![9.0, 1.0, 5.0], 5.0), (vec![4.0, -1.0, 2.0, 100.0], 3.0)] {
            assert!((median(values) - expected).abs() < 1e-9);
        }
    }
}
