//! What a run learns, in the order in which it learns it. Records go to the ledger first; every file and
//! every screen is a fold over them.

use serde::{Deserialize, Serialize};

use super::{Reading, Settled};

/// One thing learnt about one row of the plan. `row` is the row's index in the run's input order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// Durable before the first byte of its body leaves.
    Intent(Intent),
    /// An attempt that did not settle its row.
    Attempt(Attempt),
    /// The row's end.
    Settled(u64, Box<Settled>),
}

impl Record {
    /// The row's index in the run's input order.
    pub fn row(&self) -> u64 {
        match self {
            Record::Intent(intent) => intent.row,
            Record::Attempt(attempt) => attempt.row,
            Record::Settled(row, _) => *row,
        }
    }
}

/// A revision about to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The row's index in the run's input order.
    pub row: u64,
    /// A bit per member of the row that this revision leaves out.
    pub drop: u64,
    /// The frozen bytes.
    pub body: Vec<u8>,
}

/// One attempt that did not settle its row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The row's index in the run's input order.
    pub row: u64,
    /// When it began; milliseconds since 1970.
    pub sent_ms: i64,
    /// From handing the request to the transport, a new connection included, to the reply or the fault; microseconds.
    pub latency_us: u64,
    /// What came of it.
    pub reading: Reading,
}
