//! The ledger, small: bills and cards after CONTRACT sections 1 and 2, with the program's own tables as planner.

use std::collections::BTreeMap;

use passync::core::PlanRow;
use passync::core::card::{self, Candidate, CardPast, CardRules, Doubt, Planned};
use passync::core::history::{self, Again, Past};
use passync::model::{BillId, Digest, Digester, Outcome, Place, Seat};

use super::coverage;
use super::process::End;
use super::world::{Row, Settings};

mod fold;

pub use fold::{Rest, recover};

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
    pub bill: BillId,
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
    /// The run that settled it last.
    pub last_run: u32,
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
    /// It ends without a call; `true`: the ledger has to learn of it.
    End(Outcome, Box<Facts>, bool),
    /// An earlier part of the run settled it: like this, where that part left no record.
    Keep(Outcome, Box<Facts>),
}

impl Fate {
    pub fn facts(&self) -> &Facts {
        match self {
            Fate::Send(facts) => facts,
            Fate::End(_, facts, _) | Fate::Keep(_, facts) => facts,
        }
    }
}

/// A line of the plan.
#[derive(Clone, Debug)]
pub struct Planning {
    pub row: PlanRow,
    /// What its stored revision leaves out.
    pub adopted: Option<u64>,
}

/// What a bill's past makes of a line that does not go on to its card.
enum Met {
    End(Outcome),
    Keep(Outcome),
}

/// What a survey leaves.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    pub fates: Vec<Fate>,
    /// In the order of sending.
    pub plan: Vec<Planning>,
    /// Cases that were met.
    pub met: Vec<&'static str>,
}

/// A record, in the order in which it was learnt.
#[derive(Clone, Debug)]
pub enum Record {
    Intent { row: u64, drop: u64, body: Vec<u8> },
    Attempt { row: u64, doubt: bool },
    Settled { row: u64, outcome: Outcome, doubt: u32, drop: u64, by_stop: bool },
}

/// Bills and cards.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub bills: BTreeMap<BillId, Bill>,
    pub cards: BTreeMap<usize, Card>,
    /// Folds and answers so far: a plan that does not know of all of them is stale.
    pub epoch: u64,
    /// The epoch that began with the last answer of a person.
    pub answered: u64,
}

/// A run whose plan is durable.
#[derive(Clone, Debug)]
pub struct Run {
    pub ordinal: u32,
    pub job: usize,
    pub settings: Settings,
    pub lines: Vec<Line>,
    pub survey: Survey,
    /// What the plan knew of: the ledger's epoch when it was made.
    pub epoch: u64,
    /// Durable records, in order.
    pub journal: Vec<Record>,
    /// Where those begin that the plan does not know of.
    pub planned_at: usize,
    /// Bills and cards have all that it learnt: its plan is void.
    pub is_folded: bool,
    /// How its last process ended: once that was done, only the closing is left.
    pub ended: End,
}

impl Run {
    /// Whether a stop ended rows since its plan: it was not done with them.
    pub fn was_stopping(&self) -> bool {
        self.since_plan().iter().any(|record| matches!(record, Record::Settled { by_stop: true, .. }))
    }

    /// What the run learnt since its plan.
    pub fn since_plan(&self) -> &[Record] {
        &self.journal[self.planned_at..]
    }
}

impl Ledger {
    /// Meets every line with the bills and the cards.
    pub fn survey(&self, run: u32, lines: &[Line], settings: &Settings) -> Survey {
        let mut fates: Vec<Option<Fate>> = vec![None; lines.len()];
        let mut groups: BTreeMap<BillId, Vec<Candidate>> = BTreeMap::new();
        let mut facts: Vec<Facts> = Vec::with_capacity(lines.len());
        for (id, line) in lines.iter().enumerate() {
            let origin = line.origin.unwrap_or(Origin { run, line: id as u64 + 1 });
            facts.push(facts_of(line, origin));
            if !line.row.valid {
                fates[id] = Some(Fate::End(Outcome::Rejected, Box::new(facts[id].clone()), false));
                continue;
            }
            let candidate = candidate(id as u64, line, &facts[id], settings);
            groups.entry(candidate.bill).or_default().push(candidate);
        }
        let mut cards: BTreeMap<usize, Vec<Candidate>> = BTreeMap::new();
        let mut met = Vec::new();
        for group in groups.into_values() {
            let rows: Vec<u64> = group.iter().map(|line| line.id).collect();
            if let Some(bill) = self.bills.get(&group[0].bill) {
                met.push(coverage::again(bill.past, bill.facts.content == group[0].content));
            }
            if group.iter().any(|other| other.content != group[0].content) {
                met.push("a bill with two contents");
            }
            for (id, outcome) in self.meet_bill(run, group, lines, &mut facts, settings, &mut cards) {
                let facts = Box::new(facts[id as usize].clone());
                let fate = match outcome {
                    Met::End(outcome) => Fate::End(outcome, facts, false),
                    Met::Keep(outcome) => Fate::Keep(outcome, facts),
                };
                assert!(fates[id as usize].replace(fate).is_none() && rows.contains(&id));
            }
        }
        let mut plan = Vec::new();
        for (card, mut rows) in cards {
            rows.sort();
            self.meet_card(card, &rows, settings, &facts, &mut fates, (&mut plan, &mut met));
        }
        plan.sort_by_key(|(lead, rank, planning): &(Place, u32, Planning)| (*lead, *rank, planning.row.id));
        Survey {
            fates: fates.into_iter().map(|fate| fate.expect("every line has a fate")).collect(),
            plan: plan.into_iter().map(|(.., planning)| planning).collect(),
            met,
        }
    }

