//! `passync open`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::figures::{count, path, span};
use super::job::{JobArgs, duration};
use super::{CliError, Screen};
use crate::model::Exit;
use crate::run::look::{self, OpenRow};
use crate::run::next::{Called, command_line};
use crate::run::{Fault, wall_ms};

/// Show every open row of all runs, and the command that closes it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync open jobs/nightly.toml
  passync open jobs/nightly.toml --max-age 2d --json      exit 1 where a row is older: for a monitor

The age of a row is the time since the run that first read it began. Exit 0: no row is open, or none is older than --max-age; \
1: one is. Without --max-age open rows are no fault: exit 0. Exit 6: there is no ledger yet.")]
pub struct Open {
    #[command(flatten)]
    job: JobArgs,
    /// Exit 1 where an open row is older than this
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    max_age: Option<Duration>,
    /// Print the rows as JSON
    #[arg(long)]
    json: bool,
}

/// An open row of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    row: &'a OpenRow,
    /// The command that closes it; `None` where it is another job's.
    close: Option<String>,
}

/// What was met, run by run.
#[derive(Default)]
struct Met {
    rows: u64,
    oldest_ms: u64,
    /// By its name.
    runs: BTreeMap<String, MetRun>,
}

/// A run that left rows open.
struct MetRun {
    job: String,
    dir: String,
    rows: u64,
    oldest_ms: u64,
}

impl Open {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let settings = self.job.load(&[], None)?;
        let ledger = self.job.ledger(&settings)?;
        let called = self.job.called(&settings, None);
        let mut met = Met::default();
        if self.json {
            screen.print("[")?;
        }
        // Rows are printed as they come: an outage leaves more of them than a screen, or a memory, should hold.
        let mut said: Result<(), CliError> = Ok(());
        look::each_open(&ledger, wall_ms(), |mut row| -> Result<(), Fault> {
            screen.veil(&mut row.card);
            if said.is_ok() {
                said =
                    screen.print(&if self.json { line(&row, &settings.name, &called, &met) } else { text(&row, &met) });
            }
            met.take(row);
            Ok(())
        })?;
        said?;
        if self.json {
            screen.print("\n]\n")?;
        } else {
            screen.print(&self.end(&met, &settings.name, &called))?;
        }
        let too_old = self.max_age.is_some_and(|most| met.rows > 0 && Duration::from_millis(met.oldest_ms) > most);
        Ok(if too_old { Exit::Failures } else { Exit::Clean })
    }

    fn end(&self, met: &Met, own: &str, called: &Called) -> String {
        if met.rows == 0 {
            return "The ledger has no open rows.\n".to_owned();
        }
        let oldest = span(Duration::from_millis(met.oldest_ms));
        let mut text =
            format!("\n{}, the oldest for {oldest}. To close them, oldest run first:\n", count(met.rows, "open row"));
        for (run, MetRun { job, dir, rows, oldest_ms }) in &met.runs {
            let rows = format!("{}, the oldest for {}", count(*rows, "row"), span(Duration::from_millis(*oldest_ms)));
            if *job == own {
                text += &format!("  {}   # {rows}\n", called.replay(&path(Path::new(dir)), &[]));
            } else {
                text += &format!("  # {rows} of run {run} belong to job {job}: replay {dir} with its job file\n");
            }
        }
        let settle = ["settle", "BILL", "--as", "applied", "--reason", "TEXT"].map(str::to_owned);
        let words = settle.into_iter().chain(self.job.ledger_words()).collect::<Vec<_>>();
        let words = std::iter::once("ledger").chain(words.iter().map(String::as_str));
        text + &format!(
            "or, for what a person found out (applied or not-applied):\n  {}\n",
            command_line(&called.program, words)
        )
    }
}

impl Met {
    fn take(&mut self, row: OpenRow) {
        self.rows += 1;
        self.oldest_ms = self.oldest_ms.max(row.age_ms);
        let run = self.runs.entry(row.run).or_insert(MetRun { job: row.job, dir: row.dir, rows: 0, oldest_ms: 0 });
        run.rows += 1;
        run.oldest_ms = run.oldest_ms.max(row.age_ms);
    }
}

fn line(row: &OpenRow, own: &str, called: &Called, met: &Met) -> String {
    let close = (row.job == own).then(|| called.replay(&path(Path::new(&row.dir)), &[]));
    let line = serde_json::to_string(&Line { row, close }).expect("an open row is plain data");
    format!("{}\n  {line}", if met.rows == 0 { "" } else { "," })
}

fn text(row: &OpenRow, met: &Met) -> String {
    let line = |bill: &str, card: &str, class: &str, code: &str, age: &str, run: &str| {
        format!("{bill:<28} {card:<22} {class:<8} {code:<24} {age:>12}  {run}\n")
    };
    let head = if met.rows == 0 { line("BILL", "CARD", "CLASS", "CODE", "AGE", "RUN") } else { String::new() };
    let bill = row.bill_no.as_deref().unwrap_or("-");
    let age = span(Duration::from_millis(row.age_ms));
    head + &line(bill, &row.card, row.class.as_str(), &row.code, &age, &row.run)
}
