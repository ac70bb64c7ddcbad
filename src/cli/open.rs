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
use crate::run::look::{self, Behind, OpenRow};
use crate::run::next::{Called, command_line};
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
    job: String,
    dir: String,
    replayable: bool,
    rows: u64,
    oldest_ms: u64,
    /// Those that wait for a newer update of their card.
    behind: u64,
}

/// A bill that the gateway refused after a doubt, and for which open rows wait.
struct MetRefusal {
    job: String,
    dir: String,
    rows: u64,
}

impl Open {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let settings = self.job.load(&[], None)?;
        let ledger = self.job.ledger(&settings)?;
        let called = self.job.called(&settings, None);
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
                said =
                    screen.print(&if self.json { line(&row, &settings.name, &called, &met) } else { text(&row, &met) });
            }
            met.take(row);
            Ok(())
        })?;
        said?;
        let too_old = self.max_age.is_some_and(|most| met.rows > 0 && Duration::from_millis(met.oldest_ms) > most);
        if self.json {
            screen.print("\n]\n")?;
        } else if too_old || !silent {
            screen.print(&self.end(&met, &settings.name, &called))?;
        }
        Ok(if too_old { Exit::Failures } else { Exit::Clean })
    }

    fn end(&self, met: &Met, own: &str, called: &Called) -> String {
        if met.rows == 0 {
            return "The ledger has no open rows.\n".to_owned();
        }
        let oldest = span(Duration::from_millis(met.oldest_ms));
        let mut text =
            format!("\n{}, the oldest for {oldest}. To close them, in this order:\n", count(met.rows, "open row"));
        let replay = |job: &str, run: &str, dir: &str, more: &[String], why: &str| {
            if job == own {
                format!("  {}   # {why}\n", called.replay(&path(Path::new(dir)), more))
            } else {
                format!("  # {why}; run {run} belongs to job {job}: replay {dir} with its job file\n")
            }
        };
        for ((run, bill), MetRefusal { job, dir, rows }) in &met.refusals {
            let why = format!("a person looks at bill {bill}, refused after doubt: {} behind it", count(*rows, "row"));
            text += &replay(job, run, dir, &include_refused(), &why);
        }
        // Rows that wait for a newer one come last, whenever their run was.
        let waits = |run: &MetRun| run.behind > 0;
        let (last, first): (Vec<_>, Vec<_>) = met.runs.iter().partition(|(_, run)| waits(run));
        for (run, MetRun { job, dir, replayable, rows, oldest_ms, behind }) in first.into_iter().chain(last) {
            let oldest = span(Duration::from_millis(*oldest_ms));
            let behind = if *behind > 0 { format!(", {} behind newer ones", grouped(behind)) } else { String::new() };
            let why = format!("{}, the oldest for {oldest}{behind}", count(*rows, "row"));
            text += &if *replayable || job != own {
                replay(job, run, dir, &[], &why)
            } else {
                format!("  {}   # {why}; run {run} has no failure file: FILE is its input\n", again(called))
            };
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
        let new = MetRun { job: row.job, dir: row.dir, replayable: row.replayable, rows: 0, oldest_ms: 0, behind: 0 };
        let run = self.runs.entry(row.run).or_insert(new);
        run.rows += 1;
        run.behind += u64::from(row.behind.is_some());
        if let Some(Behind { bill_no, run, job, dir, .. }) = row.behind.filter(|behind| behind.refused) {
            let bill_no = bill_no.unwrap_or_else(|| "(none)".to_owned());
            self.refusals.entry((run, bill_no)).or_insert(MetRefusal { job, dir, rows: 0 }).rows += 1;
        }
        run.oldest_ms = run.oldest_ms.max(row.age_ms);
    }
}

/// The inputs of a run once more: for rows that no failure file has.
fn again(called: &Called) -> String {
    called.command("run", &["--input", "FILE", "--again"].map(str::to_owned))
}

fn include_refused() -> Vec<String> {
    ["--include", "refused"].map(str::to_owned).to_vec()
}

fn line(row: &OpenRow, own: &str, called: &Called, met: &Met) -> String {
    let replay = |dir: &str, more: &[String]| called.replay(&path(Path::new(dir)), more);
    let own_replay = (row.job == own).then(|| if row.replayable { replay(&row.dir, &[]) } else { again(called) });
    let close = match &row.behind {
        None => own_replay,
        Some(newer) if newer.job != own => None,
        Some(newer) => {
            let more = if newer.refused { include_refused() } else { Vec::new() };
            own_replay.map(|then| format!("{} && {then}", replay(&newer.dir, &more)))
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
    head + &line(bill, &row.card, row.class.as_str(), &row.code, &age, &row.run)
}
