//! What every step of a job has at hand.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::called::{Called, quoted};
use super::clock::RunClock;
use super::lease::Lease;
use super::progress::Progress;
use super::{Fault, Signals};
use crate::io::job::settings::Settings;
use crate::wire::Dialect;

/// A job about to do something.
pub struct Job {
    /// Its settings; everything below takes what it needs of them.
    pub settings: Settings,
    /// Its job file, for the commands that messages name.
    pub file: PathBuf,
    /// How it was called, where a person or a scheduler did.
    pub called: Option<Called>,
    /// Its wire form.
    pub dialect: Arc<dyn Dialect>,
    /// Counters that anyone may read.
    pub progress: Arc<Progress>,
    /// Signals.
    pub signals: Signals,
    /// What time it is.
    pub clock: RunClock,
}

impl Job {
    /// A job with its settings, from the job file `file`.
    pub fn new(settings: Settings, file: &Path, signals: Signals) -> Result<Job, Fault> {
        let dialect = super::dialect(&settings)?;
        Ok(Job {
            settings,
            file: file.to_owned(),
            called: None,
            dialect,
            progress: Arc::default(),
            signals,
            clock: RunClock::start(),
        })
    }

    /// The same job with other settings, of the same dialect and client.
    pub(super) fn with(&self, settings: Settings) -> Job {
        Job {
            settings,
            file: self.file.clone(),
            called: self.called.clone(),
            dialect: Arc::clone(&self.dialect),
            progress: Arc::clone(&self.progress),
            signals: self.signals.clone(),
            clock: self.clock,
        }
    }

    /// A command on the same job with the same ledger and settings, for messages: typed with less it would look into
    /// another ledger, or make one.
    pub(super) fn command(&self, verb: &str, words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let plain =
            || Called { program: "passync".to_owned(), job: self.file.display().to_string(), ..Called::default() };
        self.called.clone().unwrap_or_else(plain).command(verb, &words)
    }

    /// The command that makes known what was applied without this ledger.
    pub(super) fn import_command(&self) -> String {
        let state = self.called.as_ref().and_then(|called| called.state.as_deref());
        let state = state.map(|state| format!(" --state {}", quoted(state))).unwrap_or_default();
        format!("passync ledger import FILE --job {}{state}", quoted(&self.file.display().to_string()))
    }

    /// The lease on the ledger: one run at a time.
    pub(super) fn lease(&self, wait: Duration) -> Result<Lease, Fault> {
        Lease::take(&self.settings.ledger, &holder_of(&self.settings.name), wait, || self.signals.raised())
    }
}

/// Who holds the lease of a ledger while a run of `job` is on.
pub(super) fn holder_of(job: &str) -> String {
    format!("job {job}")
}
