//! Arguments -> job file -> settings -> a command -> how it ended. The only floor that prints: data to stdout,
//! everything else to stderr.
#![expect(clippy::disallowed_methods, reason = "the command line hands the environment to the floors below")]

mod check;
mod diff;
mod ending;
mod error;
mod explain;
mod figures;
mod history;
mod job;
mod keys;
mod ledger;
mod log;
mod open;
mod progress;
mod proof;
mod reconcile;
mod replay;
mod report;
mod resume;
mod run;
mod sandbox;
mod screen;
mod setup;
mod summary;
mod timings;
mod wire;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use error::CliError;
pub use screen::Screen;

use crate::io::{fault, memory};
use crate::model::Exit;

/// Keeps loyalty points and levels on Alipay membership cards true: nightly CSV and Parquet deltas in, signed
/// updatePass calls out.
#[derive(Debug, Parser)]
#[command(name = "passync", version, max_term_width = 110, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  passync check jobs/nightly.toml                   what would tonight's file do? Sends nothing
  passync run jobs/nightly.toml                     the nightly job
  passync run jobs/backfill.toml --date 2026-01-01..2026-01-31
  passync replay jobs/nightly.toml out/nightly-points/latest
  passync open jobs/nightly.toml                    what still needs an answer

Exit codes: 0 all well, 1 rows failed, 2 usage or configuration, 3 input refused, 4 halted, 5 stopped,
6 storage fault, 75 another run is on. Settings may be overridden by --set section.key=value and by
PASSYNC_<SECTION>_<KEY> in the environment.";

#[derive(Debug, Args)]
struct Global {
    /// Say more; twice for everything
    #[arg(short, long, action = clap::ArgAction::Count, global = true, help_heading = "Global options")]
    verbose: u8,
    /// Say nothing but errors; a run that ends well is silent
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    quiet: bool,
    /// How logs are written to stderr
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", global = true, help_heading = "Global options")]
    log_format: LogFormat,
    /// Whether to colour; `auto` asks the terminal and `NO_COLOR`
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", global = true, help_heading = "Global options")]
    color: Color,
    /// No progress display
    #[arg(long, global = true, help_heading = "Global options")]
    no_progress: bool,
    /// Show personal ids whole where they are shortened otherwise
    #[arg(long, global = true, help_heading = "Global options")]
    log_pii: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Resume(resume::Resume),
    Replay(replay::Replay),
    Open(open::Open),
    Diff(diff::Diff),
    History(history::History),
    Reconcile(reconcile::Reconcile),
    Report(report::Report),
    Ledger(ledger::Ledger),
    Sandbox(sandbox::Sandbox),
    Keys(keys::Keys),
    Wire(wire::Wire),
    Explain(explain::Explain),
    Init(setup::Init),
    Doctor(setup::Doctor),
    Schema(setup::Schema),
    Completions(setup::Completions),
    Man(setup::Man),
}

impl Cli {
    /// What the terminal and the global flags permit.
    pub fn screen(&self) -> Screen {
        Screen::new(&self.global)
    }

    /// Carries the command out.
    pub fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        log::begin(&self.global, screen)?;
        memory::forbid_dumps().map_err(|error| CliError::usage(format!("core dumps cannot be forbidden: {error}")))?;
        if let Some(asked) = std::env::var_os(fault::VARIABLE) {
            fault::arm(&asked.to_string_lossy()).map_err(CliError::usage)?;
        }
        match self.command {
            Command::Run(command) => command.execute(screen),
            Command::Check(command) => command.execute(screen),
            Command::Resume(command) => command.execute(screen),
            Command::Replay(command) => command.execute(screen),
            Command::Open(command) => command.execute(screen),
            Command::Diff(command) => command.execute(screen),
            Command::History(command) => command.execute(screen),
            Command::Reconcile(command) => command.execute(screen),
            Command::Report(command) => command.execute(screen),
            Command::Ledger(command) => command.execute(screen),
            Command::Sandbox(command) => command.execute(screen),
            Command::Keys(command) => command.execute(screen),
            Command::Wire(command) => command.execute(screen),
            Command::Explain(command) => command.execute(screen),
            Command::Init(command) => command.execute(screen),
            Command::Doctor(command) => command.execute(screen),
            Command::Schema(command) => command.execute(screen),
            Command::Completions(command) => command.execute(screen),
            Command::Man(command) => command.execute(screen),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_argument_says_what_it_is_and_every_command_shows_an_example() {
        fn look(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{path} {argument}");
            }
            let leaf = command.get_subcommands().next().is_none();
            assert!(!leaf || command.get_after_help().is_some(), "{path} has no example");
            command.get_subcommands().for_each(|inner| look(inner, &path));
        }
        look(&Cli::command(), "");
    }
}
