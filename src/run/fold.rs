//! The end of every row, from what the survey decided and what the run learnt. Files and ledger are folds over it.

use std::cmp::Ordering;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::Fault;
use super::members::Members;
use super::recover::{Learnt, OpenRow};
use super::store::{RunFolder, rows_and_fates};
use super::stored::{Content, Fate, RowFacts, StoredRow};
use super::words::{self, Stopped};
use crate::core::history::{self, Again, Past};
use crate::io::ledger::{BillChange, CardChange, Ledger, Part, RunState};
use crate::io::sort::{Sorted, Sorter};
use crate::model::{Outcome, Record, Settled, Status};

/// The code of rows that were under way when their run was closed.
pub const CUT_OFF: &str = "CUT_OFF";

/// One row with its end.
pub struct Ended {
    /// Its index in the run's input order.
    pub id: u64,
    /// As it was read.
    pub row: StoredRow,
    /// How it ended.
    pub settled: Settled,
    /// What the ledger knows it by; `None` where it knows all of it, or never hears of it.
    pub facts: Option<RowFacts>,
    /// Whether the ledger has to learn of it. What was folded before is no news: others may have gone on from there.
    pub is_news: bool,
    /// Whether only this moment tells how it ended, neither plan nor journal: a run that is closed writes it down.
    pub is_found: bool,
    /// Attempts of which the journal's ends tell already.
    pub told: u32,
}

impl Ended {
    /// What the ledger has to learn of its bill.
    pub fn bill_change(&self) -> Option<BillChange> {
        self.bill().filter(|_| self.is_news)
    }

    /// What the ledger has to learn of its card.
    pub fn card_change(&self, replace: bool) -> Option<CardChange> {
        self.confirmed(replace).filter(|_| self.is_news)
    }

    /// What the row leaves of its bill.
    pub fn bill(&self) -> Option<BillChange> {
        let facts = self.facts.as_ref()?;
        let Content::Delta(delta) = &self.row.content else { return None };
        let past = Past::of(self.settled.outcome, self.settled.in_doubt > 0)?;
        Some(BillChange {
            key: facts.bill,
            row: self.id,
            bill_no: delta.bill_no.clone(),
            card: facts.card,
            card_no: delta.card.clone(),
            content: facts.content,
            place: facts.place,
            past,
            outcome: self.settled.outcome,
            closing: delta.status != Status::Update,
            doubt: self.settled.in_doubt,
            settled_ms: self.settled.settled_ms,
            code: self.settled.code.clone(),
            dropped: self.settled.trimmed.clone(),
            members: if past.is_unproved() { values(&delta.members, &[]) } else { Vec::new() },
        })
    }

    /// What the row confirmed of its card.
    pub fn confirmed(&self, replace: bool) -> Option<CardChange> {
        let facts = self.facts.as_ref().filter(|_| self.settled.outcome == Outcome::Applied)?;
        let Content::Delta(delta) = &self.row.content else { return None };
        Some(CardChange {
            card: facts.card,
            place: facts.place,
            card_no: delta.card.clone(),
            members: values(&delta.members, &self.settled.trimmed),
            closing: delta.status != Status::Update,
            replace,
        })
    }
}

fn values(members: &[crate::model::Field], without: &[String]) -> Vec<(SmolStr, SmolStr)> {
    let carried = members.iter().filter(|member| without.iter().all(|left_out| *left_out != member.name));
    carried.map(|member| (member.name.clone(), member.value.as_text().into())).collect()
}

/// A row's end on its way into input order; the last one of a row counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct EndRecord {
    row: u64,
    seq: u64,
    /// The present plan was made with it.
    planned: bool,
    settled: Settled,
}

impl PartialEq for EndRecord {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for EndRecord {}
impl PartialOrd for EndRecord {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for EndRecord {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.row, self.seq).cmp(&(other.row, other.seq))
    }
}

/// The rows of a run with their ends, in input order.
pub struct Fold {
    ends: std::iter::Peekable<Sorted<EndRecord>>,
    /// Rows that a crash cut off between intent and end.
    cut_off: HashMap<u64, OpenRow>,
    members: Members,
    /// Bills and cards have all that was learnt.
    is_folded: bool,
    /// The ledger, where others changed it since the plan.
    others: Option<Ledger>,
    rest: Rest,
    now_ms: i64,
}

/// What is to be said of rows that the run never came to.
#[derive(Clone, Debug)]
pub enum Rest {
    /// They are `unsent`: the run is being closed; why it stopped, if it did.
    Unsent(Option<Stopped>),
    /// Nothing yet: the run stays interrupted, and comes to them when it is resumed.
    Open,
}

impl Fold {
    /// Gathers the ends of `run`.
    pub fn new(
        ledger: &Ledger,
        run: u32,
        folder: &RunFolder,
        members: &[String],
        rest: Rest,
        now_ms: i64,
    ) -> Result<Fold, Fault> {
        Fold::watched(ledger, run, folder, members, rest, now_ms, |_| {})
    }

