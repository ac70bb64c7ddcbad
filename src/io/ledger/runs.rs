//! Runs in the ledger.

use rusqlite::{Row, params};

use super::meta::bind;
use super::{Ledger, LedgerError, damaged, durable};

/// Whether a run is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Not closed, or reopened and not closed since: crash, storage fault, second signal.
    Interrupted,
    /// Manifest written.
    Closed,
}

/// A run about to begin; its plan is durable.
#[derive(Clone, Debug)]
pub struct NewRun<'a> {
    /// Its ordinal, from [`Ledger::next_ordinal`].
    pub ordinal: u32,
    /// Its name.
    pub id: &'a str,
    /// The job's name.
    pub job: &'a str,
    /// `run`, `replay` or `import`.
    pub kind: &'a str,
    /// Milliseconds since 1970.
    pub started_ms: i64,
    /// One digest over its inputs' digests.
    pub inputs: &'a str,
    /// JSON.
    pub detail: &'a str,
}

/// A run as the ledger has it.
#[derive(Clone, Debug)]
pub struct RunRow {
    /// A part of every place that the run gave.
    pub ordinal: u32,
    /// Its name.
    pub id: String,
    /// The job's name.
    pub job: String,
    /// `run`, `replay` or `import`.
    pub kind: String,
    /// Whether it is finished.
    pub state: RunState,
    /// Milliseconds since 1970.
    pub started_ms: i64,
    /// Milliseconds since 1970.
    pub closed_ms: Option<i64>,
    /// The exit code of a closed run.
    pub exit: Option<u8>,
    /// One digest over its inputs' digests.
    pub inputs: String,
    /// The folds, answers and prunings that its plan knew of; see [`RunRow::is_folded`].
    pub epoch: i64,
    /// JSON.
    pub detail: String,
    /// JSON of the manifest, once closed.
    pub summary: Option<String>,
}

impl RunRow {
    /// In the place of an epoch: no plan is as old.
    const FOLDED: i64 = -1;

    /// Whether it books what another program applied.
    pub fn is_import(&self) -> bool {
        self.kind == "import"
    }

    /// Whether bills and cards have all that it learnt. Its plan is void: it is planned again before it goes on.
    pub fn is_folded(&self) -> bool {
        self.epoch == Self::FOLDED
    }
}

pub(super) fn mark_folded(transaction: &rusqlite::Transaction<'_>, ordinal: u32) -> rusqlite::Result<()> {
    let values = params![ordinal, RunRow::FOLDED];
    transaction.execute("UPDATE runs SET epoch = ?2 WHERE ordinal = ?1", values).map(drop)
}

pub(super) const COLUMNS: &str =
    "ordinal, id, job, kind, state, started_ms, closed_ms, exit, inputs, epoch, detail, summary";

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    let state: String = row.get(4)?;
    Ok(RunRow {
        ordinal: row.get(0)?,
        id: row.get(1)?,
        job: row.get(2)?,
        kind: row.get(3)?,
        state: match state.as_str() {
            "closed" => RunState::Closed,
            "interrupted" => RunState::Interrupted,
            other => return Err(damaged(4, other)),
        },
        started_ms: row.get(5)?,
        closed_ms: row.get(6)?,
        exit: row.get(7)?,
        inputs: row.get(8)?,
        epoch: row.get(9)?,
        detail: row.get(10)?,
        summary: row.get(11)?,
    })
}

impl Ledger {
    /// The ordinal of the next run.
    pub fn next_ordinal(&self) -> Result<u32, LedgerError> {
        self.db
            .query_row("SELECT coalesce(max(ordinal), 0) + 1 FROM runs", [], |row| row.get(0))
            .map_err(|error| self.fault("read the runs", error))
    }

    /// Books a run whose plan is durable; from here on it is an interrupted run until it is closed.
    pub fn begin_run(&mut self, run: &NewRun<'_>) -> Result<(), LedgerError> {
        let epoch = self.epoch()?;
        let book = |db: &mut rusqlite::Connection| {
            let transaction = db.transaction()?;
            bind(&transaction)?;
            transaction.execute(
                "INSERT INTO runs (ordinal, id, job, kind, state, started_ms, inputs, epoch, detail, \
                 first_seq, journal_from, intents_from) \
                 SELECT ?1, ?2, ?3, ?4, 'interrupted', ?5, ?6, ?7, ?8, next.journal, next.journal, next.intents FROM \
                 (SELECT (SELECT coalesce(max(seq), 0) + 1 FROM journal) AS journal, \
                 (SELECT coalesce(max(seq), 0) + 1 FROM intents) AS intents) AS next WHERE true \
                 ON CONFLICT (ordinal) DO UPDATE SET state = 'interrupted', epoch = ?7, detail = ?8, summary = NULL, \
                 exit = NULL, closed_ms = NULL, journal_from = excluded.journal_from, \
                 intents_from = excluded.intents_from",
                params![run.ordinal, run.id, run.job, run.kind, run.started_ms, run.inputs, epoch, run.detail],
            )?;
            transaction.commit()
        };
        durable("run", "book", || book(&mut self.db)).map_err(|error| self.fault("book the run", error))
    }

    /// Notes how far an interrupted run has come: its facts, in place of those that were kept.
    pub fn note_run(&mut self, ordinal: u32, detail: &str) -> Result<(), LedgerError> {
        let note = || self.db.execute("UPDATE runs SET detail = ?2 WHERE ordinal = ?1", params![ordinal, detail]);
        durable("sending", "note", note).map(drop).map_err(|error| self.fault("note the run", error))
    }

