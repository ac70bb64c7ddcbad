//! What persons found out about bills in doubt.

use rusqlite::{Connection, Transaction, params};

use super::bills::BillRow;
use super::cards::{CardState, Confirmed};
use super::meta::raise_epoch;
use super::rows::Cards;
use super::{Ledger, LedgerError, durable};

/// A person's answer about a bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It stands on the card.
    Applied,
    /// It does not.
    NotApplied,
}

impl Answer {
    /// Both.
    pub const ALL: [Answer; 2] = [Answer::Applied, Answer::NotApplied];

    /// The word in the ledger, in files and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Answer::Applied => "applied",
            Answer::NotApplied => "not-applied",
        }
    }
}

/// The code of bills that a person said to be applied.
pub const SETTLED_BY_PERSON: &str = "SETTLED_BY_PERSON";

/// A bill with its answer.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The bill, open or possible.
    pub bill: BillRow,
    /// What was found.
    pub answer: Answer,
    /// Why the person thinks so.
    pub reason: String,
}

impl Ledger {
    /// Books answers, all or none. An applied bill confirms its members on its card; one that is not applied may be
    /// judged afresh.
    pub fn settle(&mut self, answers: &[Answered], at_ms: i64) -> Result<(), LedgerError> {
        let book = |db: &mut Connection| -> rusqlite::Result<()> {
            let transaction = db.transaction()?;
            for answered in answers {
                book(&transaction, answered, at_ms)?;
            }
            raise_epoch(&transaction)?;
            transaction.commit()
        };
        durable("settle", "commit", || book(&mut self.db)).map_err(|error| self.fault("settle bills", error))
    }
}

fn book(transaction: &Transaction<'_>, answered: &Answered, at_ms: i64) -> rusqlite::Result<()> {
    let Answered { bill, answer, reason } = answered;
    match answer {
        Answer::Applied => {
            let mut cards = Cards::new(transaction)?;
            let mut state = cards.read(bill.card)?;
            confirm(&mut state, bill);
            cards.write(bill.card, &bill.card_no, &state)?;
            transaction.execute(
                "UPDATE bills SET past = 0, outcome = 'applied', code = ?3, settled_ms = ?2, \
                 body = NULL, members = NULL WHERE key = ?1",
                params![bill.key.0, at_ms, SETTLED_BY_PERSON],
            )?;
        }
        Answer::NotApplied => drop(transaction.execute("DELETE FROM bills WHERE key = ?1", params![bill.key.0])?),
    }
    transaction
        .execute(
            "INSERT INTO answers (at_ms, bill, answer, reason) VALUES (?1, ?2, ?3, ?4)",
            params![at_ms, bill.key.0, answer.as_str(), reason],
        )
        .map(drop)
}

/// Takes over what a bill in doubt carried, now that it is known to be applied.
fn confirm(state: &mut CardState, bill: &BillRow) {
    if bill.closing {
        state.closed = state.closed.max(Some(bill.place));
    }
    for (name, value) in bill.members.iter().filter(|(name, _)| !bill.dropped.contains(name)) {
        state.take(name, Confirmed { place: bill.place, value: value.clone() }, false);
    }
}
