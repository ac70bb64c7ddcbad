//! Looking into the ledger: what is open, what is known of a bill or a card. Nothing changes.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::rc::Rc;

use serde::Serialize;

use super::Fault;
use super::detail::RunDetail;
use super::inputs::can_replay;
use crate::core::history::Past;
use crate::io::ledger::{Answer, BillRow, CardState, Ledger, Unproved};
use crate::model::moment::rfc3339_ms;
use crate::model::{BillId, Outcome, Place, Record};

/// One open row.
#[derive(Clone, Debug, Serialize)]
pub struct OpenRow {
    /// Its bill, where it has one.
    pub bill_no: Option<String>,
    /// Its card.
    pub card: String,
    /// `unknown`, `held` or `unsent`.
    pub class: Outcome,
    /// The code that it ended with.
    pub code: String,
    /// When the run that first read it began.
    pub since: String,
    /// The same in milliseconds before now.
    pub age_ms: u64,
    /// The run that left it so.
    #[serde(flatten)]
    pub left_by: LeftBy,
    /// The newest update of its card in doubt that it has to wait for, where a replay of its own run does not settle it.
    pub behind: Option<Behind>,
}

/// The run that left a row as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftBy {
    /// Its name.
    pub run: String,
    /// Its job.
    pub job: String,
    /// Where its files were written.
    pub dir: String,
    /// Whether a failure file is there: without one the run's own input has to be given again.
    pub replayable: bool,
}

/// A newer update of a card that may have been applied: until that is known, what is older is not sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Behind {
    /// Its bill, where it has one.
    pub bill_no: Option<String>,
    /// The run that left it so.
    #[serde(flatten)]
    pub left_by: LeftBy,
    /// Whether the gateway refused it after a doubt: it is no open row, and only a person has it sent again.
    pub refused: bool,
}

/// All that is known of a bill or a card.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Shown {
    /// The bills with that number.
    pub bills: Vec<ShownBill>,
    /// The cards with that number.
    pub cards: Vec<ShownCard>,
}

/// A bill.
#[derive(Clone, Debug, Serialize)]
pub struct ShownBill {
    /// Its number.
    pub bill_no: Option<String>,
    /// What tells it from others of that number.
    pub identity: String,
    /// Its card.
    pub card: String,
    /// How it stands.
    pub state: &'static str,
    /// How its last row ended.
    pub outcome: Outcome,
    /// With which code.
    pub code: String,
    /// When.
    pub settled_at: String,
    /// In which run.
    pub run: String,
    /// Attempts in doubt, of all runs.
    pub in_doubt: u32,
    /// Where it stands in the history of its card.
    pub place: ShownPlace,
    /// Members and values, while it is open or possible.
    pub members: BTreeMap<String, String>,
    /// Members that its stored revision leaves out.
    pub dropped: Vec<String>,
    /// Attempts of its last run, oldest first; the last one settled it.
    pub attempts: Vec<ShownAttempt>,
    /// What persons answered about it.
    pub answers: Vec<ShownAnswer>,
}

/// A place in the history of a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShownPlace {
    /// When it happened, or what stands in for that.
    pub occurred_at: String,
    /// Orders rows of one instant.
    pub sequence: i64,
    /// The run that first read the row.
    pub run: String,
    /// `source:line` there.
    pub at: String,
}

/// One attempt.
#[derive(Clone, Debug, Serialize)]
pub struct ShownAttempt {
    /// When it began; of the one that settled its row, when that was.
    pub at: String,
    /// What it meant: a verdict, or the outcome that it settled.
    pub meant: String,
    /// The code.
    pub code: String,
    /// What was said.
    pub message: String,
    /// The vendor's trace id.
    pub trace_id: String,
    /// 0 without a reply.
    pub http_status: u16,
    /// From the first byte out to the reply in.
    pub latency_ms: Option<u64>,
}

/// A person's answer.
#[derive(Clone, Debug, Serialize)]
pub struct ShownAnswer {
    /// When it was booked.
    pub at: String,
    /// `applied` or `not-applied`.
    pub answer: String,
    /// Why.
    pub reason: String,
}

