//! Booking what persons found out about bills in doubt.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::lease::Lease;
use super::look::state_word;
use super::{Fault, wall_ms};
use crate::io::ledger::{Answer, Answered, Ledger};

/// One answer, as a person gave it.
#[derive(Clone, Debug)]
pub struct Given {
    /// A bill's number, or a card's.
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

/// Books answers, all or none. Every open or possibly applied bill with the number, or on the card, is settled.
pub fn settle(ledger: &Path, given: &[Given]) -> Result<Vec<Booked>, Fault> {
    if !ledger.exists() {
        return Err(crate::io::ledger::LedgerError::Absent(ledger.to_owned()).into());
    }
    let mut lease = Lease::take(ledger, "ledger settle", Duration::ZERO, || false)?;
    let mut ledger = lease.open()?;
    let answered = find(&ledger, given)?;
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

/// The bills that are meant. They are few: one pass over them serves any number of answers.
fn find(ledger: &Ledger, given: &[Given]) -> Result<Vec<Answered>, Fault> {
    let mut wanted: HashMap<&str, (&Given, bool)> = HashMap::new();
    for one in given {
        if let Some((first, _)) = wanted.insert(&one.key, (one, false)) {
            return Err(fault(one, format!("{} is answered twice, here and at {}", one.key, first.place)));
        }
    }
    let mut answered: Vec<Answered> = Vec::new();
    ledger.each_unproved(|bill| -> Result<(), Fault> {
        let numbers = [bill.bill_no.as_deref(), Some(bill.card_no.as_str())];
        let Some(number) = numbers.into_iter().flatten().find(|number| wanted.contains_key(number)) else {
            return Ok(());
        };
        let (one, met) = wanted.get_mut(number).expect("just seen");
        *met = true;
        answered.push(Answered { bill, answer: one.answer, reason: one.reason.clone() });
        Ok(())
    })?;
    for one in given {
        if !wanted[one.key.as_str()].1 {
            return Err(fault(one, nothing_to_settle(ledger, &one.key)?));
        }
    }
    Ok(answered)
}

fn nothing_to_settle(ledger: &Ledger, number: &str) -> Result<String, Fault> {
    Ok(match ledger.bills_numbered(number)?.pop() {
        Some(bill) => format!("bill {number} is {}: there is nothing to settle", state_word(bill.past)),
        None if !ledger.cards_numbered(number)?.is_empty() => {
            format!("card {number} has no bill in doubt: there is nothing to settle")
        }
        None => format!("{number} is neither a bill nor a card of the ledger"),
    })
}

fn fault(one: &Given, text: String) -> Fault {
    if one.place.is_empty() {
        Fault::usage(text)
    } else {
        Fault::input(format!("{}: {text}; nothing was booked", one.place))
    }
}
