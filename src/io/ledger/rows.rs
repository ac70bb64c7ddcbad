//! Folding a run into bills and cards: in bulk, in key order, in one transaction.

use rusqlite::{OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

use super::bills::parse;
use super::cards::{CardState, Confirmed};
use super::runs::mark_folded;
use super::{Ledger, LedgerError, durable};
use crate::core::history::Past;
use crate::io::StorageError;
use crate::model::{Digest, Outcome, Place};

/// What a run leaves of a bill.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BillChange {
    /// Its identity.
    pub key: Digest,
    /// The row of the run that ended so.
    pub row: u64,
    /// As the file has it.
    pub bill_no: Option<String>,
    /// Its card's identity.
    pub card: Digest,
    /// The card as the file has it.
    pub card_no: String,
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
    pub members: Vec<(String, String)>,
}

/// What a run confirmed of a card.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CardChange {
    /// The card.
    pub card: Digest,
    /// Where the row stands.
    pub place: Place,
    /// The card as the file has it.
    pub card_no: String,
    /// Members and values that were applied.
    pub members: Vec<(String, String)>,
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
        for bill in bills {
            let bill = bill?;
            durable("fold", "append", || fold_bill(&transaction, run, &bill)).map_err(storage)?;
        }
        let mut open: Option<(Digest, String, CardState)> = None;
        for change in cards {
            let change = change?;
            if open.as_ref().is_none_or(|(card, ..)| *card != change.card) {
                write_card(&transaction, open.take()).map_err(storage)?;
                let state = read_card(&transaction, change.card).map_err(storage)?;
                open = Some((change.card, change.card_no.clone(), state));
            }
            let (_, _, state) = open.as_mut().expect("just set");
            for (name, value) in change.members {
                state.take(&name, Confirmed { place: change.place, value }, change.replace);
            }
            if change.closing {
                state.closed = state.closed.max(Some(change.place));
            }
        }
        write_card(&transaction, open).map_err(storage)?;
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

/// Plans made before this moment are stale now.
pub(super) fn raise_epoch(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    count_up(transaction, "epoch")
}

/// Puts the page of `meta`, which has the ledger's identity, into the log: the first of a process to write does it, so
/// that a log can be told from another ledger's.
pub(super) fn bind(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    count_up(transaction, "binds")
}

fn count_up(transaction: &Transaction<'_>, counter: &str) -> rusqlite::Result<()> {
    transaction
        .execute(
            "INSERT INTO meta (key, value) VALUES (?1, '1') \
             ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) + 1",
            [counter],
        )
        .map(drop)
}

fn fold_bill(transaction: &Transaction<'_>, run: u32, bill: &BillChange) -> rusqlite::Result<()> {
    let unproved = bill.past.is_unproved();
    let json = |value: &dyn erased::Json| unproved.then(|| value.json());
    // A run that is closed late (abandoned, say) must not undo what another has proved since: an applied bill stays
    // applied, and "never sent" is no news of a bill that was.
    // The body of a doubtful bill is the last revision that was made durable. Where this run made none, the stored
    // one stays, and so does the list of what it leaves out.
    let body: Option<Vec<u8>> = if bill.past.is_possible() {
        transaction
            .prepare_cached(
                "SELECT body FROM intents WHERE run = ?1 AND row = ?2 \
                 AND seq >= (SELECT intents_from FROM runs WHERE ordinal = ?1) ORDER BY seq DESC LIMIT 1",
            )?
            .query_row(params![run, bill.row], |row| row.get(0))
            .optional()?
    } else {
        None
    };
    transaction
        .prepare_cached(
            "INSERT INTO bills (key, bill_no, card, card_no, content, occurred_ms, sequence, run, source, line, past, \
             closing, doubt, last_run, last_row, settled_ms, code, dropped, members, body, outcome) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21) \
             ON CONFLICT (key) DO UPDATE SET card = ?3, card_no = ?4, content = ?5, occurred_ms = ?6, sequence = ?7, \
             run = ?8, source = ?9, line = ?10, past = ?11, closing = ?12, doubt = ?13, last_run = ?14, \
             last_row = ?15, settled_ms = ?16, code = ?17, members = ?19, \
             dropped = CASE WHEN ?20 IS NULL AND ?11 IN (1, 4) THEN dropped ELSE ?18 END, \
             body = CASE WHEN ?11 IN (1, 4) THEN coalesce(?20, body) END, outcome = ?21 \
             WHERE NOT (bills.past = 0 AND ?11 <> 0) AND NOT (?11 = 2 AND bills.past NOT IN (2, 3))",
        )?
        .execute(params![
            bill.key.0,
            bill.bill_no,
            bill.card.0,
            bill.card_no,
            bill.content.0,
            bill.place.occurred_ms,
            bill.place.sequence,
            bill.place.run,
            bill.place.seat.source,
            bill.place.seat.line,
            bill.past as u8,
            bill.closing,
            bill.doubt,
            run,
            bill.row,
            bill.settled_ms,
            bill.code,
            json(&bill.dropped),
            json(&bill.members),
            body,
            bill.outcome.as_str(),
        ])
        .map(drop)
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

pub(super) fn read_card(transaction: &Transaction<'_>, card: Digest) -> rusqlite::Result<CardState> {
    let known: Option<CardState> = transaction
        .prepare_cached("SELECT state FROM cards WHERE key = ?1")?
        .query_row([card.0], |row| parse(row, 0))
        .optional()?;
    Ok(known.unwrap_or_default())
}

pub(super) fn write_card(
    transaction: &Transaction<'_>,
    card: Option<(Digest, String, CardState)>,
) -> rusqlite::Result<()> {
    let Some((card, card_no, state)) = card else { return Ok(()) };
    let json = serde_json::to_string(&state).expect("a card's state is plain data");
    transaction
        .prepare_cached(
            "INSERT INTO cards (key, card_no, state) VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE SET state = ?3",
        )?
        .execute(params![card.0, card_no, json])
        .map(drop)
}
