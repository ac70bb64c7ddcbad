//! Identity by digest: 128 bits of SHA-256 over length-prefixed parts.
//!
//! 64 bits would join two of 10^8 bills in one of 3,700 runs; at 128 bits the chance is 10^-23, and SHA-256
//! leaves nobody a way to make two on purpose.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// The identity of a bill, a card or a content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
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

/// As bytes at once: a survey writes and reads a dozen digests a row, and one by one their bytes cost more than all else.
impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Digest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("16 bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Digest, E> {
                bytes.try_into().map(Digest).map_err(|_| E::invalid_length(bytes.len(), &self))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// Collects the parts of a [`Digest`]. Each part is preceded by its length, so that no two lists of parts
/// run together into the same bytes.
pub struct Digester(Vec<u8>);

impl Digester {
    /// Starts a digest; `kind` keeps bills, cards and contents apart.
    pub fn new(kind: &str) -> Self {
        let mut digester = Digester(Vec::with_capacity(512)); // the parts of most rows
        digester.part(kind.as_bytes());
        digester
    }

    /// Adds one part.
    pub fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// The first 128 bits.
    pub fn finish(self) -> Digest {
        let full = Sha256::digest(&self.0);
        Digest(full[..16].try_into().expect("SHA-256 has 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_as_it_was_written_and_has_no_other_length() {
        let digest = Digest::of("bill", &["a"]);
        let bytes = postcard::to_stdvec(&digest).unwrap();
        assert_eq!(postcard::from_bytes::<Digest>(&bytes), Ok(digest));
        assert!(postcard::from_bytes::<Digest>(&[15; 16]).is_err());
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(Digest::of("bill", &["ab", "c"]), Digest::of("bill", &["a", "bc"]));
        assert_ne!(Digest::of("bill", &["a"]), Digest::of("card", &["a"]));
        assert_eq!(Digest::of("bill", &["a", ""]), Digest::of("bill", &["a", ""]));
        assert_ne!(Digest::of("bill", &["a", ""]), Digest::of("bill", &["a"]));
    }
}