/// A card.
#[derive(Clone, Debug, Serialize)]
pub struct ShownCard {
    /// Its number.
    pub card: String,
    /// What the gateway confirmed, member by member.
    pub members: BTreeMap<String, ShownMember>,
    /// Where it was closed, if it was.
    pub closed: Option<ShownPlace>,
    /// Its newest bills, newest first.
    pub bills: Vec<ShownBill>,
}

/// A confirmed value.
#[derive(Clone, Debug, Serialize)]
pub struct ShownMember {
    /// The value.
    pub value: String,
    /// Where the row that brought it stands.
    pub place: ShownPlace,
}

/// The ledger as a whole.
#[derive(Clone, Debug, Serialize)]
pub struct Stats {
    /// The file.
    pub ledger: String,
    /// Bytes of it, what is not yet written back apart.
    pub bytes: u64,
    /// Bills by how they stand.
    pub bills: BTreeMap<&'static str, u64>,
    /// Cards.
    pub cards: u64,
    /// Open rows.
    pub open_rows: u64,
    /// Runs by job, kind and state.
    pub runs: Vec<RunCount>,
    /// Answers that persons gave.
    pub answers: u64,
}

/// How many runs there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunCount {
    /// Of which job.
    pub job: String,
    /// `run` or `replay`.
    pub kind: String,
    /// `closed` or `interrupted`.
    pub state: String,
    /// How many.
    pub runs: u64,
}

/// Bills shown of a card.
const BILLS_SHOWN: u32 = 20;

/// A word for how a bill stands.
pub fn state_word(past: Past) -> &'static str {
    match past {
        Past::Applied => "applied",
        Past::Doubtful => "open, possibly applied",
        Past::NeverSent => "open, not applied",
        Past::Refused => "refused",
        Past::RefusedAfterDoubt => "refused after doubt, possibly applied",
        Past::Superseded => "superseded",
        Past::Coalesced => "coalesced",
    }
}

/// Hands over every open row of all runs, oldest first.
pub fn each_open(
    ledger: &Ledger,
    now_ms: i64,
    mut each: impl FnMut(OpenRow) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut runs = Runs::new(ledger);
    ledger.each_open(|bill| {
        let first = runs.get(bill.place.run)?;
        let behind = runs.behind(&bill)?;
        let since_ms = if first.started_ms > 0 { first.started_ms } else { bill.settled_ms };
        each(OpenRow {
            bill_no: bill.bill_no,
            card: bill.card_no,
            class: bill.outcome,
            code: bill.code,
            since: rfc3339_ms(since_ms),
            age_ms: (now_ms - since_ms).max(0).unsigned_abs(),
            left_by: runs.left_by(bill.last_run)?,
            behind,
        })
    })
}

/// The bills of this number, or with this identity.
pub(super) fn bills_called(ledger: &Ledger, name: &str) -> Result<Vec<BillRow>, Fault> {
    let mut bills = ledger.bills_numbered(name)?;
    bills.extend(BillId::parse(name).map(|id| ledger.bill(id)).transpose()?.flatten());
    Ok(bills)
}

/// All that is known of the bills and cards of this number, or of the bill with this identity.
pub fn show(ledger: &Ledger, number: &str) -> Result<Shown, Fault> {
    let mut runs = Runs::new(ledger);
    let bills = bills_called(ledger, number)?;
    let bills = bills.into_iter().map(|bill| runs.bill(bill, true)).collect::<Result<_, Fault>>()?;
    let mut cards = Vec::new();
    let own = ledger.bills_of_card(number, BILLS_SHOWN)?;
    let mut confirmed: Vec<_> = ledger.cards_numbered(number)?;
    for bill in &own {
        if !confirmed.iter().any(|(card, _)| *card == bill.card) {
            confirmed.push((bill.card, CardState::default())); // of which nothing is confirmed yet
        }
    }
    for (card, state) in confirmed {
        let own = own.iter().filter(|bill| bill.card == card).cloned();
        let bills = own.map(|bill| runs.bill(bill, false)).collect::<Result<_, Fault>>()?;
        cards.push(runs.card(number, state, bills)?);
    }
    Ok(Shown { bills, cards })
}

