//! `passync replay`.

use std::path::PathBuf;

use clap::Args;

use super::ending::Ending;
use super::job::{JobArgs, SendArgs, request};
use super::{CliError, Screen};
use crate::model::{Exit, Outcome};

/// Send the rows of a failure file again
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync replay jobs/nightly.toml out/nightly-points/latest
  passync replay jobs/nightly.toml failures-corrected.csv --include rejected,conflict,refused")]
pub struct Replay {
    #[command(flatten)]
    job: JobArgs,
    /// A failure file, or the folder of a run
    failures: PathBuf,
    /// Take rows of these classes; whether they are sent is the ledger's word
    #[arg(long, value_name = "CLASS", value_delimiter = ',', value_parser = class, default_value = "unknown,held,unsent")]
    include: Vec<Outcome>,
    #[command(flatten)]
    send: SendArgs,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

fn class(text: &str) -> Result<Outcome, String> {
    let class = Outcome::ALL.into_iter().find(|outcome| outcome.is_failure() && outcome.as_str() == text);
    class.ok_or_else(|| {
        let all = Outcome::ALL.into_iter().filter(|outcome| outcome.is_failure()).map(Outcome::as_str);
        format!("expected {}", all.collect::<Vec<_>>().join(", "))
    })
}

impl Replay {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let opened = self.job.open_watched(&[], self.send.out.as_ref())?;
        let request = request(&self.send, None)?;
        Ending { opened: &opened, timings: false, json: self.json }
            .reach(screen, |job| job.replay(&self.failures, &self.include, &request))
    }
}
