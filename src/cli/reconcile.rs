//! `passync reconcile`.

use std::path::PathBuf;

use clap::Args;

use super::{CliError, Screen};
use crate::model::Exit;

/// Prove a run from its files: every row has one outcome, and every sum agrees
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync reconcile out/nightly-points/latest
  passync reconcile out/nightly-points/latest --json")]
pub struct Reconcile {
    /// The folder of a run
    run_dir: PathBuf,
    /// Print the proof as JSON
    #[arg(long)]
    json: bool,
}

impl Reconcile {
    pub(super) fn execute(self, _screen: Screen) -> Result<Exit, CliError> {
        Err(CliError::usage(format!("reconcile {}: not built yet", self.run_dir.display())))
    }
}
