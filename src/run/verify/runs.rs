//! Each run in itself: its facts, its manifest, its sums.

use std::collections::BTreeMap;

use crate::io::ledger::{Ledger, RunState, StoredRun};
use crate::run::Fault;
use crate::run::detail::{RunDetail, run_id};
use crate::run::inputs;
use crate::run::manifest::Manifest;
use crate::run::proof::{Broken, Check};

/// The runs that can be read, by their ordinals.
pub type Runs = BTreeMap<u32, Known>;

/// A run.
pub struct Known {
    /// As it stands.
    pub stored: StoredRun,
    /// Its facts.
    pub detail: RunDetail,
    /// Its manifest, once it is closed.
    pub manifest: Option<Manifest>,
}

impl Known {
    /// Whether its files were written and its rows folded.
    pub fn is_closed(&self) -> bool {
        self.stored.run.state == RunState::Closed
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.stored.run.id
    }
}

/// Reads the runs.
pub fn check(ledger: &Ledger) -> Result<(Runs, Check), Fault> {
    let mut check =
        Check::new("runs", "every run has its facts; a closed one a manifest, in which rows and points add up");
    let mut runs = Runs::new();
    check.look(|check| {
        let facts: BTreeMap<String, String> = ledger.facts()?.into_iter().collect();
        let epoch = facts.get("epoch").map_or(Ok(0), |epoch| epoch.parse::<i64>());
        check.expect(epoch.is_ok(), || format!("meta: found epoch = {:?}, expected a number", facts["epoch"]));
        for stored in ledger.stored_runs()? {
            let known = check.read(stored).and_then(|stored| read(stored, epoch.as_ref().ok().copied(), check));
            if let Some(known) = known {
                runs.insert(known.stored.run.ordinal, known);
            }
        }
        Ok::<(), Broken>(())
    })?;
    Ok((runs, check))
}

fn read(stored: StoredRun, epoch: Option<i64>, check: &mut Check) -> Option<Known> {
    let run = &stored.run;
    let mut faults = Vec::new();
    let mut expect = |holds: bool, fault: String| {
        if !holds {
            faults.push(fault);
        }
    };
    let detail = RunDetail::parse(&run.detail);
    let manifest = Manifest::of(run);
    let name = run_id(run.started_ms, run.ordinal);
    expect(run.id == name, format!("its start and its ordinal make it {name}"));
    expect(
        ["run", "replay", "import"].contains(&run.kind.as_str()),
        format!("found kind {:?}, expected run, replay or import", run.kind),
    );
    expect(stored.first_seq <= stored.journal_from, "its plan is older than its first record".to_owned());
    expect(
        epoch.is_none_or(|epoch| run.epoch <= epoch),
        format!("its plan knows of fold {}, which is still to come", run.epoch),
    );
    if let Some(detail) = &detail {
        let digest = inputs::digest(&detail.inputs);
        expect(run.inputs == digest, format!("its inputs have the digest {digest}, it goes by {}", run.inputs));
    } else {
        expect(false, "its facts cannot be read".to_owned());
    }
    let has_end = (run.exit.is_some(), run.closed_ms.is_some(), run.summary.is_some());
    match run.state {
        RunState::Interrupted => {
            expect(has_end == (false, false, false), "it is interrupted, and has an end".to_owned());
        }
        RunState::Closed => {
            expect(has_end == (true, true, true), "it is closed, but lacks exit, time or manifest".to_owned());
        }
    }
    if let (Some(manifest), Some(detail)) = (&manifest, &detail) {
        expect(manifest.run == run.id, format!("its manifest is that of {}", manifest.run));
        expect(
            Some(manifest.exit) == run.exit,
            format!("its manifest says exit {}, it says {:?}", manifest.exit, run.exit),
        );
        let read = manifest.rows.read;
        expect(
            (read.rows, read.points) == (detail.rows + detail.passed_over, detail.points),
            format!(
                "{} rows with {} points were surveyed, {} with {} read",
                detail.rows + detail.passed_over,
                detail.points,
                read.rows,
                read.points
            ),
        );
        manifest.contradictions().into_iter().for_each(|fault| expect(false, fault));
    } else if run.summary.is_some() {
        expect(manifest.is_some(), "its manifest cannot be read".to_owned());
    }
    for fault in faults {
        check.fault(format!("run {}: {fault}", run.id));
    }
    Some(Known { detail: detail?, manifest, stored })
}
