//! Identity by digest: 128 bits of SHA-256 over length-prefixed parts.
//!
//! 64 bits would join two of 10^8 bills in one of 3,700 runs; at 128 bits the chance is 10^-23, and SHA-256
//! leaves nobody a way to make two on purpose.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::bytes;

/// The identity of a card or a content; of a bill as a part of its [`super::BillId`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Digest(#[serde(with = "bytes")] pub [u8; 16]);

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

impl Digest {
    /// A number that sorts as the digest does, as far as it tells two apart.
    pub fn prefix(self) -> u64 {
        u64::from_be_bytes(*self.0.first_chunk().expect("16 bytes"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bytes::hex(&self.0, f)
    }
}

/// Collects the parts of a [`Digest`]. Each part is preceded by its length, so that no two lists of parts
/// run together into the same bytes.
pub struct Digester {
    /// Parts not hashed yet: many small ones at once cost half as much as one by one.
    parts: [u8; PARTS_BYTES],
    /// Bytes of them.
    gathered: usize,
    hasher: Sha256,
}

/// Bytes of parts that are hashed at once: more than most rows have.
const PARTS_BYTES: usize = 512;

impl Digester {
    /// Starts a digest; `kind` keeps bills, cards and contents apart.
    pub fn new(kind: &str) -> Self {
        let mut digester = Digester { parts: [0; PARTS_BYTES], gathered: 0, hasher: Sha256::new() };
        digester.part(kind.as_bytes());
        digester
    }

    /// Adds one part.
    pub fn part(&mut self, bytes: &[u8]) -> &mut Self {
        const LENGTH: usize = size_of::<u64>();
        if self.gathered + LENGTH + bytes.len() > PARTS_BYTES {
            self.hasher.update(&self.parts[..self.gathered]);
            self.gathered = 0;
        }
        let length = (bytes.len() as u64).to_le_bytes();
        if let Some(room) = self.parts[self.gathered..].get_mut(..LENGTH + bytes.len()) {
            room[..LENGTH].copy_from_slice(&length);
            room[LENGTH..].copy_from_slice(bytes);
            self.gathered += room.len();
        } else {
            self.hasher.update(length); // longer than all the room there is
            self.hasher.update(bytes);
        }
        self
    }

    /// The first 128 bits.
    pub fn finish(mut self) -> Digest {
        self.hasher.update(&self.parts[..self.gathered]);
        let full = self.hasher.finalize();
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
    fn a_digest_of_many_parts_is_that_of_their_bytes() {
        let mut digester = Digester::new("plan");
        let mut whole = [4_u64.to_le_bytes().as_slice(), b"plan"].concat();
        for length in (0..100).chain([511, 512, 513, 5_000, 3]) {
            let part = vec![length as u8; length];
            digester.part(&part);
            whole.extend_from_slice(&(length as u64).to_le_bytes());
            whole.extend_from_slice(&part);
        }
        assert_eq!(digester.finish().0, Sha256::digest(&whole)[..16]);
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(Digest::of("bill", &["ab", "c"]), Digest::of("bill", &["a", "bc"]));
        assert_ne!(Digest::of("bill", &["a"]), Digest::of("card", &["a"]));
        assert_eq!(Digest::of("bill", &["a", ""]), Digest::of("bill", &["a", ""]));
        assert_ne!(Digest::of("bill", &["a", ""]), Digest::of("bill", &["a"]));
    }
}
