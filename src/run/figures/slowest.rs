//! The calls that took longest.

use super::Meant;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slow {
    /// From the first byte out to the reply in, or to the timeout; microseconds.
    pub latency_us: u64,
    /// Its row's index in the run's input order.
    pub row: u64,
    /// When it began; milliseconds since 1970.
    pub sent_ms: i64,
    /// What it came to.
    pub meant: Meant,
    /// With which code.
    pub code: String,
    /// The vendor's trace id, empty where there is none.
    pub trace_id: String,
    /// 0 without a reply.
    pub http_status: u16,
}

/// The slowest calls, slowest first; of those that are alike the earliest.
#[derive(Clone, Debug, Default)]
pub struct Slowest(Vec<Slow>);

impl Slowest {
    /// So many are kept: a screen full.
    pub const MOST: usize = 20;

    /// Keeps a call that took so long where it is among the slowest: few are, and only those are asked for.
    pub fn offer(&mut self, latency_us: u64, call: impl FnOnce() -> Slow) {
        let at = self.0.partition_point(|kept| kept.latency_us >= latency_us);
        if at < Self::MOST {
            self.0.truncate(Self::MOST - 1);
            self.0.insert(at, call());
        }
    }

    /// Slowest first.
    pub fn iter(&self) -> impl Iterator<Item = &Slow> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_are_kept_in_their_order() {
        let mut slowest = Slowest::default();
        for row in 0..1_000 {
            let latency_us = row * 7 % 1_000 / 2; // every latency twice
            let (meant, code, trace_id) = (Meant::Applied, String::new(), String::new());
            slowest.offer(latency_us, || Slow { latency_us, row, sent_ms: 0, meant, code, trace_id, http_status: 200 });
        }
        let kept: Vec<_> = slowest.iter().map(|slow| slow.latency_us).collect();
        let expected: Vec<_> = (490..500).rev().flat_map(|us| [us, us]).collect();
        assert_eq!(kept, expected);
    }
}
