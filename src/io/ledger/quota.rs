//! Quota stamps: they outlive the process, so that a restart inside a window keeps the law.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};

use super::meta::bind;
use super::{Ledger, LedgerError, durable};

/// When the last process of a (gateway, client) stopped sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaStamp {
    /// It sends still, or died sending.
    pub busy: bool,
    /// The boot in which it was.
    pub boot: String,
    /// CLOCK_BOOTTIME of its last exchange's end, or of the end of its wait for whoever was before it, whichever is
    /// later; nanoseconds.
    pub ended_ns: i64,
}

impl Ledger {
    /// The stamps that earlier processes left, by (gateway, client).
    pub fn quota_stamps(&self) -> Result<BTreeMap<String, QuotaStamp>, LedgerError> {
        let query = || -> rusqlite::Result<BTreeMap<String, QuotaStamp>> {
            let mut statement = self.db.prepare("SELECT scope, busy, boot, ended_ns FROM quota")?;
            let stamp = |row: &Row<'_>| {
                Ok((row.get(0)?, QuotaStamp { busy: row.get(1)?, boot: row.get(2)?, ended_ns: row.get(3)? }))
            };
            statement.query_map([], stamp)?.collect()
        };
        query().map_err(|error| self.fault("read the quota stamps", error))
    }

    /// Leaves a stamp: `busy` before the first send, the end's time after the last.
    pub fn stamp_quota(&mut self, scope: &str, stamp: &QuotaStamp) -> Result<(), LedgerError> {
        let write = |db: &mut Connection| {
            let transaction = db.transaction()?;
            bind(&transaction)?;
            transaction.execute(
                "INSERT INTO quota (scope, busy, boot, ended_ns) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (scope) DO UPDATE SET busy = ?2, boot = ?3, ended_ns = ?4",
                params![scope, stamp.busy, stamp.boot, stamp.ended_ns],
            )?;
            transaction.commit()
        };
        durable("stamp", "write", || write(&mut self.db)).map_err(|error| self.fault("write the quota stamp", error))
    }
}
