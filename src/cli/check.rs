//! `passync check`.

mod text;

use clap::Args;

use super::job::{InputArgs, JobArgs};
use super::progress::Watch;
use super::{CliError, Screen};
use crate::model::Exit;
use crate::run::called::Called;
use crate::run::{Request, WriteControl};

/// Read, validate, deduplicate and plan; send nothing, change no ledger
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[command(after_help = "\
Examples:
  passync check jobs/nightly.toml
  passync check jobs/nightly.toml --input fixed.csv --json
  passync check jobs/nightly.toml --write-control --set input.control=inbox/points-{date}.ctl

Input, ledger and settings are looked at; keys, gateway and disk are what `passync doctor` looks at.")]
pub struct Check {
    #[command(flatten)]
    job: JobArgs,
    #[command(flatten)]
    input: InputArgs,
    /// Plan as a run with --again would
    #[arg(long)]
    again: bool,
    /// Plan as a run with --allow-stale would
    #[arg(long)]
    allow_stale: bool,
    /// Write the control files that input.control names, from what was read
    #[arg(long)]
    write_control: bool,
    /// Write them over those that are there
    #[arg(long, requires = "write_control")]
    force: bool,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let opened = self.job.open(&self.input.inputs, None)?;
        let job = &opened.job;
        let request = Request {
            dates: self.input.date,
            occurred_at_ms: self.input.occurred_ms(&job.settings)?,
            again: self.again,
            allow_stale: self.allow_stale,
            ..Request::default()
        };
        let watch = Watch::start(screen, job);
        let checked = job.check(&request, self.write_control.then_some(WriteControl { force: self.force }));
        drop(watch);
        let checked = checked?;
        if self.json {
            screen.print_json(&checked)?;
        } else {
            screen.print(&text::of(&checked, &job.settings, &self.run_command(&opened.called, &checked.plan)))?;
        }
        Ok(checked.exit())
    }

    /// The run of this very plan, to be typed as it stands.
    fn run_command(&self, called: &Called, plan: &str) -> String {
        let mut words: Vec<String> = Vec::new();
        let mut add = |flag: &str, value: &str| words.extend([flag.to_owned(), value.to_owned()]);
        self.input.inputs.iter().for_each(|input| add("--input", input));
        if let Some(dates) = self.input.date {
            add("--date", &dates.to_string());
        }
        if let Some(at) = &self.input.occurred_at {
            add("--occurred-at", at);
        }
        add("--plan", plan);
        words.extend(self.again.then(|| "--again".to_owned()));
        words.extend(self.allow_stale.then(|| "--allow-stale".to_owned()));
        called.command("run", &words)
    }
}
