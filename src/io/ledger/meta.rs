//! What the ledger says of itself: which one it is, what its identities rest on, how often it was changed.

use rusqlite::{OptionalExtension, Transaction};

use super::{Ledger, LedgerError};

/// Why a ledger and a job do not go together.
#[derive(Debug, thiserror::Error)]
pub enum AgreeError {
    /// The ledger's bills are keyed or compared otherwise.
    #[error(
        "the ledger was made with {fact} = `{known}` for {scope}, the job has `{value}`: its bills would not be known again; \
         go back to the old value, or name another ledger"
    )]
    Differs {
        /// What.
        fact: String,
        /// For which client.
        scope: String,
        /// In the ledger.
        known: String,
        /// In the job.
        value: String,
    },
    /// A fault of the ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Ledger {
    /// What tells this ledger from every other; a copy has the same.
    pub fn identity(&self) -> Result<String, LedgerError> {
        self.db
            .query_row("SELECT value FROM meta WHERE key = 'id'", [], |row| row.get(0))
            .map_err(|error| self.fault("read", error))
    }

    /// How often bills and cards were changed so far: folds, answers, prunings.
    pub fn epoch(&self) -> Result<i64, LedgerError> {
        self.db
            .query_row("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'epoch'", [], |row| row.get(0))
            .optional()
            .map(Option::unwrap_or_default)
            .map_err(|error| self.fault("read the epoch", error))
    }

    /// Makes sure that a fact that identities rest on is what it was, and keeps it when it is new. The error says
    /// both.
    pub fn agree(&mut self, fact: &str, scope: &str, value: &str) -> Result<(), AgreeError> {
        let key = format!("{fact} {scope}");
        let known: Option<String> = self
            .db
            .query_row("SELECT value FROM meta WHERE key = ?1", [&key], |row| row.get(0))
            .optional()
            .map_err(|error| self.fault("read what it was made with", error))?;
        match known {
            Some(known) if known == value => Ok(()),
            Some(known) => Err(AgreeError::Differs {
                fact: fact.to_owned(),
                scope: scope.to_owned(),
                known,
                value: value.to_owned(),
            }),
            None => self
                .db
                .execute("INSERT INTO meta (key, value) VALUES (?1, ?2)", [&key, value])
                .map(drop)
                .map_err(|error| self.fault("keep what it is made with", error).into()),
        }
    }
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
