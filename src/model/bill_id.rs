//! The identity of a bill: unmistakable, and beside those of its neighbours.
//!
//! Bill numbers count up, or begin with a date. In the order of their digests a night's bills would lie all over a ledger,
//! and each would ask the disk for a page of its own; in the order of their numbers they share pages.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::bytes;
use super::digest::Digest;

/// The identity of a bill: eight bytes of where it lies, then the digest of all that tells it from others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct BillId(#[serde(with = "bytes")] pub [u8; 24]);

impl BillId {
    /// Digits of a bill number that always fit 64 bits.
    const DIGITS: usize = 19;

    /// That of a bill with a number.
    pub fn numbered(bill_no: &str, digest: Digest) -> BillId {
        BillId::at(near(bill_no), digest)
    }

    /// That of a row without a bill.
    pub fn unnumbered(digest: Digest) -> BillId {
        BillId::at(0, digest)
    }

    fn at(near: u64, digest: Digest) -> BillId {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&near.to_be_bytes());
        bytes[8..].copy_from_slice(&digest.0);
        BillId(bytes)
    }

    /// Reads what it is shown as; `None` where a text is something else.
    pub fn parse(shown: &str) -> Option<BillId> {
        let mut bytes = [0; 24];
        let is_hex = shown.len() == 2 * bytes.len() && shown.bytes().all(|digit| digit.is_ascii_hexdigit());
        for (at, byte) in bytes.iter_mut().enumerate().filter(|_| is_hex) {
            *byte = u8::from_str_radix(&shown[2 * at..][..2], 16).ok()?;
        }
        is_hex.then_some(BillId(bytes))
    }

    /// A number that sorts as the identity does, as far as it tells two apart.
    pub fn prefix(self) -> u64 {
        u64::from_be_bytes(*self.0.first_chunk().expect("24 bytes"))
    }

    /// The first and the last identity that a bill of this number can have.
    pub fn span(bill_no: &str) -> [BillId; 2] {
        let near = near(bill_no);
        [BillId::at(near, Digest([0; 16])), BillId::at(near, Digest([0xFF; 16]))]
    }
}

/// Where a bill of this number lies: what its first digits are as a number. Letters and signs between them are the same
/// for all of a kind.
fn near(bill_no: &str) -> u64 {
    let digits = bill_no.bytes().filter(u8::is_ascii_digit).take(BillId::DIGITS);
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

impl fmt::Debug for BillId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for BillId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bytes::hex(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(bill_no: &str) -> BillId {
        BillId::numbered(bill_no, Digest::of("bill", &[bill_no]))
    }

    #[test]
    fn bills_lie_as_they_are_numbered() {
        let numbers = [
            "HK-2026-0009",
            "260601031000003201000103",
            "260601031000004201000103",
            "260602031000003201000003",
            "9".repeat(40).as_str(),
        ]
        .map(id);
        assert!(numbers.is_sorted(), "{numbers:?}");
        assert!(BillId::unnumbered(Digest([0xFF; 16])) < numbers[0]);
        assert_eq!(id("999").prefix(), 999);
        assert_eq!(BillId::parse(&numbers[0].to_string()), Some(numbers[0]));
        for other in ["", "26", &"9".repeat(47), &"9".repeat(49), &"+9".repeat(24), &"é".repeat(24)] {
            assert_eq!(BillId::parse(other), None, "{other}");
        }
    }

    #[test]
    fn all_bills_of_a_number_lie_within_its_span() {
        for bill_no in ["", "no digits", "0", "18446744073709551615", "２０２６", "999999999999999999999"] {
            let [first, last] = BillId::span(bill_no);
            for digest in [Digest([0; 16]), Digest::of("bill", &[bill_no]), Digest([0xFF; 16])] {
                assert!((first..=last).contains(&BillId::numbered(bill_no, digest)), "{bill_no}");
            }
        }
    }
}
