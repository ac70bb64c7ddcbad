//! The ledger, small: bills and cards after CONTRACT sections 1 and 2, with the program's own tables as planner.

use std::collections::{BTreeMap, HashMap};

use passync::core::PlanRow;
use passync::core::card::{self, Candidate, CardPast, CardRules, Doubt, Planned};
use passync::core::dispatcher::Recovered;
use passync::core::history::{self, Again, Past};
use passync::model::{Digest, Digester, Outcome, Place, Seat};

use super::world::{Row, Settings};

/// A line as a run reads it.
#[derive(Clone, Debug)]
pub struct Line {
    pub row: Row,
    /// Whose line it is, in a replay.
    pub origin: Option<Origin>,
}

/// The line that a line of a failure file stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    pub run: u32,
    pub line: u64,
}

impl Origin {
    /// The place in time of a line without one: the start of the run that read it first, here later than every time
    /// of the files of that night and earlier than some of the next.
    fn default_ms(self) -> i64 {
        i64::from(self.run) * 700
    }
}

/// What the ledger keeps of a row.
#[derive(Clone, Debug)]
pub struct Facts {
    pub bill: Digest,
    pub place: Place,
    pub content: Digest,
    /// Attempts in doubt of earlier runs.
    pub doubt: u32,
    pub row: Row,
    pub origin: Origin,
}

/// A bill.
#[derive(Clone, Debug)]
pub struct Bill {
    pub facts: Facts,
    pub past: Past,
    /// The members that its stored revision leaves out.
    pub dropped: u64,
    /// Its frozen bytes.
    pub body: Option<Vec<u8>>,
}

/// What is confirmed of a card.
#[derive(Clone, Debug, Default)]
pub struct Card {
    pub members: BTreeMap<u64, Place>,
    pub closed: Option<Place>,
}

/// What the survey made of a line.
#[derive(Clone, Debug)]
pub enum Fate {
    Send(Facts),
    End(Outcome, Option<Facts>),
}

/// A line of the plan.
#[derive(Clone, Debug)]
pub struct Planning {
    pub row: PlanRow,
    /// What its stored revision leaves out.
    pub adopted: Option<u64>,
}

/// What a survey leaves.
#[derive(Clone, Debug)]
pub struct Survey {
    pub fates: Vec<Fate>,
    /// In the order of sending.
    pub plan: Vec<Planning>,
}

/// A record, in the order in which it was learnt.
#[derive(Clone, Debug)]
pub enum Record {
    Intent { row: u64, drop: u64, body: Vec<u8> },
    Attempt { row: u64, doubt: bool },
    Settled { row: u64, outcome: Outcome, doubt: u32, drop: u64 },
}

/// Bills and cards.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub bills: BTreeMap<Digest, Bill>,
    pub cards: BTreeMap<usize, Card>,
}

/// How a row ended, as the fold sees it.
#[derive(Clone, Debug)]
pub struct Ended {
    pub outcome: Outcome,
    pub doubt: u32,
    pub drop: u64,
    pub body: Option<Vec<u8>>,
}

impl Ledger {
    /// Meets every line with the bills and the cards.
    pub fn survey(&self, run: u32, lines: &[Line], settings: &Settings) -> Survey {
        let mut fates: Vec<Option<Fate>> = vec![None; lines.len()];
        let mut groups: BTreeMap<Digest, Vec<Candidate>> = BTreeMap::new();
        let mut facts: Vec<Facts> = Vec::with_capacity(lines.len());
        for (id, line) in lines.iter().enumerate() {
            let origin = line.origin.unwrap_or(Origin { run, line: id as u64 + 1 });
            facts.push(facts_of(line, origin));
            if !line.row.valid {
                fates[id] = Some(Fate::End(Outcome::Rejected, None));
                continue;
            }
            let candidate = candidate(id as u64, line, &facts[id], settings);
            groups.entry(candidate.bill).or_default().push(candidate);
        }
        let mut cards: BTreeMap<usize, Vec<Candidate>> = BTreeMap::new();
        for group in groups.into_values() {
            let first = group[0].id as usize;
            for (id, outcome) in self.meet_bill(group, lines, &mut facts, settings, &mut cards) {
                assert!(fates[id as usize].is_none() && (outcome != Outcome::Duplicate || id as usize != first));
                fates[id as usize] = Some(Fate::End(outcome, None));
            }
        }
        let mut plan = Vec::new();
        for (card, mut rows) in cards {
            rows.sort();
            self.meet_card(card, &rows, settings, &facts, &mut fates, &mut plan);
        }
        plan.sort_by_key(|(lead, rank, planning): &(Place, u32, Planning)| (*lead, *rank, planning.row.id));
        Survey {
            fates: fates.into_iter().map(|fate| fate.expect("every line has a fate")).collect(),
            plan: plan.into_iter().map(|(.., planning)| planning).collect(),
        }
    }

