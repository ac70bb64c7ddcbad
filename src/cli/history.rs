//! `passync history`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::figures::{self, count, grouped, span};
use super::job::JobArgs;
use super::{CliError, Screen};
use crate::model::Exit;
use crate::run::history::{self, PastRun};
use crate::run::write_history_page;

/// Show the past runs of a job, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync history jobs/nightly.toml
  passync history jobs/nightly.toml --limit 90 --html out/nightly-points/history.html
  passync history jobs/nightly.toml --json")]
pub struct History {
    #[command(flatten)]
    job: JobArgs,
    /// So many runs at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Write them as a page, too; runs below its folder are links to their own
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

impl History {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let settings = self.job.load(&[], None)?;
        let runs = history::past_runs(&self.job.ledger(&settings)?, &settings.name, self.limit)?;
        if let Some(file) = &self.html {
            write_history_page(file, &settings.name, &runs, &settings.input.timezone)?;
            screen.say(&format!("the page is {}", figures::path(file)));
        }
        if self.json {
            screen.print_json(&runs)?;
        } else {
            screen.print(&text(&settings.name, &runs))?;
        }
        Ok(Exit::Clean)
    }
}

fn text(job: &str, runs: &[PastRun]) -> String {
    if runs.is_empty() {
        return format!("{job} has not run yet on this ledger.\n");
    }
    let mut text = format!(
        "{:<20}  {:<6}  {:>11}  {:>14}  {:>11}  {:>9}  {:>9}  {:<11}  {:>10}  {}\n",
        "started (UTC)", "kind", "rows", "points", "applied", "failed", "open now", "exit", "took", "run"
    );
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| grouped(&number));
    for run in runs {
        let started = run.started_at.split('.').next().unwrap_or_default().replace('T', " ");
        let exit = run.exit.map_or_else(|| run.state.to_owned(), |exit| exit.to_string());
        let took = run.took_ms.map_or_else(|| "-".to_owned(), |ms| span(Duration::from_millis(ms)));
        let _ = writeln!(
            text,
            "{started:<20}  {:<6}  {:>11}  {:>14}  {:>11}  {:>9}  {:>9}  {exit:<11}  {took:>10}  {}",
            run.kind,
            grouped(&run.rows),
            grouped(&run.points),
            number(run.applied),
            number(run.failures),
            grouped(&run.open_now),
            run.run,
        );
    }
    let open: u64 = runs.iter().map(|run| run.open_now).sum();
    if open > 0 {
        let _ = writeln!(
            text,
            "\n{} of these runs: `passync open` says which, and what closes them",
            count(open, "open row")
        );
    }
    text
}
