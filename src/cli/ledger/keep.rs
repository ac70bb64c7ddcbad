//! `passync ledger backup` and `passync ledger prune`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::tz::TimeZone;

use crate::cli::figures::{count, path};
use crate::cli::job::{LedgerArgs, duration};
use crate::cli::{CliError, Screen};
use crate::model::{Exit, LocalTime};
use crate::run::backup;
use crate::run::prune::{self, Order, Pruned};

/// Write a proved copy of the ledger, also while a run is on
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync ledger backup /backup/passync/ledger.db --job jobs/nightly.toml
  passync ledger backup /backup/passync/ledger.db --state /var/lib/passync --json

The copy is the ledger of one moment. It is made beside FILE, proved as `ledger verify` does, and renamed: an older backup \
of the same ledger stays until then, and any other file is refused. Exit 6: it could not be written, or is not sound.")]
pub struct Backup {
    /// Where the copy is to stand; an older one of the same ledger is replaced
    file: PathBuf,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Backup {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let made = backup::backup(&self.ledger.open()?, &self.file)?;
        if self.json {
            screen.print_json(&made)?;
        } else if !screen.quiet {
            let (bytes, bills, cards) =
                (count(made.bytes, "byte"), count(made.bills, "bill"), count(made.cards, "card"));
            let open = count(made.open_rows, "open row");
            screen.print(&format!(
                "{}: sound\n  {bytes}, {bills}, {cards}, {open}\n  sha256 {}\n",
                path(&made.file),
                made.sha256
            ))?;
        }
        Ok(Exit::Clean)
    }
}

/// Forget attempts, bodies and settings of old runs, and bills from before a day
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync ledger prune --older-than 400d --job jobs/nightly.toml           what would it forget?
  passync ledger prune --older-than 400d --job jobs/nightly.toml --apply
  passync ledger prune --older-than 400d --bills-before 2024-01-01 --state /var/lib/passync --apply

Runs with open rows stay as they are. Without --bills-before every bill stays known. With it, settled bills of the old runs \
that happened before DATE are forgotten, and from then on rows from before DATE are rejected (R044) unless the ledger knows \
their bills: nobody could tell whether they were sent. What cards show stays known. Nothing is forgotten without --apply.")]
pub struct Prune {
    /// Runs that were closed longer ago
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    older_than: Duration,
    /// Settled bills of these runs that happened before this day or time, too; a day begins in the job's zone, with --state in UTC
    #[arg(long, value_name = "DATE")]
    bills_before: Option<String>,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// Forget it
    #[arg(long)]
    apply: bool,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Prune {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let zone = self.ledger.settings()?.map_or(TimeZone::UTC, |settings| settings.input.timezone);
        let bills_before_ms = self.bills_before.as_deref().map(|text| beginning(text, zone)).transpose()?;
        let order = Order { older_than: self.older_than, bills_before_ms, apply: self.apply };
        let pruned = prune::prune(&self.ledger.path()?, order)?;
        if self.json {
            screen.print_json(&pruned)?;
        } else {
            screen.print(&text(&pruned))?;
        }
        Ok(Exit::Clean)
    }
}

/// The first instant of a day, or a time as it stands.
fn beginning(text: &str, zone: TimeZone) -> Result<i64, CliError> {
    let is_day = text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10;
    let time = if is_day { format!("{text} 00:00:00") } else { text.to_owned() };
    let moment = LocalTime { zone }.parse(&time);
    moment.map(|moment| moment.ms).map_err(|fault| {
        CliError::usage(format!("--bills-before {text}: expected a day such as 2026-01-31, or {fault}"))
    })
}

fn text(pruned: &Pruned) -> String {
    let verb = if pruned.applied { "forgotten" } else { "would be forgotten" };
    let mut text = format!("Of runs closed before {}:\n", pruned.before);
    let mut line = |number: u64, what: &str| {
        let _ = writeln!(text, "  {}", count(number, what));
    };
    line(pruned.runs.len() as u64, "run");
    line(pruned.records, "record");
    line(pruned.bytes, "byte");
    line(pruned.bills, "bill");
    let _ = writeln!(text, "{verb}.");
    for run in &pruned.kept_for_open_rows {
        let _ = writeln!(text, "Run {run} stays: rows of it are open.");
    }
    if let Some(horizon) = &pruned.horizon {
        let _ = writeln!(text, "Rows from before {horizon} are rejected (R044), unless the ledger knows their bills.");
    }
    if !pruned.applied {
        text.push_str("Nothing has changed yet: the same with --apply forgets it.\n");
    }
    text
}
