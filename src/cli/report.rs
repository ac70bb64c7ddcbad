//! `passync report`.

use std::path::PathBuf;

use clap::Args;

use super::{CliError, Screen};
use crate::model::Exit;

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
    /// Print the names of the files as JSON
    #[arg(long)]
    json: bool,
}

impl Report {
    pub(super) fn execute(self, _screen: Screen) -> Result<Exit, CliError> {
        Err(CliError::usage(format!("report {}: not built yet", self.run_dir.display())))
    }
}
