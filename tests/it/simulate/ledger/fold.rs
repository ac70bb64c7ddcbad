//! What a run learnt becomes what the ledger knows: the fold at its closing, and the one over an interrupted run.

use std::collections::HashMap;

use passync::core::dispatcher::Recovered;
use passync::core::history::{self, Again, Past};
use passync::model::{BillId, Outcome};

use super::{Bill, Facts, Fate, Ledger, Record, Run};

/// How a row ended, as the fold sees it.
#[derive(Clone, Debug)]
pub struct Ended {
    pub outcome: Outcome,
    pub doubt: u32,
    pub drop: u64,
    pub body: Option<Vec<u8>>,
    /// Whether the ledger has to learn of it.
    pub is_news: bool,
}

/// What is to be said of rows that the run never came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The run is being closed.
    Unsent,
    /// It stays interrupted.
    Open,
}

impl Run {
    /// How every line ended, as far as the run knows; `None`: that is still open.
    pub fn ends(&self, rest: Rest, ledger: &Ledger) -> Vec<Option<Ended>> {
        let (mut learnt, mut bodies) = (HashMap::new(), HashMap::new());
        let is_new = !self.is_folded;
        for (at, record) in self.journal.iter().enumerate() {
            let is_planned = at < self.planned_at;
            match record {
                Record::Settled { row, outcome, doubt, drop, .. } => {
                    learnt.insert(*row, (is_planned, Ended { drop: *drop, ..plain(*outcome, *doubt, is_new) }));
                }
                Record::Intent { row, body, .. } if !is_planned => drop(bodies.insert(*row, body)),
                Record::Intent { .. } | Record::Attempt { .. } => {}
            }
        }
        let recovered = recover(self.since_plan());
        let each = (0..).zip(&self.survey.fates).map(|(id, fate)| match fate {
            Fate::End(outcome, facts, is_news) if outcome.is_open() => {
                let doubt = self.doubt(facts, ledger);
                let outcome = if doubt == 0 { Outcome::Held } else { *outcome };
                Some(self.standing(facts, ledger).unwrap_or(plain(outcome, doubt, *is_news && is_new)))
            }
            Fate::End(outcome, facts, is_news) => Some(plain(*outcome, facts.doubt, *is_news && is_new)),
            Fate::Keep(outcome, facts) => {
                let ended = learnt.remove(&id).map(|(_, ended)| ended).filter(|ended| !ended.outcome.is_open());
                Some(Ended { is_news: false, ..ended.unwrap_or_else(|| plain(*outcome, facts.doubt, false)) })
            }
            Fate::Send(facts) => match (recovered.get(&id).filter(|row| row.settled.is_none()), learnt.remove(&id)) {
                (Some(cut_off), _) => Some(Ended {
                    drop: cut_off.intent.unwrap_or_default(),
                    ..plain(Outcome::Unknown, facts.doubt + cut_off.doubt, is_new)
                }),
                (None, Some((false, ended))) => Some(self.since(facts, ledger, ended)),
                // What the plan was made with is no news any more.
                (None, _) if rest == Rest::Open => None,
                (None, _) => Some(self.standing(facts, ledger).unwrap_or_else(|| {
                    let doubt = self.doubt(facts, ledger);
                    plain(if doubt > 0 { Outcome::Unknown } else { Outcome::Unsent }, doubt, true)
                })),
            },
        });
        let body = |id: u64| bodies.get(&id).map(|body| (*body).clone());
        (0..).zip(each).map(|(id, ended)| ended.map(|ended| Ended { body: body(id), ..ended })).collect()
    }

    /// Whether others changed the ledger since the plan.
    pub fn is_stale(&self, ledger: &Ledger) -> bool {
        self.is_folded || self.epoch != ledger.epoch
    }

    /// How a row stands that this run did not come to, where others went on since its plan and did.
    fn standing(&self, facts: &Facts, ledger: &Ledger) -> Option<Ended> {
        let bill = ledger.bills.get(&facts.bill).filter(|_| self.is_stale(ledger))?;
        match history::again(bill.past, bill.facts.content == facts.content, false) {
            Again::End(outcome, _) => Some(plain(outcome, bill.facts.doubt, false)),
            Again::Adopt => Some(plain(Outcome::Unknown, bill.facts.doubt, false)),
            Again::Afresh => None,
        }
    }

    /// Attempts in doubt of earlier runs, but for what a person has answered since the plan.
    fn doubt(&self, facts: &Facts, ledger: &Ledger) -> u32 {
        if !self.is_stale(ledger) {
            return facts.doubt;
        }
        ledger.bills.get(&facts.bill).map_or(0, |bill| bill.facts.doubt)
    }

    /// How a row stands now that this run left open: others may have gone on with it, or a person answered for it.
    fn since(&self, facts: &Facts, ledger: &Ledger, ended: Ended) -> Ended {
        if !ended.outcome.is_open() || !self.is_stale(ledger) {
            return ended;
        }
        if let Some(found) = self.standing(facts, ledger).filter(|_| self.is_folded) {
            return found;
        }
        let own = if self.is_folded { 0 } else { ended.doubt - facts.doubt };
        let doubt = own + self.doubt(facts, ledger);
        let is_answered = ended.outcome == Outcome::Unknown && doubt == 0;
        Ended { outcome: if is_answered { Outcome::Unsent } else { ended.outcome }, doubt, ..ended }
    }

