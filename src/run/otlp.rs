//! OpenTelemetry over OTLP/HTTP, as JSON: metrics every half minute, and a span for each attempt. A thread of its own
//! posts them; the run never waits for it, and what it cannot take is counted and left away.

mod json;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tokio::runtime::Runtime;

pub use json::{About, Attribute, Span, metrics, traces};

use crate::io::job;
use crate::io::post::{Missed, Post};
use crate::model::Exit;

/// Spans that wait for their posting: some seconds of a fast run, a megabyte or two.
const QUEUE_MAX: usize = 8_192;
/// Spans of one posting: collectors take 4 MiB by default.
const BATCH: usize = 1_000;
/// How often spans are posted.
const EVERY: Duration = Duration::from_secs(2);
/// Every so many postings of spans, metrics are posted too: half a minute.
const METRICS_EVERY: u32 = 15;
/// How long one posting may take. At the end of a run that is what it may wait for, since none follows one that failed.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long the postings at the end of a run may take altogether, but for the last one.
const FAREWELL: Duration = Duration::from_secs(10);

/// Where spans are handed in.
#[derive(Debug)]
pub struct Sink {
    queue: SyncSender<Span>,
    dropped: AtomicU64,
}

impl Sink {
    /// A sink, and where what was handed in comes out.
    pub fn new() -> (Sink, Receiver<Span>) {
        let (queue, spans) = sync_channel(QUEUE_MAX);
        (Sink { queue, dropped: AtomicU64::new(0) }, spans)
    }

    /// Hands a span in; never waits.
    pub fn tell(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Spans that came when the queue was full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// What a run is known by in traces: the same for the part before a crash and the one behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// Of the trace.
    pub trace: u128,
    /// Of the run's own span.
    pub run: u64,
}

impl Ids {
    /// Those of a run.
    pub fn of(run: &str) -> Ids {
        let digest = Sha256::digest(format!("passync run {run}"));
        let (trace, rest) = digest.split_at(16);
        Ids {
            trace: u128::from_be_bytes(trace.try_into().expect("16 of 32 bytes")),
            run: u64::from_be_bytes(rest[..8].try_into().expect("8 of 16 bytes")),
        }
    }
}

/// Posts until the run has ended.
pub struct Exporter {
    traces: Post,
    metrics: Post,
    runtime: Runtime,
    shown: String,
    about: About,
    has_warned: bool,
}

impl Exporter {
    /// An exporter to the collector at `url`; nothing is sent yet. `proxy`, `ca_file`: as for the gateway.
    pub fn new(
        url: &str,
        about: About,
        proxy: Option<&str>,
        ca_file: Option<&std::path::Path>,
    ) -> Result<Exporter, String> {
        let to = |path: &str| Post::to(&format!("{}{path}", url.trim_end_matches('/')), TIMEOUT, proxy, ca_file);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Exporter {
            traces: to("/v1/traces")?,
            metrics: to("/v1/metrics")?,
            runtime: runtime.map_err(|error| error.to_string())?,
            shown: job::masked(url),
            about,
            has_warned: false,
        })
    }

    /// Posts what comes out of `spans`, and the metrics that `measure` makes, until `ended` tells the exit.
    pub fn work(
        &mut self,
        spans: &Receiver<Span>,
        ended: &Receiver<Exit>,
        mut measure: impl FnMut(&About, Option<Exit>) -> String,
    ) {
        for turn in 1.. {
            let exit = match ended.recv_timeout(EVERY) {
                Ok(exit) => Some(exit),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return, // the work has panicked
            };
            let is_heard = self.post_spans(spans);
            if is_heard && (exit.is_some() || turn % METRICS_EVERY == 0) {
                let json = measure(&self.about, exit);
                let posted = self.runtime.block_on(self.metrics.send(json));
                self.warn_once(posted);
            }
            if exit.is_some() {
                return;
            }
        }
    }

    /// Posts what waits; `false`: the collector did not take it, and nothing more is tried now.
    fn post_spans(&mut self, spans: &Receiver<Span>) -> bool {
        let began = Instant::now();
        loop {
            let batch: Vec<Span> = spans.try_iter().take(BATCH).collect();
            if batch.is_empty() {
                return true;
            }
            let is_last = batch.len() < BATCH;
            let posted = self.runtime.block_on(self.traces.send(traces(&self.about, &batch)));
            if !self.warn_once(posted) {
                return false;
            }
            if is_last || began.elapsed() > FAREWELL {
                return true;
            }
        }
    }

    /// Whether it was taken. A collector that is gone is worth one line, not one every other second.
    fn warn_once(&mut self, posted: Result<(), Missed>) -> bool {
        let Err(missed) = posted else { return true };
        if !self.has_warned {
            self.has_warned = true;
            tracing::warn!("metrics.otlp: {} does not take what it is told: {}", self.shown, missed.why);
        }
        false
    }
}
