//! The survey's second half, under the lease: every row meets the ledger, and the plan becomes durable.
//!
//! ```text
//! rows -> sorted by bill -> duplicates, conflicts, what the ledger knows of the bill
//!      -> sorted by card and place -> what the card's past leaves of each row
//!      -> fates in input order, plan in the order of sending
//! ```

mod digest;
mod origins;
mod records;
mod told;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use self::digest::{Own, PlanDigester};
use self::origins::Origins;
use self::records::{BillGroup, BillRecord, CardRecord, CardRows};
use self::told::Told;
use super::Fault;
use super::brief::{Brief, Gist, seat_identity};
use super::detail::InputFact;
use super::gate::Suspects;
use super::members::Members;
use super::store::{RunFolder, Seals, name_of};
use super::stored::{Fate, PlanRecord, RowFacts};
use super::survey::{Timed, timed_key};
use super::timings::{Stage, Timings};
use crate::core::card::{self, Candidate, CardPast, CardRules, Doubt, NEWER_IN_DOUBT, Planned};
use crate::core::history::{self, Again, IMPORTED, Past};
use crate::core::limits;
use crate::io::ahead::{Ahead, ahead};
use crate::io::frames::FrameWriter;
use crate::io::ledger::{Keys, Known, Ledger};
use crate::io::sort::Sorter;
use crate::model::moment::rfc3339_ms;
use crate::model::{BillId, Digest, Outcome, Place, Reject, Rule};

/// What the planner is told.
#[expect(clippy::struct_excessive_bools, reason = "each is a setting or a flag")]
pub struct Order<'a> {
    /// Where the work of other threads is counted.
    pub timings: &'a Timings,
    /// What bills are keyed by: dialect and client.
    pub scope: &'a str,
    /// The run's ordinal in the ledger.
    pub ordinal: u32,
    /// The run's name.
    pub run_id: &'a str,
    /// When it started, which is the time of rows that have none; milliseconds since 1970.
    pub started_ms: i64,
    /// The inputs in their order.
    pub inputs: &'a [InputFact],
    /// The settings in force.
    pub settings: &'a serde_json::Value,
    /// Every member met.
    pub members: &'a Members,
    /// Per input, what does not fit its columns.
    pub suspects: &'a [Suspects],
    /// Which files have times of their own.
    pub timed: &'a BTreeMap<String, Timed>,
    /// Whether newer rows absorb older ones ...
    pub coalesce: bool,
    /// ... those of Alipay transactions too.
    pub coalesce_bills: bool,
    /// `--allow-stale`.
    pub allow_stale: bool,
    /// `ledger import`: the rows were applied by another program; whatever their cards show since, they are booked so.
    pub import: bool,
    /// `replay --include refused`.
    pub include_refused: bool,
}

/// What the planner found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows that may be sent.
    pub planned: u64,
    /// Rows that end without a call, by outcome.
    pub ended: BTreeMap<Outcome, u64>,
    /// Of the planned rows: those that a newer row of their card may carry, no call each.
    pub absorbed: u64,
    /// Cards of the rows that may be sent.
    pub cards: u64,
    /// Messages that the calls send to customers, if each call is made once.
    pub messages: u64,
}

/// A plan on disk.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What was found.
    pub counts: Counts,
    /// What its files are known by.
    pub seals: Seals,
    /// What `--plan` names.
    pub digest: Digest,
}

