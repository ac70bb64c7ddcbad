//! One card's queue: the rows of the plan that are in memory, in its order, one active at a time.

use std::collections::VecDeque;

/// The lane of one card.
#[derive(Debug, Default)]
pub struct Lane {
    /// Ids of rows, in the order of the plan; the active row stands among them until it is settled.
    pub queue: VecDeque<u64>,
    /// The row between intent and settlement.
    pub active: Option<u64>,
    /// Whether the dispatcher has the lane on its list of lanes to look at.
    pub listed: bool,
}

impl Lane {
    /// Whether nothing keeps the lane in memory.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.active.is_none()
    }
}
