//! Control files: what an exporter says that it wrote, compared with what was read. What they look like stands at the
//! end of `io/job/defaults.toml`.
//!
//! ```text
//! parse     bytes -> what is stated (pure)
//! compare   what is stated, what was counted -> differences (pure)
//! render    what was counted -> a control file (pure)
//! ```

mod compare;
mod parse;
mod render;

pub use compare::{Compared, Counted, Item, compare};
pub use parse::{ControlFault, parse};
pub use render::render;

use crate::model::{HashTotal, Total};

/// More bytes than this are no control file: one with a line for each of 10,000 inputs has half of it.
pub const SIZE_MAX: u64 = 2 << 20;

/// What a control file is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// What it states: once for all the files that it covers, or once for each.
    pub entries: Vec<Stated>,
    /// Keys that are none of ours.
    pub unknown: Vec<String>,
}

/// What is stated of a file, or of several together. What is absent is not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stated {
    /// The file's name, where each has an entry of its own.
    pub file: Option<String>,
    /// Rows, rejected ones included; neither header nor trailer.
    pub rows: Option<u64>,
    /// The sum of `last_changed_points`.
    pub sum: Option<Total>,
    /// The hash total of `bill_no`.
    pub hash_total: Option<HashTotal>,
    /// Bytes, as stored.
    pub size: Option<u64>,
    /// SHA-256 of these bytes, in lower-case hex.
    pub sha256: Option<String>,
}

impl Stated {
    /// Whether nothing is stated.
    pub fn is_empty(&self) -> bool {
        *self == Stated { file: self.file.clone(), ..Stated::default() }
    }
}
