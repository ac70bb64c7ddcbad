//! The journal row by row, and each bill with the end of its row. Both are sorted, and met side by side.

use std::iter::Peekable;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::is_by_person;
use super::runs::{Known, Runs};
use crate::core::history::Past;
use crate::io::ledger::{BillRow, Ledger, StoredRecord};
use crate::io::sort::{Sorted, Sorter};
use crate::model::{Digest, Outcome, Place, Record};
use crate::run::Fault;
use crate::run::proof::{Broken, Check};

/// A record, less what does not matter here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Entry {
    run: u32,
    row: u64,
    seq: u64,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum What {
    Attempt { in_doubt: bool },
    End { outcome: Outcome, code: String, attempts: u32, in_doubt: u32, answered: bool },
}

/// A bill, by the row that it stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Owner {
    run: u32,
    row: u64,
    name: String,
    card: Digest,
    place: Place,
    past: Past,
    outcome: Outcome,
    code: String,
    doubt: u32,
}

/// A row that may have changed its card, by that card: those that were in doubt before the run first, then what the run
/// applied, in the order of the journal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Change {
    run: u32,
    card: Digest,
    kind: Kind,
    seq: u64,
    row: u64,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Kind {
    InDoubtBefore,
    Applied,
}

struct Walk<'a> {
    runs: &'a Runs,
    journal: Check,
    bills: Check,
    twice: &'a mut Check,
    changes: Sorter<Change>,
}

/// Walks; returns the checks `journal`, `order`, `bills`.
pub fn check(ledger: &Ledger, runs: &Runs, twice: &mut Check, scratch: &Path) -> Result<[Check; 3], Fault> {
    let mut journal =
        Check::new("journal", "every record can be read; attempts come before the end of their row, which counts them");
    let mut bills =
        Check::new("bills", "every bill stands as its row ended, and behind every applied one is a verified answer");
    let (mut entries, mut owners) = (Sorter::new(scratch), Sorter::new(scratch));
    journal.look(|check| {
        ledger.each_record(|stored| match check.read(stored) {
            Some(record) => Ok(entries.push(entry(&record))?),
            None => Ok::<(), Broken>(()),
        })
    })?;
    bills.look(|check| {
        ledger.each_stored_bill(|stored| {
            let Some(bill) = check.read(stored) else { return Ok::<(), Broken>(()) };
            if let Some(fault) = fault_of(&bill, runs) {
                check.fault(format!("bill {}: {fault}", name(&bill)));
            }
            Ok(owners.push(owner(&bill))?)
        })
    })?;
    let mut walk = Walk { runs, journal, bills, twice, changes: Sorter::new(scratch) };
    walk.meet_all(entries.finish()?.peekable(), owners.finish()?.peekable())?;
    let order = order(runs, walk.changes)?;
    Ok([walk.journal, order, walk.bills])
}

fn entry(record: &StoredRecord) -> Entry {
    let what = match &record.record {
        Record::Attempt(attempt) => What::Attempt { in_doubt: attempt.reading.verdict.in_doubt() },
        Record::Settled(_, settled) => What::End {
            outcome: settled.outcome,
            code: settled.code.clone(),
            attempts: settled.attempts,
            in_doubt: settled.in_doubt,
            answered: settled.http_status != 0,
        },
        Record::Intent(_) => unreachable!("the journal has no intents"),
    };
    Entry { run: record.run, row: record.row, seq: record.seq, what }
}

fn owner(bill: &BillRow) -> Owner {
    Owner {
        run: bill.last_run,
        row: bill.last_row,
        name: name(bill),
        card: bill.card,
        place: bill.place,
        past: bill.past,
        outcome: bill.outcome,
        code: bill.code.clone(),
        doubt: bill.doubt,
    }
}

/// Its number, or its identity where it has none.
fn name(bill: &BillRow) -> String {
    bill.bill_no.clone().unwrap_or_else(|| bill.key.to_string())
}

