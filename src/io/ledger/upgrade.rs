//! Ledgers of older programs, brought up to the present schema.
//!
//! Schema 1 had bills in the order of their digests; since schema 2 they lie as their numbers do ([`BillId`]). Schema 2 had
//! the states of cards as JSON; since schema 3 they are a sixth of that ([`super::CardState`]).

use std::path::Path;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::{OptionalExtension, Transaction};

use super::bills::parse;
use super::meta::bind;
use super::rows::Cards;
use super::{Ledger, LedgerError, SCHEMA, SCHEMA_VERSION, damaged};
use crate::model::{BillId, Digest};

impl Ledger {
    /// Whether an older program made the ledger that is there.
    pub fn is_old(path: &Path) -> bool {
        path.exists() && Ledger::look(path).is_ok_and(|(_, schema)| schema < SCHEMA_VERSION)
    }

    /// Brings an older one up to the present schema, all or nothing. The lease is held, and it was proved
    /// ([`Ledger::prove`]). One with a run that was cut off is refused: what such a run left on disk is its own program's.
    /// `clear` is called when nothing but the last step is left, to remove what closed runs left.
    pub fn upgrade<E: From<LedgerError>>(path: &Path, clear: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let (mut ledger, schema) = Ledger::look(path)?;
        if schema == SCHEMA_VERSION {
            return Ok(());
        }
        match ledger.of_older() {
            LedgerError::Old(_) => {}
            refused => return Err(refused.into()),
        }
        ledger.configure()?;
        let fault = |error| LedgerError::Storage { act: "upgrade", path: path.to_owned(), error };
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
        ledger.db.create_scalar_function("bill_id", 2, flags, bill_id).map_err(fault)?;
        let transaction = ledger.db.transaction().map_err(fault)?;
        bring_up(&transaction, schema).map_err(fault)?;
        clear()?;
        transaction.commit().map_err(fault)?;
        tracing::info!(schema = SCHEMA_VERSION, "the ledger was brought up to this program's schema");
        Ok(())
    }

    /// Why one of an older schema is refused by who does not bring it up.
    pub(super) fn of_older(&self) -> LedgerError {
        let is_cut_off =
            self.db.query_row("SELECT EXISTS (SELECT 1 FROM runs WHERE state <> 'closed')", [], |row| row.get(0));
        match is_cut_off {
            Ok(true) => LedgerError::Unfinished(self.path.clone()),
            Ok(false) => LedgerError::Old(self.path.clone()),
            Err(error) => self.fault("read the runs", error),
        }
    }
}

fn bring_up(transaction: &Transaction<'_>, schema: i32) -> rusqlite::Result<()> {
    // A header that names a schema which it is not would be believed: no bill would be known any more.
    let key: Option<usize> =
        transaction.query_row("SELECT length(key) FROM bills LIMIT 1", [], |row| row.get(0)).optional()?;
    let expected = if schema < 2 { 16 } else { 24 };
    if let Some(length) = key.filter(|length| *length != expected) {
        return Err(damaged(0, format!("bills of schema {schema} with keys of {length} bytes, expected {expected}")));
    }
    if schema < 2 {
        transaction.execute_batch(LAY_BILLS_BY_NUMBER)?;
    }
    shrink_cards(transaction)?;
    bind(transaction)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)
}

/// Answers first: they are matched by the old keys. One about a bill that is no longer there keeps its digest.
const LAY_BILLS_BY_NUMBER: &str = "UPDATE answers SET bill = bill_id((SELECT bill_no FROM bills WHERE key = answers.bill), bill); \
     DROP INDEX bills_unproved; \
     UPDATE bills SET key = bill_id(bill_no, key); \
     CREATE INDEX bills_unproved ON bills (card) WHERE past = 1 OR past = 2 OR past = 4;";

fn bill_id(context: &Context<'_>) -> rusqlite::Result<[u8; 24]> {
    let (bill_no, digest): (Option<String>, [u8; 16]) = (context.get(0)?, context.get(1)?);
    Ok(match bill_no {
        Some(bill_no) => BillId::numbered(&bill_no, Digest(digest)).0,
        None => BillId::unnumbered(Digest(digest)).0,
    })
}

/// Into a table of their own: changed where they lie, they would stay as far from each other as they were.
fn shrink_cards(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let cards = SCHEMA.split("\n\n").find(|part| part.starts_with("CREATE TABLE cards")).expect("a table of ours");
    transaction.execute_batch(&format!("ALTER TABLE cards RENAME TO old_cards; {cards}"))?;
    let mut old = transaction.prepare("SELECT key, card_no, state FROM old_cards ORDER BY key")?;
    let (mut old, mut new) = (old.query([])?, Cards::new(transaction)?);
    while let Some(card) = old.next()? {
        let card_no: String = card.get(1)?;
        new.write(Digest(card.get(0)?), &card_no, &parse(card, 2)?)?;
    }
    drop(old);
    transaction.execute_batch("DROP TABLE old_cards")
}

#[cfg(test)]
mod tests {
    use rusqlite::params;

    use super::super::CardState;
    use super::*;

