//! The intents of interrupted runs: a card's next one follows the end of the row before it. Those of closed runs are gone.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::runs::{Known, Runs};
use crate::io::frames::FrameReader;
use crate::io::ledger::{Ledger, Part};
use crate::io::sort::Sorter;
use crate::model::{Digest, Record};
use crate::run::Fault;
use crate::run::proof::{Broken, Check};
use crate::run::store::RunFolder;
use crate::run::stored::Fate;

/// What is known of a row since its run's plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Trace {
    Intent {
        seq: u64,
    },
    /// An attempt, or an end that counts one.
    Sent,
    End,
}

impl Trace {
    fn intent(&self) -> Option<u64> {
        match self {
            Trace::Intent { seq } => Some(*seq),
            Trace::Sent | Trace::End => None,
        }
    }
}

/// An intent, by its card.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Intended {
    card: Digest,
    seq: u64,
    row: u64,
    has_end: bool,
}

/// Looks at all of them. `whole`: the runs whose surveys are there.
pub fn check(ledger: &Ledger, runs: &Runs, whole: &BTreeSet<u32>, scratch: &Path) -> Result<Check, Fault> {
    let what = "nothing was sent without an intent, and a card's next intent follows the end of the row before";
    let mut check = Check::new("intents", what);
    check.look(|check| {
        ledger.each_intent(|stored| {
            let Some(intent) = check.read(stored) else { return Ok::<(), Broken>(()) };
            let told = |what: &str| format!("intent {} of row {}: {what}", intent.seq, intent.row);
            check.expect(intent.length > 0, || told("it has no body"));
            match runs.get(&intent.run) {
                None => check.fault(told(&format!("run {} is not in the ledger", intent.run))),
                Some(run) => check.expect(!run.is_closed(), || told(&format!("run {} is closed", run.id()))),
            }
            Ok(())
        })
    })?;
    for (ordinal, run) in runs.iter().filter(|(_, run)| !run.is_closed()) {
        if whole.contains(ordinal) {
            check.look(|check| of_run(ledger, run, scratch, check))?;
        } else {
            check.skipped = Some(format!("the survey of run {} is not whole", run.id()));
        }
    }
    Ok(check)
}

fn of_run(ledger: &Ledger, run: &Known, scratch: &Path, check: &mut Check) -> Result<(), Broken> {
    let mut traces = Sorter::new(scratch);
    ledger.each_intent(|intent| match intent {
        Ok(intent) if intent.run == run.stored.run.ordinal && intent.seq >= run.stored.intents_from => {
            Ok(traces.push((intent.row, Trace::Intent { seq: intent.seq }))?)
        }
        _ => Ok::<(), Broken>(()),
    })?;
    ledger.journal(run.stored.run.ordinal, Part::SincePlan, |record| {
        match record {
            Record::Attempt(attempt) => traces.push((attempt.row, Trace::Sent))?,
            Record::Settled(row, settled) => {
                traces.push((row, Trace::End))?;
                if settled.attempts > 0 {
                    traces.push((row, Trace::Sent))?;
                }
            }
            Record::Intent(_) => unreachable!("the journal has no intents"),
        }
        Ok::<(), Broken>(())
    })?;
    let folder = RunFolder::new(ledger.path(), run.id());
    let mut traces = traces.finish()?.peekable();
    let mut intended = Sorter::new(scratch);
    for (row, fate) in (0..).zip(FrameReader::<Fate>::open(&folder.fates())?) {
        let mut own = Vec::new();
        while let Some(trace) = traces.next_if(|next| next.as_ref().map_or(true, |next| next.0 == row)) {
            own.push(trace?.1);
        }
        let intents: Vec<u64> = own.iter().filter_map(Trace::intent).collect();
        let (has_end, was_sent) = (own.contains(&Trace::End), own.contains(&Trace::Sent));
        check.expect(!was_sent || !intents.is_empty(), || {
            format!("row {row} of run {} was sent without an intent", run.id())
        });
        match fate? {
            Fate::Send(facts) => {
                let card = facts.card;
                intents.into_iter().try_for_each(|seq| intended.push(Intended { card, seq, row, has_end }))?;
            }
            _ => check.expect(intents.is_empty(), || {
                format!("row {row} of run {} has an intent, and was not to be sent", run.id())
            }),
        }
    }
    let beyond = traces.next().transpose()?;
    check.expect(beyond.is_none(), || format!("run {} has records of a row that it has not", run.id()));
    follow(intended, run, check)
}

fn follow(intended: Sorter<Intended>, run: &Known, check: &mut Check) -> Result<(), Broken> {
    let mut last: Option<Intended> = None;
    for intent in intended.finish()? {
        let intent = intent?;
        if let Some(last) = last.filter(|last| last.card == intent.card && last.row != intent.row) {
            check.expect(last.has_end, || {
                let (next, before) = (intent.row, last.row);
                format!("run {}: the intent of row {next} follows row {before} of its card, which has no end", run.id())
            });
        }
        last = Some(intent);
    }
    Ok(())
}
