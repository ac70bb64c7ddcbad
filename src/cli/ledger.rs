//! `passync ledger`: the durable record of bills, cards and runs.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::job::LedgerArgs;
use super::{CliError, Screen};
use crate::model::Exit;

/// Look into the ledger, or book a person's answer
#[derive(Debug, Args)]
pub struct Ledger {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show all that is known of a bill or a card
    #[command(after_help = "\
Examples:
  passync ledger show 202601020000000000000000001 --job jobs/nightly.toml")]
    Show {
        /// A bill number, or a card's pass id
        key: String,
        #[command(flatten)]
        ledger: LedgerArgs,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Count bills, cards, runs and open rows
    #[command(after_help = "\
Examples:
  passync ledger stats --state /var/lib/passync --json")]
    Stats {
        #[command(flatten)]
        ledger: LedgerArgs,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Book a person's answer about rows that are in doubt
    #[command(after_help = "\
Examples:
  passync ledger settle 202601020000000000000000001 --as applied --reason 'seen in the console' --job jobs/nightly.toml
  passync ledger settle --file answers.csv --job jobs/nightly.toml

A file of answers has the columns key, as and reason.")]
    Settle(Settle),
}

#[derive(Debug, Args)]
struct Settle {
    /// A bill number, or a card's pass id
    #[arg(required_unless_present = "file", requires = "answer", requires = "reason")]
    key: Option<String>,
    /// What the person found
    #[arg(long = "as", value_name = "ANSWER", value_enum, requires = "key")]
    answer: Option<Answer>,
    /// Why: it is kept in the ledger
    #[arg(long, value_name = "TEXT", requires = "key")]
    reason: Option<String>,
    /// Many answers: a CSV with the columns key, as, reason
    #[arg(long, value_name = "CSV", conflicts_with = "key")]
    file: Option<PathBuf>,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Answer {
    /// The card shows it
    Applied,
    /// The card does not show it
    NotApplied,
}

impl Ledger {
    pub(super) fn execute(self, _screen: Screen) -> Result<Exit, CliError> {
        let ledger = match &self.command {
            Command::Show { ledger, .. } | Command::Stats { ledger, .. } | Command::Settle(Settle { ledger, .. }) => {
                ledger
            }
        };
        Err(CliError::usage(format!("ledger {}: not built yet", ledger.path()?.display())))
    }
}
