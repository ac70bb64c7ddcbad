//! Nights: the real binary against a gateway in this process, whose judge knows what no client may do.
//!
//! The stage is in the first room; the scenes are in those below it.

mod agreed;
mod arrival;
mod balances;
mod crash;
mod cutover;
mod damage;
mod doubts;
mod history;
mod keeping;
mod laws;
mod lease;
mod look;
mod reconcile;
mod replay;
#[allow(dead_code, reason = "tests/faults plays on this stage too, with other props")]
pub mod stage;
mod stops;
mod tamper;
mod typed;
mod upgrade;
mod verify;
mod watched;

pub use stops::wait_for;

use stage::{Delta, Night, as_csv, deltas, faulty, scripted};
use tamper::open_ledger;
