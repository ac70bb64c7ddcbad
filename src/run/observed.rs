//! Those who watch a run from outside, in a thread of its own: what they are told decides nothing, and a fault of it is
//! a warning.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use super::Fault;
use super::clock::RunClock;
use super::context::Job;
use super::job::Finished;
use super::metrics::{Counters, LastRun, Moment, textfile};
use super::progress::{Phase, Progress, Standing};
use crate::io::ledger::Ledger;
use crate::model::{Exit, Outcome};

/// How often they are told.
const EVERY: Duration = Duration::from_secs(30);

impl Job {
    /// Does some work on the job, watched.
    pub fn observed(&self, work: impl FnOnce(&Job) -> Result<Finished, Fault>) -> Result<Finished, Fault> {
        let Some(file) = self.settings.metrics_textfile.clone() else { return work(self) };
        let watcher = Watcher::new(self, file);
        let (end, ended) = channel();
        let thread = std::thread::Builder::new().name("metrics".to_owned()).spawn(move || watcher.watch(&ended));
        let finished = work(self);
        let _ = end.send(finished.as_ref().map_or_else(Fault::exit, Finished::exit));
        match thread.map(std::thread::JoinHandle::join) {
            Ok(Ok(())) => {}
            Ok(Err(_)) => tracing::warn!("the thread that writes metrics has failed"),
            Err(error) => tracing::warn!("no metrics: {error}"),
        }
        finished
    }
}

/// What it takes to say how a run stands.
struct Watcher {
    job: String,
    dialect: String,
    file: PathBuf,
    ledger: PathBuf,
    progress: Arc<Progress>,
    clock: RunClock,
    started_ms: i64,
    quota: f64,
    quota_window_s: f64,
}

impl Watcher {
    fn new(job: &Job, file: PathBuf) -> Watcher {
        let settings = &job.settings;
        Watcher {
            job: settings.name.clone(),
            dialect: settings.dialect.clone(),
            file,
            ledger: settings.ledger.clone(),
            progress: Arc::clone(&job.progress),
            clock: job.clock,
            started_ms: job.clock.now_ms(),
            quota: f64::from(settings.limits.quota),
            quota_window_s: settings.limits.quota_window.as_secs_f64(),
        }
    }

    fn watch(&self, ended: &Receiver<Exit>) {
        let mut earlier = None;
        loop {
            let exit = match ended.recv_timeout(EVERY) {
                Ok(exit) => Some(exit),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return, // the work has panicked: what is said of it stays
            };
            // Without the lease another run of the job may be on, and the file is its own.
            let is_anothers = match exit {
                Some(exit) => exit == Exit::Busy,
                None => self.progress.phase() == Phase::Survey,
            };
            if !is_anothers {
                let read = || textfile::earlier(&self.file, &self.job, &self.dialect);
                let written = textfile::write(&self.file, &self.moment(earlier.get_or_insert_with(read), exit));
                if let Err(error) = written {
                    tracing::warn!("no metrics: {error}");
                }
            }
            if exit.is_some() {
                return;
            }
        }
    }

    /// `exit`: the work has ended so.
    fn moment(&self, earlier: &textfile::Earlier, exit: Option<Exit>) -> Moment {
        let progress = &self.progress;
        let seconds = |ms: i64| ms as f64 / 1e3;
        let now_ms = self.clock.now_ms();
        let mut counters = Counters::of(progress);
        counters.add(&earlier.counters);
        let standing = match exit {
            None => progress.standing(),
            // Nobody else in this process has it open now; a second look under a run would let go of its locks.
            Some(_) => Ledger::open_existing(&self.ledger)
                .map_or_else(|_| progress.standing(), |ledger| Standing::of(&ledger, &self.job)),
        };
        let mut rows = [0.0; Outcome::ALL.len()];
        for (outcome, settled) in progress.outcomes() {
            rows[outcome as usize] = settled as f64;
        }
        let ended = exit.map(|exit| LastRun {
            start_s: seconds(self.started_ms),
            end_s: seconds(now_ms),
            exit: f64::from(exit.code()),
        });
        Moment {
            job: self.job.clone(),
            dialect: self.dialect.clone(),
            counters,
            running_since_s: exit.is_none().then(|| seconds(self.started_ms)),
            last: ended.or(earlier.last),
            success_s: standing.success_ms.map(seconds).or(earlier.success_s),
            planned: at(&progress.planned),
            rows,
            in_flight: if exit.is_some() { 0.0 } else { at(&progress.in_flight) },
            pace: at(&progress.pace_percent) / 100.0,
            quota: self.quota,
            quota_window_s: self.quota_window_s,
            quota_peak: at(&progress.quota_peak),
            open_rows: standing.open_rows.map(|rows| rows as f64),
            ledger_bytes: Ledger::size(&self.ledger).map(|bytes| bytes as f64),
        }
    }
}

fn at(counter: &std::sync::atomic::AtomicU64) -> f64 {
    counter.load(std::sync::atomic::Ordering::Relaxed) as f64
}
