//! `passync run`.

use clap::Args;

use super::ending::{self, Ending};
use super::job::{InputArgs, JobArgs, SendArgs, request};
use super::{CliError, Screen};
use crate::model::Exit;

/// The main job: read, check, send, and write an outcome for every row
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync run jobs/demo.toml                                  the embedded sandbox, nothing to configure
  passync run jobs/nightly.toml                               tonight's file
  passync run jobs/nightly.toml --input fixed.csv             another file
  passync run jobs/nightly.toml --date 2026-01-01..2026-01-31 --set limits.quota=20/1s")]
pub struct Run {
    #[command(flatten)]
    job: JobArgs,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    send: SendArgs,
    /// Run inputs again that a closed run has read; the ledger decides row by row
    #[arg(long)]
    again: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

impl Run {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let opened = self.job.open(&self.input.inputs, self.send.out.as_ref())?;
        let mut request = request(&self.send, Some((&self.input, &opened.job.settings)))?;
        request.again = self.again;
        let finished = ending::watch(screen, &opened.job, |job| job.run(&request))?;
        Ending { args: &self.job, opened: &opened, out: self.send.out.as_ref() }.show(screen, &finished, self.json)
    }
}