    /// What schema 2 had of a card.
    const CARD: &str = r#"{"members":{"level":{"place":{"occurred_ms":-5,"sequence":0,"run":1,"seat":{"source":0,"line":2}},
        "value":"Gold"},"points":{"place":{"occurred_ms":7,"sequence":1,"run":2,"seat":{"source":3,"line":4}},"value":"1.50"}},
        "closed":{"occurred_ms":8,"sequence":0,"run":2,"seat":{"source":0,"line":9}}}"#;

    /// A ledger as schema 1 had it, with a card, a bill that has a number and one that has none.
    fn old(path: &Path, state: &str) {
        drop(Ledger::open(path).unwrap());
        let ledger = Ledger::connect(path).unwrap();
        ledger
            .db
            .execute("INSERT INTO cards (key, card_no, state) VALUES (?1, 'C', ?2)", params![[1_u8; 16], CARD])
            .unwrap();
        for (key, bill_no) in [([9_u8; 16], Some("26-7")), ([8; 16], None)] {
            let bill = "INSERT INTO bills (key, bill_no, card, card_no, content, occurred_ms, sequence, run, source, line, \
                        past, closing, doubt, last_run, last_row, settled_ms, code, outcome) \
                        VALUES (?1, ?2, ?3, 'C', ?3, 0, 0, 1, 0, 2, 2, 0, 0, 1, 0, 0, 'X', 'unsent')";
            ledger.db.execute(bill, params![key, bill_no, [1_u8; 16]]).unwrap();
            let answer = "INSERT INTO answers (at_ms, bill, answer, reason) VALUES (0, ?1, 'applied', 'seen')";
            ledger.db.execute(answer, params![key]).unwrap();
        }
        let run = "INSERT INTO runs (ordinal, id, job, kind, state, started_ms, inputs, first_seq, journal_from, \
                   intents_from, epoch, detail) VALUES (1, 'r', 'j', 'run', ?1, 0, '', 1, 1, 1, 0, '{}')";
        ledger.db.execute(run, [state]).unwrap();
        let index = "DROP INDEX bills_unproved; CREATE INDEX bills_unproved ON bills (card) WHERE past IN (1, 2, 4); \
                     ALTER TABLE cards RENAME TO new; CREATE TABLE cards (key BLOB PRIMARY KEY, card_no TEXT NOT NULL, \
                     state TEXT NOT NULL) WITHOUT ROWID; INSERT INTO cards SELECT * FROM new; DROP TABLE new;";
        ledger.db.execute_batch(index).unwrap();
        ledger.db.pragma_update(None, "user_version", 1).unwrap();
    }

    fn schema(ledger: &Ledger) -> Vec<String> {
        let mut told = ledger.db.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
        told.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn bills_and_their_answers_are_known_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        old(&path, "closed");
        assert!(Ledger::is_old(&path));
        for refused in [Ledger::open(&path), Ledger::open_existing(&path)] {
            assert!(matches!(refused, Err(LedgerError::Old(_))));
        }
        Ledger::upgrade(&path, || Ok::<_, LedgerError>(())).unwrap();
        assert!(!Ledger::is_old(&path));
        let ledger = Ledger::open_existing(&path).unwrap();
        let numbered = BillId::numbered("26-7", Digest([9; 16]));
        for id in [numbered, BillId::unnumbered(Digest([8; 16]))] {
            assert_eq!(ledger.bill(id).unwrap().unwrap().key, id);
            assert_eq!(ledger.answers(id).unwrap().len(), 1);
        }
        let card = (String::from("C"), serde_json::from_str::<CardState>(CARD).unwrap());
        assert_eq!(ledger.card(Digest([1; 16])).unwrap(), Some(card));
        let found = ledger.bills_numbered("26-7").unwrap();
        assert_eq!(found.iter().map(|bill| bill.key).collect::<Vec<_>>(), [numbered]);
        assert_eq!(ledger.integrity(9).unwrap(), [""; 0]);
        let new = Ledger::open(&folder.path().join("new.db")).unwrap();
        assert_eq!(schema(&ledger), schema(&new), "as if this program had made it");
        Ledger::upgrade(&path, || -> Result<(), LedgerError> { unreachable!("it is as it should be") }).unwrap();
    }

    #[test]
    fn an_older_programs_run_is_not_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        old(&path, "interrupted");
        let refused = Ledger::upgrade(&path, || -> Result<(), LedgerError> { unreachable!("nothing is touched") });
        assert!(matches!(refused, Err(LedgerError::Unfinished(_))));
        assert!(Ledger::is_old(&path), "it is as it was");
    }

    #[test]
    fn one_that_only_says_that_it_is_old_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        old(&path, "closed");
        Ledger::upgrade(&path, || Ok::<_, LedgerError>(())).unwrap();
        for version in [1, 2] {
            Ledger::connect(&path).unwrap().db.pragma_update(None, "user_version", version).unwrap();
            let before = std::fs::read(&path).unwrap();
            let refused = Ledger::upgrade(&path, || Ok::<_, LedgerError>(()));
            assert!(refused.is_err(), "{version}");
            assert_eq!(std::fs::read(&path).unwrap(), before);
        }
    }

    #[test]
    fn what_is_no_ledger_is_not_old() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!Ledger::is_old(&folder.path().join("none")));
        let text = folder.path().join("text");
        std::fs::write(&text, "hello").unwrap();
        assert!(!Ledger::is_old(&text));
    }
}
