//! Points with a dot before three digits: `1.234` is a number, or a thousand and some in a German spreadsheet.

use super::Flaw;
use crate::model::Rule;

/// The shape of a number that may be either.
const DOTTED: u8 = 1;

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
        (shape == DOTTED && self.decimal == 0).then(|| {
            Flaw::new(
                Rule::NotANumber,
                "a dot before three digits, in a column that has no other decimals of three",
                EXPECTED,
            )
        })
    }
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
}
