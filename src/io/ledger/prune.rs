//! Forgetting: the records of runs, and bills from before a horizon.

use rusqlite::{Connection, OptionalExtension, params};

use super::meta::raise_epoch;
use super::{Ledger, LedgerError, durable};

/// In `meta`: bills from before it were forgotten; milliseconds since 1970.
const HORIZON: &str = "horizon_ms";

/// A run whose records go, with what is left of its facts.
#[derive(Clone, Debug)]
pub struct PrunedRun {
    /// Its ordinal.
    pub ordinal: u32,
    /// JSON.
    pub detail: String,
    /// JSON of the manifest.
    pub summary: String,
}

impl Ledger {
    /// Before this instant bills were forgotten: a row from then cannot be told from one that was applied.
    pub fn horizon(&self) -> Result<Option<i64>, LedgerError> {
        self.db
            .query_row("SELECT CAST(value AS INTEGER) FROM meta WHERE key = ?1", [HORIZON], |row| row.get(0))
            .optional()
            .map_err(|error| self.fault("read the horizon", error))
    }

    /// Records of these runs in the journal, and their bytes; in one pass.
    pub fn journal_size(&self, runs: &[u32]) -> Result<(u64, u64), LedgerError> {
        let count = || -> rusqlite::Result<(u64, u64)> {
            mark(&self.db, runs)?;
            let query = format!("SELECT count(*), coalesce(sum(length(data)), 0) FROM journal WHERE run IN {MARKED}");
            let found = self.db.query_row(&query, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
            self.db.execute_batch(UNMARK)?;
            Ok(found)
        };
        count().map_err(|error| self.fault("read the journal", error))
    }

    /// Settled bills from before `horizon_ms` that one of these runs settled.
    pub fn forgettable(&self, horizon_ms: i64, runs: &[u32]) -> Result<u64, LedgerError> {
        let count = || -> rusqlite::Result<u64> {
            mark(&self.db, runs)?;
            let found =
                self.db.query_row(&format!("SELECT count(*) FROM bills WHERE {FORGETTABLE}"), [horizon_ms], |row| {
                    row.get(0)
                })?;
            self.db.execute_batch(UNMARK)?;
            Ok(found)
        };
        count().map_err(|error| self.fault("count bills", error))
    }

    /// Forgets the records of these runs and, with a horizon, the settled bills from before it whose runs are among
    /// `forgotten`; all or nothing. Returns how many bills went.
    pub fn prune(
        &mut self,
        runs: &[PrunedRun],
        horizon_ms: Option<i64>,
        forgotten: &[u32],
    ) -> Result<u64, LedgerError> {
        let prune = |db: &mut Connection| -> rusqlite::Result<u64> {
            let transaction = db.transaction()?;
            let ordinals: Vec<u32> = runs.iter().map(|run| run.ordinal).collect();
            mark(&transaction, &ordinals)?;
            // The newest record stays: runs know their records by numbers, which must go on rising.
            transaction.execute_batch(&format!(
                "DELETE FROM journal WHERE run IN {MARKED} AND seq < (SELECT max(seq) FROM journal); \
                 DELETE FROM intents WHERE run IN {MARKED}; {UNMARK}"
            ))?;
            for run in runs {
                let facts = "UPDATE runs SET detail = ?2, summary = ?3 WHERE ordinal = ?1";
                transaction.execute(facts, params![run.ordinal, run.detail, run.summary])?;
            }
            let mut bills = 0;
            if let Some(horizon_ms) = horizon_ms {
                mark(&transaction, forgotten)?;
                bills = transaction.execute(&format!("DELETE FROM bills WHERE {FORGETTABLE}"), [horizon_ms])? as u64;
                transaction.execute_batch(UNMARK)?;
                let keep = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET \
                            value = max(CAST(value AS INTEGER), ?2)";
                transaction.execute(keep, params![HORIZON, horizon_ms])?;
            }
            raise_epoch(&transaction)?;
            transaction.commit()?;
            Ok(bills)
        };
        durable("prune", "commit", || prune(&mut self.db)).map_err(|error| self.fault("prune", error))
    }
}

/// Neither open nor possibly applied.
const FORGETTABLE: &str =
    "occurred_ms < ?1 AND past NOT IN (1, 2, 4) AND last_run IN (SELECT ordinal FROM temp.pruned)";
/// The runs that are meant.
const MARKED: &str = "(SELECT ordinal FROM temp.pruned)";
const UNMARK: &str = "DROP TABLE temp.pruned";

fn mark(db: &Connection, runs: &[u32]) -> rusqlite::Result<()> {
    db.execute_batch("CREATE TEMP TABLE pruned (ordinal INTEGER PRIMARY KEY)")?;
    let mut insert = db.prepare("INSERT INTO temp.pruned (ordinal) VALUES (?1)")?;
    runs.iter().try_for_each(|run| insert.execute([run]).map(drop))
}
