//! Sorting more than fits in memory: sorted runs in temporary files, merged.
//!
//! Runs are merged level by level, each with as many of its own size, so that a record is written once a level: there is
//! one level up to a million records of a plan, and there are two up to a hundred million.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StorageError;
use super::frames::{FrameReader, FrameWriter};

/// Collects records, then yields them in order.
pub struct Sorter<T> {
    folder: PathBuf,
    run_records: usize,
    /// Sorts as `T` does, as far as it tells two records apart.
    prefix: fn(&T) -> u64,
    pending: Vec<T>,
    /// By level: runs of about the same size.
    runs: Vec<Vec<FrameReader<T>>>,
}

impl<T: Ord + Serialize + DeserializeOwned> Sorter<T> {
    /// Bytes of records in memory, beside the texts that they hold. A survey has four sorters at work at once.
    const RUN_BYTES: usize = 2 << 20;
    /// Runs merged at once: each holds a buffer and a file descriptor.
    const FAN_IN: usize = 128;

    /// A sorter whose temporary files lie in `folder`.
    pub fn new(folder: &Path) -> Self {
        Self::by(folder, |_| 0)
    }

    /// The same for records that a number nearly sorts: to compare two numbers takes a tenth of what two records take.
    /// `prefix` must never put two records into another order than their own.
    pub fn by(folder: &Path, prefix: fn(&T) -> u64) -> Self {
        // So few in this crate's tests that every plan is sorted on disk.
        // Otherwise a power of two: that is how `pending` grows, and what it would have beyond is never used.
        let records = if cfg!(test) { 7 } else { 1 << (Self::RUN_BYTES / size_of::<T>()).ilog2() };
        Self::with_run(folder, prefix, records)
    }

    fn with_run(folder: &Path, prefix: fn(&T) -> u64, run_records: usize) -> Self {
        Sorter { folder: folder.to_owned(), run_records, prefix, pending: Vec::new(), runs: Vec::new() }
    }

    /// Adds a record.
    pub fn push(&mut self, record: T) -> Result<(), StorageError> {
        if self.pending.len() == self.run_records {
            self.spill()?;
        }
        self.pending.push(record);
        Ok(())
    }

    /// The records in order.
    pub fn finish(mut self) -> Result<Sorted<T>, StorageError> {
        sort(&mut self.pending, self.prefix);
        Sorted::new(self.runs.into_iter().flatten().collect(), self.pending)
    }

    fn spill(&mut self) -> Result<(), StorageError> {
        sort(&mut self.pending, self.prefix);
        let mut run = write_run(&self.folder, self.pending.drain(..).map(Ok))?;
        for level in 0.. {
            if self.runs.len() == level {
                self.runs.push(Vec::new());
            }
            self.runs[level].push(run);
            if self.runs[level].len() < Self::FAN_IN {
                break;
            }
            let merged = Sorted::new(std::mem::take(&mut self.runs[level]), Vec::new())?;
            run = write_run(&self.folder, merged)?;
        }
        Ok(())
    }
}

/// Sorts records by moving each of them once: they are large, and sorting moves what it sorts a dozen times.
fn sort<T: Ord>(records: &mut [T], prefix: fn(&T) -> u64) {
    let mut order: Vec<(u64, u32)> = records.iter().zip(0..).map(|(record, at)| (prefix(record), at)).collect();
    order.sort_unstable_by(|(left, a), (right, b)| {
        left.cmp(right).then_with(|| records[*a as usize].cmp(&records[*b as usize]))
    });
    for start in 0..order.len() {
        // The record that belongs here may have gone where one stood that was sorted before.
        let mut from = order[start].1;
        while (from as usize) < start {
            from = order[from as usize].1;
        }
        records.swap(start, from as usize);
        order[start].1 = from;
    }
}

/// Bytes of a run that are read at once.
const RUN_BUFFER: usize = 32 << 10;

fn write_run<T: Serialize + DeserializeOwned>(
    folder: &Path,
    records: impl Iterator<Item = Result<T, StorageError>>,
) -> Result<FrameReader<T>, StorageError> {
    let file = tempfile::tempfile_in(folder).map_err(|error| StorageError::new("create a file in", folder, error))?;
    let mut writer = FrameWriter::over(file, folder);
    for record in records {
        writer.push(&record?)?;
    }
    let mut file = writer.into_file()?;
    file.seek(SeekFrom::Start(0)).map_err(|error| StorageError::new("read a file in", folder, error))?;
    Ok(FrameReader::through(RUN_BUFFER, file, folder))
}

/// Records in order.
pub struct Sorted<T> {
    runs: Vec<FrameReader<T>>,
    heads: BinaryHeap<Reverse<(T, usize)>>,
    last: std::vec::IntoIter<T>,
}

impl<T: Ord + DeserializeOwned> Sorted<T> {
    fn new(runs: Vec<FrameReader<T>>, last: Vec<T>) -> Result<Self, StorageError> {
        let mut sorted = Sorted { heads: BinaryHeap::with_capacity(runs.len() + 1), runs, last: last.into_iter() };
        for run in 0..=sorted.runs.len() {
            let head = next_of(&mut sorted.runs, &mut sorted.last, run)?;
            sorted.heads.extend(head.map(|record| Reverse((record, run))));
        }
        Ok(sorted)
    }
}

/// The next record of a run; the last run is the one in memory.
fn next_of<T: DeserializeOwned>(
    runs: &mut [FrameReader<T>],
    last: &mut std::vec::IntoIter<T>,
    run: usize,
) -> Result<Option<T>, StorageError> {
    match runs.get_mut(run) {
        Some(reader) => reader.next().transpose(),
        None => Ok(last.next()),
    }
}

impl<T: Ord + DeserializeOwned> Iterator for Sorted<T> {
    type Item = Result<T, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut head = self.heads.peek_mut()?;
        let Reverse((record, run)) = &mut *head;
        Some(match next_of(&mut self.runs, &mut self.last, *run) {
            // Records are large: putting the next one in place of this one moves them half as often as taking this one
            // out and the next one in.
            Ok(Some(next)) => Ok(std::mem::replace(record, next)),
            Ok(None) => Ok(PeekMut::pop(head).0.0),
            Err(error) => Err(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_partition_is_the_same_order(
            records in proptest::collection::vec((0_u8..20, ".{0,3}"), 0..300),
            run_records in 1_usize..40,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut sorter = Sorter::with_run(folder.path(), |(first, _)| u64::from(*first) / 3, run_records);
            records.iter().cloned().try_for_each(|record| sorter.push(record)).unwrap();
            let sorted: Vec<_> = sorter.finish().unwrap().map(Result::unwrap).collect();
            let mut expected = records;
            expected.sort();
            prop_assert_eq!(sorted, expected);
        }
    }

    #[test]
    fn sorts_what_does_not_fit_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        // More runs than are merged at once, twice over: more than one level of merging.
        let run_records = 5_000 / (2 * Sorter::<(u64, String)>::FAN_IN + 10);
        let mut sorter = Sorter::with_run(folder.path(), |_| 0, run_records);
        let mut state = 1_u64;
        let mut expected = Vec::new();
        for _ in 0..5_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            sorter.push((state >> 40, format!("{state}"))).unwrap();
            expected.push((state >> 40, format!("{state}")));
        }
        expected.sort();
        let sorted: Vec<_> = sorter.finish().unwrap().map(Result::unwrap).collect();
        assert_eq!(sorted, expected);
    }
}
