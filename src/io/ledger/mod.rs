//! The ledger: the durable truth about bills, cards and runs, from which every file is derived.
//!
//! SQLite in WAL mode with `synchronous=FULL`: after a power loss every acknowledged record is there. With
//! `NORMAL` more than half of the replayed crash states had lost one.

mod backup;
mod bills;
mod cards;
mod known;
mod look;
mod meta;
mod prune;
mod quota;
mod rows;
mod runs;
mod settle;
mod sound;
mod upgrade;
mod verify;
mod writer;

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{fault, folder};

pub use bills::{BillRow, Unproved};
pub use cards::{CardState, Confirmed};
pub use known::{Keys, Known};
pub use look::BookedAnswer;
pub use meta::AgreeError;
pub use prune::PrunedRun;
pub use quota::QuotaStamp;
pub use rows::{BillChange, CardChange, FoldError};
pub use runs::{NewRun, RunRow, RunState};
pub use settle::{Answer, Answered, SETTLED_BY_PERSON};
pub use verify::{Stored, StoredAnswer, StoredCard, StoredIntent, StoredRecord, StoredRun, StoredStamp};
pub use writer::{Ack, Part, Writer};

/// A fault of the ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// SQLite, or the system under it.
    #[error("cannot {act} in the ledger {}: {error}; {}", .path.display(), remedy(.error))]
    Storage {
        /// What was tried.
        act: &'static str,
        /// The ledger's file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        error: rusqlite::Error,
    },
    /// The system, about the file or its folder.
    #[error("cannot {act} the ledger {}: {error}; {}", .path.display(), super::remedy(.error))]
    Io {
        /// What was tried.
        act: &'static str,
        /// The ledger's file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// The file is something else.
    #[error("ledger {}: {found}; it was not touched: name another file in `[ledger] url`, or restore a backup", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// An older program made it, and a run was cut off in it.
    #[error("ledger {}: an older program's run was cut off; finish it with that program (`passync resume`), then come back to this one", .0.display())]
    Unfinished(PathBuf),
    /// An older program made it.
    #[error("ledger {}: an older program made it; the job's next run brings it up to date, and so does `passync resume`, without a call", .0.display())]
    Old(PathBuf),
    /// There is none.
    #[error("ledger {}: there is none yet: the job has not run, or `--state`/`[ledger] url` name another place", .0.display())]
    Absent(PathBuf),
}

impl LedgerError {
    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        matches!(self, LedgerError::Storage { error, .. } if error.sqlite_error_code() == Some(ErrorCode::DiskFull))
    }
}

/// An open ledger.
pub struct Ledger {
    db: Connection,
    path: PathBuf,
}

/// "pass" in ASCII: tells our files from other SQLite files.
const APPLICATION_ID: i32 = 0x7061_7373;
/// The schema's version; a newer one is refused, an older one brought up to it (`upgrade.rs`).
const SCHEMA_VERSION: i32 = 3;
const SCHEMA: &str = include_str!("schema.sql");

impl Ledger {
    /// Opens the ledger for a run, making it (and its folder, for the owner alone) where there is none. One that is there
    /// was proved ([`Ledger::prove`]).
    pub fn open(path: &Path) -> Result<Ledger, LedgerError> {
        if !path.exists() {
            Self::make(path)?;
        }
        let ledger = Self::connect(path)?;
        if ledger.identify()? < SCHEMA_VERSION {
            return Err(ledger.of_older());
        }
        ledger.configure()?;
        Ok(ledger)
    }

    /// Makes a ledger beside its place and renames it: a file of that name is a whole ledger, or something is wrong.
    fn make(path: &Path) -> Result<(), LedgerError> {
        if sound::has_log(path) {
            let found = "its write-ahead log is there, the file itself is gone".to_owned();
            return Err(LedgerError::Foreign { path: path.to_owned(), found });
        }
        let fault = |act| move |error| LedgerError::Io { act, path: path.to_owned(), error };
        let new = beside(path, ".new");
        fault::around("ledger", "create", || create_private(&new)).map_err(fault("create"))?;
        Self::connect(&new)?.set_up()?; // closed at once: its write-ahead log goes into it
        let place = || std::fs::rename(&new, path).and_then(|()| folder::sync(folder::of(path)));
        fault::around("ledger", "rename", place).map_err(fault("rename"))
    }

    /// Bytes of a ledger with its write-ahead log, asked from outside; `None` where there is none.
    pub fn size(path: &Path) -> Option<u64> {
        let bytes = |path: &Path| std::fs::metadata(path).ok().map(|meta| meta.len());
        bytes(path).map(|own| own + bytes(&beside(path, "-wal")).unwrap_or_default())
    }

    /// Opens an existing ledger for looking; the first connection of a process, or its only one.
    pub fn open_existing(path: &Path) -> Result<Ledger, LedgerError> {
        match Ledger::look(path)? {
            (ledger, SCHEMA_VERSION) => Ok(ledger),
            (older, _) => Err(older.of_older()),
        }
    }

