//! Randomness for jitter and for the ids of spans.

/// Uniform enough for both: the standard library's per-process random hash keys, stepped.
pub fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(())
}
