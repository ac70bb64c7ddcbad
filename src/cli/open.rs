//! `passync open`.

use std::time::Duration;

use clap::Args;

use super::job::{JobArgs, duration};
use super::{CliError, Screen};
use crate::model::Exit;

/// Show every open row of all runs, and the command that closes it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync open jobs/nightly.toml
  passync open jobs/nightly.toml --max-age 2d --json      exit 1 where a row is older: for a monitor")]
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

impl Open {
    pub(super) fn execute(self, _screen: Screen) -> Result<Exit, CliError> {
        let _settings = self.job.load(&[], None)?;
        Err(CliError::usage("open: not built yet"))
    }
}
