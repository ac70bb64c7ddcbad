//! Bills and cards: looked up by digest, shown to persons, settled by persons.

use rusqlite::{OptionalExtension, Row, params};
use serde::Deserialize;

use super::cards::CardState;
use super::{Ledger, LedgerError, damaged};
use crate::core::history::Past;
use crate::model::{BillId, Digest, Outcome, Place, Seat};

/// A bill as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillRow {
    /// Its identity.
    pub key: BillId,
    /// As the file has it; absent for rows without a bill.
    pub bill_no: Option<String>,
    /// Its card's identity.
    pub card: Digest,
    /// The card as the file has it.
    pub card_no: String,
    /// What the row said.
    pub content: Digest,
    /// Where it stands in the history of its card.
    pub place: Place,
    /// How it stands.
    pub past: Past,
    /// How its last row ended.
    pub outcome: Outcome,
    /// Whether the card ends with it.
    pub closing: bool,
    /// Attempts in doubt, of all runs.
    pub doubt: u32,
    /// The ordinal of the run that settled it last.
    pub last_run: u32,
    /// Its row in that run.
    pub last_row: u64,
    /// Milliseconds since 1970.
    pub settled_ms: i64,
    /// The code it ended with.
    pub code: String,
    /// Members that the stored revision leaves out.
    pub dropped: Vec<String>,
    /// Members and values, while open or possible.
    pub members: Vec<(String, String)>,
    /// The frozen bytes, while in doubt.
    pub body: Option<Vec<u8>>,
}

/// A bill that is open, or that may stand on its card without proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unproved {
    /// Its identity.
    pub bill: BillId,
    /// How it stands.
    pub past: Past,
    /// Where it stands.
    pub place: Place,
    /// Whether the card ends with it.
    pub closing: bool,
    /// The members that its stored revision carries.
    pub members: Vec<String>,
}

pub(super) const COLUMNS: &str = "key, bill_no, card, card_no, content, occurred_ms, sequence, run, source, line, past, closing, \
                       doubt, last_run, last_row, settled_ms, code, dropped, members, body, outcome";

/// Open or possible bills, in the very words of the index `bills_unproved`.
macro_rules! unproved {
    () => {
        "(past = 1 OR past = 2 OR past = 4)"
    };
}
pub(super) use unproved;

/// The same for statements that are put together.
pub(super) const UNPROVED: &str = unproved!();
/// Open ones; the first half says that the index may be used.
pub(super) const OPEN: &str = concat!(unproved!(), " AND past IN (1, 2)");

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<BillRow> {
    let outcome: String = row.get(20)?;
    Ok(BillRow {
        key: BillId(row.get(0)?),
        bill_no: row.get(1)?,
        card: Digest(row.get(2)?),
        card_no: row.get(3)?,
        content: Digest(row.get(4)?),
        place: Place {
            occurred_ms: row.get(5)?,
            sequence: row.get(6)?,
            run: row.get(7)?,
            seat: Seat { source: row.get(8)?, line: row.get(9)? },
        },
        past: past(row, 10)?,
        closing: row.get(11)?,
        doubt: row.get(12)?,
        last_run: row.get(13)?,
        last_row: row.get(14)?,
        settled_ms: row.get(15)?,
        code: row.get(16)?,
        dropped: parse(row, 17)?,
        members: parse(row, 18)?,
        body: row.get(19)?,
        outcome: outcome.parse().map_err(|()| damaged(20, outcome))?,
    })
}

fn past(row: &Row<'_>, column: usize) -> rusqlite::Result<Past> {
    let number: usize = row.get(column)?;
    Past::ALL.get(number).copied().ok_or_else(|| damaged(column, number))
}

/// A column of JSON, where NULL is nothing. What was damaged must not pass for nothing.
pub(super) fn parse<T: Default + for<'de> Deserialize<'de>>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let json: Option<String> = row.get(column)?;
    json.map_or(Ok(T::default()), |json| serde_json::from_str(&json).map_err(|error| damaged(column, error)))
}

impl Ledger {
    /// What is known of a bill.
    pub fn bill(&self, key: BillId) -> Result<Option<BillRow>, LedgerError> {
        let mut found = self.bills("key = ?1", params![key.0])?;
        Ok(found.pop())
    }