    /// One bill's lines of a run: those that end here, and the one that goes on to its card.
    fn meet_bill(
        &self,
        run: u32,
        mut group: Vec<Candidate>,
        lines: &[Line],
        facts: &mut [Facts],
        settings: &Settings,
        cards: &mut BTreeMap<usize, Vec<Candidate>>,
    ) -> Vec<(u64, Met)> {
        if group.iter().any(|other| other.content != group[0].content) {
            return group.iter().map(|line| (line.id, Met::End(Outcome::Conflict))).collect();
        }
        let mut first = group.remove(0);
        let id = first.id as usize;
        let mut ended: Vec<(u64, Met)> = group.iter().map(|line| (line.id, Met::End(Outcome::Duplicate))).collect();
        let known = self.bills.get(&first.bill);
        let same = known.is_some_and(|bill| bill.facts.content == first.content);
        let again = known.map_or(Again::Afresh, |bill| history::again(bill.past, same, settings.include_refused));
        if let Some(bill) = known.filter(|_| same || lines[id].origin.is_some()) {
            first.place = bill.facts.place; // given when the ledger first saw the row
            facts[id].place = bill.facts.place;
            facts[id].origin = bill.facts.origin;
        }
        if let Some(bill) = known.filter(|bill| same && bill.last_run == run && !bill.past.is_open()) {
            let Again::End(outcome, _) = history::again(bill.past, true, false) else { panic!("open: {bill:?}") };
            facts[id].doubt = bill.facts.doubt;
            ended.push((first.id, Met::Keep(outcome)));
            return ended;
        }
        match again {
            Again::End(outcome, _) => {
                if outcome == Outcome::Conflict {
                    ended.iter_mut().for_each(|(_, other)| *other = Met::End(Outcome::Conflict));
                }
                ended.push((first.id, Met::End(outcome)));
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
        (plan, met): (&mut Vec<(Place, u32, Planning)>, &mut Vec<&'static str>),
    ) {
        let rules = CardRules { allow_stale: settings.allow_stale, coalesce: settings.coalesce };
        for (row, planned) in rows.iter().zip(card::plan(rows, None, &self.past(card), rules)) {
            let facts = facts[row.id as usize].clone();
            met.extend(cases(row, &planned));
            let fate = match planned {
                // What may have been applied stays unknown for as long as it cannot be asked again.
                Planned::End { outcome: Outcome::Held, .. } if facts.doubt > 0 => {
                    Fate::End(Outcome::Unknown, Box::new(facts), true)
                }
                Planned::End { outcome, .. } => Fate::End(outcome, Box::new(facts), outcome != Outcome::Duplicate),
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

    /// Every open row of all runs, as failure files have them.
    pub fn open(&self) -> Vec<Line> {
        let open = self.bills.values().filter(|bill| bill.past.is_open());
        open.map(|bill| Line { row: bill.facts.row.clone(), origin: Some(bill.facts.origin) }).collect()
    }
}

/// What there is to see of a row that comes to its card.
fn cases(row: &Candidate, planned: &Planned) -> Vec<&'static str> {
    let mut met = Vec::new();
    match planned {
        Planned::End { code, .. } => met.push(if row.bare { "a bare row, the same as its neighbour" } else { *code }),
        Planned::Send { drop, gates, absorbed, .. } => {
            let each = [
                (row.adopted.is_some(), "a row adopted"),
                (*drop != 0, "a row that leaves members out"),
                (!gates.is_empty(), "a row that waits for a newer one"),
                (*absorbed, "an absorbed row"),
            ];
            met.extend(each.into_iter().filter(|(is_met, _)| *is_met).map(|(_, case)| case));
        }
    }
    met
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
    Facts { bill: BillId::unnumbered(identity.finish()), place, content, doubt: 0, row: row.clone(), origin }
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
        bare: row.bill.is_none() && row.occurred.is_none() && line.origin.is_none(),
        adopted: None,
    }
}
