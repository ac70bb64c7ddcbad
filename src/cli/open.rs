//! `passync open`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::figures::{count, grouped, path, span};
use super::job::{JobArgs, duration};
use super::{CliError, Screen};
use crate::model::Exit;
use crate::run::called::{Called, command_line};
use crate::run::look::{self, Behind, LeftBy, OpenRow};
use crate::run::{Fault, wall_ms};

/// Show every open row of all runs, and the command that closes it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync open jobs/nightly.toml
  passync open jobs/nightly.toml --max-age 2d --json      exit 1 where a row is older: for a monitor

The age of a row is the time since the run that first read it began. Exit 0: no row is open, or none is older than --max-age; \
1: one is. Without --max-age open rows are no fault: exit 0. Exit 2: there is no ledger yet. \
With -q nothing is said where the exit is 0.")]
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
    /// The command that closes it; `None` where it, or what it waits for, is another job's.
    close: Option<String>,
}

/// What was met, run by run.
#[derive(Default)]
struct Met {
    rows: u64,
    oldest_ms: u64,
    /// By its name.
    runs: BTreeMap<String, MetRun>,
    /// By run and bill.
    refusals: BTreeMap<(String, String), MetRefusal>,
}

/// A run that left rows open.
struct MetRun {
    left_by: LeftBy,
    rows: u64,
    oldest_ms: u64,
    /// Those that wait for a newer update of their card.
    behind: u64,
}

/// A bill that the gateway refused after a doubt, and for which open rows wait.
struct MetRefusal {
    left_by: LeftBy,
    rows: u64,
}

/// The commands of one job.
struct Own<'a> {
    job: &'a str,
    called: &'a Called,
}

impl Open {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let settings = self.job.load(&[], None)?;
        let ledger = self.job.ledger(&settings)?;
        let called = self.job.called(&settings, None);
        let own = Own { job: &settings.name, called: &called };
        let mut met = Met::default();
        let silent = screen.quiet && !self.json;
        if self.json {
            screen.print("[")?;
        }
        // Rows are printed as they come: an outage leaves more of them than a screen, or a memory, should hold.
        let mut said: Result<(), CliError> = Ok(());
        look::each_open(&ledger, wall_ms(), |mut row| -> Result<(), Fault> {
            screen.veil(&mut row.card);
            if said.is_ok() && !silent {
                said = screen.print(&if self.json { line(&row, &own, &met) } else { text(&row, &met) });
            }
            met.take(row);
            Ok(())
        })?;
        said?;
        let too_old = self.max_age.is_some_and(|most| met.rows > 0 && Duration::from_millis(met.oldest_ms) > most);
        if self.json {
            screen.print("\n]\n")?;
        } else if too_old || !silent {
            screen.print(&self.end(&met, &own))?;
        }
        Ok(if too_old { Exit::Failures } else { Exit::Clean })
    }

    fn end(&self, met: &Met, own: &Own<'_>) -> String {
        if met.rows == 0 {
            return "The ledger has no open rows.\n".to_owned();
        }
        let oldest = span(Duration::from_millis(met.oldest_ms));
        let mut text =
            format!("\n{}, the oldest for {oldest}. To close them, in this order:\n", count(met.rows, "open row"));
        for ((_, bill), MetRefusal { left_by, rows }) in &met.refusals {
            let why = format!("a person looks at bill {bill}, refused after doubt: {} behind it", count(*rows, "row"));
            text += &own.told(left_by, true, &why);
        }
        // Rows that wait for a newer one come last, whenever their run was.
        let (last, first): (Vec<_>, Vec<_>) = met.runs.values().partition(|run| run.behind > 0);
        for MetRun { left_by, rows, oldest_ms, behind } in first.into_iter().chain(last) {
            let oldest = span(Duration::from_millis(*oldest_ms));
            let behind = if *behind > 0 { format!(", {} behind newer ones", grouped(behind)) } else { String::new() };
            text += &own.told(left_by, false, &format!("{}, the oldest for {oldest}{behind}", count(*rows, "row")));
        }
        let settle = ["settle", "BILL", "--as", "applied", "--reason", "TEXT"].map(str::to_owned);
        let words = settle.into_iter().chain(self.job.ledger_words()).collect::<Vec<_>>();
        let words = std::iter::once("ledger").chain(words.iter().map(String::as_str));
        text + &format!(
            "or, for what a person found out (applied or not-applied):\n  {}\n",
            command_line(&own.called.program, words)
        )
    }
}

impl Met {
    fn take(&mut self, row: OpenRow) {
        self.rows += 1;
        self.oldest_ms = self.oldest_ms.max(row.age_ms);
        let run = self.runs.entry(row.left_by.run.clone());
        let run = run.or_insert(MetRun { left_by: row.left_by, rows: 0, oldest_ms: 0, behind: 0 });
        run.rows += 1;
        run.oldest_ms = run.oldest_ms.max(row.age_ms);
        run.behind += u64::from(row.behind.is_some());
        if let Some(Behind { bill_no, left_by, .. }) = row.behind.filter(|behind| behind.refused) {
            let bill = (left_by.run.clone(), bill_no.unwrap_or_else(|| "(none)".to_owned()));
            self.refusals.entry(bill).or_insert(MetRefusal { left_by, rows: 0 }).rows += 1;
        }
    }
}

impl Own<'_> {
    /// The command that closes what a run left; `None` where that is another job's. `refused`: what the gateway refused.
    fn closing(&self, left_by: &LeftBy, refused: bool) -> Option<String> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let more = words(if refused { &["--include", "refused"] } else { &[] });
        (left_by.job == self.job).then(|| match left_by.replayable {
            true => self.called.replay(&path(Path::new(&left_by.dir)), &more),
            false => self.called.command("run", &words(&["--input", "FILE", "--again"])),
        })
    }

    /// The same with what it is for.
    fn told(&self, left_by: &LeftBy, refused: bool, why: &str) -> String {
        let LeftBy { run, job, dir, replayable } = left_by;
        match self.closing(left_by, refused) {
            Some(command) if *replayable => format!("  {command}   # {why}\n"),
            Some(command) => format!("  {command}   # {why}; run {run} has no failure file: FILE is its input\n"),
            None => format!("  # {why}; run {run} belongs to job {job}: replay {dir} with its job file\n"),
        }
    }
}

fn line(row: &OpenRow, own: &Own<'_>, met: &Met) -> String {
    let close = own.closing(&row.left_by, false);
    let close = match &row.behind {
        None => close,
        Some(newer) => {
            own.closing(&newer.left_by, newer.refused).zip(close).map(|(first, then)| format!("{first} && {then}"))
        }
    };
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
    head + &line(bill, &row.card, row.class.as_str(), &row.code, &age, &row.left_by.run)
}
