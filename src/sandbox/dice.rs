//! Chance as a function: the same seed, key and attempt give the same numbers, whatever came between.

use crate::model::Digest;

/// A short stream of numbers for one attempt.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The stream of one attempt at one key under one seed.
    pub fn new(seed: u64, key: Digest, attempt: u32) -> Dice {
        let (high, low) = key.0.split_at(8);
        let half = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("a digest has twice 8 bytes"));
        let mut dice = Dice(seed);
        for word in [half(high), half(low), u64::from(attempt)] {
            dice.0 = dice.next() ^ word;
        }
        dice
    }

    /// A number below `end`; 0 where `end` is 0. The bias of the remainder is at most `end` / 2^64.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    /// `SplitMix64` (Steele, Lea, Flood 2014): passes `BigCrush`, and each step is a bijection, so that keys stay apart.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_attempt_throws_the_same_and_others_differ() {
        let key = Digest::of("bill", &["B1"]);
        let throw = |seed, key, attempt| Dice::new(seed, key, attempt).below(1 << 32);
        assert_eq!(throw(1, key, 1), throw(1, key, 1));
        assert_ne!(throw(1, key, 1), throw(2, key, 1));
        assert_ne!(throw(1, key, 1), throw(1, key, 2));
        assert_ne!(throw(1, key, 1), throw(1, Digest::of("bill", &["B2"]), 1));
        assert_eq!(Dice::new(1, key, 1).below(0), 0);
    }
}
