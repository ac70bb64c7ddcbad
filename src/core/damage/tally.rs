//! The ids of one shape, counted.

use super::shape::Shape;

/// The ids of one shape.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    /// That shape.
    pub shape: Shape,
    /// Rows with such an id.
    pub rows: u64,
    /// The id of the last row, as a hash.
    last: u64,
    /// Whether all rows have one id.
    pub is_one: bool,
    /// The largest number that the last digits make, by [`COUNTERS`].
    pub counted: [u64; COUNTERS.len()],
    /// The noughts that end the last id.
    pub noughts: usize,
    /// The most noughts that one begins with.
    pub leading: u16,
    /// Digits of a counter, as the id of its one shows them: the one and the noughts before it.
    pub counter: usize,
}

/// How many digits a counter may have.
pub const COUNTERS: [usize; 7] = [6, 7, 8, 9, 10, 11, 12];

/// The first numbers that have too many digits.
const BEYOND: [u64; 7] =
    [1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000, 100_000_000_000, 1_000_000_000_000];

impl Tally {
    /// None yet.
    pub fn new(shape: Shape) -> Tally {
        Tally {
            shape,
            rows: 0,
            last: 0,
            is_one: true,
            counted: [0; COUNTERS.len()],
            noughts: 0,
            leading: 0,
            counter: 0,
        }
    }

    /// Takes an id; `hash`: its own.
    pub fn see(&mut self, text: &str, hash: u64) {
        self.is_one &= self.rows == 0 || self.last == hash;
        (self.rows, self.last) = (self.rows + 1, hash);
        if self.shape.is_digits() {
            self.noughts = noughts_of(text);
            let leading = text.len() - text.trim_start_matches('0').len();
            self.leading = self.leading.max(u16::try_from(leading).unwrap_or(u16::MAX));
            let last: u64 = text[text.len().saturating_sub(COUNTERS[COUNTERS.len() - 1])..].parse().unwrap_or(0);
            for (counted, beyond) in self.counted.iter_mut().zip(BEYOND) {
                *counted = (*counted).max(last % beyond);
            }
            if let Some(rest) = text.strip_suffix('1') {
                self.counter = self.counter.max(text.len() - rest.trim_end_matches('0').len());
            }
        }
    }
}

/// How many noughts end it.
pub fn noughts_of(digits: &str) -> usize {
    digits.len() - digits.trim_end_matches('0').len()
}
