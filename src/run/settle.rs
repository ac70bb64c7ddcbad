//! Booking what persons found out about bills in doubt.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::detail::RunDetail;
use super::lease::Lease;
use super::look::{self, Runs, ShownPlace, bills_called, state_word};
use super::numbers::count;
use super::store::{self, RunFolder};
use super::stored::Fate;
use super::{Fault, wall_ms};
use crate::io::ledger::{Answer, Answered, BillRow, Ledger};
use crate::model::BillId;

/// One answer, as a person gave it.
#[derive(Clone, Debug)]
pub struct Given {
    /// A bill's number or identity, or a card's number.
    pub key: String,
    /// What was found.
    pub answer: Answer,
    /// Why.
    pub reason: String,
    /// Where it was said, as `answers.csv:3`; empty for the command line.
    pub place: String,
}

/// A bill that was settled.
#[derive(Clone, Debug, Serialize)]
pub struct Booked {
    /// Its number.
    pub bill_no: Option<String>,
    /// Its card.
    pub card: String,
    /// How it stood.
    pub was: &'static str,
    /// `applied` or `not-applied`.
    pub answer: &'static str,
}

/// Books answers, all or none. A number settles the open or possibly applied bill that has it, or all bills in doubt of a
/// card; one that several have is refused, since an answer about one is none about the others.
pub fn settle(ledger: &Path, given: &[Given]) -> Result<Vec<Booked>, Fault> {
    if !ledger.exists() {
        return Err(crate::io::ledger::LedgerError::Absent(ledger.to_owned()).into());
    }
    let mut lease = Lease::take(ledger, "ledger settle", Duration::ZERO, || false)?;
    let mut ledger = lease.open()?;
    let answered = find(&ledger, given)?;
    refuse_other_contents(&ledger, &answered)?;
    let booked = answered.iter().map(|one| Booked {
        bill_no: one.bill.bill_no.clone(),
        card: one.bill.card_no.clone(),
        was: state_word(one.bill.past),
        answer: one.answer.as_str(),
    });
    let booked = booked.collect();
    ledger.settle(&answered, wall_ms())?;
    Ok(booked)
}

/// An answer is about the content that the ledger shows. Where an interrupted run sends the bill with another one, what
/// came of that is in the run's own records, and would be lost behind "applied".
fn refuse_other_contents(ledger: &Ledger, answered: &[Answered]) -> Result<(), Fault> {
    let applied = answered.iter().filter(|one| one.answer == Answer::Applied);
    let bills: HashMap<BillId, &BillRow> = applied.map(|one| (one.bill.key, &one.bill)).collect();
    if bills.is_empty() {
        return Ok(());
    }
    for run in ledger.interrupted_all()?.iter().filter(|run| !run.is_folded() && !run.is_import()) {
        let refused = |of: fn(String) -> Fault, what: &str| {
            of(format!("run {} of job {} was cut off, and {what}; nothing was booked", run.id, run.job)).help(
                "finish that run first (`passync resume` with its job file; `--input PATH` where its input is now; or \
                 `--abandon`), then answer",
            )
        };
        let folder = RunFolder::new(ledger.path(), &run.id);
        if !folder.is_whole(&RunDetail::of(run)?.seals)? {
            return Err(refused(Fault::storage, "what it has read is damaged or gone"));
        }
        for fate in store::fates(&folder)? {
            if let Fate::Send(facts) = fate?
                && let Some(bill) = bills.get(&facts.bill).filter(|bill| bill.content != facts.content)
            {
                let name = bill.bill_no.as_deref().unwrap_or("without a number");
                let what = format!("has bill {name} with another content, which may be what was applied");
                return Err(refused(Fault::usage, &what));
            }
        }
    }
    Ok(())
}

/// What a key may mean.
#[derive(Default)]
struct Meant {
    /// The bills with this number, or this identity.
    bills: Vec<BillRow>,
    /// Those on a card with this number.
    on_card: Vec<BillRow>,
}

impl Meant {
    /// The bills that one answer settles, or those between which a person has to choose.
    fn only(self) -> Result<Vec<BillRow>, Vec<BillRow>> {
        let Meant { bills, on_card } = self;
        let one_card = on_card.iter().all(|bill| bill.card == on_card[0].card);
        match (bills.len(), on_card.len()) {
            (1, 0) => Ok(bills),
            // Who looks at a card sees what may stand on it: of bills that were never sent this says nothing.
            (0, _) if one_card => Ok(on_card.into_iter().filter(|bill| bill.past.is_possible()).collect()),
            _ => Err(bills.into_iter().chain(on_card).collect()),
        }
    }
}

