//! How often codes were met.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How often each code was met. From a thousand different ones on the rest are counted together: a gateway may put a
/// number of its own into each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Codes(BTreeMap<String, u64>);

impl Codes {
    /// What codes are counted as that are too many.
    pub const OTHERS: &'static str = "(other codes)";

    const MOST: usize = 1_000;

    /// Counts a code.
    pub fn count(&mut self, code: &str) {
        if let Some(times) = self.0.get_mut(code) {
            *times += 1;
        } else {
            let name = if self.0.len() < Self::MOST { code } else { Self::OTHERS };
            *self.0.entry(name.to_owned()).or_default() += 1;
        }
    }

    /// How often a code was met.
    pub fn of(&self, code: &str) -> u64 {
        self.0.get(code).copied().unwrap_or_default()
    }

    /// All codes, the most frequent first.
    pub fn ranked(&self) -> Vec<(&str, u64)> {
        let mut ranked: Vec<_> = self.0.iter().map(|(code, times)| (code.as_str(), *times)).collect();
        ranked.sort_by_key(|(_, times)| Reverse(*times));
        ranked
    }
}

impl<const N: usize> From<[(String, u64); N]> for Codes {
    fn from(counts: [(String, u64); N]) -> Codes {
        Codes(counts.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_come_first_and_too_many_are_one() {
        let mut codes = Codes::default();
        for met in 0..5_000 {
            codes.count(&format!("E{met}"));
            codes.count("TIMEOUT");
        }
        assert_eq!(codes.ranked()[..3], [("TIMEOUT", 5_000), (Codes::OTHERS, 4_001), ("E0", 1)]);
        assert_eq!((codes.of("E998"), codes.of("E999"), codes.ranked().len()), (1, 0, Codes::MOST + 1));
    }
}