    /// One bill's lines of a run: those that end here, and the one that goes on to its card.
    fn meet_bill(
        &self,
        mut group: Vec<Candidate>,
        lines: &[Line],
        facts: &mut [Facts],
        settings: &Settings,
        cards: &mut BTreeMap<usize, Vec<Candidate>>,
    ) -> Vec<(u64, Outcome)> {
        if group.iter().any(|other| other.content != group[0].content) {
            return group.iter().map(|line| (line.id, Outcome::Conflict)).collect();
        }
        let mut first = group.remove(0);
        let id = first.id as usize;
        let mut ended: Vec<(u64, Outcome)> = group.iter().map(|line| (line.id, Outcome::Duplicate)).collect();
        let known = self.bills.get(&first.bill);
        let same = known.is_some_and(|bill| bill.facts.content == first.content);
        let again = known.map_or(Again::Afresh, |bill| history::again(bill.past, same, settings.include_refused));
        if let Some(bill) = known.filter(|_| same) {
            first.place = bill.facts.place; // given when the ledger first saw the row
            facts[id].place = bill.facts.place;
            facts[id].origin = bill.facts.origin;
        }
        match again {
            Again::End(outcome, _) => {
                if outcome == Outcome::Conflict {
                    for (_, other) in &mut ended {
                        *other = Outcome::Conflict;
                    }
                }
                ended.push((first.id, outcome));
                return ended;
            }
            Again::Adopt => {
                let bill = known.expect("only a known bill is adopted");
                first.adopted = Some((bill.dropped, bill.facts.doubt.max(1)));
                first.absorbable = false;
                facts[id].doubt = bill.facts.doubt.max(1);
            }
            Again::Afresh => {}
        }
        cards.entry(lines[id].row.card).or_default().push(first);
        ended
    }

    fn meet_card(
        &self,
        card: usize,
        rows: &[Candidate],
        settings: &Settings,
        facts: &[Facts],
        fates: &mut [Option<Fate>],
        plan: &mut Vec<(Place, u32, Planning)>,
    ) {
        let rules = CardRules { allow_stale: false, coalesce: settings.coalesce };
        for (row, planned) in rows.iter().zip(card::plan(rows, &self.past(card), rules)) {
            let facts = facts[row.id as usize].clone();
            let fate = match planned {
                // What may have been applied stays unknown for as long as it cannot be asked again.
                Planned::End { outcome: Outcome::Held, .. } if facts.doubt > 0 => {
                    Fate::End(Outcome::Unknown, Some(facts))
                }
                Planned::End { outcome: Outcome::Duplicate, .. } => Fate::End(Outcome::Duplicate, None),
                Planned::End { outcome, .. } => Fate::End(outcome, Some(facts)),
                Planned::Send { lead, rank, drop, cover, absorbed, gates, watched } => {
                    let planned = PlanRow {
                        id: row.id,
                        card: row.card,
                        members: row.members,
                        drop,
                        cover,
                        absorbed,
                        gates,
                        watched,
                        doubt: facts.doubt,
                        recovered: None,
                    };
                    plan.push((lead, rank, Planning { row: planned, adopted: row.adopted.map(|(drop, _)| drop) }));
                    Fate::Send(facts)
                }
            };
            fates[row.id as usize] = Some(fate);
        }
    }