/// The bills that are meant. They are few: one pass over them serves any number of answers.
fn find(ledger: &Ledger, given: &[Given]) -> Result<Vec<Answered>, Fault> {
    let mut wanted: HashMap<&str, (&Given, Meant)> = HashMap::new();
    for one in given {
        if let Some((first, _)) = wanted.insert(&one.key, (one, Meant::default())) {
            return Err(fault(one, format!("{} is answered twice, here and at {}", one.key, first.place)));
        }
    }
    ledger.each_unproved(|bill| -> Result<(), Fault> {
        let identity = bill.key.to_string();
        for number in [Some(identity.as_str()), bill.bill_no.as_deref()].into_iter().flatten() {
            if let Some((_, meant)) = wanted.get_mut(number) {
                meant.bills.push(bill.clone());
            }
        }
        // Its own number may be that of its card.
        if let Some((_, meant)) = wanted.get_mut(bill.card_no.as_str())
            && bill.bill_no.as_ref() != Some(&bill.card_no)
        {
            meant.on_card.push(bill);
        }
        Ok(())
    })?;
    let mut answered: Vec<Answered> = Vec::new();
    let mut settled: HashMap<BillId, &Given> = HashMap::new();
    for one in given {
        let (_, meant) = wanted.remove(one.key.as_str()).expect("every key is wanted once");
        let never_sent = meant.on_card.len() as u64; // where none of them is in doubt
        let bills = match meant.only() {
            Ok(bills) => bills,
            Err(bills) => return Err(fault(one, choice(ledger, &one.key, &bills)?)),
        };
        if bills.is_empty() {
            return Err(fault(one, nothing_to_settle(ledger, &one.key, never_sent)?));
        }
        for bill in bills {
            if let Some(first) = settled.insert(bill.key, one) {
                let name = bill.bill_no.as_deref().unwrap_or(&one.key);
                return Err(fault(one, format!("bill {name} is answered twice, here and at {}", first.place)));
            }
            answered.push(Answered { bill, answer: one.answer, reason: one.reason.clone() });
        }
    }
    Ok(answered)
}

/// Bills that one number may mean, each by what it alone has.
fn choice(ledger: &Ledger, number: &str, bills: &[BillRow]) -> Result<String, Fault> {
    const SHOWN: usize = 10;
    let mut runs = Runs::new(ledger);
    let mut text = format!("{number} means {} bills: name each that is meant by its identity", bills.len());
    for bill in bills.iter().take(SHOWN) {
        let name = bill.bill_no.as_deref().unwrap_or("without a number");
        let ShownPlace { occurred_at, run, at, .. } = runs.place(bill.place)?;
        text += &format!("\n  {}  bill {name} of {occurred_at}, {at} of run {run}", bill.key);
    }
    Ok(text + if bills.len() > SHOWN { "\n  ..." } else { "" })
}

fn nothing_to_settle(ledger: &Ledger, number: &str, never_sent: u64) -> Result<String, Fault> {
    if let Some(bill) = bills_called(ledger, number)?.pop() {
        return Ok(format!("bill {number} is {}: there is nothing to settle", state_word(bill.past)));
    }
    if never_sent > 0 {
        return Ok(format!(
            "card {number} has no bill in doubt, and {} that were never sent: replay them (`passync open` says how), or \
             settle each by its own number",
            count(never_sent, "open bill")
        ));
    }
    if !ledger.cards_numbered(number)?.is_empty() {
        return Ok(format!("card {number} has no bill in doubt: there is nothing to settle"));
    }
    // What a run that was cut off had read is no bill yet.
    let unbooked = ledger.interrupted_all()?.into_iter().next().map_or(String::new(), |run| {
        format!(
            "; run {} of job {} was cut off, and its rows are booked once `passync resume` has finished it",
            run.id, run.job
        )
    });
    Ok(look::unknown(ledger, number)? + &unbooked)
}

fn fault(one: &Given, text: String) -> Fault {
    if one.place.is_empty() {
        Fault::usage(text)
    } else {
        Fault::input(format!("{}: nothing was booked: {text}", one.place))
    }
}
