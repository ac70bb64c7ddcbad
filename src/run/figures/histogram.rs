//! Latencies in bins of nearly equal ratio.

/// Each doubling has so many bins: a quantile is told within a thirty-second, 3 %.
const STEPS_LOG2: u32 = 4;
const STEPS: u64 = 1 << STEPS_LOG2;
/// Longer ones count as so long: 71 minutes, far above the longest request timeout. Microseconds.
const MOST_US: u64 = u32::MAX as u64;

/// How many calls took how long; microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Grows with the longest, to 464 bins.
    bins: Vec<u32>,
}

fn bin_of(us: u64) -> usize {
    let us = us.min(MOST_US);
    if us < STEPS {
        return us as usize;
    }
    let exponent = us.ilog2();
    let step = (us >> (exponent - STEPS_LOG2)) & (STEPS - 1);
    ((u64::from(exponent - STEPS_LOG2 + 1) << STEPS_LOG2) + step) as usize
}

/// The least that falls into a bin.
fn least_of(bin: usize) -> u64 {
    let (bin, octave) = (bin as u64, bin as u64 >> STEPS_LOG2);
    if octave == 0 { bin } else { (STEPS + (bin & (STEPS - 1))) << (octave - 1) }
}

impl Histogram {
    /// Counts one.
    pub fn add(&mut self, us: u64) {
        let bin = bin_of(us);
        if bin >= self.bins.len() {
            self.bins.resize(bin + 1, 0);
        }
        self.bins[bin] = self.bins[bin].saturating_add(1);
    }

    /// Counts all of another.
    pub fn merge(&mut self, other: &Histogram) {
        if other.bins.len() > self.bins.len() {
            self.bins.resize(other.bins.len(), 0);
        }
        for (bin, more) in self.bins.iter_mut().zip(&other.bins) {
            *bin = bin.saturating_add(*more);
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.bins.iter().map(|bin| u64::from(*bin)).sum()
    }

    /// What `permille` of a thousand took at most, in microseconds; `None` where there are none.
    pub fn quantile(&self, permille: u64) -> Option<u64> {
        let rank = (self.count() * permille).div_ceil(1_000).max(1);
        let mut seen = 0;
        let found = self.bins.iter().position(|bin| {
            seen += u64::from(*bin);
            seen >= rank
        });
        found.map(|bin| least_of(bin).midpoint(least_of(bin + 1)))
    }

    /// Bins from the first that is not empty to the last: the least that falls into it, what is above it, how many.
    pub fn bins(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        let first = self.bins.iter().position(|bin| *bin > 0).unwrap_or(self.bins.len());
        self.bins[first..].iter().enumerate().map(move |(at, bin)| {
            let bin_at = first + at;
            (least_of(bin_at), least_of(bin_at + 1), u64::from(*bin))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_join_without_gaps_and_are_narrow() {
        for bin in 0..464 {
            let (least, next) = (least_of(bin), least_of(bin + 1));
            assert_eq!((bin_of(least), bin_of(next - 1)), (bin, bin), "{bin}");
            assert!(next > least && (next - least) * STEPS <= least.max(STEPS), "{bin}");
        }
        assert_eq!(bin_of(u64::MAX), 463, "and there are no more");
    }

    #[test]
    fn quantiles_are_near_the_true_ones() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(500), None);
        (1..=100_000).for_each(|us| histogram.add(us));
        for (permille, truth) in [(500, 50_000.0), (950, 95_000.0), (990, 99_000.0), (1_000, 100_000.0), (0, 1.0)] {
            let found = histogram.quantile(permille).unwrap() as f64;
            assert!((found / truth - 1.0).abs() < 0.033, "{permille}: {found}");
        }
    }

    #[test]
    fn merging_is_adding() {
        let (mut odd, mut even, mut all) = (Histogram::default(), Histogram::default(), Histogram::default());
        for us in (0..5_000).map(|n| n * n) {
            if us % 2 == 0 {
                even.add(us)
            } else {
                odd.add(us)
            }
            all.add(us);
        }
        odd.merge(&even);
        assert_eq!(odd, all);
        assert_eq!(all.bins().map(|(_, _, calls)| calls).sum::<u64>(), all.count());
    }
}
