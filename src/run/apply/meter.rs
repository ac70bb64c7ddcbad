//! Measures what the quota promises: the most requests begun in one window, from our side.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::Tick;

/// A sliding window over begins of requests.
#[derive(Debug)]
pub struct Meter {
    window: Duration,
    begins: VecDeque<Tick>,
    peak: u64,
}

impl Meter {
    /// A meter of windows of this length.
    pub fn new(window: Duration) -> Meter {
        Meter { window, begins: VecDeque::new(), peak: 0 }
    }

    /// A request begins.
    pub fn note(&mut self, now: Tick) {
        while self.begins.front().is_some_and(|begin| now.since(*begin) >= self.window) {
            self.begins.pop_front();
        }
        self.begins.push_back(now);
        self.peak = self.peak.max(self.begins.len() as u64);
    }

    /// The most so far.
    pub fn peak(&self) -> u64 {
        self.peak
    }
}
