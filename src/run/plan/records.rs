//! What the planner sorts, and what it gathers of one bill and of one card: either may have every row of the run.

use std::cmp::Ordering;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::core::card::{Candidate, CardPast};
use crate::io::StorageError;
use crate::io::sort::Sorter;
use crate::model::BillId;

/// A row on its way to its card.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CardRecord {
    /// What its card has to do with.
    pub candidate: Candidate,
    /// A mask for each message to the customer: the member whose change it tells.
    pub messages: Vec<u64>,
}

impl CardRecord {
    /// A number that sorts nearly as the record does.
    pub fn prefix(&self) -> u64 {
        self.candidate.card.prefix()
    }
}

/// A row on its way through the bill's past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillRecord {
    /// Where it goes unless its bill ends it.
    pub bound: CardRecord,
    /// Whether an earlier run read it first.
    pub replayed: bool,
}

impl BillRecord {
    /// What it is sorted by.
    pub fn bill(&self) -> BillId {
        self.bound.candidate.bill
    }

    /// Its index in the inputs.
    pub fn id(&self) -> u64 {
        self.bound.candidate.id
    }

    /// A number that sorts nearly as the record does.
    pub fn prefix(&self) -> u64 {
        self.bill().prefix()
    }
}

/// By bill, then in the order of the inputs.
impl Ord for BillRecord {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.bill(), self.id()).cmp(&(other.bill(), other.id()))
    }
}

impl PartialOrd for BillRecord {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The rows of one bill, in input order: the first, and of the others what their ends ask for.
pub struct BillGroup {
    /// The first.
    pub first: BillRecord,
    /// The first that says something else.
    pub clash: Option<u64>,
    others: Option<Sorter<u64>>,
}

impl BillGroup {
    /// The group that begins with a row.
    pub fn of(first: BillRecord) -> BillGroup {
        BillGroup { first, clash: None, others: None }
    }

    /// Adds a row of the same bill. `folder`: where temporary files lie.
    pub fn join(&mut self, other: &BillRecord, folder: &Path) -> Result<(), StorageError> {
        if self.clash.is_none() && other.bound.candidate.content != self.first.bound.candidate.content {
            self.clash = Some(other.id());
        }
        self.others.get_or_insert_with(|| Sorter::by(folder, |id| *id)).push(other.id())
    }

    /// The first row, and the ids of the others.
    pub fn into_parts(self) -> Result<(BillRecord, impl Iterator<Item = Result<u64, StorageError>>), StorageError> {
        let others = self.others.map(Sorter::finish).transpose()?;
        Ok((self.first, others.into_iter().flatten()))
    }
}

/// Rows of one card, in the order of their places: a stretch of them at a time, unless those behind it decide about it.
#[derive(Default)]
pub struct CardRows {
    /// The stretch that was not judged yet.
    pub rows: Vec<Candidate>,
    /// Of each, a mask for each message to the customer.
    pub messages: Vec<Vec<u64>>,
    /// The row directly before the stretch.
    pub before: Option<Candidate>,
    /// What the ledger knows of the card, once it was asked.
    pub past: Option<CardPast>,
    /// Whether a row of the card may be sent.
    pub is_planned: bool,
}

impl CardRows {
    /// Adds a row.
    pub fn push(&mut self, record: CardRecord) {
        self.rows.push(record.candidate);
        self.messages.push(record.messages);
    }
}
