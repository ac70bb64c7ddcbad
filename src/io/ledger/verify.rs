//! The ledger as it stands, row by row, for who wants to prove it: what cannot be read is told, not skipped.

use rusqlite::{Row, params};

use super::bills::{self, BillRow};
use super::cards::CardState;
use super::runs::{self, RunRow};
use super::writer::read_record;
use super::{Ledger, LedgerError};
use crate::model::{BillId, Digest, Record};

/// A row, or its name and what is wrong with it.
pub type Stored<T> = Result<T, String>;

/// A run, with where its records are.
#[derive(Clone, Debug)]
pub struct StoredRun {
    /// The run.
    pub run: RunRow,
    /// Its first record in the journal.
    pub first_seq: u64,
    /// The first that came after its present plan was made.
    pub journal_from: u64,
    /// The same of intents.
    pub intents_from: u64,
}

/// A record of the journal.
#[derive(Clone, Debug)]
pub struct StoredRecord {
    /// Its number.
    pub seq: u64,
    /// The run's ordinal.
    pub run: u32,
    /// The row in that run.
    pub row: u64,
    /// An attempt or an end.
    pub record: Record,
}

/// An intent, less its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredIntent {
    /// Its number.
    pub seq: u64,
    /// The run's ordinal.
    pub run: u32,
    /// The row in that run.
    pub row: u64,
    /// Bytes of its body.
    pub length: u64,
}

/// A card.
#[derive(Clone, Debug)]
pub struct StoredCard {
    /// Its identity.
    pub key: Digest,
    /// As files have it.
    pub card_no: String,
    /// What was confirmed of it.
    pub state: CardState,
}

/// A quota stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredStamp {
    /// Gateway and client.
    pub scope: String,
    /// 0 or 1.
    pub busy: i64,
    /// The boot.
    pub boot: String,
    /// Nanoseconds since it.
    pub ended_ns: i64,
}

/// A person's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Its number.
    pub seq: u64,
    /// The bill.
    pub bill: BillId,
    /// The word.
    pub answer: String,
}

impl Ledger {
    /// Everything read from here on is of one moment, whatever a run writes meanwhile.
    pub fn hold_still(&self) -> Result<(), LedgerError> {
        self.db.execute_batch("BEGIN").map_err(|error| self.fault("read", error))
    }

    /// What SQLite finds wrong with pages, tables and indexes, at most so much of it.
    pub fn integrity(&self, most: usize) -> Result<Vec<String>, LedgerError> {
        let query = || -> rusqlite::Result<Vec<String>> {
            self.db.prepare(&format!("PRAGMA integrity_check({most})"))?.query_map([], |row| row.get(0))?.collect()
        };
        let found = query().map_err(|error| self.fault("look through", error))?;
        Ok(found.into_iter().filter(|line| line != "ok").collect())
    }

    /// What the ledger was made with, and its counters.
    pub fn facts(&self) -> Result<Vec<(String, String)>, LedgerError> {
        let query = || -> rusqlite::Result<Vec<(String, String)>> {
            let mut statement = self.db.prepare("SELECT key, value FROM meta ORDER BY key")?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        query().map_err(|error| self.fault("read what it was made with", error))
    }

    /// All runs, oldest first.
    pub fn stored_runs(&self) -> Result<Vec<Stored<StoredRun>>, LedgerError> {
        let read = |row: &Row<'_>| {
            let [first_seq, journal_from, intents_from] = [row.get(12)?, row.get(13)?, row.get(14)?];
            Ok(StoredRun { run: runs::read(row)?, first_seq, journal_from, intents_from })
        };
        let columns = format!("{}, first_seq, journal_from, intents_from", runs::COLUMNS);
        let mut found = Vec::new();
        self.each_stored(&format!("SELECT {columns} FROM runs ORDER BY ordinal"), "run", read, |run| {
            found.push(run);
            Ok::<_, LedgerError>(())
        })?;
        Ok(found)
    }

