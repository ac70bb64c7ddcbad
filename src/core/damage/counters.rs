//! Several counters in one column: one for each day, shop or till, in the last digits of ids that are equally long.

use std::collections::HashMap;

/// The digits that a counter stands behind: those that a spreadsheet leaves of a number.
const PREFIX: usize = 15;

/// More prefixes than these are no counters.
const PREFIXES_MAX: usize = 4096;

/// The counters of one column; none once there were too many prefixes.
#[derive(Clone, Debug)]
pub(super) struct Counters(Option<HashMap<(u64, usize), Counter>>);

/// What stands behind one prefix.
#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    noughts: u64,
    /// Rows with other numbers, and the largest of them.
    rows: u64,
    largest: u64,
}

impl Default for Counters {
    fn default() -> Counters {
        Counters(Some(HashMap::new()))
    }
}

impl Counters {
    /// Takes an id of digits.
    pub fn see(&mut self, digits: &str) {
        let Some(counters) = &mut self.0 else { return };
        let Some((prefix, rest)) = digits.split_at_checked(PREFIX) else { return };
        let (Ok(prefix), Ok(number)) = (prefix.parse(), rest.parse::<u64>()) else { return };
        let counter = counters.entry((prefix, digits.len())).or_default();
        if number == 0 {
            counter.noughts += 1;
        } else {
            (counter.rows, counter.largest) = (counter.rows + 1, counter.largest.max(number));
        }
        if counters.len() > PREFIXES_MAX {
            self.0 = None;
        }
    }

    /// Whether there are several counters, each of which begins at one nought and has no gap; a number that was
    /// rounded to a nought leaves a gap, or is the second. `missed` rows may have had any number.
    pub fn begin_at_nought(&self, missed: u64) -> bool {
        let Some(counters) = &self.0 else { return false };
        let (mut without, mut alone) = (0, 0);
        for counter in counters.values() {
            if counter.noughts > 1 || counter.largest > counter.rows + missed {
                return false;
            }
            without += u64::from(counter.noughts == 0);
            alone += usize::from(counter.rows == 0);
        }
        counters.len() > 1 && without <= missed && alone * 2 < counters.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin_at_nought(ids: &[&str], missed: u64) -> bool {
        let mut counters = Counters::default();
        ids.iter().for_each(|id| counters.see(&format!("2026110100000{id}")));
        counters.begin_at_nought(missed)
    }

    #[test]
    fn counters_from_nought_are_told_from_noughts_that_rounding_made() {
        assert!(begin_at_nought(&["0700000", "0800001", "0700001", "0800000", "0900000"], 0));
        assert!(!begin_at_nought(&["0700000", "0700001", "0800001"], 0), "the second begins at one");
        assert!(begin_at_nought(&["0700000", "0700001", "0800001"], 1), "its nought may be the row that was missed");
        assert!(!begin_at_nought(&["0700000", "0700002", "0800000", "0800001"], 0), "a gap");
        assert!(!begin_at_nought(&["0700000", "0700000", "0700001", "0800000", "0800001"], 0), "two noughts");
        assert!(!begin_at_nought(&["0700000", "0800000", "0900000"], 0), "all of them rounded");
        assert!(!begin_at_nought(&["0700000", "0700001"], 0), "one counter is no several");
    }

    #[test]
    fn memory_does_not_grow_with_prefixes() {
        let mut counters = Counters::default();
        (0..=PREFIXES_MAX).for_each(|at| counters.see(&format!("{at:015}000")));
        assert!(counters.0.is_none());
    }
}
