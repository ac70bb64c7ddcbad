//! What a float leaves of a number with more digits than it holds, and how often nature makes the same.

/// A mark of rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Noughts behind 15 significant digits: spreadsheets.
    Fifteen,
    /// Noughts behind 17: languages that write a float's shortest digits and pad them.
    Seventeen,
    /// A multiple of so large a power of two that a float of 53 bits holds it exactly.
    Binary,
}

impl Mark {
    pub const ALL: [Mark; 3] = [Mark::Fifteen, Mark::Seventeen, Mark::Binary];

    /// The significant digits behind which it leaves noughts; none where it leaves other digits.
    pub fn kept(self) -> Option<usize> {
        match self {
            Mark::Fifteen => Some(15),
            Mark::Seventeen => Some(17),
            Mark::Binary => None,
        }
    }

    /// How likely it is that digits which no float has seen bear this mark; 0 where it says nothing about them.
    pub fn natural(self, digits: &str) -> f64 {
        let length = bits(digits).map(|(_, length)| length);
        // Ids of 17 digits and more that fit 64 bits are made of bit fields. They end in zero bits by design, and of
        // even numbers every fifth ends in a nought.
        let base = if digits.len() > 16 && length.is_some_and(|length| length <= 64) { 5_f64 } else { 10_f64 };
        let spare = |kept: usize| match digits.len().saturating_sub(kept) {
            0 => 0.0,
            spare => base.powi(-(spare as i32)),
        };
        match self {
            Mark::Fifteen => spare(15),
            Mark::Seventeen => spare(17),
            Mark::Binary => match length {
                Some(length) if length > 64 => 2_f64.powi(53 - length as i32),
                _ => 0.0,
            },
        }
    }

    /// Whether the digits bear it.
    pub fn is_on(self, digits: &str) -> bool {
        let noughts = digits.len() - digits.trim_end_matches('0').len();
        let ends_behind = |kept: usize| digits.len() > kept && noughts >= digits.len() - kept;
        match self {
            Mark::Fifteen => ends_behind(15),
            Mark::Seventeen => ends_behind(17),
            Mark::Binary => {
                is_round_enough(digits)
                    && bits(digits)
                        .is_some_and(|(number, length)| length > 64 && number.trailing_zeros() + 53 >= length)
            }
        }
    }
}

/// Whether it may be a number of more than 64 bits that ends in a dozen zero bits, as its last dozen digits tell: the whole
/// of it is dear to read, and one id of four thousand is.
fn is_round_enough(digits: &str) -> bool {
    let last =
        digits.len().checked_sub(12).and_then(|from| digits.get(from..)).and_then(|last| last.parse::<u64>().ok());
    digits.len() >= 20 && last.is_none_or(|last| last % (1 << 12) == 0)
}

/// The number, and how many bits it has.
fn bits(digits: &str) -> Option<(u128, u32)> {
    let number: u128 = digits.parse().ok()?;
    Some((number, u128::BITS - number.leading_zeros()))
}

/// Rarer marks than this are no accident: an honest file of a million ids has one at most.
pub(super) const ACCIDENT: f64 = 1.1e-6;

/// Whether one value alone bears a mark that is no accident.
pub(super) fn is_rounded(digits: &str) -> bool {
    // Most ids bear no mark; how likely one is, is dearer to tell.
    let is_rare = |mark: Mark| (f64::MIN_POSITIVE..=ACCIDENT).contains(&mark.natural(digits));
    let is_nought = || digits.bytes().all(|digit| digit == b'0');
    Mark::ALL.into_iter().any(|mark| mark.is_on(digits) && is_rare(mark)) && !is_nought()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a spreadsheet keeps it: 15 digits, the rest noughts.
    fn as_spreadsheet(digits: &str) -> String {
        let kept: u64 = digits[..15].parse::<u64>().unwrap() + u64::from(digits.as_bytes()[15] >= b'5');
        format!("{kept}{}", "0".repeat(digits.len() - 15))
    }

    #[test]
    fn long_ids_show_rounding_by_themselves() {
        for id in ["260601031000003201000103457", "202601020000000000000000001", "202601023109165517654321098"] {
            assert!(!is_rounded(id), "{id}");
            assert!(is_rounded(&as_spreadsheet(id)), "{id}");
            let float: f64 = id.parse().unwrap();
            assert!(is_rounded(&format!("{float:.0}")), "{id} as {float:.0}");
        }
        assert!(is_rounded("260601031000003210000000000"), "17 digits and noughts");
        assert!(
            !is_rounded("2088100031000000") && !is_rounded("9007199254740992") && !is_rounded("1541815603606036480")
        );
    }

    #[test]
    fn the_last_digits_tell_what_cannot_be_binary() {
        for shift in 0..80 {
            for odd in [1, 3, 9_007_199_254_740_991, 9_007_199_254_740_993_u128] {
                let number = odd << shift;
                let is_float = number >= 1 << 64 && number.trailing_zeros() + 53 > number.ilog2();
                assert_eq!(Mark::Binary.is_on(&number.to_string()), is_float, "{number}");
                assert_eq!(Mark::Binary.is_on(&format!("000{number}")), is_float, "000{number}");
            }
        }
    }

    #[test]
    fn short_ids_bear_marks_by_accident() {
        let digits = "2088100031006270";
        assert!(Mark::Fifteen.is_on(digits) && !Mark::Seventeen.is_on(digits) && !Mark::Binary.is_on(digits));
        assert!((Mark::Fifteen.natural(digits) - 0.1).abs() < 1e-9);
        assert!(Mark::Fifteen.natural("12345").abs() < 1e-9);
        assert!(Mark::Binary.natural("1541815603606036480").abs() < 1e-9, "64 bits: a snowflake");
    }
}