    fn past(&self, card: usize) -> CardPast {
        let known = self.cards.get(&card).cloned().unwrap_or_default();
        let possible = self.bills.values().filter(|bill| bill.facts.row.card == card && bill.past.is_possible());
        CardPast {
            confirmed: known.members.into_iter().collect(),
            closed: known.closed,
            doubts: possible
                .map(|bill| Doubt {
                    bill: bill.facts.bill,
                    place: bill.facts.place,
                    members: bill.facts.row.members & !bill.dropped,
                    closing: bill.facts.row.closing,
                })
                .collect(),
        }
    }

    /// Takes over how a run's row ended.
    pub fn fold(&mut self, facts: &Facts, ended: Ended) {
        let Some(past) = Past::of(ended.outcome, ended.doubt > 0) else { return };
        let kept = self.bills.get_mut(&facts.bill).and_then(|bill| bill.body.take());
        let facts = Facts { doubt: ended.doubt, ..facts.clone() };
        if ended.outcome == Outcome::Applied {
            self.confirm(&facts, ended.drop);
        }
        let body = past.is_possible().then(|| ended.body.or(kept)).flatten();
        self.bills.insert(facts.bill, Bill { facts, past, dropped: ended.drop, body });
    }

    fn confirm(&mut self, facts: &Facts, drop: u64) {
        let card = self.cards.entry(facts.row.card).or_default();
        for bit in (0..u64::BITS).map(|bit| 1 << bit).filter(|bit| facts.row.members & !drop & bit != 0) {
            let newest = card.members.entry(bit).or_default();
            *newest = facts.place.max(*newest);
        }
        if facts.row.closing {
            card.closed = card.closed.max(Some(facts.place));
        }
    }

    /// Books a person's answer about a bill in doubt.
    pub fn settle(&mut self, bill: Digest, applied: bool) {
        let known = self.bills.remove(&bill).expect("a person was shown this bill");
        if applied {
            self.confirm(&known.facts, known.dropped);
            self.bills.insert(bill, Bill { past: Past::Applied, body: None, ..known });
        }
    }

    /// Every open row of all runs, as failure files have them.
    pub fn open(&self) -> Vec<Line> {
        let open = self.bills.values().filter(|bill| bill.past.is_open());
        open.map(|bill| Line { row: bill.facts.row.clone(), origin: Some(bill.facts.origin) }).collect()
    }
}

fn facts_of(line: &Line, origin: Origin) -> Facts {
    let (row, content) = (&line.row, line.row.content());
    let mut identity = Digester::new("identity");
    match (row.bill, row.occurred) {
        (Some(bill), _) => identity.part(b"bill").part(&bill.to_le_bytes()),
        (None, Some(ms)) => identity
            .part(&(row.card as u64).to_le_bytes())
            .part(&ms.to_le_bytes())
            .part(&row.sequence.to_le_bytes())
            .part(&content.0),
        (None, None) => identity.part(&origin.run.to_le_bytes()).part(&origin.line.to_le_bytes()),
    };
    let place = Place {
        occurred_ms: row.occurred.unwrap_or(origin.default_ms()),
        sequence: row.sequence,
        run: origin.run,
        seat: Seat { source: 0, line: origin.line },
    };
    Facts { bill: identity.finish(), place, content, doubt: 0, row: row.clone(), origin }
}

fn candidate(id: u64, line: &Line, facts: &Facts, settings: &Settings) -> Candidate {
    let row = &line.row;
    Candidate {
        card: Digest::of("card", &[&row.card.to_string()]),
        place: facts.place,
        id,
        members: row.members,
        bill: facts.bill,
        content: facts.content,
        shape: Digest::of("user", &[&row.user.to_string()]),
        closing: row.closing,
        absorbable: !row.closing && (!row.transaction || settings.coalesce_bills),
        carries: !row.closing,
        bare: row.bill.is_none() && row.occurred.is_none() && line.origin.is_none(),
        adopted: None,
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
