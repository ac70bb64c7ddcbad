//! `passync run`.

use clap::Args;

use super::ending::{self, Ending};
use super::job::{InputArgs, JobArgs, SendArgs, request};
use super::timings::Spent;
use super::{CliError, Screen};
use crate::io::cpu;
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
    /// Print what processor time went into, stage by stage
    #[arg(long)]
    timings: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

impl Run {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let opened = self.job.open(&self.input.inputs, self.send.out.as_ref())?;
        let mut request = request(&self.send, Some((&self.input, &opened.job.settings)))?;
        request.again = self.again;
        let before = cpu::of_process();
        let finished = ending::watch(screen, &opened.job, |job| job.run(&request))?;
        let timings = self.timings.then(|| Spent::of(&opened.job.progress, cpu::of_process().saturating_sub(before)));
        let out = self.send.out.as_ref();
        Ending { args: &self.job, opened: &opened, out, timings }.show(screen, &finished, self.json)
    }
}