/// Decides about every row of the folder; leaves fates and plan, both durable, and says what they are known by.
///
/// What is read and merged from files is so on a thread beside this one, which looks at it, digests it and sorts it.
pub fn make(order: &Order<'_>, ledger: &Ledger, folder: &RunFolder) -> Result<Plan, Fault> {
    let mut planner = Planner {
        order,
        ledger,
        folder: folder.path(),
        origins: Origins::default(),
        horizon_ms: ledger.horizon()?,
        bills: Known::new(ledger, Keys::Bills),
        cards: Known::new(ledger, Keys::Cards),
        unproved: Known::new(ledger, Keys::Unproved),
        fates: Sorter::by(folder.path(), |(id, _)| *id),
        plan: Sorter::by(folder.path(), |record| record.lead.prefix()),
        counts: Counts::default(),
    };
    let mut bills = Sorter::by(folder.path(), BillRecord::prefix);
    let rows = Told::open(folder, order.suspects)?;
    beside(order.timings, rows, |rows| {
        (0..).zip(rows).try_for_each(|(id, told)| planner.admit(id, told?, &mut bills))
    })?;
    let mut cards = Sorter::by(folder.path(), CardRecord::prefix);
    planner.meet_bills(bills, &mut cards)?;
    planner.meet_cards(cards)?;
    planner.write(folder)
}

/// Lets `items` run on a thread beside `work`, which takes them.
fn beside<I, R>(
    timings: &Timings,
    items: I,
    work: impl FnOnce(Ahead<'_, I::Item>) -> Result<R, Fault>,
) -> Result<R, Fault>
where
    I: Iterator<Item: Send> + Send,
{
    std::thread::scope(|scope| work(ahead(scope, || timings.count(Stage::Plan), items).map_err(Fault::no_thread)?))
}

struct Planner<'a> {
    order: &'a Order<'a>,
    ledger: &'a Ledger,
    /// Where temporary files lie.
    folder: &'a Path,
    origins: Origins,
    /// Bills from before it were forgotten.
    horizon_ms: Option<i64>,
    bills: Known<'a>,
    cards: Known<'a>,
    unproved: Known<'a>,
    fates: Sorter<(u64, Fate)>,
    plan: Sorter<PlanRecord>,
    counts: Counts,
}

