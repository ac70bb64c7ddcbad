//! What is told of each attempt: a span of the log with what came of it. It costs nothing where nobody listens.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::{Level, Span, debug, debug_span, enabled, trace};

use super::progress::Progress;
use crate::model::reject::veiled;
use crate::model::{Delta, Reading};

/// The rows that are under way, as a log may name them.
pub struct Trail {
    is_on: bool,
    whole: bool,
    rows: HashMap<u64, Step>,
}

/// One row.
struct Step {
    bill: String,
    card: String,
    attempts: u32,
    span: Span,
}

impl Trail {
    /// A trail for who listens now.
    pub fn new(progress: &Progress) -> Trail {
        let whole = progress.log_pii.load(Ordering::Relaxed);
        Trail { is_on: enabled!(Level::DEBUG), whole, rows: HashMap::new() }
    }

    /// A row comes into memory.
    pub fn hold(&mut self, row: u64, delta: &Delta) {
        if !self.is_on {
            return;
        }
        let bill = delta.bill_no.clone().unwrap_or_default();
        let card = if self.whole { delta.card.clone() } else { veiled(&delta.card) };
        // A row whose revision changes is held again: its attempts go on.
        let attempts = self.rows.get(&row).map_or(0, |step| step.attempts);
        self.rows.insert(row, Step { bill, card, attempts, span: Span::none() });
    }

    /// An attempt begins.
    pub fn begin(&mut self, row: u64) {
        let Some(step) = self.rows.get_mut(&row) else { return };
        step.attempts += 1;
        step.span = debug_span!("attempt", row, bill = step.bill, card = step.card, attempt = step.attempts);
        step.span.in_scope(|| trace!("sending"));
    }

    /// It has ended.
    pub fn heard(&mut self, row: u64, reading: &Reading, latency: Duration) {
        let Some(step) = self.rows.get_mut(&row) else { return };
        let span = std::mem::replace(&mut step.span, Span::none());
        span.in_scope(|| {
            debug!(
                verdict = reading.verdict.as_str(),
                code = reading.code,
                http_status = reading.http_status,
                trace_id = reading.trace_id,
                latency_ms = latency.as_secs_f64() * 1e3,
                "heard"
            );
        });
    }

    /// The row is settled.
    pub fn forget(&mut self, row: u64) {
        self.rows.remove(&row);
    }
}
