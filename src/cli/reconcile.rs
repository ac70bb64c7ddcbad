//! `passync reconcile`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;

use super::figures::count;
use super::{CliError, Screen};
use crate::model::Exit;
use crate::run::reconcile::{self, Check, Proof};

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
    let mut text = format!("run {} of job {}: {verdict}\n", proof.run, proof.job);
    for Check { name, what, faults, more_faults, skipped } in &proof.checks {
        let state = if faults.is_empty() { "ok" } else { "FAULT" };
        let _ = writeln!(text, "  {state:<6}{name:<10}{what}");
        if let Some(why) = skipped {
            let _ = writeln!(text, "{:18}(not all of it: {why})", "");
        }
        for fault in faults {
            let _ = writeln!(text, "{:18}{fault}", "");
        }
        if *more_faults > 0 {
            let _ = writeln!(text, "{:18}and {}", "", count(*more_faults, "more fault"));
        }
    }
    text
}
