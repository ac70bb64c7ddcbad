//! `passync resume`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::ending::Ending;
use super::job::{JobArgs, duration};
use super::{CliError, Screen};
use crate::model::Exit;

/// Finish the interrupted run, or close it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync resume jobs/nightly.toml
  passync resume jobs/nightly.toml --input moved/points.csv   its input has moved (the digest must match)
  passync resume jobs/nightly.toml --abandon                  close it: in doubt -> unknown, the rest unsent;
                                                              an import that was not booked is given up")]
pub struct Resume {
    #[command(flatten)]
    job: JobArgs,
    /// The run's input at another place; may be repeated
    #[arg(long = "input", value_name = "FILE")]
    inputs: Vec<String>,
    /// Close the run without sending anything more
    #[arg(long)]
    abandon: bool,
    /// Wait so long for another run on this ledger to end
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    wait: Duration,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

impl Resume {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let opened = self.job.open_watched(&[], None)?;
        let moved: Vec<PathBuf> = self.inputs.iter().map(PathBuf::from).collect();
        let ending = Ending { opened: &opened, timings: false, json: self.json };
        ending.reach(
            screen,
            |job| {
                if self.abandon { job.abandon(&moved, self.wait) } else { job.resume(&moved, self.wait) }
            },
        )
    }
}
