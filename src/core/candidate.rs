//! A row on its way into the plan.

use crate::model::{BillId, Digest, Place};

/// A valid row whose bill does not end it, as far as its card is concerned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Candidate {
    /// Its card.
    pub card: Digest,
    /// Where it stands in the card's history.
    pub place: Place,
    /// Its index in the run's input order.
    pub id: u64,
    /// A bit per member that it carries.
    pub members: u64,
    /// Its identity in the ledger.
    pub bill: BillId,
    /// What it says.
    pub content: Digest,
    /// User and template: only rows that agree in them may be one call.
    pub shape: Digest,
    /// Whether the card ends with it (CLOSED, USED).
    pub closing: bool,
    /// Whether a newer row may absorb it.
    pub absorbable: bool,
    /// Whether it has neither a bill nor a time: only its neighbour can be the same.
    pub bare: bool,
    /// Members that its stored revision leaves out, and attempts in doubt of earlier runs.
    pub adopted: Option<(u64, u32)>,
}
