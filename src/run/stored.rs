//! The records of a survey's files: a row as it was read, what was decided of it, where the plan has it.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::core::dispatcher::Gate;
use crate::model::{Amount, BillId, Delta, Digest, Outcome, Place, Reject, Seat};

/// One input row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredRow {
    /// Where it stands in the inputs.
    pub seat: Seat,
    /// Whose row it is, where the input is a failure file.
    pub origin: Option<Origin>,
    /// As the file has it.
    pub bill_no: Option<SmolStr>,
    /// As the file has it; empty where it cannot be read.
    pub card_no: SmolStr,
    /// `last_changed_points`; `None` also where it is not a number.
    pub change: Option<Amount>,
    /// Whether `last_changed_points` was filled but is not a number: the row is missing from the sums.
    pub unsummed: bool,
    /// What was read.
    pub content: Content,
}

/// What was read of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Content {
    /// A valid row.
    Delta(Box<Delta>),
    /// A row that is not valid.
    Reject(Box<Reject>),
}

/// The row that a line of a failure file stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The run that read it first.
    pub run: String,
    /// The source's name there.
    pub source: String,
    /// The line there.
    pub line: u64,
}

/// What the survey decided of one row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Fate {
    /// It may be sent; the plan says when.
    Send(RowFacts),
    /// It ends without a call.
    End {
        /// How.
        outcome: Outcome,
        /// The rule.
        code: String,
        /// Why, for a person.
        message: String,
        /// The row of this run that made it so.
        by: Option<u64>,
        /// What the ledger has to learn of it, if anything.
        facts: Option<RowFacts>,
    },
    /// An earlier part of this run settled it, or a person did since.
    Keep {
        /// How, where that part has no record of it.
        outcome: Outcome,
        /// The rule, likewise.
        code: String,
    },
}

/// What the ledger needs to know of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowFacts {
    /// Its identity.
    pub bill: BillId,
    /// Its card.
    pub card: Digest,
    /// What it says.
    pub content: Digest,
    /// Where it stands.
    pub place: Place,
    /// Attempts in doubt of earlier runs.
    pub doubt: u32,
}

/// One row of the plan. The order of the fields is the order of the plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlanRecord {
    /// The place of the row that leads its group.
    pub lead: Place,
    /// Orders rows of one lead.
    pub rank: u32,
    /// Its index in the run's input order.
    pub id: u64,
    /// Its card.
    pub card: Digest,
    /// Its identity in the ledger.
    pub bill: BillId,
    /// A bit per member that it carries.
    pub members: u64,
    /// Those already known to be stale.
    pub drop: u64,
    /// How many rows directly before it it may absorb.
    pub cover: u32,
    /// Whether a later row absorbs it.
    pub absorbed: bool,
    /// Rows whose ends decide what is left of it.
    pub gates: Vec<Gate>,
    /// Whether it decides about another.
    pub watched: bool,
    /// What its stored revision leaves out, where an earlier run left it in doubt.
    pub adopted: Option<u64>,
    /// Attempts in doubt of earlier runs.
    pub doubt: u32,
}