    /// How many bills are open.
    pub fn open_count(&self) -> Result<u64, LedgerError> {
        self.db
            .query_row(&format!("SELECT count(*) FROM bills WHERE {OPEN}"), [], |row| row.get(0))
            .map_err(|error| self.fault("count open bills", error))
    }

    /// The runs that left bills open, oldest first.
    pub fn open_runs(&self) -> Result<Vec<u32>, LedgerError> {
        let query = || -> rusqlite::Result<Vec<u32>> {
            self.db
                .prepare(&format!("SELECT DISTINCT last_run FROM bills WHERE {OPEN} ORDER BY last_run"))?
                .query_map([], |row| row.get(0))?
                .collect()
        };
        query().map_err(|error| self.fault("look open bills up", error))
    }

    /// Where open bills come from: the runs that first read them, and those that left them open last.
    pub fn open_spans(&self) -> Result<Vec<(u32, u32)>, LedgerError> {
        let query = || -> rusqlite::Result<Vec<(u32, u32)>> {
            self.db
                .prepare(&format!("SELECT DISTINCT run, last_run FROM bills WHERE {OPEN}"))?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        };
        query().map_err(|error| self.fault("look open bills up", error))
    }

    /// How many bills each run left open.
    pub fn open_by_run(&self) -> Result<Vec<(u32, u64)>, LedgerError> {
        let query = || -> rusqlite::Result<Vec<(u32, u64)>> {
            self.db
                .prepare(&format!("SELECT last_run, count(*) FROM bills WHERE {OPEN} GROUP BY 1 ORDER BY 1"))?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        };
        query().map_err(|error| self.fault("count open bills", error))
    }

    /// The bills of a card that are open or possible.
    pub fn card_bills(&self, card: Digest) -> Result<Vec<BillRow>, LedgerError> {
        self.bills(&format!("card = ?1 AND {UNPROVED}"), params![card.0])
    }

    /// Whether bills that a run read first, or sent last, may stand on their cards without proof.
    pub fn has_doubts_of(&self, ordinal: u32) -> Result<bool, LedgerError> {
        const QUERY: &str = concat!(
            "SELECT EXISTS (SELECT 1 FROM bills WHERE ",
            unproved!(),
            " AND past IN (1, 4) AND (run = ?1 OR last_run = ?1))"
        );
        self.db
            .query_row(QUERY, [ordinal], |row| row.get(0))
            .map_err(|error| self.fault("look bills in doubt up", error))
    }

    /// What the gateway confirmed of a card.
    pub fn card(&self, card: Digest) -> Result<Option<(String, CardState)>, LedgerError> {
        let query = || -> rusqlite::Result<Option<(String, CardState)>> {
            self.db
                .prepare_cached("SELECT card_no, state FROM cards WHERE key = ?1")?
                .query_row([card.0], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        };
        query().map_err(|error| self.fault("look a card up", error))
    }

    /// What may stand on a card without proof.
    pub fn possible(&self, card: Digest) -> Result<Vec<Unproved>, LedgerError> {
        let bills = self.card_bills(card)?;
        let possible = bills.into_iter().filter(|bill| bill.past.is_possible());
        Ok(possible
            .map(|bill| Unproved {
                bill: bill.key,
                past: bill.past,
                place: bill.place,
                closing: bill.closing,
                members: bill
                    .members
                    .into_iter()
                    .map(|(name, _)| name)
                    .filter(|name| !bill.dropped.contains(name))
                    .collect(),
            })
            .collect())
    }

    /// How many bills stand how, and how many cards are known.
    pub fn counts(&self) -> Result<(Vec<(Past, u64)>, u64), LedgerError> {
        let query = || -> rusqlite::Result<(Vec<(Past, u64)>, u64)> {
            let mut statement = self.db.prepare("SELECT past, count(*) FROM bills GROUP BY past ORDER BY past")?;
            let bills =
                statement.query_map([], |row| Ok((past(row, 0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
            let cards = self.db.query_row("SELECT count(*) FROM cards", [], |row| row.get(0))?;
            Ok((bills, cards))
        };
        query().map_err(|error| self.fault("count", error))
    }

    pub(super) fn bills(&self, condition: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Vec<BillRow>, LedgerError> {
        let query = || -> rusqlite::Result<Vec<BillRow>> {
            self.db
                .prepare_cached(&format!("SELECT {COLUMNS} FROM bills WHERE {condition}"))?
                .query_map(values, read)?
                .collect()
        };
        query().map_err(|error| self.fault("look bills up", error))
    }
}
