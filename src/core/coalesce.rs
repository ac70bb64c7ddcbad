//! Coalescing: the newest state of a card makes older ones needless. Off unless the job asks for it.
//!
//! A row absorbs an unbroken run of rows directly before it in its lane: were one of them left standing in
//! between, an absorbed row would have to be sent behind it if the carrier is refused.

use super::candidate::Candidate;
use super::limits;

/// For each row of a lane (in order): how many rows directly before it it may absorb.
pub fn covers(lane: &[(&Candidate, u64)]) -> Vec<u32> {
    (0..lane.len())
        .map(|at| {
            let carrier = &lane[at];
            let before = lane[..at].iter().rev().take(limits::COALESCED_MAX as usize);
            before.take_while(|older| may_absorb(carrier, older)).count() as u32
        })
        .collect()
}

/// Whether `carrier` may absorb `older`; each with the members that it leaves out.
fn may_absorb(carrier: &(&Candidate, u64), older: &(&Candidate, u64)) -> bool {
    let (newer, newer_drop) = carrier;
    let (older, older_drop) = older;
    let carried = newer.members & !newer_drop;
    let absorbed = older.members & !older_drop;
    !newer.closing && older.absorbable && newer.shape == older.shape && absorbed & !carried == 0
}

/// Which rows are absorbed when groups are formed from the newest back.
pub fn absorbed(covers: &[u32]) -> Vec<bool> {
    let mut absorbed = vec![false; covers.len()];
    let mut carrier = covers.len();
    while carrier > 0 {
        carrier -= 1;
        let first = carrier - covers[carrier] as usize;
        absorbed[first..carrier].fill(true);
        carrier = first;
    }
    absorbed
}
