//! What `check` found, as text: first what a run would do, then every reason to look twice.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::figures::{count, grouped, span};
use crate::io::job::Settings;
use crate::io::job::show_duration;
use crate::model::{Exit, Rule};
use crate::run::{Checked, Clash, Columns, Difference, Finding, Sum, Time};

/// The page. `run`: the command that carries out this very plan.
pub fn of(checked: &Checked, settings: &Settings, run: &str) -> String {
    let mut text = format!("\n{}\n", headline(checked));
    for why in &checked.refused {
        let _ = writeln!(text, "  refused: {why}");
    }
    text.push('\n');
    inputs(&mut text, checked);
    counts(&mut text, checked, settings);
    rejects(&mut text, checked);
    conflicts(&mut text, checked);
    for warning in &checked.warnings {
        let _ = writeln!(text, "\nwarning: {warning}");
    }
    standing(&mut text, checked);
    let _ = writeln!(text, "\nplan {}; this and nothing else:\n  {run}", checked.plan);
    text
}

fn headline(checked: &Checked) -> String {
    let calls = count(checked.calls, "call");
    match checked.exit() {
        Exit::Input => format!("{}: a run would refuse the input (exit 3)", checked.job),
        Exit::Clean => format!("{}: a run would make {calls} and leave nothing undone", checked.job),
        _ => {
            let failing = checked.ended.iter().filter(|(outcome, _)| outcome.is_failure());
            let failing = failing.map(|(_, sum)| sum.rows).sum();
            format!("{}: a run would make {calls} and leave {} to a person", checked.job, count(failing, "row"))
        }
    }
}

fn inputs(text: &mut String, checked: &Checked) {
    let mut shown: Option<&Columns> = None;
    for (input, columns) in checked.inputs.iter().zip(&checked.columns) {
        let (rows, bytes) = (count(input.rows, "row"), count(input.size, "byte"));
        let _ = writeln!(text, "  {}  {rows}, {bytes}, sha256 {}", input.name, input.sha256);
        if shown != Some(columns) {
            self::columns(text, columns);
        }
        shown = Some(columns);
    }
    for control in &checked.control {
        let stated: Vec<_> = control.items.iter().map(|item| item.what).collect();
        let verdict = if control.agrees() { "agrees with" } else { "DIFFERS from" };
        let _ = writeln!(text, "  {} {verdict} {} ({})", control.by, control.covers.join(", "), stated.join(", "));
    }
    text.push('\n');
}

/// The columns of an input, and of those behind it that have the same.
fn columns(text: &mut String, columns: &Columns) {
    let is_mapped = |(canonical, column): &&(String, String)| canonical != column;
    let mapped = columns.taken.iter().filter(is_mapped).map(|(canonical, column)| format!("{column} as {canonical}"));
    let own = columns.taken.iter().filter(|pair| !is_mapped(pair)).map(|(canonical, _)| canonical.clone());
    let mut line = |name: &str, names: Vec<String>| {
        if !names.is_empty() {
            let _ = writeln!(text, "    {name:<9} {}", names.join(", "));
        }
    };
    line("mapped", mapped.collect());
    line("sent", own.collect());
    line("defaults", columns.defaulted.clone());
    line("kept", columns.kept.iter().map(|name| format!("{name} (for the failure file, never sent)")).collect());
    line("ignored", columns.ignored.clone());
}

fn counts(text: &mut String, checked: &Checked, settings: &Settings) {
    let mut line = |name: &str, sum: Sum, note: &str| {
        let (rows, points) = (grouped(&sum.rows), grouped(&sum.points));
        let _ = writeln!(text, "{}", format!("  {name:<16}{rows:>12}{points:>18}  {note}").trim_end());
    };
    line("to be sent", checked.planned, &format!("to {}", count(checked.cards, "card")));
    for (outcome, sum) in &checked.ended {
        line(outcome.as_str(), *sum, "");
    }
    if checked.kept.rows > 0 {
        line("done before", checked.kept, "by the part of this run that is over");
    }
    line("rows read", checked.read, "with the sum of last_changed_points");
    let limits = &settings.limits;
    let quota = format!("{}/{}", limits.quota, show_duration(limits.quota_window));
    let _ = writeln!(text, "\n  calls           {:>12}  {}", grouped(&checked.calls), time(&checked.time, &quota));
    if checked.messages > 0 {
        let _ = writeln!(
            text,
            "  messages        {:>12}  to customers; a call that is sent again may repeat its own",
            grouped(&checked.messages)
        );
    }
    if checked.suspect_ids > 0 {
        let _ =
            writeln!(text, "  suspect ids     {:>12}  damaged on their way: rejected", grouped(&checked.suspect_ids));
    }
}

