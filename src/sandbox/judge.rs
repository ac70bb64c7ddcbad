//! What a gateway can hold against its caller, and the exact sliding window.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use rust_decimal::Decimal;
use serde::Serialize;

use crate::model::Tick;
use crate::wire::Call;

/// What a caller did that it must not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Breach {
    /// A call arrived while another exchange of its card was open.
    Overlap,
    /// A call arrived that is older than a state the card was already given.
    Inversion,
    /// A bill came again with other bytes, and not merely with members left out.
    ChangedBody,
    /// A bill came again after its success was delivered.
    DoubleSend,
    /// More arrivals in one window than the quota.
    OverQuota,
    /// A call without a valid signature.
    BadSignature,
    /// A call of another client or of a form that the page does not allow.
    BadCall,
}

/// One breach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// When the call arrived; nanoseconds since the start.
    #[serde(rename = "at_ns", serialize_with = "ticks")]
    pub at: Tick,
    /// What was wrong.
    pub breach: Breach,
    /// The card; empty where the call could not be read.
    pub card: String,
    /// The bill, where the wire form tells it.
    pub bill_no: Option<String>,
    /// What was seen.
    pub text: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn ticks<S: serde::Serializer>(at: &Tick, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(at.0)
}

/// All breaches: every one is counted, the first [`Judgements::KEPT`] are kept.
#[derive(Clone, Debug, Default)]
pub struct Judgements {
    counts: BTreeMap<Breach, u64>,
    kept: Vec<Judgement>,
}

impl Judgements {
    /// A caller that breaks a law on every call must not fill the memory; the first ones tell the story.
    pub const KEPT: usize = 1_000;

    /// Books one.
    pub fn book(&mut self, judgement: Judgement) {
        *self.counts.entry(judgement.breach).or_default() += 1;
        if self.kept.len() < Self::KEPT {
            self.kept.push(judgement);
        }
    }

    /// How many there are of each kind; kinds without one are absent.
    pub fn counts(&self) -> &BTreeMap<Breach, u64> {
        &self.counts
    }

    /// The first ones, in order of arrival.
    pub fn kept(&self) -> &[Judgement] {
        &self.kept
    }
}

/// How the judge knows that one state of a card is older than another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Only by bills: one that arrived first before the card's newest state did is older than it.
    #[default]
    ByArrival,
    /// By rank, for each bill number or (lower-case hexadecimal) SHA-256 of a body; higher is newer.
    Listed(HashMap<String, u64>),
    /// By this member, whose number never falls in the history of a card.
    Rising(String),
}

impl Order {
    /// Where a call stands in the history of its card; `None` where that is not known. `first`: the number of the first
    /// arrival of its bill.
    pub(super) fn rank(&self, call: &Call, body_sha256: &[u8; 32], first: u64) -> Option<Decimal> {
        match self {
            Order::ByArrival => call.bill_no.as_ref().map(|_| Decimal::from(first)),
            Order::Listed(ranks) => {
                let by_bill = call.bill_no.as_ref().and_then(|bill_no| ranks.get(bill_no));
                by_bill.or_else(|| ranks.get(&hex(body_sha256))).map(|rank| Decimal::from(*rank))
            }
            Order::Rising(member) => {
                let value = call.members.iter().find(|(name, _)| name == member);
                value.and_then(|(_, value)| value.parse().ok())
            }
        }
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all");
        text
    })
}

/// Counts arrivals in every window `(t - length, t]`; exact, from the first arrival on.
#[derive(Clone, Debug)]
pub struct Window {
    length: Duration,
    inside: VecDeque<Tick>,
    peak: usize,
}

impl Window {
    /// A window of this length.
    pub fn new(length: Duration) -> Window {
        Window { length, inside: VecDeque::new(), peak: 0 }
    }

    /// Books an arrival and says how many the window that ends with it holds. Arrivals come in order of time.
    pub fn arrive(&mut self, now: Tick) -> usize {
        while self.inside.front().is_some_and(|first| now.since(*first) >= self.length) {
            self.inside.pop_front();
        }
        self.inside.push_back(now);
        self.peak = self.peak.max(self.inside.len());
        self.inside.len()
    }

    /// The most arrivals that any window held. Every fullest window can be moved to end with an arrival, so none is
    /// missed by looking at those alone.
    pub fn peak(&self) -> usize {
        self.peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_exact_to_the_nanosecond() {
        let mut window = Window::new(Duration::from_nanos(10));
        let held: Vec<_> = [0, 1, 9, 10, 11, 30].map(|ns| window.arrive(Tick(ns))).to_vec();
        // The arrival at 0 leaves exactly when 10 comes: a window of length 10 holds instants less than 10 apart.
        assert_eq!(held, [1, 2, 3, 3, 3, 1]);
        assert_eq!(window.peak(), 3);
    }

    #[test]
    fn every_judgement_counts_and_the_first_are_kept() {
        let mut judgements = Judgements::default();
        for at in 0..1_500 {
            let breach = if at % 2 == 0 { Breach::Overlap } else { Breach::Inversion };
            judgements.book(Judgement {
                at: Tick(at),
                breach,
                card: String::new(),
                bill_no: None,
                text: String::new(),
            });
        }
        assert_eq!(judgements.counts(), &BTreeMap::from([(Breach::Overlap, 750), (Breach::Inversion, 750)]));
        assert_eq!(judgements.kept().len(), Judgements::KEPT);
        assert_eq!(judgements.kept()[0].at, Tick(0));
    }
}