    /// The same; `watch` sees each record of the journal, oldest first.
    pub fn watched(
        ledger: &Ledger,
        run: u32,
        folder: &RunFolder,
        members: &[String],
        rest: Rest,
        now_ms: i64,
        mut watch: impl FnMut(&Record),
    ) -> Result<Fold, Fault> {
        let mut sorter = Sorter::by(folder.path(), |end: &EndRecord| end.row);
        let mut learnt = Learnt::new(folder.path())?;
        let mut seq = 0;
        for part in [Part::BeforePlan, Part::SincePlan] {
            ledger.journal(run, part, |record| -> Result<(), Fault> {
                seq += 1;
                watch(&record);
                let planned = part == Part::BeforePlan;
                if !planned {
                    learnt.take(&record)?;
                }
                if let Record::Settled(row, settled) = record {
                    sorter.push(EndRecord { row, seq, planned, settled: *settled })?;
                }
                Ok(())
            })?;
        }
        let cut_off = learnt.meet_intents(ledger, run)?.into_open();
        let booked = ledger.run(run)?.expect("a run that is folded was booked");
        // A connection of its own: the fold itself changes bills.
        let is_stale = booked.state == RunState::Interrupted && booked.epoch != ledger.epoch()?;
        let others = is_stale.then(|| ledger.another()).transpose()?;
        let (ends, members) = (sorter.finish()?.peekable(), Members(members.to_vec()));
        Ok(Fold { ends, cut_off, members, is_folded: booked.is_folded(), others, rest, now_ms })
    }

    /// Hands over every row.
    pub fn each(mut self, folder: &RunFolder, mut take: impl FnMut(Ended) -> Result<(), Fault>) -> Result<(), Fault> {
        for item in rows_and_fates(folder)? {
            let (id, row, fate) = item?;
            let learnt = self.end_of(id)?;
            take(self.ended(id, row, fate, learnt)?)?;
        }
        Ok(())
    }

    /// The last end that the journal has of a row, and whether the plan was made with it; a run that was reopened may
    /// have several, and their attempts add up.
    fn end_of(&mut self, id: u64) -> Result<Option<(Settled, bool)>, Fault> {
        let mut last: Option<(Settled, bool)> = None;
        while let Some(record) = self.ends.next_if(|next| next.as_ref().map_or(true, |next| next.row <= id)) {
            let record = record?;
            if record.row == id {
                let mut settled = record.settled;
                if let Some((earlier, _)) = last {
                    settled.attempts += earlier.attempts;
                    settled.first_sent_ms = earlier.first_sent_ms.or(settled.first_sent_ms);
                }
                last = Some((settled, record.planned));
            }
        }
        Ok(last)
    }

    fn ended(&self, id: u64, row: StoredRow, fate: Fate, learnt: Option<(Settled, bool)>) -> Result<Ended, Fault> {
        let is_new = !self.is_folded;
        let told = learnt.as_ref().map_or(0, |(settled, planned)| if *planned { 0 } else { settled.attempts });
        let (settled, facts, is_news, is_found) = match fate {
            Fate::End { outcome, code, message, by, facts } => {
                let own = learnt.filter(|(_, planned)| !planned).map(|(settled, _)| settled); // found by an earlier closing
                let is_open = own.as_ref().map_or(outcome, |settled| settled.outcome).is_open();
                let ask = facts.as_ref().filter(|_| is_open && (own.is_none() || self.is_folded));
                let found = ask.map(|facts| self.standing(facts)).transpose()?.flatten();
                let is_found = found.is_some();
                let doubt = facts.as_ref().map_or(Ok(0), |facts| self.doubt(facts))?;
                let outcome = if outcome == Outcome::Unknown && doubt == 0 { Outcome::Held } else { outcome };
                let settled = found.or(own).unwrap_or_else(|| Settled {
                    carried_by: by,
                    in_doubt: doubt,
                    ..Settled::local(outcome, &code, message, self.now_ms)
                });
                (settled, facts, is_new, is_found)
            }
            Fate::Keep { outcome, code } => {
                let own = learnt.map(|(settled, _)| settled).filter(|settled| !settled.outcome.is_open());
                let message = "an earlier part of this run, or a person, settled it";
                (own.unwrap_or_else(|| Settled::local(outcome, &code, message, self.now_ms)), None, false, false)
            }
            Fate::Send(facts) => {
                let (settled, is_news, is_found) = match (learnt, self.cut_off.get(&id), &self.rest) {
                    (_, Some(cut), _) => (self.cut_off(&facts, cut), is_new, true),
                    (Some((own, false)), None, _) if own.outcome.is_open() => self.left_open(&own, &facts)?,
                    (Some((settled, false)), None, _) => (settled, is_new, false),
                    (earlier, None, Rest::Open) => (self.untouched(facts.doubt, earlier, None), false, false),
                    (earlier, None, Rest::Unsent(stop)) => match self.standing(&facts)? {
                        Some(settled) => (settled, false, true),
                        None => (self.untouched(self.doubt(&facts)?, earlier, stop.as_ref()), true, false),
                    },
                };
                (settled, Some(facts), is_news, is_found)
            }
        };
        Ok(Ended { id, row, settled, facts, is_news, is_found, told })
    }

