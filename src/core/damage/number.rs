//! Points with a dot before three digits: `1.234` is a number, or a thousand and some in a German spreadsheet. And what
//! sums of floats leave: `5.040000000000001`.

use super::Flaw;
use crate::model::Rule;

/// The shape of a number that may be either.
const DOTTED: u8 = 1;

/// The shape of a number that a float has spoilt.
const NOISY: u8 = 2;

/// Decimals that points have at most, and noughts or nines in a row that only a float makes.
const NOISE_FROM: usize = 10;
const NOISE_RUN: [&str; 2] = ["000000", "999999"];

/// The numbers of one column.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    dotted: u64,
    /// Numbers of three decimals that cannot be thousands: `0.125`, `1234.500`.
    decimal: u64,
}

impl Numbers {
    /// Takes a value, and tells its shape: 0 is beyond doubt.
    pub fn see(&mut self, text: &str) -> u8 {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let Some((whole, fraction)) = unsigned.split_once('.') else { return 0 };
        if fraction.len() < 3 {
            return 0;
        }
        if is_noise(fraction.trim_end_matches('0')) {
            return NOISY;
        }
        if fraction.len() == 3 && (1..=3).contains(&whole.len()) && !whole.starts_with('0') {
            self.dotted += 1;
            return DOTTED;
        }
        self.decimal += 1;
        0
    }

    /// What is wrong with the values of a shape, once all were seen.
    pub fn flaw(&self, shape: u8) -> Option<Flaw> {
        const EXPECTED: &str =
            "1234 without a separator of thousands, or decimals that cannot be taken for one (1.23, 1.2340)";
        if shape == NOISY {
            const EXACT: &str = "the exact number; a float has added to its last decimals: round it where it is made";
            return Some(Flaw::new(Rule::NotANumber, "decimals that a float made", EXACT));
        }
        (shape == DOTTED && self.decimal == 0).then(|| {
            Flaw::new(
                Rule::NotANumber,
                "a dot before three digits, in a column that has no other decimals of three",
                EXPECTED,
            )
        })
    }
}

fn is_noise(fraction: &str) -> bool {
    fraction.len() >= NOISE_FROM && NOISE_RUN.iter().any(|run| fraction.contains(run))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubtful(texts: &[&str]) -> usize {
        let mut numbers = Numbers::default();
        let shapes: Vec<u8> = texts.iter().map(|text| numbers.see(text)).collect();
        shapes.into_iter().filter(|shape| numbers.flaw(*shape).is_some()).count()
    }

    #[test]
    fn a_dot_before_three_digits_is_doubtful_unless_the_column_has_such_decimals() {
        assert_eq!(doubtful(&["1.234", "999", "-12.345", "19999.00"]), 2);
        assert_eq!(doubtful(&["1.234", "0.125"]), 0);
        assert_eq!(doubtful(&["1.234", "1234.500"]), 0);
        assert_eq!(doubtful(&["1.2", "1.23", "5", "0.5"]), 0);
    }

    #[test]
    fn decimals_that_a_float_made_are_told() {
        assert_eq!(
            doubtful(&["5.040000000000001", "-237.00000000000001", "0.30000000000000004", "8.799999999999999"]),
            4
        );
        assert_eq!(doubtful(&["5.0400000000000000", "0.0000001", "3.14159265358979", "1234.500000"]), 0);
    }
}
