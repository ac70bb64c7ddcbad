//! The way of rows from the thread that judges them to the one that stores them.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use crate::run::Fault;
use crate::run::brief::Seen;
use crate::run::stored::StoredRow;

/// A row that was read and judged.
pub struct Taken {
    /// The row.
    pub row: StoredRow,
    /// What goes with it.
    pub seen: Seen,
}

/// Where rows go once they are judged: many at once, since to hand one over costs as much as to judge it.
pub struct Outlet {
    full: SyncSender<Vec<Taken>>,
    /// Batches come back: memory is given back cheapest where it was taken.
    spent: Receiver<Vec<Taken>>,
    batch: Vec<Taken>,
    /// Of the batch's cells.
    bytes: usize,
}

impl Outlet {
    const ROWS_MAX: usize = 128;
    /// Rows may have a megabyte each.
    const BYTES_MAX: usize = 1 << 17;
    /// On their way: enough that neither side waits for a single slow write.
    const BATCHES_MAX: usize = 4;

    /// An outlet, where its batches come out, and where they go back once they are done with.
    pub fn new() -> (Outlet, Receiver<Vec<Taken>>, Sender<Vec<Taken>>) {
        let (full, batches) = sync_channel(Self::BATCHES_MAX);
        let (done, spent) = channel();
        (Outlet { full, spent, batch: Vec::new(), bytes: 0 }, batches, done)
    }

    /// Hands a row over, whose cells have so many `bytes`.
    pub fn push(&mut self, row: Taken, bytes: usize) -> Result<(), Fault> {
        self.batch.push(row);
        self.bytes += bytes;
        if self.batch.len() < Self::ROWS_MAX && self.bytes < Self::BYTES_MAX {
            return Ok(());
        }
        self.flush()
    }

    /// Hands over what was gathered.
    pub fn flush(&mut self) -> Result<(), Fault> {
        self.bytes = 0;
        let mut next = self.spent.try_recv().unwrap_or_default();
        next.clear();
        let batch = std::mem::replace(&mut self.batch, next);
        self.full.send(batch).map_err(|_| Fault::storage("rows are not stored any more".to_owned()))
    }
}
