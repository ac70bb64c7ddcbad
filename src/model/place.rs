//! Where a row stands: in its input (`Seat`), and in the history of its card (`Place`).

use serde::{Deserialize, Serialize};

/// Where a row stands in the inputs of a run; seats are ordered as the inputs are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seat {
    /// The ordinal of the input file in the run, from 0.
    pub source: u16,
    /// The physical line where the record begins (CSV), or the row (Parquet); from 1.
    pub line: u64,
}

/// Where a row stands in the history of its card. Given when the ledger first sees the row; a resume and a
/// replay keep it. The order of the fields is the order of history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// When the change happened, or the stand-in for a row without `occurred_at`; milliseconds since 1970.
    pub occurred_ms: i64,
    /// The row's `sequence`; when absent, what its time has beyond the millisecond, behind [`Place::BEYOND_MS`]; or 0.
    pub sequence: i64,
    /// The ordinal in the ledger of the run that first read the row, from 1.
    pub run: u32,
    /// The row's seat in that run.
    pub seat: Seat,
}

impl Place {
    /// Sequences of files end before it; from it on they are nanoseconds.
    pub const BEYOND_MS: i64 = i64::MAX - 999_999;

    /// The sequence, or the nanoseconds in its place.
    pub fn shown_sequence(self) -> i64 {
        if self.sequence < Self::BEYOND_MS { self.sequence } else { self.sequence - Self::BEYOND_MS }
    }

    /// A number that sorts as the place does, as far as it tells two apart.
    pub fn prefix(self) -> u64 {
        self.occurred_ms.wrapping_sub(i64::MIN) as u64
    }
}
