//! How a run ends for the person who started it: the last screen, and the command to type next.

use std::sync::atomic::Ordering;

use serde::Serialize;

use super::job::Opened;
use super::progress::Watch;
use super::timings::Spent;
use super::{CliError, Screen, figures, summary};
use crate::io::cpu;
use crate::model::Exit;
use crate::run::next::Next;
use crate::run::{Fault, Finished, Job, Manifest, Versus};
use crate::wire;

/// A command that runs a job, and what its end depends on.
pub struct Ending<'a> {
    /// The job.
    pub opened: &'a Opened,
    /// `--timings`.
    pub timings: bool,
    /// `--json`.
    pub json: bool,
}

/// The answer of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    /// The run that was asked for.
    #[serde(flatten)]
    manifest: &'a Manifest,
    /// Runs that were finished before it: an interrupted one, a replay of open rows.
    finished_first: Vec<&'a Manifest>,
    /// Rows that are open in the ledger now.
    open_rows: u64,
    /// What it has otherwise than the run before it.
    versus: Option<&'a Versus>,
    /// What to type next.
    next: Vec<&'a str>,
    /// What processor time went into.
    #[serde(skip_serializing_if = "Option::is_none")]
    timings: Option<&'a Spent>,
}

impl Ending<'_> {
    /// Carries a run out, shows how it goes and how it ended, and tells those who want to be told.
    pub fn reach(&self, screen: Screen, work: impl FnOnce(&Job) -> Result<Finished, Fault>) -> Result<Exit, CliError> {
        let job = &self.opened.job;
        let before = cpu::of_process();
        job.progress.log_pii.store(screen.personal, Ordering::Relaxed);
        let watch = Watch::start(screen, job);
        let finished = job.observed(work);
        drop(watch); // what it draws must not stand in what follows
        let timings = self.timings.then(|| Spent::of(&job.progress, cpu::of_process().saturating_sub(before)));
        match finished {
            Ok(finished) => {
                let next = self.opened.called.next(&runs_of(&finished), finished.open_rows, figures::path);
                let shown = self.show(screen, &finished, &next, timings.as_ref());
                // Behind the last screen: whoever looks at it need not wait.
                job.notify(Ok(&finished), next.into_iter().map(|next| next.command).collect());
                if let Err(error) = shown {
                    // The run is closed, and its files say all of it: its own code is what counts.
                    tracing::warn!("{error}");
                }
                Ok(finished.exit())
            }
            Err(fault) => {
                job.notify(Err(&fault), Vec::new());
                Err(fault.into())
            }
        }
    }

    fn show(
        &self,
        screen: Screen,
        finished: &Finished,
        next: &[Next],
        timings: Option<&Spent>,
    ) -> Result<(), CliError> {
        let mut runs = runs_of(finished);
        if let Some(import) = &finished.given_up {
            return self.show_given_up(screen, import, finished.open_rows);
        }
        if self.json {
            let manifest = runs.pop().expect("a command that ended has done something");
            let next = next.iter().map(|next| next.command.as_str()).collect();
            let (open_rows, versus) = (finished.open_rows, finished.versus.as_ref());
            return screen.print_json(&Report { manifest, finished_first: runs, open_rows, versus, next, timings });
        }
        if screen.quiet && finished.exit() == Exit::Clean {
            return Ok(());
        }
        screen.print(&self.text(&runs, finished, next, timings))
    }

    fn show_given_up(&self, screen: Screen, import: &str, open_rows: u64) -> Result<(), CliError> {
        if self.json {
            return screen.print_json(&serde_json::json!({ "given_up": import, "open_rows": open_rows }));
        }
        let ledger = self.ledger_line(open_rows);
        screen.print(&format!("\nThe import {import} was cut off before it was booked, and is given up.\n{ledger}"))
    }

    fn text(&self, runs: &[&Manifest], finished: &Finished, next: &[Next], timings: Option<&Spent>) -> String {
        let table = wire::entry(&self.opened.job.settings.dialect).map_or(&[][..], |entry| entry.codes);
        let mut text = String::new();
        for manifest in runs {
            if finished.interrupted.as_ref().is_some_and(|first| std::ptr::eq(first, *manifest)) {
                text.push_str("An interrupted run was finished:\n");
            } else if finished.replayed.as_ref().is_some_and(|first| std::ptr::eq(first, *manifest)) {
                text.push_str("Open rows of earlier runs were replayed:\n");
            }
            text += &summary::of(manifest, table);
            if finished.manifest.as_ref().is_some_and(|asked| std::ptr::eq(asked, *manifest)) {
                text += &finished.versus.as_ref().map(summary::versus).unwrap_or_default();
            }
            text.push('\n');
        }
        text.insert(0, '\n');
        let timings = timings.map(Spent::table).unwrap_or_default();
        text + &timings + &self.ledger_line(finished.open_rows) + &next_lines(next)
    }

    fn ledger_line(&self, open: u64) -> String {
        if self.opened.forgets() {
            return "The ledger was thrown away with the sandbox; --state DIR keeps it.\n".to_owned();
        }
        match open {
            0 => "The ledger has no open rows.\n".to_owned(),
            _ => format!("The ledger has {}.\n", figures::count(open, "open row")),
        }
    }
}

/// What was done, in its order.
fn runs_of(finished: &Finished) -> Vec<&Manifest> {
    [&finished.interrupted, &finished.replayed, &finished.manifest].into_iter().flatten().collect()
}

fn next_lines(next: &[Next]) -> String {
    if next.is_empty() {
        return "Next: nothing, all is done.\n".to_owned();
    }
    next.iter().fold(String::new(), |text, Next { why, command }| text + "Next: " + why + "\n  " + command + "\n")
}