/// What is said of a name that is no bill and no card: a bill that was settled as not applied is forgotten until it is sent
/// again, but for the answer.
pub fn unknown(ledger: &Ledger, name: &str) -> Result<String, Fault> {
    let answers = BillId::parse(name).map_or_else(|| ledger.answers_near(name), |id| ledger.answers(id))?;
    let not_applied = answers.last().filter(|answer| answer.answer == Answer::NotApplied.as_str());
    let answered = not_applied.map_or_else(String::new, |answer| {
        format!(
            "; at {} a person settled a bill whose number begins like it as not applied ({}): that one is known again once it \
             is sent",
            rfc3339_ms(answer.at_ms),
            answer.reason
        )
    });
    Ok(format!("{name} is neither a bill nor a card of the ledger{answered}"))
}

/// The ledger as a whole.
pub fn stats(ledger: &Ledger) -> Result<Stats, Fault> {
    let (bills, cards) = ledger.counts()?;
    let runs = ledger.run_counts()?.into_iter();
    Ok(Stats {
        ledger: ledger.path().display().to_string(),
        bytes: std::fs::metadata(ledger.path()).map_or(0, |meta| meta.len()),
        bills: bills.into_iter().map(|(past, count)| (state_word(past), count)).collect(),
        cards,
        open_rows: ledger.open_count()?,
        runs: runs.map(|(job, kind, state, runs)| RunCount { job, kind, state, runs }).collect(),
        answers: ledger.answer_count()?,
    })
}

/// What is shown of runs, each read once.
pub(super) struct Runs<'a> {
    ledger: &'a Ledger,
    known: HashMap<u32, Rc<RunName>>,
}

struct RunName {
    id: String,
    job: String,
    dir: String,
    replayable: bool,
    started_ms: i64,
    sources: Vec<String>,
}

