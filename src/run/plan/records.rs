//! What the planner sorts.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::core::card::Candidate;
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
