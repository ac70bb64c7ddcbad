//! `passync run`.

use clap::Args;

use super::ending::Ending;
use super::job::{InputArgs, JobArgs, SendArgs, request};
use super::{CliError, Screen};
use crate::model::Exit;
use crate::run::Canary;

/// The main job: read, check, send, and write an outcome for every row
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync run jobs/demo.toml                                  the embedded sandbox, nothing to configure
  passync run jobs/nightly.toml                               tonight's file
  passync run jobs/nightly.toml --input fixed.csv             another file
  passync run jobs/nightly.toml --canary 20                   20 cards, then look at them
  passync run jobs/nightly.toml --plan 3f1c...                what was checked and agreed, or nothing
  passync run jobs/nightly.toml --date 2026-01-01..2026-01-31 --set limits.quota=20/1s")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
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
    /// Send nothing but the plan with this digest, as `passync check` shows it
    #[arg(long, value_name = "DIGEST")]
    plan: Option<String>,
    /// Send the first N cards of the plan, then stop (exit 5); the same command without it sends the rest
    #[arg(long, value_name = "N", value_parser = cards)]
    canary: Option<usize>,
    /// Go on behind the canary if every row of it ended well
    #[arg(long, requires = "canary")]
    canary_then_continue: bool,
    /// Print what processor time went into, stage by stage
    #[arg(long)]
    timings: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// The canary's cards are in memory: more than these are no canary any more.
const CANARY_MAX: usize = 100_000;

fn cards(text: &str) -> Result<usize, String> {
    let cards = text.parse().ok().filter(|cards| (1..=CANARY_MAX).contains(cards));
    cards.ok_or_else(|| format!("expected a number of cards from 1 to {CANARY_MAX}"))
}

impl Run {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let opened = self.job.open_watched(&self.input.inputs, self.send.out.as_ref())?;
        let mut request = request(&self.send, Some((&self.input, &opened.job.settings)))?;
        request.again = self.again;
        request.canary = self.canary.map(|cards| Canary { cards, continues: self.canary_then_continue });
        // What is no digest at all differs from every plan's: exit 3, as for any other.
        request.plan = self.plan.map(|digest| digest.to_ascii_lowercase());
        Ending { opened: &opened, timings: self.timings, json: self.json }.reach(screen, |job| job.run(&request))
    }
}