    /// How a row stands that this run left open, where others went on since its plan and did not.
    fn standing(&self, facts: &RowFacts) -> Result<Option<Settled>, Fault> {
        let Some(ledger) = &self.others else { return Ok(None) };
        let Some(bill) = ledger.bill(facts.bill)? else { return Ok(None) };
        let (outcome, code) = match history::again(bill.past, bill.content == facts.content, false) {
            Again::End(outcome, code) => (outcome, code),
            Again::Adopt => (Outcome::Unknown, bill.code.as_str()),
            Again::Afresh => return Ok(None),
        };
        let message = format!("the ledger has this bill as {} since run {}", bill.outcome, bill.last_run);
        Ok(Some(Settled { in_doubt: bill.doubt, ..Settled::local(outcome, code, message, self.now_ms) }))
    }

    /// Attempts in doubt of earlier runs: as planned, but for what a person has answered since.
    fn doubt(&self, facts: &RowFacts) -> Result<u32, Fault> {
        let Some(ledger) = &self.others else { return Ok(facts.doubt) };
        Ok(ledger.bill(facts.bill)?.map_or(0, |bill| bill.doubt))
    }

    /// A row that this run left `own`, open; whether the ledger has to learn of it, and the journal.
    fn left_open(&self, own: &Settled, facts: &RowFacts) -> Result<(Settled, bool, bool), Fault> {
        if let Some(found) = self.standing(facts)?.filter(|_| self.is_folded) {
            let Settled { attempts, first_sent_ms, .. } = *own;
            return Ok((Settled { attempts, first_sent_ms, ..found }, false, true));
        }
        let settled = self.but_for_answers(own.clone(), facts)?;
        let is_answered = settled != *own;
        Ok((settled, !self.is_folded, is_answered))
    }

    /// A row that this run left open, less the doubt of earlier runs that a person has answered since.
    fn but_for_answers(&self, settled: Settled, facts: &RowFacts) -> Result<Settled, Fault> {
        if self.others.is_none() {
            return Ok(settled);
        }
        let own = if self.is_folded { 0 } else { settled.in_doubt.saturating_sub(facts.doubt) };
        let in_doubt = own + self.doubt(facts)?;
        let is_answered = settled.outcome == Outcome::Unknown && in_doubt == 0;
        let outcome = if is_answered { Outcome::Unsent } else { settled.outcome };
        Ok(Settled { outcome, in_doubt, ..settled })
    }

    fn cut_off(&self, facts: &RowFacts, cut: &OpenRow) -> Settled {
        let message = "the run was cut off while the row was under way: it may have been applied";
        Settled {
            attempts: cut.attempts,
            in_doubt: facts.doubt + cut.doubt,
            first_sent_ms: cut.first_sent_ms,
            trimmed: self.members.names(cut.drop),
            ..Settled::local(Outcome::Unknown, CUT_OFF, message, self.now_ms)
        }
    }

    /// A row that the present plan did not come to, with the `doubt` of earlier runs. `earlier`: how an earlier part of
    /// the run ended it.
    fn untouched(&self, doubt: u32, earlier: Option<(Settled, bool)>, stopped: Option<&Stopped>) -> Settled {
        let outcome = history::with_doubt(Outcome::Unsent, doubt > 0);
        let settled = earlier.map(|(settled, _)| settled).filter(|settled| settled.outcome == outcome);
        let settled = settled.unwrap_or_else(|| {
            let (code, message) = words::untouched(stopped);
            Settled::local(outcome, &code, message, self.now_ms)
        });
        Settled { in_doubt: doubt, ..settled }
    }
}

/// Folds what a run knows so far into bills and cards, which are all that counts of it from then on: its plan is void.
pub fn into_ledger(
    ledger: &mut Ledger,
    run: u32,
    folder: &RunFolder,
    fold: Fold,
    replace: bool,
    mut also: impl FnMut(&Ended) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut bills = Sorter::by(folder.path(), |change: &BillChange| change.key.prefix());
    let mut cards = Sorter::by(folder.path(), |change: &CardChange| change.card.prefix());
    fold.each(folder, |ended| {
        also(&ended)?;
        ended.bill_change().map_or(Ok(()), |change| bills.push(change))?;
        ended.card_change(replace).map_or(Ok(()), |change| cards.push(change))?;
        Ok(())
    })?;
    ledger.fold(run, bills.finish()?, cards.finish()?)?;
    Ok(())
}
