//! `passync doctor`.

use clap::Args;

use crate::cli::job::JobArgs;
use crate::cli::{CliError, Screen};
use crate::model::Exit;
use crate::run::doctor::{Finding, Health};

/// Look whether everything that a run needs is in place; nothing is changed anywhere
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync doctor jobs/nightly.toml

Looks at keys, clock, reachability (one GET of the gateway's root, which changes nothing), room, ledger, lock, inputs,
and whether the quota lets a night like the last one end before finish_by. Exit 0 where nothing is at fault, else the
code that a run would end with.")]
pub struct Doctor {
    #[command(flatten)]
    job: JobArgs,
    /// Ask the network nothing
    #[arg(long)]
    offline: bool,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(in crate::cli) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let settings = self.job.load(&[], None)?;
        let findings = crate::run::doctor::examine(&settings, self.offline);
        let worst = findings.iter().filter_map(Finding::exit).reduce(Exit::worse).unwrap_or(Exit::Clean);
        if self.json {
            screen.print_json(&serde_json::json!({ "exit": worst.code(), "findings": findings }))?;
        } else {
            screen.print(&findings.iter().map(|finding| line(finding, screen)).collect::<String>())?;
        }
        Ok(worst)
    }
}

fn line(finding: &Finding, screen: Screen) -> String {
    let (word, color) = match finding.health {
        Health::Ok => ("ok", "\x1b[32m"),
        Health::Warning => ("warning", "\x1b[33m"),
        Health::Fault(_) => ("fault", "\x1b[31m"),
    };
    let (color, plain) = if screen.color { (color, "\x1b[0m") } else { ("", "") };
    let help = finding.help.as_ref().map(|help| format!("{:21}help: {help}\n", "")).unwrap_or_default();
    format!("{color}{word:<9}{plain}{:<12}{}\n{help}", finding.subject, finding.said)
}
