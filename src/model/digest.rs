//! Identity by digest: 128 bits of SHA-256 over length-prefixed parts.
//!
//! 64 bits would join two of 10^8 bills in one of 3,700 runs; at 128 bits the chance is 10^-23, and SHA-256
//! leaves nobody a way to make two on purpose.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The identity of a bill, a card or a content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// The digest of `parts` under the name `kind`.
    pub fn of(kind: &str, parts: &[&str]) -> Digest {
        let mut digester = Digester::new(kind);
        for part in parts {
            digester.part(part.as_bytes());
        }
        digester.finish()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Collects the parts of a [`Digest`]. Each part is preceded by its length, so that no two lists of parts
/// run together into the same bytes.
pub struct Digester(Sha256);

impl Digester {
    /// Starts a digest; `kind` keeps bills, cards and contents apart.
    pub fn new(kind: &str) -> Self {
        let mut digester = Digester(Sha256::new());
        digester.part(kind.as_bytes());
        digester
    }

    /// Adds one part.
    pub fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// The first 128 bits.
    pub fn finish(self) -> Digest {
        let full = self.0.finalize();
        Digest(full[..16].try_into().expect("SHA-256 has 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(Digest::of("bill", &["ab", "c"]), Digest::of("bill", &["a", "bc"]));
        assert_ne!(Digest::of("bill", &["a"]), Digest::of("card", &["a"]));
        assert_eq!(Digest::of("bill", &["a", ""]), Digest::of("bill", &["a", ""]));
        assert_ne!(Digest::of("bill", &["a", ""]), Digest::of("bill", &["a"]));
    }
}