    /// Books the end of a run: from here on it is closed. The bodies of its settled rows are dropped.
    pub fn close_run(&mut self, ordinal: u32, exit: u8, closed_ms: i64, summary: &str) -> Result<(), LedgerError> {
        let close = |db: &mut rusqlite::Connection| -> rusqlite::Result<()> {
            let transaction = db.transaction()?;
            transaction.execute(
                "UPDATE runs SET state = 'closed', exit = ?2, closed_ms = ?3, summary = ?4 WHERE ordinal = ?1",
                params![ordinal, exit, closed_ms, summary],
            )?;
            let others: i64 =
                transaction.query_row("SELECT count(*) FROM runs WHERE state <> 'closed'", [], |row| row.get(0))?;
            if others == 0 {
                transaction.execute("DELETE FROM intents", [])?; // without WHERE: pages are freed, not rows
            } else {
                transaction.execute("DELETE FROM intents WHERE run = ?1", [ordinal])?;
                // Numbers that are free now are given again: whoever counts from behind them would not see its own.
                transaction.execute(
                    "UPDATE runs SET intents_from = min(intents_from, (SELECT coalesce(max(seq), 0) + 1 FROM intents)) \
                     WHERE state <> 'closed'",
                    [],
                )?;
            }
            durable("run", "close", || transaction.commit())
        };
        close(&mut self.db).map_err(|error| self.fault("close the run", error))
    }

    /// Whether bills have anything of a run.
    pub fn has_bills_of(&self, ordinal: u32) -> Result<bool, LedgerError> {
        self.db
            .query_row("SELECT EXISTS (SELECT 1 FROM bills WHERE last_run = ?1)", [ordinal], |row| row.get(0))
            .map_err(|error| self.fault("read the bills", error))
    }

    /// Forgets a run of which bills and cards have nothing.
    pub fn give_up(&mut self, ordinal: u32) -> Result<(), LedgerError> {
        let forgotten = self.db.execute("DELETE FROM runs WHERE ordinal = ?1 AND state <> 'closed'", [ordinal]);
        forgotten.map(drop).map_err(|error| self.fault("give the run up", error))
    }

    /// A run by its ordinal.
    pub fn run(&self, ordinal: u32) -> Result<Option<RunRow>, LedgerError> {
        self.one_run("ordinal = ?1", params![ordinal])
    }

    /// A run by its name.
    pub fn run_by_id(&self, id: &str) -> Result<Option<RunRow>, LedgerError> {
        self.one_run("id = ?1", params![id])
    }

    /// The newest import, of any job.
    pub fn newest_import(&self) -> Result<Option<RunRow>, LedgerError> {
        self.one_run("kind = 'import' ORDER BY ordinal DESC LIMIT 1", &[])
    }

    /// The job's interrupted run.
    pub fn interrupted(&self, job: &str) -> Result<Option<RunRow>, LedgerError> {
        self.one_run("job = ?1 AND state <> 'closed' ORDER BY ordinal LIMIT 1", params![job])
    }

    /// Interrupted runs of other jobs: their plans are stale as soon as another run applies.
    pub fn interrupted_others(&self, job: &str) -> Result<Vec<RunRow>, LedgerError> {
        self.runs("job <> ?1 AND state <> 'closed' ORDER BY ordinal", params![job])
    }

    /// Interrupted runs of all jobs.
    pub fn interrupted_all(&self) -> Result<Vec<RunRow>, LedgerError> {
        self.runs("state <> 'closed' ORDER BY ordinal", params![])
    }

    /// The job's newest closed run over the same inputs.
    pub fn closed_with_inputs(&self, job: &str, inputs: &str) -> Result<Option<RunRow>, LedgerError> {
        self.one_run(
            "job = ?1 AND inputs = ?2 AND kind = 'run' AND state = 'closed' ORDER BY ordinal DESC LIMIT 1",
            params![job, inputs],
        )
    }

    /// The runs of a job, or of all, that were closed before an instant (milliseconds since 1970); oldest first.
    pub fn closed_before(&self, job: Option<&str>, before_ms: i64) -> Result<Vec<u32>, LedgerError> {
        let query = || -> rusqlite::Result<Vec<u32>> {
            self.db
                .prepare(
                    "SELECT ordinal FROM runs WHERE (?1 IS NULL OR job = ?1) AND state = 'closed' AND closed_ms < ?2 \
                     ORDER BY ordinal",
                )?
                .query_map(params![job, before_ms], |row| row.get(0))?
                .collect()
        };
        query().map_err(|error| self.fault("read the runs", error))
    }

    /// The job's newest closed runs, newest first.
    pub fn closed_runs(&self, job: &str, most: u32) -> Result<Vec<RunRow>, LedgerError> {
        self.runs("job = ?1 AND state = 'closed' ORDER BY ordinal DESC LIMIT ?2", params![job, most])
    }

    /// The job's newest closed runs over its own inputs, replays apart; newest first.
    pub fn closed_nights(&self, job: &str, most: u32) -> Result<Vec<RunRow>, LedgerError> {
        let condition = "job = ?1 AND kind = 'run' AND state = 'closed' ORDER BY ordinal DESC LIMIT ?2";
        self.runs(condition, params![job, most])
    }

    fn one_run(&self, condition: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Option<RunRow>, LedgerError> {
        Ok(self.runs(condition, values)?.into_iter().next())
    }

    fn runs(&self, condition: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Vec<RunRow>, LedgerError> {
        let query = || -> rusqlite::Result<Vec<RunRow>> {
            self.db
                .prepare_cached(&format!("SELECT {COLUMNS} FROM runs WHERE {condition}"))?
                .query_map(values, read)?
                .collect()
        };
        query().map_err(|error| self.fault("read the runs", error))
    }
}