impl Planner<'_> {
    fn end(
        &mut self,
        id: u64,
        outcome: Outcome,
        code: &str,
        message: String,
        by: Option<u64>,
        facts: Option<RowFacts>,
    ) -> Result<(), Fault> {
        *self.counts.ended.entry(outcome).or_default() += 1;
        self.fates.push((id, Fate::End { outcome, code: code.to_owned(), message, by, facts }))?;
        Ok(())
    }

    // ---- rows get their identity and their place

    fn admit(
        &mut self,
        id: u64,
        (row, reject): (Brief, Option<Reject>),
        bills: &mut Sorter<BillRecord>,
    ) -> Result<(), Fault> {
        if let Some(reject) = reject {
            return self.end(id, Outcome::Rejected, reject.rule.code(), reject.to_string(), None, None);
        }
        let gist = row.gist.expect("a row without one is rejected");
        let source = &self.order.inputs[usize::from(row.seat.source)].name;
        let has_none = gist.occurred_ms.is_none();
        if has_none && self.order.timed.get(&*timed_key(source, row.origin.as_ref())).is_some_and(|it| it.is_mixed()) {
            let message = format!(
                "{}: column `occurred_at`: found no time, expected one, since other rows of the file have it: {}",
                Rule::MixedTimes.slug(),
                Rule::MixedTimes.text()
            );
            return self.end(id, Outcome::Rejected, Rule::MixedTimes.code(), message, None, None);
        }
        let own = (self.order.ordinal, row.seat, self.order.inputs[usize::from(row.seat.source)].occurred_default_ms);
        let (run, seat, default_ms) = match &row.origin {
            Some(origin) => self.origins.find(self.ledger, origin)?.unwrap_or(own),
            None => own,
        };
        let place = Place { occurred_ms: gist.occurred_ms.unwrap_or(default_ms), sequence: gist.sequence, run, seat };
        let bill =
            gist.bill.unwrap_or_else(|| seat_identity(self.order.scope, self.order.run_id, source, row.seat.line));
        let replayed = row.origin.is_some();
        let candidate = self.candidate(id, &gist, bill, place, replayed);
        bills.push(BillRecord { bound: CardRecord { candidate, messages: gist.messages }, replayed })?;
        Ok(())
    }

    fn candidate(&self, id: u64, gist: &Gist, bill: BillId, place: Place, replayed: bool) -> Candidate {
        let Gist { card, content, shape, members, closing, .. } = *gist;
        Candidate {
            card,
            place,
            id,
            members,
            bill,
            content,
            shape,
            closing,
            absorbable: !closing && (!gist.is_transaction || self.order.coalesce_bills),
            bare: !gist.has_bill && gist.occurred_ms.is_none() && !replayed,
            adopted: None,
        }
    }

    // ---- bills

    fn meet_bills(&mut self, bills: Sorter<BillRecord>, cards: &mut Sorter<CardRecord>) -> Result<(), Fault> {
        let mut group: Option<BillGroup> = None;
        beside(self.order.timings, bills.finish()?, |records| {
            for record in records {
                let record = record?;
                if let Some(group) = group.as_mut().filter(|group| group.first.bill() == record.bill()) {
                    group.join(&record, self.folder)?;
                } else if let Some(whole) = group.replace(BillGroup::of(record)) {
                    self.meet_bill(whole, cards)?;
                }
            }
            group.map_or(Ok(()), |last| self.meet_bill(last, cards))
        })
    }

    fn duplicate(&mut self, id: u64, first: u64) -> Result<(), Fault> {
        let message = "an earlier row of this run has the same bill and the same content".to_owned();
        self.end(id, Outcome::Duplicate, "DUPLICATE", message, Some(first), None)
    }

    fn meet_bill(&mut self, group: BillGroup, cards: &mut Sorter<CardRecord>) -> Result<(), Fault> {
        if let Some(clash) = group.clash {
            return self.conflict_in_run(group, clash);
        }
        let (first, others) = group.into_parts()?;
        let content = first.bound.candidate.content;
        let past = if self.bills.has(&first.bill().0)? { self.ledger.bill(first.bill())? } else { None };
        let id = first.id();
        let same = past.as_ref().is_some_and(|bill| bill.content == content);
        let again = past.as_ref().map_or(Again::Afresh, |bill| self.again(bill.past, same));
        let CardRecord { mut candidate, messages } = first.bound;
        if let Some(bill) = &past
            && (same || first.replayed)
        {
            candidate.place = bill.place; // given when the ledger first saw the row, and kept
        }
        match (again, past) {
            (_, Some(bill)) if same && bill.last_run == self.order.ordinal && !bill.past.is_open() => {
                let Again::End(outcome, code) = history::again(bill.past, true, false) else {
                    unreachable!("what is not open ends without a call")
                };
                self.fates.push((id, Fate::Keep { outcome, code: code.to_owned() }))?;
            }
            (Again::End(outcome, code), Some(bill)) => {
                let doubt = if bill.past.is_possible() { "; an attempt may have applied" } else { "" };
                let (outcome_then, run, code_then) = (bill.outcome, bill.last_run, &bill.code);
                let message =
                    format!("the ledger has this bill as {outcome_then} since run {run} ({code_then}){doubt}");
                self.end(id, outcome, code, message.clone(), None, None)?;
                if outcome == Outcome::Conflict {
                    for other in others {
                        self.end(other?, outcome, code, message.clone(), None, None)?;
                    }
                    return Ok(());
                }
            }
            (Again::Adopt, Some(bill)) => {
                let dropped = self.order.members.mask(bill.dropped.iter().map(String::as_str));
                candidate.adopted = Some((dropped & candidate.members, bill.doubt.max(1)));
                candidate.absorbable = false;
                cards.push(CardRecord { candidate, messages })?;
            }
            (_, None) if self.horizon_ms.is_some_and(|horizon| candidate.place.occurred_ms < horizon) => {
                let message = format!(
                    "{}: it happened at {}, and the ledger has forgotten what was before {}: nobody can tell whether it was sent",
                    Rule::Horizon.slug(),
                    rfc3339_ms(candidate.place.occurred_ms),
                    rfc3339_ms(self.horizon_ms.unwrap_or_default())
                );
                self.end(id, Outcome::Rejected, Rule::Horizon.code(), message, None, None)?;
            }
            (Again::Afresh, _) | (_, None) => cards.push(CardRecord { candidate, messages })?,
        }
        others.into_iter().try_for_each(|other| self.duplicate(other?, id))
    }

    fn again(&self, past: Past, same_content: bool) -> Again {
        if self.order.import {
            history::imported(past, same_content)
        } else {
            history::again(past, same_content, self.order.include_refused)
        }
    }

    fn conflict_in_run(&mut self, group: BillGroup, clash: u64) -> Result<(), Fault> {
        let mut end = |id, by| {
            let message = "another row of this run has the same bill and different content: none is sent";
            self.end(id, Outcome::Conflict, "CONFLICT_IN_RUN", message.to_owned(), Some(by), None)
        };
        let (first, mut others) = group.into_parts()?;
        end(first.id(), clash)?;
        others.try_for_each(|other| end(other?, first.id()))
    }

    // ---- cards

    fn meet_cards(&mut self, cards: Sorter<CardRecord>) -> Result<(), Fault> {
        let mut card = CardRows::default();
        beside(self.order.timings, cards.finish()?, |records| {
            for record in records {
                let record = record?;
                if card.rows.last().is_some_and(|last| last.card != record.candidate.card) {
                    self.end_card(&mut card)?;
                } else if card.rows.len() >= limits::STRETCH_ROWS && self.is_decided(&mut card)? {
                    self.meet_rows(&mut card)?;
                }
                card.push(record);
            }
            self.end_card(&mut card)
        })
    }

    fn end_card(&mut self, card: &mut CardRows) -> Result<(), Fault> {
        self.meet_rows(card)?;
        self.counts.cards += u64::from(card.is_planned);
        (card.before, card.past, card.is_planned) = (None, None, false);
        Ok(())
    }

    /// Whether the rows gathered of a card can be judged without those behind them.
    fn is_decided(&mut self, card: &mut CardRows) -> Result<bool, Fault> {
        let Some(last) = card.rows.last().map(|last| (last.card, last.place)) else { return Ok(true) };
        let past = self.past_of(card, last.0)?;
        Ok(card.past.insert(past).is_certain_behind(last.1))
    }

    /// What the ledger knows of the card: it is asked once.
    fn past_of(&mut self, card: &mut CardRows, key: Digest) -> Result<CardPast, Fault> {
        card.past.take().map_or_else(|| self.card_past(key), Ok)
    }

    /// Judges the rows gathered of a card, in the order of their places.
    fn meet_rows(&mut self, card: &mut CardRows) -> Result<(), Fault> {
        let Some(key) = card.rows.last().map(|last| last.card) else { return Ok(()) };
        let past = self.past_of(card, key)?;
        let import = self.order.import; // its rows have ended, in whichever order
        let rules =
            CardRules { allow_stale: self.order.allow_stale || import, coalesce: self.order.coalesce && !import };
        let verdicts = card::plan(&card.rows, card.before.as_ref(), &past, rules);
        for ((row, messages), verdict) in card.rows.iter().zip(&card.messages).zip(verdicts) {
            let doubt = row.adopted.map_or(0, |(_, doubt)| doubt);
            let facts = RowFacts { bill: row.bill, card: row.card, content: row.content, place: row.place, doubt };
            match verdict {
                Planned::End { outcome, code, by } => {
                    let outcome = history::with_doubt(outcome, doubt > 0);
                    let facts = (outcome != Outcome::Duplicate).then_some(facts);
                    self.end(row.id, outcome, code, reason(code).to_owned(), by, facts)?;
                }
                Planned::Send { .. } if import => {
                    self.end(row.id, Outcome::Applied, IMPORTED, reason(IMPORTED).to_owned(), None, Some(facts))?;
                }
                Planned::Send { lead, rank, drop, cover, absorbed, gates, watched } => {
                    card.is_planned = true;
                    self.counts.planned += 1;
                    self.counts.absorbed += u64::from(absorbed);
                    let gone = row.adopted.map_or(drop, |(dropped, _)| dropped);
                    let kept = messages.iter().filter(|member| !absorbed && **member & gone == 0).count();
                    self.counts.messages += kept as u64;
                    self.fates.push((row.id, Fate::Send(facts)))?;
                    self.plan.push(PlanRecord {
                        lead,
                        rank,
                        id: row.id,
                        card: row.card,
                        bill: row.bill,
                        members: row.members,
                        drop,
                        cover,
                        absorbed,
                        gates,
                        watched,
                        adopted: row.adopted.map(|(dropped, _)| dropped),
                        doubt,
                    })?;
                }
            }
        }
        card.past = Some(past);
        card.before = card.rows.pop();
        card.rows.clear();
        card.messages.clear();
        Ok(())
    }

    fn card_past(&mut self, card: Digest) -> Result<CardPast, Fault> {
        let members = self.order.members;
        let mut past = CardPast::default();
        if self.cards.has(&card.0)?
            && let Some((_, state)) = self.ledger.card(card)?
        {
            past.closed = state.closed;
            past.confirmed = state
                .members
                .iter()
                .map(|(name, confirmed)| (members.mask(std::iter::once(name.as_str())), confirmed.place))
                .filter(|(mask, _)| *mask != 0)
                .collect();
        }
        let possible = if self.unproved.has(&card.0)? { self.ledger.possible(card)? } else { Vec::new() };
        past.doubts = possible
            .into_iter()
            .map(|doubt| Doubt {
                bill: doubt.bill,
                place: doubt.place,
                members: members.mask(doubt.members.iter().map(String::as_str)),
                closing: doubt.closing,
            })
            .collect();
        Ok(past)
    }

    // ---- what is left on disk

    fn write(self, folder: &RunFolder) -> Result<Plan, Fault> {
        let Order { ordinal, started_ms, timings, .. } = *self.order;
        let own = Own { ordinal, started_ms };
        let mut digester = PlanDigester::new(self.order.inputs, self.order.settings, &self.order.members.0, own);
        let (sorted, mut fates) = (self.fates.finish()?, FrameWriter::create(&folder.fates())?);
        beside(timings, sorted, |sorted| {
            for (expected, fate) in (0_u64..).zip(sorted) {
                let (id, fate) = fate?;
                assert_eq!(id, expected, "every row has one fate");
                digester.fate(&fate);
                fates.push(&fate)?;
            }
            Ok(())
        })?;
        let fates = fates.finish()?;
        let (sorted, mut plan) = (self.plan.finish()?, FrameWriter::create(&folder.plan())?);
        beside(timings, sorted, |mut sorted| {
            sorted.try_for_each(|record| {
                let record = record?;
                digester.record(&record);
                plan.push(&record)?;
                Ok(())
            })
        })?;
        let plan = plan.finish()?;
        folder.sync()?;
        let seals = [(name_of(&folder.fates()), fates), (name_of(&folder.plan()), plan)].into();
        Ok(Plan { counts: self.counts, seals, digest: digester.finish() })
    }
}

fn reason(code: &str) -> &'static str {
    match code {
        "SUPERSEDED" => "the card was given newer values of every member that the row carries",
        "SUPERSEDED_CLOSED" => "the card was closed after the row happened",
        IMPORTED => "another program applied it, and a person vouched for that: booked without a call",
        NEWER_IN_DOUBT => "a newer row of the card may have been applied: sending this one could roll it back",
        _ => "the row directly before it on its card says the same",
    }
}

#[cfg(test)]
mod tests;
