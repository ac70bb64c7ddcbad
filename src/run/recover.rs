//! What an interrupted part of a run left: its records, folded row by row.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Fault;
use crate::core::dispatcher::Recovered;
use crate::core::halt::Stop;
use crate::io::StorageError;
use crate::io::ledger::{Ledger, Part};
use crate::model::{Outcome, Record};

/// What is known of the rows of an interrupted run. Memory holds only those between intent and end, which are as many as
/// a run has slots, however often it was cut off.
pub struct Recovery {
    ends: Ends,
    open: HashMap<u64, OpenRow>,
    stopping: Option<Stop>,
    has_begun: bool,
}

/// A row that has an intent and no end.
#[derive(Debug, Default)]
pub struct OpenRow {
    /// The members that the newest durable revision leaves out.
    pub drop: u64,
    /// Its frozen bytes.
    pub body: Vec<u8>,
    /// HTTP requests, the one that was cut off included.
    pub attempts: u32,
    /// Those in doubt.
    pub doubt: u32,
    /// When the first one began, as far as that is known; milliseconds since 1970.
    pub first_sent_ms: Option<i64>,
}

impl Recovery {
    /// Folds what the ledger has of `run` since its plan.
    pub fn fold(ledger: &Ledger, run: u32, folder: &Path) -> Result<Recovery, Fault> {
        let mut learnt = Learnt::new(folder)?;
        ledger.journal(run, Part::SincePlan, |record| learnt.take(&record))?;
        learnt.meet_intents(ledger, run)
    }

    /// The stop that was in force when the run was cut off, as the codes of the rows that it ended show. A canary's stands
    /// for whoever finishes the run; behind a signal, a deadline or a halt the run is planned again, as if it had been closed
    /// and reopened.
    pub fn stopping(&self) -> Option<&Stop> {
        self.stopping.as_ref()
    }

    /// Rows that may have been sent without our knowing what came of it.
    pub fn cut_off(&self) -> usize {
        self.open.len()
    }

    /// How many calls a process of this run left under way; `None` where none of its processes has come to its calls, so
    /// that whoever called last was another.
    pub fn left_under_way(&self) -> Option<usize> {
        self.has_begun.then_some(self.open.len())
    }

    /// What is known of a row.
    pub fn of(&mut self, row: u64) -> Result<Option<Recovered>, Fault> {
        if let Some((outcome, doubted)) = self.ends.get(row)? {
            let doubt = u32::from(doubted);
            return Ok(Some(Recovered { settled: Some(outcome), doubt, ..Recovered::default() }));
        }
        Ok(self.open.get(&row).map(|open| Recovered {
            settled: None,
            attempts: open.attempts,
            doubt: open.doubt,
            intent: Some(open.drop),
        }))
    }

    /// The frozen bytes of a row's revision that leaves out `drop`, if they are durable; and when its first
    /// attempt began, as far as that is known.
    pub fn take(&mut self, row: u64, drop: u64) -> Option<(Vec<u8>, Option<i64>)> {
        let open = self.open.remove(&row)?;
        (open.drop == drop).then_some((open.body, open.first_sent_ms))
    }

    /// What the durable revision of a row leaves out.
    pub fn drop_of(&self, row: u64) -> u64 {
        self.open.get(&row).map_or(0, |open| open.drop)
    }

    /// Rows cut off between intent and end.
    pub fn into_open(self) -> HashMap<u64, OpenRow> {
        self.open
    }
}

/// Half of a [`Recovery`]: what the journal has since the plan, for who reads the journal anyway.
pub struct Learnt {
    ends: Ends,
    /// Of rows without an end: attempts, those in doubt, and when the first one began.
    attempted: HashMap<u64, (u32, u32, Option<i64>)>,
    stopping: Option<Stop>,
    has_begun: bool,
}

impl Learnt {
    /// Nothing yet. Its temporary file lies in `folder`.
    pub fn new(folder: &Path) -> Result<Learnt, Fault> {
        Ok(Learnt { ends: Ends::new(folder)?, attempted: HashMap::new(), stopping: None, has_begun: false })
    }

