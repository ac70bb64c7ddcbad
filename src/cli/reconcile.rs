//! `passync reconcile`.

use std::path::PathBuf;

use clap::Args;

use super::{CliError, Screen, proof};
use crate::model::Exit;
use crate::run::reconcile::{self, Proof};

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
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let proof = reconcile::reconcile(&self.run_dir)?;
        if self.json {
            screen.print_json(&proof)?;
        } else {
            screen.print(&text(&proof))?;
        }
        Ok(if proof.proved { Exit::Clean } else { Exit::Failures })
    }
}

fn text(proof: &Proof) -> String {
    let verdict = if proof.proved { "proved" } else { "NOT PROVED" };
    format!("run {} of job {}: {verdict}\n{}", proof.run, proof.job, proof::lines(&proof.checks))
}
