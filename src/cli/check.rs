//! `passync check`.

use clap::Args;

use super::job::{InputArgs, JobArgs};
use super::{CliError, Screen};
use crate::model::Exit;

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
    pub(super) fn execute(self, _screen: Screen) -> Result<Exit, CliError> {
        let settings = self.job.load(&self.input.inputs, None)?;
        let _occurred_ms = self.input.occurred_ms(&settings)?;
        Err(CliError::usage("check: not built yet"))
    }
}
