//! Latencies in the buckets of a metric: few, fixed, and the same in every run, so that nights can be added up.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper ends of the buckets, in microseconds. From a gateway next door to the longest timeouts in use.
pub const BOUNDS_US: [u64; 13] = [
    5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 15_000_000,
    30_000_000,
];

/// Counts while calls go on; anyone may read it.
#[derive(Debug, Default)]
pub struct Latencies {
    /// The last one is for all that is longer.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Latencies {
    /// Counts one.
    pub fn add(&self, latency: Duration) {
        let us = latency.as_micros() as u64;
        let bucket = BOUNDS_US.iter().position(|bound| us <= *bound).unwrap_or(BOUNDS_US.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn read(&self) -> Spread {
        Spread {
            buckets: array::from_fn(|at| self.buckets[at].load(Ordering::Relaxed) as f64),
            sum_s: self.sum_us.load(Ordering::Relaxed) as f64 / 1e6,
        }
    }
}

/// How many calls took how long.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// By bucket, not cumulative; the last one is for all that is longer than every bound.
    pub buckets: [f64; BOUNDS_US.len() + 1],
    /// Seconds.
    pub sum_s: f64,
}

impl Spread {
    /// How many there are.
    pub fn count(&self) -> f64 {
        self.buckets.iter().sum()
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Spread) {
        self.buckets.iter_mut().zip(other.buckets).for_each(|(own, more)| *own += more);
        self.sum_s += other.sum_s;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it() {
        let latencies = Latencies::default();
        for us in [0, 5_000, 5_001, 30_000_000, 30_000_001] {
            latencies.add(Duration::from_micros(us));
        }
        let mut spread = latencies.read();
        assert_eq!(
            (spread.buckets[0], spread.buckets[1], spread.buckets[12], spread.buckets[13]),
            (2.0, 1.0, 1.0, 1.0)
        );
        assert!((spread.sum_s - 60.010_002).abs() < 1e-9);
        spread.add(&spread.clone());
        assert!((spread.count() - 10.0).abs() < 1e-9);
    }
}