impl Runs<'_> {
    pub(super) fn new(ledger: &Ledger) -> Runs<'_> {
        Runs { ledger, known: HashMap::new() }
    }

    /// The name of a run.
    pub(super) fn name(&mut self, ordinal: u32) -> Result<String, Fault> {
        Ok(self.get(ordinal)?.id.clone())
    }

    fn get(&mut self, ordinal: u32) -> Result<Rc<RunName>, Fault> {
        if let Some(known) = self.known.get(&ordinal) {
            return Ok(Rc::clone(known));
        }
        let run = self.ledger.run(ordinal)?;
        let detail = run.as_ref().and_then(|run| RunDetail::parse(&run.detail));
        let sources = detail.as_ref().map(|detail| detail.inputs.iter().map(|input| input.name.clone()).collect());
        let name = Rc::new(RunName {
            id: run.as_ref().map_or_else(|| ordinal.to_string(), |run| run.id.clone()),
            job: run.as_ref().map(|run| run.job.clone()).unwrap_or_default(),
            replayable: detail.as_ref().is_some_and(|detail| can_replay(Path::new(&detail.dir))),
            dir: detail.map(|detail| detail.dir).unwrap_or_default(),
            started_ms: run.map_or(0, |run| run.started_ms),
            sources: sources.unwrap_or_default(),
        });
        self.known.insert(ordinal, Rc::clone(&name));
        Ok(name)
    }

    /// The newest update in doubt that an open row waits for.
    fn behind(&mut self, bill: &BillRow) -> Result<Option<Behind>, Fault> {
        let mut doubts = self.ledger.possible(bill.card)?;
        doubts.retain(|doubt| doubt.place > bill.place);
        if doubts.is_empty() {
            return Ok(None);
        }
        let state = self.ledger.card(bill.card)?.map(|(_, state)| state).unwrap_or_default();
        // A member of which the card has a newer value is left out anyway.
        let is_fresh = |name: &str| state.members.get(name).is_none_or(|known| known.place <= bill.place);
        let carried: Vec<_> = bill.members.iter().map(|(name, _)| name).filter(|name| is_fresh(name)).collect();
        let waits = |doubt: &Unproved| {
            doubt.closing || carried.iter().any(|name| doubt.members.contains(name) && !bill.dropped.contains(name))
        };
        let newest = doubts.into_iter().filter(waits).max_by_key(|doubt| doubt.place);
        let Some(newer) = newest.map(|doubt| self.ledger.bill(doubt.bill)).transpose()?.flatten() else {
            return Ok(None);
        };
        let refused = newer.past == Past::RefusedAfterDoubt;
        if newer.last_run == bill.last_run && !refused {
            return Ok(None); // the replay takes both, the newer one first
        }
        Ok(Some(Behind { bill_no: newer.bill_no, left_by: self.left_by(newer.last_run)?, refused }))
    }

    fn left_by(&mut self, ordinal: u32) -> Result<LeftBy, Fault> {
        let RunName { id, job, dir, replayable, .. } = &*self.get(ordinal)?;
        Ok(LeftBy { run: id.clone(), job: job.clone(), dir: dir.clone(), replayable: *replayable })
    }

    pub(super) fn place(&mut self, place: Place) -> Result<ShownPlace, Fault> {
        let run = self.get(place.run)?;
        let source = run.sources.get(usize::from(place.seat.source)).map_or("?", String::as_str);
        Ok(ShownPlace {
            occurred_at: rfc3339_ms(place.occurred_ms),
            sequence: place.shown_sequence(),
            run: run.id.clone(),
            at: format!("{source}:{}", place.seat.line),
        })
    }

    fn bill(&mut self, bill: BillRow, with_attempts: bool) -> Result<ShownBill, Fault> {
        let records = if with_attempts { self.ledger.records(bill.last_run, bill.last_row)? } else { Vec::new() };
        let answers = self.ledger.answers(bill.key)?.into_iter();
        Ok(ShownBill {
            place: self.place(bill.place)?,
            run: self.get(bill.last_run)?.id.clone(),
            attempts: records.iter().filter_map(attempt).collect(),
            answers: answers
                .map(|answer| ShownAnswer {
                    at: rfc3339_ms(answer.at_ms),
                    answer: answer.answer,
                    reason: answer.reason,
                })
                .collect(),
            bill_no: bill.bill_no,
            identity: bill.key.to_string(),
            card: bill.card_no,
            state: state_word(bill.past),
            outcome: bill.outcome,
            code: bill.code,
            settled_at: rfc3339_ms(bill.settled_ms),
            in_doubt: bill.doubt,
            members: bill.members.into_iter().collect(),
            dropped: bill.dropped,
        })
    }

    fn card(&mut self, number: &str, state: CardState, bills: Vec<ShownBill>) -> Result<ShownCard, Fault> {
        let mut members = BTreeMap::new();
        for (name, confirmed) in state.members {
            let place = self.place(confirmed.place)?;
            members.insert(name, ShownMember { value: confirmed.value, place });
        }
        let closed = state.closed.map(|place| self.place(place)).transpose()?;
        Ok(ShownCard { card: number.to_owned(), members, closed, bills })
    }
}

/// What a record shows of an attempt; `None` for ends without one.
fn attempt(record: &Record) -> Option<ShownAttempt> {
    match record {
        Record::Intent(_) => None,
        Record::Attempt(attempt) => Some(ShownAttempt {
            at: rfc3339_ms(attempt.sent_ms),
            meant: attempt.reading.verdict.as_str().to_owned(),
            code: attempt.reading.code.clone(),
            message: attempt.reading.message.clone(),
            trace_id: attempt.reading.trace_id.clone(),
            http_status: attempt.reading.http_status,
            latency_ms: Some(attempt.latency_us / 1_000),
        }),
        Record::Settled(_, settled) => Some(ShownAttempt {
            at: rfc3339_ms(settled.settled_ms),
            meant: settled.outcome.as_str().to_owned(),
            code: settled.code.clone(),
            message: settled.message.clone(),
            trace_id: settled.trace_id.clone(),
            http_status: settled.http_status,
            latency_ms: settled.latency_us.map(|us| us / 1_000),
        })
        .filter(|_| settled.attempts > 0),
    }
}