    /// Takes the next record.
    pub fn take(&mut self, record: &Record) -> Result<(), Fault> {
        self.has_begun = true;
        match record {
            Record::Settled(row, settled) => {
                self.attempted.remove(row);
                if settled.outcome.is_open() && self.stopping.is_none() {
                    self.stopping = Stop::of_code(&settled.code);
                }
                self.ends.set(*row, settled.outcome, settled.in_doubt > 0)?;
            }
            Record::Attempt(attempt) => {
                let (attempts, doubt, first) = self.attempted.entry(attempt.row).or_default();
                *attempts += 1;
                *doubt += u32::from(attempt.reading.verdict.in_doubt());
                first.get_or_insert(attempt.sent_ms);
            }
            Record::Intent(_) => unreachable!("the journal has no intents"),
        }
        Ok(())
    }

    /// The other half: rows that have an intent and no end.
    pub fn meet_intents(self, ledger: &Ledger, run: u32) -> Result<Recovery, Fault> {
        let Learnt { mut ends, attempted, stopping, mut has_begun } = self;
        let mut open: HashMap<u64, OpenRow> = HashMap::new();
        ledger.intents(run, |intent| -> Result<(), Fault> {
            has_begun = true;
            if ends.get(intent.row)?.is_none() {
                let (attempts, doubt, first_sent_ms) = attempted.get(&intent.row).copied().unwrap_or_default();
                // One more may have been under way when the run was cut off.
                let row = OpenRow {
                    drop: intent.drop,
                    body: intent.body,
                    attempts: attempts + 1,
                    doubt: doubt + 1,
                    first_sent_ms,
                };
                open.insert(intent.row, row);
            }
            Ok(())
        })?;
        Ok(Recovery { ends, open, stopping, has_begun })
    }
}

/// How rows ended: a byte each in a temporary file, read and written a page at a time. Rows end nearly in the
/// order of the plan, so one page in memory is enough.
struct Ends {
    file: File,
    folder: PathBuf,
    page: Vec<u8>,
    page_at: u64,
    dirty: bool,
}

impl Ends {
    const PAGE: u64 = 1 << 16;
    const DOUBTED: u8 = 0x80;

    fn new(folder: &Path) -> Result<Ends, Fault> {
        let file =
            tempfile::tempfile_in(folder).map_err(|error| StorageError::new("create a file in", folder, error))?;
        Ok(Ends { file, folder: folder.to_owned(), page: vec![0; Self::PAGE as usize], page_at: 0, dirty: false })
    }

    fn set(&mut self, row: u64, outcome: Outcome, doubted: bool) -> Result<(), Fault> {
        self.turn_to(row / Self::PAGE)?;
        self.page[(row % Self::PAGE) as usize] = (outcome as u8 + 1) | if doubted { Self::DOUBTED } else { 0 };
        self.dirty = true;
        Ok(())
    }

    fn get(&mut self, row: u64) -> Result<Option<(Outcome, bool)>, Fault> {
        self.turn_to(row / Self::PAGE)?;
        let byte = self.page[(row % Self::PAGE) as usize];
        let outcome = (byte & !Self::DOUBTED).checked_sub(1).map(|at| Outcome::ALL[usize::from(at)]);
        Ok(outcome.map(|outcome| (outcome, byte & Self::DOUBTED != 0)))
    }

    fn turn_to(&mut self, page: u64) -> Result<(), Fault> {
        if page == self.page_at {
            return Ok(());
        }
        let fault = |error| StorageError::new("use a file in", &self.folder, error);
        if self.dirty {
            self.file.write_all_at(&self.page, self.page_at * Self::PAGE).map_err(fault)?;
        }
        self.page.fill(0);
        let mut read = 0;
        while read < self.page.len() {
            match self.file.read_at(&mut self.page[read..], page * Self::PAGE + read as u64).map_err(fault)? {
                0 => break,
                more => read += more,
            }
        }
        (self.page_at, self.dirty) = (page, false);
        Ok(())
    }
}
