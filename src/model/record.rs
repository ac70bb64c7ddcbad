//! What a run learns, in the order in which it learns it. Records go to the ledger first; every file and
//! every screen is a fold over them.

use serde::{Deserialize, Serialize};

use super::{Reading, Settled};

/// One thing learnt about one row of the plan. `pos` is the row's position in the plan.
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
    /// The row's position in the plan.
    pub fn pos(&self) -> u64 {
        match self {
            Record::Intent(intent) => intent.pos,
            Record::Attempt(attempt) => attempt.pos,
            Record::Settled(pos, _) => *pos,
        }
    }
}

/// A revision about to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The row's position in the plan.
    pub pos: u64,
    /// A bit per member of the row that this revision leaves out.
    pub drop: u64,
    /// The frozen bytes.
    pub body: Vec<u8>,
}

/// One attempt that did not settle its row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The row's position in the plan.
    pub pos: u64,
    /// When it began; milliseconds since 1970.
    pub sent_ms: i64,
    /// From the first byte out to the reply in; microseconds.
    pub latency_us: u64,
    /// What came of it.
    pub reading: Reading,
}
