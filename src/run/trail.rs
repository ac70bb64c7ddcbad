//! What is told of each attempt: a span of the log with what came of it, and one for the collector. It costs nothing
//! where nobody listens.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::{Level, debug, debug_span, enabled, trace};

use super::manifest::Manifest;
use super::otlp::{Attribute, Ids, Sink, Span};
use super::progress::Progress;
use super::random::random;
use crate::model::reject::veiled;
use crate::model::{Delta, Reading, Verdict};

/// The rows that are under way, as a log may name them.
pub struct Trail<'a> {
    is_logged: bool,
    whole: bool,
    sink: Option<&'a Sink>,
    ids: Ids,
    rows: HashMap<u64, Step>,
}

/// One row.
struct Step {
    bill: String,
    card: String,
    attempts: u32,
    sent_ms: i64,
    span: tracing::Span,
}

impl<'a> Trail<'a> {
    /// A trail for who listens now.
    pub fn new(progress: &'a Progress) -> Trail<'a> {
        Trail {
            is_logged: enabled!(Level::DEBUG),
            whole: progress.log_pii.load(Ordering::Relaxed),
            sink: progress.spans.get(),
            ids: Ids::of(&progress.run()),
            rows: HashMap::new(),
        }
    }

    /// A row comes into memory.
    pub fn hold(&mut self, row: u64, delta: &Delta) {
        if !self.is_logged && self.sink.is_none() {
            return;
        }
        // A row whose revision changes is held again: its attempts go on.
        let attempts = self.rows.get(&row).map_or(0, |step| step.attempts);
        let (bill, card) = (delta.bill_no.as_deref().unwrap_or_default().to_owned(), delta.card.to_string());
        self.rows.insert(row, Step { bill, card, attempts, sent_ms: 0, span: tracing::Span::none() });
    }

    /// An attempt begins; `now_ms`: milliseconds since 1970.
    pub fn begin(&mut self, row: u64, now_ms: i64) {
        let Some(step) = self.rows.get_mut(&row) else { return };
        step.attempts += 1;
        step.sent_ms = now_ms;
        if self.is_logged {
            let card = if self.whole { step.card.clone() } else { veiled(&step.card) };
            step.span = debug_span!("attempt", row, bill = step.bill, card, attempt = step.attempts);
            step.span.in_scope(|| trace!("sending"));
        }
    }

    /// It has ended.
    pub fn heard(&mut self, row: u64, reading: &Reading, latency: Duration) {
        let Some(step) = self.rows.get_mut(&row) else { return };
        std::mem::replace(&mut step.span, tracing::Span::none()).in_scope(|| {
            debug!(
                verdict = reading.verdict.as_str(),
                code = reading.code,
                http_status = reading.http_status,
                trace_id = reading.trace_id,
                latency_ms = latency.as_secs_f64() * 1e3,
                "heard"
            );
        });
        if let Some(sink) = self.sink {
            sink.tell(attempt(self.ids, row, step, reading, latency));
        }
    }

    /// The row is settled.
    pub fn forget(&mut self, row: u64) {
        self.rows.remove(&row);
    }
}

/// An attempt for the collector, which is somebody else's house: the card is veiled in any case.
fn attempt(ids: Ids, row: u64, step: &Step, reading: &Reading, latency: Duration) -> Span {
    let text = |text: &str| Attribute::Text(text.to_owned());
    let start_ns = step.sent_ms.saturating_mul(1_000_000);
    Span {
        name: "attempt",
        trace: ids.trace,
        id: random(),
        parent: Some(ids.run),
        start_ns,
        end_ns: start_ns.saturating_add(latency.as_nanos() as i64),
        attributes: vec![
            ("passync.row", Attribute::Whole(row)),
            ("passync.bill", text(&step.bill)),
            ("passync.card", Attribute::Text(veiled(&step.card))),
            ("passync.attempt", Attribute::Whole(u64::from(step.attempts))),
            ("passync.verdict", text(reading.verdict.as_str())),
            ("passync.code", text(&reading.code)),
            ("passync.trace_id", text(&reading.trace_id)),
            ("http.response.status_code", Attribute::Whole(u64::from(reading.http_status))),
        ],
        error: (reading.verdict != Verdict::Applied).then(|| reading.verdict.as_str().to_owned()),
    }
}

/// A run for the collector; its times are in milliseconds since 1970.
pub fn run(manifest: &Manifest, started_ms: i64, closed_ms: i64) -> Span {
    let ids = Ids::of(&manifest.run);
    let text = |text: &str| Attribute::Text(text.to_owned());
    Span {
        name: "run",
        trace: ids.trace,
        id: ids.run,
        parent: None,
        start_ns: started_ms.saturating_mul(1_000_000),
        end_ns: closed_ms.saturating_mul(1_000_000),
        attributes: vec![
            ("passync.run", text(&manifest.run)),
            ("passync.kind", text(&manifest.kind)),
            ("passync.exit", Attribute::Whole(u64::from(manifest.exit))),
            ("passync.rows", Attribute::Whole(manifest.rows.read.rows)),
            ("passync.failures", Attribute::Whole(manifest.rows.failures())),
            ("passync.attempts", Attribute::Whole(manifest.calls.attempts)),
        ],
        error: manifest.stopped.as_ref().map(|stopped| stopped.message.clone()),
    }
}