    /// The journal, in its order.
    pub fn each_record<E: From<LedgerError>>(
        &self,
        take: impl FnMut(Stored<StoredRecord>) -> Result<(), E>,
    ) -> Result<(), E> {
        let read = |row: &Row<'_>| {
            let (seq, run) = (row.get(0)?, row.get(1)?);
            Ok(StoredRecord { seq, run, row: row.get(2)?, record: read_record(row, 2)? })
        };
        self.each_stored("SELECT seq, run, row, settled, data FROM journal ORDER BY seq", "record", read, take)
    }

    /// All intents, in their order.
    pub fn each_intent<E: From<LedgerError>>(
        &self,
        take: impl FnMut(Stored<StoredIntent>) -> Result<(), E>,
    ) -> Result<(), E> {
        let read = |row: &Row<'_>| {
            Ok(StoredIntent { seq: row.get(0)?, run: row.get(1)?, row: row.get(2)?, length: row.get(3)? })
        };
        self.each_stored("SELECT seq, run, row, length(body) FROM intents ORDER BY seq", "intent", read, take)
    }

    /// All bills, by their keys.
    pub fn each_stored_bill<E: From<LedgerError>>(
        &self,
        take: impl FnMut(Stored<BillRow>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.each_stored(&format!("SELECT {} FROM bills ORDER BY key", bills::COLUMNS), "bill", bills::read, take)
    }

    /// All cards, by their keys.
    pub fn each_card<E: From<LedgerError>>(
        &self,
        take: impl FnMut(Stored<StoredCard>) -> Result<(), E>,
    ) -> Result<(), E> {
        let read =
            |row: &Row<'_>| Ok(StoredCard { key: Digest(row.get(0)?), card_no: row.get(1)?, state: row.get(2)? });
        self.each_stored("SELECT key, card_no, state FROM cards ORDER BY key", "card", read, take)
    }

    /// All quota stamps.
    pub fn each_stamp<E: From<LedgerError>>(
        &self,
        take: impl FnMut(Stored<StoredStamp>) -> Result<(), E>,
    ) -> Result<(), E> {
        let read = |row: &Row<'_>| {
            Ok(StoredStamp { scope: row.get(0)?, busy: row.get(1)?, boot: row.get(2)?, ended_ns: row.get(3)? })
        };
        self.each_stored("SELECT scope, busy, boot, ended_ns FROM quota ORDER BY scope", "stamp", read, take)
    }

    /// All answers of persons, in their order.
    pub fn each_answer<E: From<LedgerError>>(
        &self,
        take: impl FnMut(Stored<StoredAnswer>) -> Result<(), E>,
    ) -> Result<(), E> {
        let read =
            |row: &Row<'_>| Ok(StoredAnswer { seq: row.get(0)?, bill: BillId(row.get(1)?), answer: row.get(2)? });
        self.each_stored("SELECT seq, bill, answer FROM answers ORDER BY seq", "answer", read, take)
    }

    /// Hands over every row of a query, whose first column names it.
    fn each_stored<T, E: From<LedgerError>>(
        &self,
        query: &str,
        what: &str,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
        mut take: impl FnMut(Stored<T>) -> Result<(), E>,
    ) -> Result<(), E> {
        let fault = |error| self.fault("read", error);
        let mut statement = self.db.prepare(query).map_err(fault)?;
        let mut rows = statement.query(params![]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            take(read(row).map_err(|error| format!("{what} {}: {error}", name(row))))?;
        }
        Ok(())
    }
}

fn name(row: &Row<'_>) -> String {
    use rusqlite::types::ValueRef;
    match row.get_ref(0) {
        Ok(ValueRef::Integer(number)) => number.to_string(),
        Ok(ValueRef::Text(text)) => String::from_utf8_lossy(text).into_owned(),
        Ok(ValueRef::Blob(bytes)) => bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}")),
        _ => "without a name".to_owned(),
    }
}
