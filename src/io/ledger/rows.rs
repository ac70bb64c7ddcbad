//! Folding a run into bills and cards: in bulk, in key order, in one transaction.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Statement, params};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::cards::{CardState, Confirmed};
use super::meta::raise_epoch;
use super::runs::mark_folded;
use super::{Ledger, LedgerError, durable};
use crate::core::history::Past;
use crate::io::StorageError;
use crate::model::{BillId, Digest, Outcome, Place};

/// What a run leaves of a bill.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BillChange {
    /// Its identity.
    pub key: BillId,
    /// The row of the run that ended so.
    pub row: u64,
    /// As the file has it.
    pub bill_no: Option<SmolStr>,
    /// Its card's identity.
    pub card: Digest,
    /// The card as the file has it.
    pub card_no: SmolStr,
    /// What the row said.
    pub content: Digest,
    /// Where it stands.
    pub place: Place,
    /// How it stands now.
    pub past: Past,
    /// How its row ended.
    pub outcome: Outcome,
    /// Whether the card ends with it.
    pub closing: bool,
    /// Attempts in doubt, of all runs.
    pub doubt: u32,
    /// Milliseconds since 1970.
    pub settled_ms: i64,
    /// The code it ended with.
    pub code: String,
    /// Members that its last revision left out.
    pub dropped: Vec<String>,
    /// Members and values, while it is unproved.
    pub members: Vec<(SmolStr, SmolStr)>,
}

/// What a run confirmed of a card.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CardChange {
    /// The card.
    pub card: Digest,
    /// Where the row stands.
    pub place: Place,
    /// The card as the file has it.
    pub card_no: SmolStr,
    /// Members and values that were applied.
    pub members: Vec<(SmolStr, SmolStr)>,
    /// Whether the card ended with it.
    pub closing: bool,
    /// `--allow-stale`: it replaces a newer place too.
    pub replace: bool,
}

impl Ledger {
    /// Folds what a run learnt since its plan into bills and cards, and marks it as folded: done twice it would undo
    /// what others learnt in between.
    pub fn fold(
        &mut self,
        run: u32,
        bills: impl Iterator<Item = Result<BillChange, StorageError>>,
        cards: impl Iterator<Item = Result<CardChange, StorageError>>,
    ) -> Result<(), FoldError> {
        let path = self.path.clone();
        let storage = |error| LedgerError::Storage { act: "fold the run", path: path.clone(), error };
        let transaction = self.db.transaction().map_err(storage)?;
        let mut merging = Bills::new(&transaction, run).map_err(storage)?;
        for bill in bills {
            let bill = bill?;
            durable("fold", "append", || merging.take(&bill)).map_err(storage)?;
        }
        merging.finish().map_err(storage)?;
        let mut merging = Cards::new(&transaction).map_err(storage)?;
        for change in cards {
            merging.take(change?).map_err(storage)?;
        }
        merging.close().map_err(storage)?;
        drop(merging);
        raise_epoch(&transaction).map_err(storage)?;
        mark_folded(&transaction, run).map_err(storage)?;
        durable("fold", "commit", || transaction.commit()).map_err(storage)?;
        Ok(())
    }
}

/// A fault while folding: of the ledger, or of the files it is folded from.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// Of the ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Of a file.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Bills on their way into the ledger. Statements are prepared once: to look one up by its text costs as much as a tenth
/// of what it does.
struct Bills<'a> {
    db: &'a Connection,
    run: u32,
    merge: CachedStatement<'a>,
    /// Prepared with the first bill that asks for it, over a table that is made for it.
    body: Option<Statement<'a>>,
}

impl<'a> Bills<'a> {
    /// The body of a doubtful bill is the last revision that was made durable. Bodies are written for every row and asked
    /// for by few: who wrote them kept no index, and without one each of those few goes through them all.
    const NEWEST: &'static str = "INSERT INTO temp.newest SELECT row, max(seq) FROM intents WHERE run = ?1 \
         AND seq >= (SELECT intents_from FROM runs WHERE ordinal = ?1) GROUP BY row";
    const BODY: &'static str = "SELECT body FROM intents WHERE seq = (SELECT seq FROM temp.newest WHERE row = ?1)";

    /// Which bills give way is said by a bit for each [`Past`]. Where this run made no body durable, the stored one stays,
    /// and so does the list of what it leaves out.
    const MERGE: &'static str = "INSERT INTO bills (key, bill_no, card, card_no, content, occurred_ms, sequence, run, source, line, past, \
         closing, doubt, last_run, last_row, settled_ms, code, dropped, members, body, outcome) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21) \
         ON CONFLICT (key) DO UPDATE SET card = ?3, card_no = ?4, content = ?5, occurred_ms = ?6, sequence = ?7, \
         run = ?8, source = ?9, line = ?10, past = ?11, closing = ?12, doubt = ?13, last_run = ?14, \
         last_row = ?15, settled_ms = ?16, code = ?17, members = ?19, \
         dropped = CASE WHEN ?20 IS NULL AND ?11 IN (1, 4) THEN dropped ELSE ?18 END, \
         body = CASE WHEN ?11 IN (1, 4) THEN coalesce(?20, body) END, outcome = ?21 \
         WHERE ?22 >> bills.past & 1";

    fn new(db: &'a Connection, run: u32) -> rusqlite::Result<Self> {
        Ok(Bills { db, run, merge: db.prepare_cached(Self::MERGE)?, body: None })
    }

