//! The ledger: the durable truth about bills, cards and runs, from which every file is derived.
//!
//! SQLite in WAL mode with `synchronous=FULL`: after a power loss every acknowledged record is there. With
//! `NORMAL` more than half of the replayed crash states had lost one.

mod bills;
mod cards;
mod look;
mod quota;
mod rows;
mod runs;
mod settle;
mod writer;

use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

pub use bills::{BillRow, Unproved};
pub use cards::{CardState, Confirmed};
pub use look::BookedAnswer;
pub use quota::QuotaStamp;
pub use rows::{BillChange, CardChange, FoldError};
pub use runs::{AgreeError, NewRun, RunRow, RunState};
pub use settle::{Answer, Answered};
pub use writer::{Ack, Part, Writer};

/// A fault of the ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// SQLite, or the system under it.
    #[error("ledger {}: {act}: {error}; nothing more was sent, and the next run goes on from what is durable", .path.display())]
    Storage {
        /// What was tried.
        act: &'static str,
        /// The ledger's file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        error: rusqlite::Error,
    },
    /// The file is something else.
    #[error("ledger {}: {found}; it was not touched: name another file in `[ledger] url`, or restore a backup", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// There is none.
    #[error("ledger {}: there is none yet: the job has not run, or `--state`/`[ledger] url` name another place", .0.display())]
    Absent(PathBuf),
}

/// An open ledger.
pub struct Ledger {
    db: Connection,
    path: PathBuf,
}

/// "pass" in ASCII: tells our files from other SQLite files.
const APPLICATION_ID: i32 = 0x7061_7373;
/// The schema's version; a newer one is refused, an older one migrated.
const SCHEMA_VERSION: i32 = 1;

impl Ledger {
    /// Opens the ledger for a run, making it (and its folder, for the owner alone) where there is none.
    pub fn open(path: &Path) -> Result<Ledger, LedgerError> {
        let is_new = !path.exists();
        if is_new {
            create_private(path).map_err(|error| LedgerError::Storage {
                act: "create",
                path: path.to_owned(),
                error: rusqlite::Error::ToSqlConversionFailure(Box::new(error)),
            })?;
        }
        let ledger = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        ledger.identify()?;
        ledger.configure()?;
        Ok(ledger)
    }

    /// Opens an existing ledger for looking.
    pub fn open_existing(path: &Path) -> Result<Ledger, LedgerError> {
        if !path.exists() {
            return Err(LedgerError::Absent(path.to_owned()));
        }
        // Read-write: a WAL that a crash left behind can only be read after its recovery.
        let ledger = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        ledger.identify()?;
        Ok(ledger)
    }

    /// The ledger's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Ledger, LedgerError> {
        let storage = |error| LedgerError::Storage { act: "open", path: path.to_owned(), error };
        let db = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(storage)?;
        db.busy_timeout(Duration::from_secs(10)).map_err(storage)?;
        db.set_prepared_statement_cache_capacity(64);
        Ok(Ledger { db, path: path.to_owned() })
    }

    /// Makes sure that the file is ours, and sets it up when it is empty.
    fn identify(&self) -> Result<(), LedgerError> {
        let foreign = |found: String| LedgerError::Foreign { path: self.path.clone(), found };
        let application: i32 = match self.db.pragma_query_value(None, "application_id", |row| row.get(0)) {
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
                return Err(foreign("the file is not a ledger (not an SQLite file, or damaged)".to_owned()));
            }
            other => other.map_err(|error| self.fault("read", error))?,
        };
        let version: i32 = self
            .db
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(|error| self.fault("read", error))?;
        let tables: i64 = self
            .db
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(|error| self.fault("read", error))?;
        match (application, version, tables) {
            (0, 0, 0) => self.set_up(),
            (APPLICATION_ID, SCHEMA_VERSION, _) => Ok(()),
            (APPLICATION_ID, newer, _) => {
                Err(foreign(format!("it has schema {newer}, this program knows {SCHEMA_VERSION}: upgrade the program")))
            }
            _ => Err(foreign("the file is an SQLite database of another program".to_owned())),
        }
    }

    fn set_up(&self) -> Result<(), LedgerError> {
        self.db
            .execute_batch(&format!(
                "PRAGMA journal_mode=WAL; BEGIN IMMEDIATE; {} \
                 PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={SCHEMA_VERSION}; COMMIT;",
                include_str!("schema.sql")
            ))
            .map_err(|error| self.fault("set up", error))
    }

    /// Sets what durability rests on, and reads it back: a pragma that did not take is silent.
    fn configure(&self) -> Result<(), LedgerError> {
        let set = || -> rusqlite::Result<(String, i64)> {
            self.db.execute_batch("PRAGMA synchronous=FULL; PRAGMA cache_size=-8192; PRAGMA temp_store=FILE;")?;
            let mode = self.db.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
            Ok((mode, self.db.pragma_query_value(None, "synchronous", |row| row.get(0))?))
        };
        match set().map_err(|error| self.fault("configure", error))? {
            (mode, 2) if mode == "wal" => Ok(()),
            (mode, synchronous) => Err(LedgerError::Foreign {
                path: self.path.clone(),
                found: format!("journal_mode={mode}, synchronous={synchronous}: this file system cannot hold a ledger"),
            }),
        }
    }

    fn fault(&self, act: &'static str, error: rusqlite::Error) -> LedgerError {
        LedgerError::Storage { act, path: self.path.clone(), error }
    }
}

fn create_private(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    std::fs::File::options().write(true).create_new(true).mode(0o600).open(path).map(drop)
}
