//! What the gateway saw, in sums.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::exchange::Exchange;
use super::judge::{Breach, Judgement};

/// The sums of a gateway's life so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Arrivals, those that could not be read included.
    pub calls: u64,
    /// Changes of cards; a bill that was applied twice counts twice.
    pub applied: u64,
    /// Replies that went out whole while the caller was still there.
    pub delivered: u64,
    /// Calls without a bill whose very bytes had been confirmed before: a second send, or a card that honestly
    /// returned to an earlier state.
    pub bodies_repeated: u64,
    /// Faults met, by their word.
    pub faults: BTreeMap<String, u64>,
    /// The quota; `None`: no limit.
    pub quota: Option<u32>,
    /// The window of quota and peak, in milliseconds.
    pub window_ms: u64,
    /// The most arrivals in any window.
    pub peak: u64,
    /// Breaches, by their kind; kinds without one are absent.
    pub breaches: BTreeMap<Breach, u64>,
    /// The first [`KEPT`](super::Judgements::KEPT) breaches.
    pub judgements: Vec<Judgement>,
    /// Why the request log is not complete.
    pub log_fault: Option<String>,
}

impl Summary {
    pub(super) fn begin(&mut self, exchange: &Exchange) {
        self.calls += 1;
        self.applied += u64::from(exchange.applied);
        if let Some(fault) = &exchange.fault {
            *self.faults.entry(fault.to_string()).or_default() += 1;
        }
    }

    pub(super) fn end(&mut self, exchange: &Exchange) {
        self.delivered += u64::from(exchange.delivered);
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "calls      {} ({} applied, {} replies delivered)", self.calls, self.applied, self.delivered)?;
        let quota = self.quota.map_or_else(|| "no quota".to_owned(), |quota| format!("quota {quota}"));
        writeln!(f, "peak       {} in {} ms ({quota})", self.peak, self.window_ms)?;
        writeln!(f, "faults     {}", listed(self.faults.iter().map(|(word, count)| format!("{word} {count}"))))?;
        writeln!(f, "breaches   {}", listed(self.breaches.iter().map(|(kind, count)| format!("{kind:?} {count}"))))?;
        if self.bodies_repeated > 0 {
            writeln!(f, "repeated   {} calls without a bill were confirmed before", self.bodies_repeated)?;
        }
        if let Some(fault) = &self.log_fault {
            writeln!(f, "log        {fault}")?;
        }
        for judgement in self.judgements.iter().take(10) {
            let bill = judgement.bill_no.as_deref().unwrap_or("-");
            let at_ms = judgement.at.0 / 1_000_000;
            writeln!(
                f,
                "  {at_ms} ms  {:?}  card {}  bill {bill}: {}",
                judgement.breach, judgement.card, judgement.text
            )?;
        }
        Ok(())
    }
}

fn listed(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}