fn time(time: &Time, quota: &str) -> String {
    let least = span(Duration::from_millis(time.least_ms));
    let takes = format!("in {least} or more at {quota}");
    match (&time.finish_by, time.left_ms, time.fits) {
        (Some(finish_by), Some(left), Some(fits)) => {
            let left = span(Duration::from_millis(left));
            let verdict = if fits { "enough" } else { "NOT enough: the rest stays unsent" };
            format!("{takes}; finish_by {finish_by} leaves {left}: {verdict}")
        }
        _ => takes,
    }
}

fn rejects(text: &mut String, checked: &Checked) {
    if checked.rejects.is_empty() {
        return;
    }
    text.push_str("\nrejected by rule (`passync explain RULE` says more)\n");
    for (code, rows) in &checked.rejects {
        let rule = Rule::ALL.iter().find(|rule| rule.code() == code);
        let (slug, wants) = rule.map_or(("", ""), |rule| (rule.slug(), rule.text()));
        let _ = writeln!(text, "  {code} {slug:<24}{:>9}  {wants}", grouped(&rows));
    }
    text.push_str("\nthe first rejected rows\n");
    for finding in &checked.first_rejects {
        reject(text, finding);
    }
}

fn reject(text: &mut String, finding: &Finding) {
    let Finding { place, code, rule, bill_no, column, column_in_file, found, expected, message } = finding;
    let bill = bill_no.as_ref().map(|bill| format!(", bill {bill}")).unwrap_or_default();
    let _ = writeln!(text, "  {place}: {code} {rule}{bill}");
    if expected.is_empty() {
        let _ = writeln!(text, "      {message}");
        return;
    }
    if !column.is_empty() {
        let other = column_in_file.as_ref().filter(|name| *name != column);
        let other = other.map(|name| format!(" (`{name}` in the file)")).unwrap_or_default();
        let _ = writeln!(text, "      column    `{column}`{other}");
    }
    let _ = writeln!(text, "      found     {found}\n      expected  {expected}");
}

fn conflicts(text: &mut String, checked: &Checked) {
    if checked.first_conflicts.is_empty() {
        return;
    }
    text.push_str("\nthe first rows in conflict\n");
    for Clash { place, code, bill_no, other, differences, message } in &checked.first_conflicts {
        let bill = bill_no.as_ref().map(|bill| format!(", bill {bill}")).unwrap_or_default();
        let _ = writeln!(text, "  {place}: {code}{bill}\n      {message}");
        if differences.is_empty() {
            let _ = writeln!(text, "      the other: {other}");
            continue;
        }
        let _ = writeln!(text, "      {:<22}{place:<30}{other}", "");
        for Difference { column, this, other } in differences {
            let [this, there] = [this, other].map(|value| value.as_deref().unwrap_or("-"));
            let masked = if this == there { "  (they differ behind what is shown)" } else { "" };
            let _ = writeln!(text, "      {column:<22}{this:<30}{there}{masked}");
        }
    }
}

fn standing(text: &mut String, checked: &Checked) {
    if let Some(run) = &checked.interrupted {
        let _ = writeln!(text, "\nThe interrupted run {run} would be finished first.");
    }
    if let Some(run) = &checked.reopens {
        let _ = writeln!(text, "\nThe run {run} over the same inputs was cut short: it would be reopened.");
    }
    if checked.open_rows > 0 {
        let _ = writeln!(text, "\nThe ledger has {} of earlier runs.", count(checked.open_rows, "open row"));
    }
}