    /// Whether every row that was planned came to its end since then, and to one.
    pub fn is_complete(&self) -> bool {
        let ends = self.since_plan().iter().filter(|record| matches!(record, Record::Settled { .. }));
        let sent = self.survey.fates.iter().filter(|fate| matches!(fate, Fate::Send(_)));
        ends.count() == sent.count()
    }

    /// Rows that a crash cut off end as a closing books them.
    pub fn end_cut_off(&mut self, ledger: &Ledger) {
        let recovered = recover(self.since_plan());
        for (row, end) in (0..).zip(self.ends(Rest::Open, ledger)) {
            let is_cut_off = recovered.get(&row).is_some_and(|row| row.settled.is_none());
            if let Some(Ended { outcome, doubt, drop, .. }) = end.filter(|_| is_cut_off) {
                self.journal.push(Record::Settled { row, outcome, doubt, drop, by_stop: false });
            }
        }
    }
}

fn plain(outcome: Outcome, doubt: u32, is_news: bool) -> Ended {
    Ended { outcome, doubt, drop: 0, body: None, is_news }
}

impl Ledger {
    /// Takes over what a run learnt.
    pub fn fold(&mut self, run: &mut Run, ends: &[Option<Ended>]) {
        let mut confirmed = Vec::new();
        for (fate, ended) in run.survey.fates.iter().zip(ends) {
            let (facts, Some(ended)) = (fate.facts(), ended.as_ref().filter(|ended| ended.is_news)) else { continue };
            if ended.outcome == Outcome::Applied {
                confirmed.push((facts, ended.drop));
            }
            self.take(run.ordinal, facts, ended);
        }
        confirmed.sort_by_key(|(facts, _)| facts.place);
        for (facts, drop) in confirmed {
            self.confirm(facts, drop, run.settings.allow_stale);
        }
        run.is_folded = true;
        self.epoch += 1;
    }

    fn take(&mut self, run: u32, facts: &Facts, ended: &Ended) {
        let Some(past) = Past::of(ended.outcome, ended.doubt > 0) else { return };
        let known = self.bills.get(&facts.bill);
        // What is closed late is no news of a bill that was applied, or sent, in the meantime.
        let is_old = known.is_some_and(|bill| match past {
            Past::Applied => false,
            Past::NeverSent => !matches!(bill.past, Past::NeverSent | Past::Refused),
            _ => bill.past == Past::Applied,
        });
        if is_old {
            return;
        }
        let is_possible = past.is_possible();
        let body = ended.body.clone().filter(|_| is_possible);
        let (body, dropped) = match known.filter(|_| is_possible && body.is_none()) {
            Some(bill) => (bill.body.clone(), bill.dropped),
            None => (body, ended.drop),
        };
        let facts = Facts { doubt: ended.doubt, ..facts.clone() };
        self.bills.insert(facts.bill, Bill { facts, past, dropped, body, last_run: run });
    }

    fn confirm(&mut self, facts: &Facts, drop: u64, replace: bool) {
        let card = self.cards.entry(facts.row.card).or_default();
        for bit in (0..u64::BITS).map(|bit| 1 << bit).filter(|bit| facts.row.members & !drop & bit != 0) {
            let newest = card.members.entry(bit).or_default();
            *newest = if replace { facts.place } else { facts.place.max(*newest) };
        }
        if facts.row.closing {
            card.closed = card.closed.max(Some(facts.place));
        }
    }

    /// Books a person's answer about a bill that is open or possible.
    pub fn settle(&mut self, bill: BillId, applied: bool) {
        let known = self.bills.remove(&bill).expect("a person was shown this bill");
        if applied {
            self.confirm(&known.facts, known.dropped, false);
            self.bills.insert(bill, Bill { past: Past::Applied, body: None, ..known });
        }
        self.epoch += 1;
        self.answered = self.epoch;
    }
}

/// What the records of an interrupted run say of each row, as `run` reads them.
pub fn recover(journal: &[Record]) -> HashMap<u64, Recovered> {
    let mut rows: HashMap<u64, Recovered> = HashMap::new();
    for record in journal {
        match record {
            Record::Intent { row, drop, .. } => rows.entry(*row).or_default().intent = Some(*drop),
            Record::Attempt { row, doubt } => {
                let row = rows.entry(*row).or_default();
                row.attempts += 1;
                row.doubt += u32::from(*doubt);
            }
            Record::Settled { row, outcome, doubt, .. } => {
                rows.insert(*row, Recovered { settled: Some(*outcome), doubt: *doubt, ..Recovered::default() });
            }
        }
    }
    for row in rows.values_mut().filter(|row| row.settled.is_none()) {
        // One more may have been under way when the run was cut off.
        row.attempts += 1;
        row.doubt += 1;
    }
    rows
}
