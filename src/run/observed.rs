//! Those who watch a run from outside, each in a thread of its own: what they are told decides nothing, and a fault of
//! it is a warning.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::clock::RunClock;
use super::context::Job;
use super::job::Finished;
use super::metrics::{Counters, LastRun, Moment, families, textfile};
use super::otlp::{self, About, Exporter, Sink};
use super::progress::{Phase, Progress, Standing};
use super::{Fault, notify};
use crate::io::job::Settings;
use crate::io::ledger::Ledger;
use crate::model::{Exit, Outcome};

/// How often the text file is written.
const EVERY: Duration = Duration::from_secs(30);

impl Job {
    /// Does some work on the job, watched.
    pub fn observed(&self, work: impl FnOnce(&Job) -> Result<Finished, Fault>) -> Result<Finished, Fault> {
        let watched = Watched::begin(&self.settings, &self.progress, self.clock);
        let finished = work(self);
        watched.end(finished.as_ref().map_or_else(Fault::exit, Finished::exit));
        finished
    }
}

/// Tells those who watch of a job that cannot be opened. `settings`: what could be read of it, with defaults in the place
/// of what is wrong.
pub fn tell_unopened(settings: &Settings, fault: &Fault) {
    Watched::begin(settings, &Arc::default(), RunClock::start()).end(fault.exit());
    notify::tell_end(settings, Err(fault), Vec::new());
}

/// A job that is watched.
struct Watched {
    observers: Vec<Observer>,
    progress: Arc<Progress>,
}

impl Watched {
    fn begin(settings: &Settings, progress: &Arc<Progress>, clock: RunClock) -> Watched {
        let stand = Arc::new(Stand::new(settings, progress, clock));
        let observers = [stand.textfile(settings), stand.otlp(settings)];
        let observers = observers.into_iter().flatten().filter_map(began).collect();
        Watched { observers, progress: Arc::clone(progress) }
    }

    fn end(self, exit: Exit) {
        for observer in self.observers {
            let _ = observer.end.send(exit); // its thread is gone: what it said of that is in the log
            if observer.thread.join().is_err() {
                tracing::warn!("a thread that tells how the run goes has failed");
            }
        }
        if let Some(dropped) = self.progress.spans.get().map(Sink::dropped).filter(|dropped| *dropped > 0) {
            tracing::warn!("metrics.otlp: {dropped} spans came faster than they could be told, and were not");
        }
    }
}

fn began(observer: Result<Observer, String>) -> Option<Observer> {
    observer.inspect_err(|error| tracing::warn!("nobody is told how the run goes: {error}")).ok()
}

/// A thread that tells.
struct Observer {
    end: Sender<Exit>,
    thread: JoinHandle<()>,
}

impl Observer {
    fn start(name: &str, work: impl FnOnce(&Receiver<Exit>) + Send + 'static) -> Result<Observer, String> {
        let (end, ended) = channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&ended));
        thread.map(|thread| Observer { end, thread }).map_err(|error| error.to_string())
    }
}

/// What it takes to say how a run stands.
struct Stand {
    job: String,
    dialect: String,
    ledger: PathBuf,
    progress: Arc<Progress>,
    clock: RunClock,
    started_ms: i64,
    quota: f64,
    quota_window_s: f64,
}

impl Stand {
    fn new(settings: &Settings, progress: &Arc<Progress>, clock: RunClock) -> Stand {
        Stand {
            job: settings.name.clone(),
            dialect: settings.dialect.clone(),
            ledger: settings.ledger.clone(),
            progress: Arc::clone(progress),
            clock,
            started_ms: clock.now_ms(),
            quota: f64::from(settings.limits.quota),
            quota_window_s: settings.limits.quota_window.as_secs_f64(),
        }
    }

    fn textfile(self: &Arc<Stand>, settings: &Settings) -> Option<Result<Observer, String>> {
        let (file, stand) = (settings.metrics_textfile.clone()?, Arc::clone(self));
        Some(Observer::start("metrics", move |ended| stand.keep_writing(&file, ended)))
    }

    fn otlp(self: &Arc<Stand>, settings: &Settings) -> Option<Result<Observer, String>> {
        let (url, stand) = (settings.metrics_otlp.as_deref()?, Arc::clone(self));
        let gateway = &settings.gateway;
        let about = About {
            job: stand.job.clone(),
            dialect: stand.dialect.clone(),
            since_ns: stand.started_ms.saturating_mul(1_000_000),
        };
        let exporter = Exporter::new(url, about, gateway.proxy.as_deref(), gateway.ca_file.as_deref());
        Some(exporter.and_then(|mut exporter| {
            let (sink, spans) = Sink::new();
            self.progress.spans.set(sink).map_err(|_| "a run is watched already".to_owned())?;
            Observer::start("otlp", move |ended| {
                exporter.work(&spans, ended, |about, exit| {
                    let now_ns = stand.clock.now_ms().saturating_mul(1_000_000);
                    otlp::metrics(about, &families(&stand.moment(&textfile::Earlier::default(), exit)), now_ns)
                });
            })
        }))
    }

    fn keep_writing(&self, file: &Path, ended: &Receiver<Exit>) {
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
                let earlier = earlier.get_or_insert_with(|| textfile::earlier(file, &self.job, &self.dialect));
                if let Err(error) = textfile::write(file, &self.moment(earlier, exit)) {
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
        let at = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        let mut counters = counted(progress);
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
        let start_s = seconds(self.started_ms);
        let end_s = seconds(self.clock.now_ms());
        let ended = exit.map(|exit| LastRun { start_s, end_s, exit: f64::from(exit.code()) });
        Moment {
            job: self.job.clone(),
            dialect: self.dialect.clone(),
            counters,
            running_since_s: exit.is_none().then_some(start_s),
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

/// What this process counted so far.
fn counted(progress: &Progress) -> Counters {
    let at = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let mut rows = [0.0; Outcome::ALL.len()];
    for (outcome, closed) in progress.closed() {
        rows[outcome as usize] = closed as f64;
    }
    Counters {
        attempts: at(&progress.calls),
        retries: at(&progress.retries),
        throttles: at(&progress.throttled),
        in_doubt: at(&progress.in_doubt),
        rows,
        latencies: progress.latencies.read(),
    }
}
