//! `passync check`.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;

use super::figures::{count, grouped, span};
use super::job::{InputArgs, JobArgs};
use super::progress::Watch;
use super::{CliError, Screen};
use crate::io::job::Settings;
use crate::model::{Exit, Rule};
use crate::run::{Checked, Finding, Request, Sum};

/// Read, validate, deduplicate and plan; send nothing, change no ledger
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync check jobs/nightly.toml
  passync check jobs/nightly.toml --input fixed.csv --json")]
pub struct Check {
    #[command(flatten)]
    job: JobArgs,
    #[command(flatten)]
    input: InputArgs,
    /// Plan as a run with --again would
    #[arg(long)]
    again: bool,
    /// Plan as a run with --allow-stale would
    #[arg(long)]
    allow_stale: bool,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let opened = self.job.open(&self.input.inputs, None)?;
        let job = &opened.job;
        let request = Request {
            dates: self.input.date,
            occurred_at_ms: self.input.occurred_ms(&job.settings)?,
            again: self.again,
            allow_stale: self.allow_stale,
            wait: Duration::ZERO,
        };
        let watch = Watch::start(screen, &job.progress);
        let checked = job.check(&request);
        drop(watch);
        let checked = checked?;
        if self.json {
            screen.print_json(&checked)?;
        } else {
            screen.print(&text(&checked, &job.settings))?;
        }
        Ok(checked.exit())
    }
}

fn text(checked: &Checked, settings: &Settings) -> String {
    let mut text = format!("\n{}\n", headline(checked));
    for why in &checked.refused {
        let _ = writeln!(text, "  refused: {why}");
    }
    text.push('\n');
    for input in &checked.inputs {
        let (rows, bytes) = (count(input.rows, "row"), count(input.size, "byte"));
        let _ = writeln!(text, "  {}  {rows}, {bytes}, sha256 {}", input.name, input.sha256);
    }
    text.push('\n');
    counts(&mut text, checked, settings);
    rejects(&mut text, checked);
    findings(&mut text, "the first rejected rows", &checked.first_rejects);
    findings(&mut text, "the first rows in conflict", &checked.first_conflicts);
    for warning in &checked.warnings {
        let _ = writeln!(text, "\nwarning: {warning}");
    }
    if let Some(run) = &checked.interrupted {
        let _ = writeln!(text, "\nThe interrupted run {run} would be finished first.");
    }
    if checked.open_rows > 0 {
        let _ = writeln!(text, "\nThe ledger has {} of earlier runs.", count(checked.open_rows, "open row"));
    }
    text
}

fn headline(checked: &Checked) -> String {
    let calls = count(checked.planned.rows, "call");
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

fn counts(text: &mut String, checked: &Checked, settings: &Settings) {
    let mut line = |name: &str, sum: Sum, note: &str| {
        let (rows, points) = (grouped(&sum.rows), grouped(&sum.points));
        let _ = writeln!(text, "{}", format!("  {name:<16}{rows:>12}{points:>18}  {note}").trim_end());
    };
    let limits = &settings.limits;
    let least = limits.quota_window.mul_f64(checked.planned.rows as f64 / f64::from(limits.quota));
    line("to be sent", checked.planned, &format!("to {}, in {} or more", count(checked.cards, "card"), span(least)));
    for (outcome, sum) in &checked.ended {
        line(outcome.as_str(), *sum, "");
    }
    line("rows read", checked.read, "with the sum of last_changed_points");
    if checked.messages > 0 {
        let messages = count(checked.messages, "message");
        let _ =
            writeln!(text, "\n  The calls send {messages} to customers; a call that is sent again may repeat its own.");
    }
}

fn rejects(text: &mut String, checked: &Checked) {
    if !checked.rejects.is_empty() {
        text.push_str("\nrejected by rule\n");
    }
    for (code, rows) in &checked.rejects {
        let rule = Rule::ALL.iter().find(|rule| rule.code() == code);
        let (slug, wants) = rule.map_or(("", ""), |rule| (rule.slug(), rule.text()));
        let _ = writeln!(text, "  {code} {slug:<24}{:>9}  {wants}", grouped(&rows));
    }
}

fn findings(text: &mut String, title: &str, findings: &[Finding]) {
    if !findings.is_empty() {
        let _ = writeln!(text, "\n{title}");
    }
    for Finding { place, code, bill_no, message, other } in findings {
        let bill = bill_no.as_ref().map(|bill| format!(" bill {bill}:")).unwrap_or_default();
        let other = other.as_ref().map(|other| format!(" ({other})")).unwrap_or_default();
        let _ = writeln!(text, "  {place}: {code}:{bill} {message}{other}");
    }
}
