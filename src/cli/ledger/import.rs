//! `passync ledger import`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;

use crate::cli::figures::{count, grouped};
use crate::cli::job::{InputArgs, JobArgs};
use crate::cli::{CliError, Screen};
use crate::model::Exit;
use crate::run::import::Imported;

/// Make bills and cards known that another program has applied; without a call
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync ledger import sent-2025.csv --job jobs/nightly.toml              what would it book?
  passync ledger import sent-2025.csv --job jobs/nightly.toml --apply
  passync ledger import balances.csv --job jobs/nightly.toml --occurred-at '2025-12-31 23:59:59'

The files have the rows that were applied, as the job reads them: canonical columns, or those of [input.columns]. Files \
without bills are balance snapshots: of the columns that the job maps they have those that they have. Each bill is booked as applied, so that it is never sent; each card's values are booked as confirmed at the row's `occurred_at`, so \
that nothing older is sent. All rows are booked, or none: what is not valid, or contradicts what the ledger knows, is \
refused. Nothing is booked without --apply. Exit 0: it can be, or was, booked; 3: it is refused.")]
pub struct Import {
    /// CSV or Parquet files of rows that were applied
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The job that takes over: its columns, its client, its ledger
    #[arg(long, value_name = "JOB")]
    job: PathBuf,
    /// The folder in which the ledger lives, in place of the folder of ledger.url
    #[arg(long, value_name = "DIR")]
    state: Option<String>,
    /// Override a key of the job file; the value is TOML, else text
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// When the rows were applied, for files without `occurred_at`
    #[arg(long, value_name = "TIME")]
    occurred_at: Option<String>,
    /// Book it
    #[arg(long)]
    apply: bool,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Import {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let names = self.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>();
        let opened = JobArgs::named(self.job, self.state, self.set).open(&names, None)?;
        if opened.forgets() {
            return Err(CliError::usage("the embedded sandbox throws its ledger away: there is none to import into")
                .help("give --state DIR, and give it to `run`, too"));
        }
        let times = InputArgs { inputs: Vec::new(), date: None, occurred_at: self.occurred_at };
        let occurred_ms = times.occurred_ms(&opened.job.settings)?;
        let imported = opened.job.import(&self.files, occurred_ms, self.apply)?;
        if self.json {
            screen.print_json(&imported)?;
        } else {
            screen.print(&text(&imported))?;
        }
        Ok(if imported.refused.is_some() { Exit::Input } else { Exit::Clean })
    }
}

fn text(imported: &Imported) -> String {
    let mut text = format!("{}, points {}\n", count(imported.read.rows, "row"), imported.read.points);
    for (outcome, sum) in &imported.ended {
        let _ = writeln!(text, "  {:<16}{:>12}  points {}", outcome.as_str(), grouped(&sum.rows), sum.points);
    }
    for finding in &imported.first_rejects {
        let _ = writeln!(text, "  {}  {} {}", finding.place, finding.code, finding.message);
    }
    for clash in &imported.first_conflicts {
        let _ = writeln!(text, "  {}  {} {}", clash.place, clash.code, clash.message);
    }
    let end = match (&imported.refused, &imported.run, &imported.dir) {
        (Some(refused), ..) => format!("Refused: {refused}."),
        (None, Some(run), Some(dir)) => format!("Booked as run {run}; its files are in {dir}."),
        _ => "Nothing is booked yet: the same with --apply books it.".to_owned(),
    };
    text + &end + "\n"
}
