//! How a run ended, for whoever closes it.

use serde::{Deserialize, Serialize};

use crate::core::halt::Stop;
use crate::model::Codes;

/// What a run did, beside the ledger.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Done {
    /// Why it stopped before the plan was done.
    pub stop: Option<Stop>,
    /// The most requests begun in one quota window, as measured here.
    pub quota_peak: u64,
    /// Codes that are not in the dialect's table.
    pub unlisted: Codes,
    /// The gateway's clock less ours where they are too far apart, at its worst; milliseconds.
    pub clock_off_ms: Option<i64>,
}

/// How long the phases took, in this process; milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations {
    /// Reading and planning.
    pub survey: u64,
    /// Sending.
    pub apply: u64,
    /// Writing files.
    pub finish: u64,
}
