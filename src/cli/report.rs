//! `passync report`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::figures::{self, count};
use super::job::LedgerArgs;
use super::{CliError, Screen, summary};
use crate::model::Exit;
use crate::run::{Manifest, report};

/// Write the files of a run again, from its inputs and the ledger
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync report out/nightly-points/latest
  passync report out/nightly-points/latest --job jobs/nightly.toml")]
pub struct Report {
    /// The folder of a run
    run_dir: PathBuf,
    /// The job whose ledger it is; else the ledger that the run's manifest names
    #[arg(long, value_name = "JOB")]
    job: Option<PathBuf>,
    /// The folder in which the ledger lives; else the ledger that the run's manifest names
    #[arg(long, value_name = "DIR", conflicts_with = "job")]
    state: Option<PathBuf>,
    /// Print the manifest as JSON
    #[arg(long)]
    json: bool,
}

impl Report {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let ledger = match (&self.job, &self.state) {
            (None, None) => ledger_of(&self.run_dir)?,
            (job, state) => LedgerArgs { job: job.clone(), state: state.clone() }.path()?,
        };
        let manifest = report::report(&ledger, &self.run_dir)?;
        if self.json {
            screen.print_json(&manifest)?;
            return Ok(Exit::Clean);
        }
        let mut text = format!("run {}: written again in {}\n", manifest.run, figures::path(&self.run_dir));
        for (name, file) in &manifest.files {
            let _ = writeln!(text, "  {name:<24}{:>16}  sha256 {}", count(file.size, "byte"), file.sha256);
        }
        for fact in summary::unlisted(&manifest) {
            let _ = writeln!(text, "  unlisted  {fact}");
        }
        screen.print(&text)?;
        Ok(Exit::Clean)
    }
}

/// The ledger that a run's own manifest names.
fn ledger_of(dir: &Path) -> Result<PathBuf, CliError> {
    match Manifest::read(dir) {
        Ok(manifest) => Ok(manifest.ledger.into()),
        Err(what) => Err(CliError::usage(what).help("--job JOB or --state DIR say where the ledger is")),
    }
}
