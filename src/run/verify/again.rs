//! Runs whose surveys are still there, folded again: the ledger must have what comes out.

use std::collections::BTreeSet;

use super::runs::{Known, Runs};
use super::{is_by_person, shown};
use crate::core::history::Past;
use crate::io::frames::Seal;
use crate::io::ledger::{Answer, BillChange, BillRow, CardChange, Ledger};
use crate::run::Fault;
use crate::run::fold::{Ended, Fold, Rest};
use crate::run::manifest::Tally;
use crate::run::proof::Check;
use crate::run::store::{RunFolder, name_of};
use crate::run::stored::Content;

/// The runs whose surveys are whole, and what is wrong with the others.
pub fn surveys(ledger: &Ledger, runs: &Runs) -> Result<(BTreeSet<u32>, Check), Fault> {
    let mut check = Check::new("surveys", "the rows that a run has read, and its plan, are those that were sealed");
    let (mut whole, mut gone) = (BTreeSet::new(), 0);
    for (ordinal, run) in runs {
        let folder = RunFolder::new(ledger.path(), run.id());
        if !folder.path().exists() {
            gone += 1; // only the newest closed runs keep theirs; an interrupted one reads its inputs again
            continue;
        }
        let mut is_whole = true;
        for path in [folder.rows(), folder.index(), folder.fates(), folder.plan()] {
            let (now, sealed) = (Seal::of(&path)?, run.detail.seals.get(&name_of(&path)));
            if now.as_ref() != sealed || sealed.is_none() {
                is_whole = false;
                let text = |seal: Option<&Seal>| {
                    seal.map_or_else(
                        || "nothing".to_owned(),
                        |seal| format!("{} bytes with CRC {:08x}", seal.length, seal.crc),
                    )
                };
                check.fault(format!("{}: found {}, sealed was {}", shown(&path), text(now.as_ref()), text(sealed)));
            }
        }
        if is_whole {
            whole.insert(*ordinal);
        }
    }
    if gone > 0 {
        check.skipped = Some(format!("{gone} runs have none any more"));
    }
    Ok((whole, check))
}

/// Folds every closed run again whose survey is whole.
pub fn check(ledger: &Ledger, runs: &Runs, whole: &BTreeSet<u32>, twice: &mut Check) -> Result<Check, Fault> {
    let mut check =
        Check::new("again", "closed runs folded again give the counts, bills and values that the ledger has");
    let replaces = runs.values().any(|run| run.detail.flags.allow_stale);
    let closed = || runs.iter().filter(|(_, run)| run.is_closed());
    for (_, run) in closed().filter(|(ordinal, _)| whole.contains(ordinal)) {
        let mut meeting = Meeting { ledger, run, replaces, twice, check: &mut check, tally: Tally::default() };
        match meeting.fold() {
            Err(fault) if fault.is_shortage() => return Err(fault),
            Err(fault) => check.fault(format!("run {} cannot be folded again: {fault}", run.id())),
            Ok(()) => {}
        }
    }
    let left = closed().filter(|(ordinal, _)| !whole.contains(ordinal)).count();
    if left > 0 {
        check.skipped = Some(format!("{left} closed runs have no survey"));
    }
    Ok(check)
}

struct Meeting<'a> {
    ledger: &'a Ledger,
    run: &'a Known,
    replaces: bool,
    twice: &'a mut Check,
    check: &'a mut Check,
    tally: Tally,
}

impl Meeting<'_> {
    fn fold(&mut self) -> Result<(), Fault> {
        let (ledger, run) = (self.ledger, self.run);
        let Some(manifest) = &run.manifest else { return Ok(()) };
        let (ordinal, folder) = (run.stored.run.ordinal, RunFolder::new(ledger.path(), run.id()));
        let rest = Rest::Unsent(manifest.stopped.clone());
        let closed_ms = run.stored.run.closed_ms.unwrap_or_default();
        let fold = Fold::new(ledger, ordinal, &folder, &run.detail.members, rest, closed_ms)?;
        fold.each(&folder, |ended| self.take(&ended))?;
        let (said, counted) = (&manifest.rows, &self.tally);
        let same = (&said.outcomes, said.unsummed, &said.failure_codes, said.not_told)
            == (&counted.outcomes, counted.unsummed, &counted.failure_codes, counted.not_told);
        self.check.expect(same, || {
            format!("run {}: its manifest counts {:?}, the fold {:?}", run.id(), said.outcomes, counted.outcomes)
        });
        Ok(())
    }

    fn take(&mut self, ended: &Ended) -> Result<(), Fault> {
        self.tally.add(ended);
        if let (Some(facts), Content::Delta(delta)) = (&ended.facts, &ended.row.content) {
            let same = (delta.content_digest(), delta.card_digest()) == (facts.content, facts.card);
            let row = self.row(ended);
            self.check.expect(same, || format!("{row}: its digests are not those of its plan"));
        }
        if let Some(change) = ended.bill() {
            self.bill(ended, &change)?;
        }
        if let Some(change) = ended.confirmed(false) {
            self.card(ended, &change)?;
        }
        Ok(())
    }

    fn row(&self, ended: &Ended) -> String {
        format!("row {} of run {}", ended.id, self.run.id())
    }

    fn bill(&mut self, ended: &Ended, change: &BillChange) -> Result<(), Fault> {
        let row = self.row(ended);
        let Some(bill) = self.ledger.bill(change.key)? else {
            let answers = self.ledger.answers(change.key)?;
            let is_taken_back = answers.iter().any(|answer| answer.answer == Answer::NotApplied.as_str());
            let is_forgotten = self.ledger.horizon()?.is_some_and(|horizon| change.place.occurred_ms < horizon);
            self.check.expect(is_taken_back || is_forgotten, || {
                format!("{row} ended {}, and the ledger has no bill of it", change.outcome)
            });
            return Ok(());
        };
        if (bill.last_run, bill.last_row) == (self.run.stored.run.ordinal, change.row) {
            let differ = differences(&bill, change).join(", ");
            self.check.expect(differ.is_empty() || is_by_person(&bill.code), || {
                format!(
                    "{row} ended {} {}, its bill stands as {} {}; these differ: {differ}",
                    change.outcome, change.code, bill.outcome, bill.code
                )
            });
        } else if change.past == Past::Applied && bill.past == Past::Applied {
            self.twice.fault(format!("{row} was applied, and so was row {} of run {}", bill.last_row, bill.last_run));
        } else if change.past == Past::Applied {
            self.check.fault(format!("{row} was applied, its bill stands as {}", bill.outcome));
        }
        Ok(())
    }

    fn card(&mut self, ended: &Ended, change: &CardChange) -> Result<(), Fault> {
        let state = self.ledger.card(change.card)?.map(|(_, state)| state).unwrap_or_default();
        let row = self.row(ended);
        for (name, value) in &change.members {
            let stands = match state.members.get(name.as_str()) {
                None => false,
                Some(known) if known.place == change.place => known.value == *value,
                Some(known) => known.place > change.place || self.replaces,
            };
            self.check.expect(stands, || format!("{row} confirmed {name}, the card does not show it"));
        }
        Ok(())
    }
}

/// What a bill has otherwise than its row.
fn differences(bill: &BillRow, row: &BillChange) -> Vec<&'static str> {
    let all = [
        ("card", bill.card == row.card),
        ("content", bill.content == row.content),
        ("place", bill.place == row.place),
        ("past", bill.past == row.past),
        ("closing", bill.closing == row.closing),
        ("outcome", bill.outcome == row.outcome),
        ("code", bill.code == row.code),
        ("doubt", bill.doubt == row.doubt),
    ];
    all.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
}