/// What is wrong with a bill in itself.
fn fault_of(bill: &BillRow, runs: &Runs) -> Option<String> {
    let unknown = [bill.last_run, bill.place.run].into_iter().find(|run| !runs.contains_key(run));
    if let Some(run) = unknown {
        return Some(format!("run {run} is not in the ledger"));
    }
    if Past::of(bill.outcome, bill.doubt > 0) != Some(bill.past) {
        return Some(format!(
            "it ended {} with {} attempts in doubt, and stands as {:?}",
            bill.outcome, bill.doubt, bill.past
        ));
    }
    if bill.past.is_possible() != bill.body.is_some() {
        let kept =
            if bill.body.is_some() { "is kept, though nothing is in doubt" } else { "is gone, though it is in doubt" };
        return Some(format!("its body {kept}"));
    }
    None
}

impl Walk<'_> {
    fn meet_all(
        &mut self,
        mut entries: Peekable<Sorted<Entry>>,
        mut owners: Peekable<Sorted<Owner>>,
    ) -> Result<(), Fault> {
        let mut group: Vec<Entry> = Vec::new();
        while let Some(first) = entries.next().transpose()? {
            let key = (first.run, first.row);
            group.clear();
            group.push(first);
            while let Some(next) =
                entries.next_if(|next| next.as_ref().map_or(true, |next| (next.run, next.row) == key))
            {
                group.push(next?);
            }
            while let Some(owner) =
                owners.next_if(|owner| owner.as_ref().map_or(true, |owner| (owner.run, owner.row) < key))
            {
                self.alone(&owner?);
            }
            let mut own = Vec::new();
            while let Some(owner) =
                owners.next_if(|owner| owner.as_ref().map_or(true, |owner| (owner.run, owner.row) == key))
            {
                own.push(owner?);
            }
            self.meet(&group, &own)?;
        }
        owners.try_for_each(|owner| owner.map(|owner| self.alone(&owner)).map_err(Fault::from))
    }

    /// A bill whose row has no record: it was never sent, or its run is still on.
    fn alone(&mut self, owner: &Owner) {
        let Owner { name, row, .. } = owner;
        let Some(run) = self.runs.get(&owner.run) else { return };
        let is_shown = owner.past != Past::Applied || is_by_person(&owner.code) || run.detail.pruned;
        self.bills.expect(is_shown, || {
            format!("bill {name}: it is applied, but the journal has no answer to row {row} of run {}", run.id())
        });
    }

    /// The records of one row, and the bills that stand for it.
    fn meet(&mut self, group: &[Entry], owners: &[Owner]) -> Result<(), Fault> {
        let first = group.first().expect("a group has records");
        let Some(run) = self.runs.get(&first.run) else {
            self.journal.fault(format!("record {}: its run {} is not in the ledger", first.seq, first.run));
            return Ok(());
        };
        if run.detail.pruned {
            return Ok(()); // its last record, kept for its number
        }
        let place = format!("row {} of run {}", first.row, run.id());
        self.one_behind_the_other(group, run, &place);
        let last = group.iter().rev().find_map(|entry| match &entry.what {
            What::End { outcome, code, in_doubt, .. } => Some((entry.seq, *outcome, code, *in_doubt)),
            What::Attempt { .. } => None,
        });
        if owners.len() > 1 {
            let names = owners.iter().map(|owner| owner.name.as_str()).collect::<Vec<_>>().join(", ");
            self.bills.fault(format!("{place} stands for more than one bill: {names}"));
        }
        let (Some((seq, outcome, code, in_doubt)), true) = (last, run.is_closed()) else { return Ok(()) };
        let is_recent = seq >= run.stored.journal_from;
        let (run_ordinal, row) = (first.run, first.row);
        let change =
            |kind, owner: &Owner| Change { run: run_ordinal, card: owner.card, kind, seq, row, place: owner.place };
        if is_recent && in_doubt > doubts_of(group, run) {
            owners.iter().try_for_each(|owner| self.changes.push(change(Kind::InDoubtBefore, owner)))?;
        }
        if outcome == Outcome::Applied {
            let Some(owner) = owners.iter().find(|owner| owner.past == Past::Applied) else {
                self.bills.fault(format!("{place} was applied (record {seq}), but no bill stands for it"));
                return Ok(());
            };
            if is_recent {
                self.changes.push(change(Kind::Applied, owner))?;
            }
        }
        for owner in owners.iter().filter(|owner| is_recent && !is_by_person(&owner.code)) {
            self.bills.expect((owner.outcome, &owner.code, owner.doubt) == (outcome, code, in_doubt), || {
                format!(
                    "bill {}: it stands as {} {} with {} attempts in doubt, {place} ended {outcome} {code} with {in_doubt}",
                    owner.name, owner.outcome, owner.code, owner.doubt
                )
            });
        }
        Ok(())
    }

    fn one_behind_the_other(&mut self, group: &[Entry], run: &Known, place: &str) {
        let mut applied = None;
        let (mut attempts, mut doubts) = (0, 0);
        for Entry { seq, what, .. } in group {
            self.journal.expect(*seq >= run.stored.first_seq, || format!("record {seq}: {place} was not planned yet"));
            if let Some(end) = applied {
                self.twice.fault(format!("{place}: record {seq} comes behind {end}, with which it was applied"));
            }
            // What an earlier plan of the run counted is not counted again.
            let is_recent = *seq >= run.stored.journal_from;
            match what {
                What::Attempt { in_doubt } => {
                    attempts += u32::from(is_recent);
                    doubts += u32::from(is_recent && *in_doubt);
                }
                What::End { outcome, attempts: told, in_doubt, answered, .. } => {
                    self.journal.expect(attempts <= *told && doubts <= *in_doubt, || {
                        format!("record {seq}: {place} ended with {told} attempts, {in_doubt} in doubt; recorded were {attempts}, {doubts} in doubt")
                    });
                    (attempts, doubts) = (0, 0);
                    if *outcome == Outcome::Applied {
                        applied = Some(seq);
                        self.bills.expect(*told > 0 && *answered, || {
                            format!("record {seq}: {place} was applied without a verified answer")
                        });
                    }
                }
            }
        }
        self.journal.expect(attempts == 0 || !run.is_closed(), || format!("{place} was attempted, and has no end"));
    }
}

