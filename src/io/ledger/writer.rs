//! The one writer of the hot path: records in, commits of many out, in strict order.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::{FoldError, Ledger, LedgerError, damaged, durable};
use crate::io::StorageError;
use crate::model::{Intent, Record, Settled};

/// What became durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// The intent of this row.
    Intent(u64),
    /// The end of this row.
    Settled(u64),
}

/// A thread that appends records. Dropping it ends the thread after the last commit.
pub struct Writer {
    records: Option<Sender<Record>>,
    thread: Option<JoinHandle<()>>,
}

/// Records in one commit: at 1,000 an fsync is shared widely enough, and a commit stays short.
const COMMIT_MAX: u32 = 1_000;

/// How long a first record waits for others to share its commit: this for each record of the last commit, so that a
/// few rows under way hardly wait, and many make one commit of what would be ten, each of which writes whole pages and
/// wakes the driver.
const GATHER: Duration = Duration::from_micros(500);

/// The longest such wait: small against any call.
const GATHER_MAX: Duration = Duration::from_millis(3);

impl Writer {
    /// Starts the writer of a run. `done` is called after each commit with what it made durable, or once with
    /// the fault that ended the writer: nothing may be sent any more.
    pub fn start(
        path: &Path,
        run: u32,
        mut done: impl FnMut(Result<Vec<Ack>, LedgerError>) + Send + 'static,
    ) -> Result<Writer, LedgerError> {
        let ledger = Ledger::open(path)?;
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || {
                if let Err(error) = write(&ledger.db, run, &receiver, &mut done) {
                    done(Err(ledger.fault("commit", error)));
                }
            })
            .map_err(|error| LedgerError::Io { act: "start a thread for", path: path.to_owned(), error })?;
        Ok(Writer { records: Some(sender), thread: Some(thread) })
    }

    /// Hands a record over. Records are committed in the order in which they are handed over.
    pub fn append(&self, record: Record) {
        // A writer that ended has said why through `done`; the record is then not acknowledged.
        let _ = self.records.as_ref().expect("open until dropped").send(record);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.records.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write(
    db: &Connection,
    run: u32,
    records: &Receiver<Record>,
    done: &mut dyn FnMut(Result<Vec<Ack>, LedgerError>),
) -> rusqlite::Result<()> {
    let mut taken = 1;
    while let Ok(first) = records.recv() {
        std::thread::sleep((GATHER * taken).min(GATHER_MAX));
        let mut acks = Vec::new();
        durable("journal", "begin", || db.execute_batch("BEGIN IMMEDIATE"))?;
        let mut next = Some(first);
        taken = 0;
        while let Some(record) = next {
            acks.extend(durable("journal", "append", || append(db, run, &record))?);
            taken += 1;
            next = if taken < COMMIT_MAX { records.try_recv().ok() } else { None };
        }
        durable("journal", "commit", || db.execute_batch("COMMIT"))?;
        done(Ok(acks));
    }
    Ok(())
}

fn append(db: &Connection, run: u32, record: &Record) -> rusqlite::Result<Option<Ack>> {
    match record {
        Record::Intent(intent) => {
            db.prepare_cached("INSERT INTO intents (run, row, dropped, body) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![run, intent.row, intent.drop.cast_signed(), intent.body])?;
            Ok(Some(Ack::Intent(intent.row)))
        }
        Record::Attempt(attempt) => {
            let data = postcard::to_stdvec(attempt).expect("records are plain data");
            journal(db, run, attempt.row, false, &data)?;
            Ok(None)
        }
        Record::Settled(row, settled) => {
            let data = postcard::to_stdvec(settled).expect("records are plain data");
            journal(db, run, *row, true, &data)?;
            Ok(Some(Ack::Settled(*row)))
        }
    }
}

fn journal(db: &Connection, run: u32, row: u64, settled: bool, data: &[u8]) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT INTO journal (run, row, settled, data) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![run, row, settled, data])
        .map(drop)
}

impl Ledger {
    /// Books ends of rows that were found out otherwise, as if they had been learnt; all or none.
    pub fn end_rows(
        &mut self,
        run: u32,
        ends: impl Iterator<Item = Result<(u64, Settled), StorageError>>,
    ) -> Result<(), FoldError> {
        let path = self.path.clone();
        let fault = |error| LedgerError::Storage { act: "book the ends of rows", path: path.clone(), error };
        let transaction = self.db.transaction().map_err(fault)?;
        for end in ends {
            let (row, settled) = end?;
            append(&transaction, run, &Record::Settled(row, Box::new(settled))).map_err(fault)?;
        }
        Ok(durable("ends", "commit", || transaction.commit()).map_err(fault)?)
    }
}

/// Which part of a run's records is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What its present plan was made with.
    BeforePlan,
    /// What its present plan does not know of: what came after it was made.
    SincePlan,
}

impl Ledger {
    /// Hands over the bodies that a run made durable since its plan, oldest first.
    pub fn intents<E: From<LedgerError>>(
        &self,
        run: u32,
        mut each: impl FnMut(Intent) -> Result<(), E>,
    ) -> Result<(), E> {
        let fault = |error| self.fault("read the intents", error);
        let mut statement = self
            .db
            .prepare(
                "SELECT row, dropped, body FROM intents WHERE run = ?1 \
                 AND seq >= (SELECT intents_from FROM runs WHERE ordinal = ?1) ORDER BY seq",
            )
            .map_err(fault)?;
        let mut rows = statement.query([run]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            let read = || -> rusqlite::Result<Intent> {
                Ok(Intent { row: row.get(0)?, drop: row.get::<_, i64>(1)?.cast_unsigned(), body: row.get(2)? })
            };
            each(read().map_err(fault)?)?;
        }
        Ok(())
    }

    /// Hands over the attempts and ends of a run, oldest first.
    pub fn journal<E: From<LedgerError>>(
        &self,
        run: u32,
        part: Part,
        mut each: impl FnMut(Record) -> Result<(), E>,
    ) -> Result<(), E> {
        let fault = |error| self.fault("read the journal", error);
        let (from, to) = match part {
            Part::BeforePlan => ("first_seq", "journal_from - 1"),
            Part::SincePlan => ("journal_from", "9223372036854775807"),
        };
        let mut statement = self
            .db
            .prepare(&format!(
                "SELECT row, settled, data FROM journal WHERE run = ?1 AND seq BETWEEN \
                 (SELECT {from} FROM runs WHERE ordinal = ?1) AND (SELECT {to} FROM runs WHERE ordinal = ?1) ORDER BY seq"
            ))
            .map_err(fault)?;
        let mut rows = statement.query([run]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            let record = read_record(row, 0).map_err(fault)?;
            each(record)?;
        }
        Ok(())
    }
}

/// Reads the columns row, settled, data, which begin at `at`.
pub(super) fn read_record(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Record> {
    let (id, settled): (u64, bool) = (row.get(at)?, row.get(at + 1)?);
    let data = row.get_ref(at + 2)?.as_blob().map_err(|error| damaged(at + 2, error))?;
    let damaged = |error| damaged(at + 2, error);
    Ok(if settled {
        Record::Settled(id, postcard::from_bytes(data).map_err(damaged)?)
    } else {
        Record::Attempt(postcard::from_bytes(data).map_err(damaged)?)
    })
}