    fn body(&mut self, row: u64) -> rusqlite::Result<Option<Vec<u8>>> {
        let body = match &mut self.body {
            Some(body) => body,
            none => {
                self.db.execute_batch("CREATE TEMP TABLE newest (row INTEGER PRIMARY KEY, seq INTEGER NOT NULL)")?;
                self.db.execute(Self::NEWEST, [self.run])?;
                none.insert(self.db.prepare(Self::BODY)?)
            }
        };
        body.query_row([row], |row| row.get(0)).optional()
    }

    fn finish(self) -> rusqlite::Result<()> {
        let Some(body) = self.body else { return Ok(()) };
        body.finalize()?;
        self.db.execute_batch("DROP TABLE temp.newest")
    }

    fn take(&mut self, bill: &BillChange) -> rusqlite::Result<()> {
        let unproved = bill.past.is_unproved();
        let json = |value: &dyn erased::Json| unproved.then(|| value.json());
        let body = if bill.past.is_possible() { self.body(bill.row)? } else { None };
        let values = params![
            bill.key.0,
            bill.bill_no.as_deref(),
            bill.card.0,
            bill.card_no.as_str(),
            bill.content.0,
            bill.place.occurred_ms,
            bill.place.sequence,
            bill.place.run,
            bill.place.seat.source,
            bill.place.seat.line,
            bill.past as u8,
            bill.closing,
            bill.doubt,
            self.run,
            bill.row,
            bill.settled_ms,
            bill.code,
            json(&bill.dropped),
            json(&bill.members),
            body,
            bill.outcome.as_str(),
            giving_way_to(bill.past),
        ];
        self.merge.execute(values).map(drop)
    }
}

/// A bit for each state that gives way to this one.
fn giving_way_to(newer: Past) -> u32 {
    Past::ALL.into_iter().filter(|past| past.gives_way_to(newer)).fold(0, |bits, past| bits | 1 << past as u8)
}

mod erased {
    pub trait Json {
        fn json(&self) -> String;
    }
    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> String {
            serde_json::to_string(self).expect("names and values are plain data")
        }
    }
}

/// Cards on their way into the ledger: read, changed by all that a run confirmed of them, and written.
pub(super) struct Cards<'a> {
    read: CachedStatement<'a>,
    write: CachedStatement<'a>,
    /// The card that is being changed.
    open: Option<(Digest, SmolStr, CardState)>,
}

impl<'a> Cards<'a> {
    pub(super) fn new(db: &'a Connection) -> rusqlite::Result<Self> {
        let write =
            "INSERT INTO cards (key, card_no, state) VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE SET state = ?3";
        let read = "SELECT state FROM cards WHERE key = ?1";
        Ok(Cards { read: db.prepare_cached(read)?, write: db.prepare_cached(write)?, open: None })
    }

    /// Takes the next change; those of a card come one behind the other.
    fn take(&mut self, change: CardChange) -> rusqlite::Result<()> {
        if self.open.as_ref().is_none_or(|(card, ..)| *card != change.card) {
            self.close()?;
            self.open = Some((change.card, change.card_no, self.read(change.card)?));
        }
        let (_, _, state) = self.open.as_mut().expect("just set");
        for (name, value) in change.members {
            state.take(&name, Confirmed { place: change.place, value: value.into() }, change.replace);
        }
        if change.closing {
            state.closed = state.closed.max(Some(change.place));
        }
        Ok(())
    }

    pub(super) fn read(&mut self, card: Digest) -> rusqlite::Result<CardState> {
        let known = self.read.query_row([card.0], |row| row.get(0)).optional()?;
        Ok(known.unwrap_or_default())
    }

    /// Writes the card that is being changed.
    fn close(&mut self) -> rusqlite::Result<()> {
        self.open.take().map_or(Ok(()), |(card, card_no, state)| self.write(card, &card_no, &state))
    }

    pub(super) fn write(&mut self, card: Digest, card_no: &str, state: &CardState) -> rusqlite::Result<()> {
        self.write.execute(params![card.0, card_no, state]).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::super::bills::{OPEN, UNPROVED};
    use super::super::known::Keys;
    use super::*;

    #[test]
    fn few_bills_are_found_by_their_index_and_many_are_written_without_tables_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.db")).unwrap();
        let told = |sql: &str, column: &str| -> Vec<String> {
            let mut statement = ledger.db.prepare(sql).unwrap();
            let mut rows = statement.raw_query();
            let mut told = Vec::new();
            while let Some(row) = rows.next().unwrap() {
                told.push(row.get(column).unwrap());
            }
            told
        };
        let bills = |condition: &str| format!("SELECT * FROM bills WHERE {condition}");
        for few in [bills(OPEN), bills(&format!("card = ?1 AND {UNPROVED}")), Keys::Unproved.next().to_owned()] {
            let plan = told(&format!("EXPLAIN QUERY PLAN {few}"), "detail");
            assert!(plan[0].contains("INDEX bills_unproved"), "{few}: {plan:?}");
        }
        let steps = told(&format!("EXPLAIN {}", Bills::MERGE), "opcode");
        assert!(steps.contains(&"IdxInsert".to_owned()) && !steps.contains(&"OpenEphemeral".to_owned()), "{steps:?}");
    }
}