/// Attempts in doubt that the present plan of the run recorded of a row.
fn doubts_of(group: &[Entry], run: &Known) -> u32 {
    let recent = group.iter().filter(|entry| entry.seq >= run.stored.journal_from);
    recent.filter(|entry| matches!(entry.what, What::Attempt { in_doubt: true })).count() as u32
}

/// What was applied of a card within one plan, in the order of the journal. A row that was in doubt before goes first:
/// what is older waits for it, and then goes without what it confirmed.
fn order(runs: &Runs, changes: Sorter<Change>) -> Result<Check, Fault> {
    const PROMISE: &str = "within a run the rows of a card were applied in the order of their places, but for those older than one in doubt";
    let mut check = Check::new("order", PROMISE);
    let (mut last, mut doubt): (Option<Change>, Option<Change>) = (None, None);
    for row in changes.finish()? {
        let row = row?;
        let is_of_card = |other: &Change| (other.run, other.card) == (row.run, row.card);
        if row.kind == Kind::InDoubtBefore {
            let newest = doubt.filter(is_of_card).filter(|doubt| doubt.place > row.place);
            doubt = Some(newest.unwrap_or(row));
            continue;
        }
        let waited = doubt.as_ref().is_some_and(|doubt| is_of_card(doubt) && doubt.place > row.place);
        if let Some(last) = last.filter(is_of_card) {
            check.expect(waited || last.place <= row.place, || {
                let (id, older, newer) = (runs[&row.run].id(), row.row, last.row);
                format!("run {id}: row {older} is older than row {newer} of its card, and was applied behind it (record {})", row.seq)
            });
        }
        last = Some(row);
    }
    Ok(check)
}