    /// The same of a ledger that an older program may have made, and its schema.
    fn look(path: &Path) -> Result<(Ledger, i32), LedgerError> {
        if !path.exists() {
            return Err(LedgerError::Absent(path.to_owned()));
        }
        let found = sound::look_from_outside(path);
        let found = found.map_err(|error| LedgerError::Io { act: "read", path: path.to_owned(), error })?;
        if let Some(found) = found {
            return Err(LedgerError::Foreign { path: path.to_owned(), found });
        }
        let has_log = sound::has_log(path);
        // Read-write: a log that a crash left behind can only be read after its recovery.
        let ledger = Self::connect(path)?;
        if has_log {
            ledger.keep_log()?;
        }
        let schema = ledger.identify()?;
        Ok((ledger, schema))
    }

    /// Another connection of this process, for looking while this one writes.
    pub fn another(&self) -> Result<Ledger, LedgerError> {
        Self::connect(&self.path)
    }

    /// The ledger's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn connect(path: &Path) -> Result<Ledger, LedgerError> {
        let storage = |error| LedgerError::Storage { act: "open", path: path.to_owned(), error };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).map_err(storage)?;
        db.busy_timeout(Duration::from_secs(10)).map_err(storage)?;
        db.set_prepared_statement_cache_capacity(64);
        Ok(Ledger { db, path: path.to_owned() })
    }

    /// Makes sure that the file is ours; its schema.
    fn identify(&self) -> Result<i32, LedgerError> {
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
        let mode: String = self
            .db
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .map_err(|error| self.fault("read", error))?;
        match (application, version) {
            (APPLICATION_ID, 1..=SCHEMA_VERSION) if mode == "wal" => Ok(version),
            (APPLICATION_ID, 1..=SCHEMA_VERSION) => {
                Err(foreign(format!("it has journal_mode={mode}: its header is damaged")))
            }
            (APPLICATION_ID, newer) => {
                Err(foreign(format!("it has schema {newer}, this program knows {SCHEMA_VERSION}: upgrade the program")))
            }
            _ => Err(foreign("the file is an SQLite database of another program".to_owned())),
        }
    }

    /// Writes the schema, all of it into the file itself: closing a connection does so, too, but says nothing where it
    /// cannot.
    fn set_up(&self) -> Result<(), LedgerError> {
        let statements = format!(
            "PRAGMA journal_mode=WAL; BEGIN IMMEDIATE; {SCHEMA} \
             PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
        );
        let set_up = || {
            self.db.execute_batch(&statements)?;
            let mode: String = self.db.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
            let is_busy: bool = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            if mode == "wal" && !is_busy { Ok(()) } else { Err(unwritten()) }
        };
        durable("ledger", "set-up", set_up).map_err(|error| self.fault("set up", error))
    }

    /// Sets what durability rests on, and reads it back: a pragma that did not take is silent.
    fn configure(&self) -> Result<(), LedgerError> {
        let set = || -> rusqlite::Result<(String, i64)> {
            self.db.execute_batch("PRAGMA synchronous=FULL; PRAGMA cache_size=-4096; PRAGMA temp_store=FILE;")?;
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

/// What to do about a ledger that cannot be read as it should be.
pub const DAMAGED: &str = "the file is damaged and was left as it is (`passync ledger verify` of the program that made it says \
                       how): restore a backup of it, with the file `-wal` beside it";

/// What a column has that nothing of ours can have written.
fn damaged(column: usize, what: impl std::fmt::Display) -> rusqlite::Error {
    let kind = rusqlite::types::Type::Text;
    rusqlite::Error::FromSqlConversionFailure(column, kind, format!("damaged: {what}").into())
}

/// A file that SQLite could not write, and did not say why.
fn unwritten() -> rusqlite::Error {
    let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_WRITE);
    rusqlite::Error::SqliteFailure(error, Some("the file cannot be written".to_owned()))
}

/// What to do about a fault. Nothing more is sent after one, and nothing that was acknowledged is lost.
fn remedy(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "free some space and run the job again: it goes on from disk",
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => DAMAGED,
        None if matches!(
            error,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::Utf8Error(..)
        ) =>
        {
            DAMAGED
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            "let the user of the job write to this file and its folder, or name another in `[ledger] url`"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program has it open: end that, and run the job again"
        }
        _ => "see that the disk is well and run the job again: it goes on from disk",
    }
}

/// An empty file for the owner alone, in place of one that was left by a process that was cut off.
fn create_private(path: &Path) -> std::io::Result<()> {
    folder::make(folder::of(path))?;
    for left in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        remove_if_there(&left)?;
    }
    std::fs::File::options().write(true).create_new(true).mode(0o600).open(path).map(drop)
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// `ledger.db` -> `ledger.db-wal`.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(end);
    beside.into()
}

/// A durable step of the ledger. What a test lets fail is told as SQLite would tell it.
fn durable<T>(subject: &str, act: &str, work: impl FnOnce() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    use rusqlite::ffi;
    let told = |error: std::io::Error| {
        let full = error.kind() == std::io::ErrorKind::StorageFull;
        let code = if full { ffi::SQLITE_FULL } else { ffi::SQLITE_IOERR };
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(error.to_string()))
    };
    fault::around_as(told, subject, act, work)
}

#[cfg(test)]
mod tests;
