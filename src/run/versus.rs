//! A run beside the one before it: what a person would want to see who looks every morning.

use serde::Serialize;

use super::manifest::Manifest;
use crate::io::ledger::Ledger;
use crate::model::Outcome;

/// What a run has otherwise than the closed run of its job before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Versus {
    /// That run.
    pub run: String,
    /// What differs enough to be told.
    pub changes: Vec<Change>,
}

/// One number that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Of what.
    pub what: &'static str,
    /// `ms`, or nothing.
    pub unit: &'static str,
    /// Then.
    pub before: u64,
    /// Now.
    pub now: u64,
}

/// Closed runs that are looked through for the one before: replays may stand between them.
const LOOKED_THROUGH: u32 = 20;

impl Versus {
    /// Compares a run that has just been closed with the one before it of its own kind; `None` where there is none that
    /// can be read.
    pub fn of(now: &Manifest, ledger: &Ledger) -> Option<Versus> {
        let runs = ledger.closed_runs(&now.job, LOOKED_THROUGH).ok()?;
        let before = runs.iter().find(|run| run.kind == now.kind && run.id < now.run)?;
        Manifest::of(before).map(|before| Versus::between(&before, now))
    }

    fn between(before: &Manifest, now: &Manifest) -> Versus {
        let of =
            |what, number: fn(&Manifest) -> u64| Change { what, unit: "", before: number(before), now: number(now) };
        let took =
            Change { what: "sending", unit: "ms", before: before.durations_ms.apply, now: now.durations_ms.apply };
        let counted = [
            of("rows", |manifest| manifest.rows.read.rows),
            of("applied", |manifest| manifest.rows.of(Outcome::Applied)),
            of("rejected", |manifest| manifest.rows.of(Outcome::Rejected)),
            of("conflict", |manifest| manifest.rows.of(Outcome::Conflict)),
            of("refused", |manifest| manifest.rows.of(Outcome::Refused)),
            of("unknown", |manifest| manifest.rows.of(Outcome::Unknown)),
            of("held", |manifest| manifest.rows.of(Outcome::Held)),
            of("unsent", |manifest| manifest.rows.of(Outcome::Unsent)),
            of("calls", |manifest| manifest.calls.attempts),
            of("retries", |manifest| manifest.calls.retries),
        ];
        let changes = counted.into_iter().filter(|change| change.before != change.now);
        Versus { run: before.run.clone(), changes: changes.chain(Some(took).filter(is_long_way_off)).collect() }
    }
}

/// No two nights take the same time: a quarter, and at least five seconds, are worth a word.
fn is_long_way_off(took: &Change) -> bool {
    const LEAST_MS: u64 = 5_000;
    let off = took.before.abs_diff(took.now);
    off >= LEAST_MS && off * 4 >= took.before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_are_near_are_the_same() {
        let took = |before, now| is_long_way_off(&Change { what: "sending", unit: "ms", before, now });
        assert!(!took(100, 5_000) && took(100, 6_000) && took(60_000, 40_000));
        assert!(!took(60_000, 70_000) && !took(0, 0));
    }
}
