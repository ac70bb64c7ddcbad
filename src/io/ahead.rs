//! Work ahead: an iterator on a thread of its own, a few batches before whoever takes its items.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::{io, iter, panic, vec};

/// Items that are handed over at once: one by one that would cost more than most items do.
const BATCH: usize = 256;

/// Batches that may wait.
const BATCHES_MAX: usize = 4;

/// The items of an iterator that runs on another thread.
pub struct Ahead<'scope, T> {
    batches: Receiver<Vec<T>>,
    batch: vec::IntoIter<T>,
    work: Option<ScopedJoinHandle<'scope, ()>>,
}

/// Lets `items` run on a thread of the scope. `around` is called there first, and what it answers is kept until the work
/// is done. Who takes no more items ends it. An error: the system starts no thread.
pub fn ahead<'scope, T: Send + 'scope, G>(
    scope: &'scope Scope<'scope, '_>,
    around: impl FnOnce() -> G + Send + 'scope,
    mut items: impl Iterator<Item = T> + Send + 'scope,
) -> io::Result<Ahead<'scope, T>> {
    let (full, batches) = sync_channel(BATCHES_MAX);
    let work = move || {
        let _kept = around();
        let next = || {
            let mut batch = Vec::with_capacity(BATCH); // whole at once: items are large, and growing moves them
            batch.extend(items.by_ref().take(BATCH));
            Some(batch).filter(|batch| !batch.is_empty())
        };
        let _ = iter::from_fn(next).try_for_each(|batch| full.send(batch));
    };
    let work = thread::Builder::new().spawn_scoped(scope, work)?;
    Ok(Ahead { batches, batch: Vec::new().into_iter(), work: Some(work) })
}

impl<T> Iterator for Ahead<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if let Some(item) = self.batch.next() {
            return Some(item);
        }
        match self.batches.recv() {
            Ok(batch) => self.batch = batch.into_iter(),
            // All were handed over, or the work has panicked: that is no end.
            Err(_) => self.work.take().map(ScopedJoinHandle::join)?.unwrap_or_else(|fault| panic::resume_unwind(fault)),
        }
        self.batch.next()
    }
}

#[cfg(test)]
mod tests {
    use std::thread::scope;

    use super::*;

    #[test]
    fn all_items_come_in_their_order() {
        for length in [0, 1, BATCH - 1, BATCH, 10 * BATCH + 7] {
            let all: Vec<usize> = scope(|scope| ahead(scope, || (), 0..length).unwrap().collect());
            assert_eq!(all, (0..length).collect::<Vec<_>>());
        }
    }

    #[test]
    fn who_takes_no_more_ends_the_work() {
        let some: Vec<u64> = scope(|scope| ahead(scope, || (), 0..).unwrap().take(3).collect());
        assert_eq!(some, [0, 1, 2]);
    }

    #[test]
    #[should_panic(expected = "out of order")]
    fn a_panic_is_no_end() {
        let items = (0..2 * BATCH).inspect(|at| assert!(*at < BATCH, "out of order"));
        scope(|scope| ahead(scope, || (), items).unwrap().count());
    }
}
