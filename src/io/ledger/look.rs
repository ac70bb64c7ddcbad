//! Looking into the ledger for a person: by the texts that files have, and as a whole.

use rusqlite::params;

use super::bills::{BillRow, COLUMNS, OPEN, UNPROVED, read};
use super::cards::CardState;
use super::writer::read_record;
use super::{Ledger, LedgerError};
use crate::model::{BillId, Digest, Record};

/// A person's answer as it was booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookedAnswer {
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// `applied` or `not-applied`.
    pub answer: String,
    /// Why.
    pub reason: String,
}

impl Ledger {
    /// Hands over every open bill, oldest first.
    pub fn each_open<E: From<LedgerError>>(&self, each: impl FnMut(BillRow) -> Result<(), E>) -> Result<(), E> {
        self.each_bill(&format!("{OPEN} ORDER BY run, source, line"), each)
    }

    /// Hands over every bill about which a person may answer: open, or possibly applied.
    pub fn each_unproved<E: From<LedgerError>>(&self, each: impl FnMut(BillRow) -> Result<(), E>) -> Result<(), E> {
        self.each_bill(UNPROVED, each)
    }

    /// The bills with this number: those that lie where such numbers do, and have it.
    pub fn bills_numbered(&self, bill_no: &str) -> Result<Vec<BillRow>, LedgerError> {
        let [first, last] = BillId::span(bill_no);
        let condition = "key BETWEEN ?1 AND ?2 AND bill_no = ?3 ORDER BY run, source, line";
        self.bills(condition, params![first.0, last.0, bill_no])
    }

    /// The newest bills of a card, newest first; looked for from end to end.
    pub fn bills_of_card(&self, card_no: &str, most: u32) -> Result<Vec<BillRow>, LedgerError> {
        self.bills(
            "card_no = ?1 ORDER BY occurred_ms DESC, sequence DESC, run DESC, source DESC, line DESC LIMIT ?2",
            params![card_no, most],
        )
    }

    /// The cards with this number, with what was confirmed of them.
    pub fn cards_numbered(&self, card_no: &str) -> Result<Vec<(Digest, CardState)>, LedgerError> {
        let query = || -> rusqlite::Result<Vec<(Digest, CardState)>> {
            let mut statement = self.db.prepare("SELECT key, state FROM cards WHERE card_no = ?1")?;
            let cards = statement.query_map([card_no], |row| Ok((Digest(row.get(0)?), row.get(1)?)))?;
            cards.collect()
        };
        query().map_err(|error| self.fault("look cards up", error))
    }

    /// What a run learnt of one of its rows, oldest first.
    pub fn records(&self, run: u32, row: u64) -> Result<Vec<Record>, LedgerError> {
        let query = || -> rusqlite::Result<Vec<Record>> {
            self.db
                .prepare(
                    "SELECT row, settled, data FROM journal WHERE run = ?1 AND row = ?2 \
                     AND seq >= (SELECT first_seq FROM runs WHERE ordinal = ?1) ORDER BY seq",
                )?
                .query_map(params![run, row], |row| read_record(row, 0))?
                .collect()
        };
        query().map_err(|error| self.fault("read the journal", error))
    }

    /// What persons answered about a bill, oldest first.
    pub fn answers(&self, bill: BillId) -> Result<Vec<BookedAnswer>, LedgerError> {
        self.answers_within([bill, bill])
    }

    /// What persons answered about bills whose numbers begin with these digits, oldest first; nothing where there are none.
    pub fn answers_near(&self, bill_no: &str) -> Result<Vec<BookedAnswer>, LedgerError> {
        let span = BillId::span(bill_no);
        if span[0].prefix() == 0 { Ok(Vec::new()) } else { self.answers_within(span) }
    }

    fn answers_within(&self, [first, last]: [BillId; 2]) -> Result<Vec<BookedAnswer>, LedgerError> {
        let query = || -> rusqlite::Result<Vec<BookedAnswer>> {
            self.db
                .prepare("SELECT at_ms, answer, reason FROM answers WHERE bill BETWEEN ?1 AND ?2 ORDER BY seq")?
                .query_map([first.0, last.0], |row| {
                    Ok(BookedAnswer { at_ms: row.get(0)?, answer: row.get(1)?, reason: row.get(2)? })
                })?
                .collect()
        };
        query().map_err(|error| self.fault("read the answers", error))
    }

    /// How many runs there are of each job, kind and state.
    pub fn run_counts(&self) -> Result<Vec<(String, String, String, u64)>, LedgerError> {
        let query = || -> rusqlite::Result<Vec<(String, String, String, u64)>> {
            self.db
                .prepare("SELECT job, kind, state, count(*) FROM runs GROUP BY 1, 2, 3 ORDER BY 1, 2, 3")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
                .collect()
        };
        query().map_err(|error| self.fault("count the runs", error))
    }

    /// How many answers persons gave.
    pub fn answer_count(&self) -> Result<u64, LedgerError> {
        self.db
            .query_row("SELECT count(*) FROM answers", [], |row| row.get(0))
            .map_err(|error| self.fault("count the answers", error))
    }

    fn each_bill<E: From<LedgerError>>(
        &self,
        condition: &str,
        mut each: impl FnMut(BillRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let fault = |error| self.fault("look bills up", error);
        let mut statement =
            self.db.prepare(&format!("SELECT {COLUMNS} FROM bills WHERE {condition}")).map_err(fault)?;
        let mut rows = statement.query([]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            each(read(row).map_err(fault)?)?;
        }
        Ok(())
    }
}
