//! The hash total of bill numbers: a sum that means nothing, and that no exchanged, lost or doubled bill leaves as it is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The sum of what the bill numbers of all rows are as numbers, modulo 10^18.
///
/// Of a bill number only the digits 0 to 9 count, and of these the last 18; one without a digit, and a row without a
/// bill, count 0. So `A-0012` is 12, and letters are not covered. In SQL, for digits alone:
/// `mod(sum(cast(right(bill_no, 18) as decimal(38))), 1000000000000000000)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashTotal(u64);

impl HashTotal {
    const MODULUS: u64 = 1_000_000_000_000_000_000;
    const DIGITS: usize = 18;

    /// Adds one bill number.
    pub fn add(&mut self, bill_no: &str) {
        let digits = bill_no.bytes().rev().filter(u8::is_ascii_digit).take(Self::DIGITS);
        let (number, _) = digits.fold((0, 1), |(number, weight): (u64, u64), digit| {
            (number + u64::from(digit - b'0') * weight, weight.wrapping_mul(10))
        });
        self.merge(HashTotal(number));
    }

    /// Adds the total of other rows.
    pub fn merge(&mut self, other: HashTotal) {
        self.0 = (self.0 + other.0) % Self::MODULUS;
    }

    /// Reads a total, as a control file gives it: digits, leading zeros or not.
    pub fn parse(text: &str) -> Option<HashTotal> {
        let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let digits = text.trim_start_matches('0');
        (is_digits && digits.len() <= Self::DIGITS).then(|| HashTotal(digits.parse().unwrap_or(0)))
    }
}

impl fmt::Display for HashTotal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(bills: &[&str]) -> String {
        let mut total = HashTotal::default();
        for bill in bills {
            total.add(bill);
        }
        total.to_string()
    }

    #[test]
    fn only_the_last_18_digits_count() {
        assert_eq!(total(&["0012", "A-0012", "", "no digits"]), "24");
        assert_eq!(total(&["220230343242343442433300001"]), "242343442433300001");
        assert_eq!(total(&["999999999999999999"]), "999999999999999999");
        assert_eq!(total(&["999999999999999999", "2"]), "1", "modulo 10^18");
        assert_eq!(total(&["١٢"]), "0", "no ASCII digits");
        assert_eq!(total(&[&"9".repeat(4_096)]), "999999999999999999");
    }

    #[test]
    fn totals_are_digits() {
        assert_eq!(HashTotal::parse("000000000000000000000012"), Some(HashTotal(12)));
        assert_eq!(HashTotal::parse("0"), Some(HashTotal(0)));
        for text in ["", "-1", "1.0", "1e3", " 1", "1000000000000000000"] {
            assert_eq!(HashTotal::parse(text), None, "{text:?}");
        }
    }
}
