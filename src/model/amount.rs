//! Points and money: exact decimals, never a float.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// An exact decimal of at most 18 digits, without trailing fractional zeros; `-0` is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Amount(#[serde(with = "exact")] Decimal);

/// Why a text is not an [`Amount`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountFault {
    /// Not `[-+]digits[.digits]`.
    #[error("a plain decimal number such as 1999.5 (no exponent, separators, signs of currency or blanks)")]
    Syntax,
    /// More than 18 digits.
    #[error("a number of at most 18 digits")]
    TooLong,
}

/// What makes a text a number for people alone, and what to write in its place; empty where nothing is known.
pub fn hint(text: &str) -> &'static str {
    let has = |marks: &[char]| text.contains(marks);
    let is_number = |text: &str| Amount::parse(text).is_ok();
    if has(&['(', ')']) {
        "; write a minus in place of brackets"
    } else if has(&['\u{2212}', '\u{2013}', '\u{2014}']) {
        "; the minus is `-`"
    } else if text.chars().any(|character| ('\u{ff01}'..='\u{ff5e}').contains(&character)) {
        "; these are full-width characters, `0` to `9` are wanted"
    } else if is_number(text.trim()) {
        "; take the blanks around it away"
    } else if has(&['e', 'E']) && text.parse::<f64>().is_ok_and(f64::is_finite) {
        "; an exponent shows that a spreadsheet or a float rounded it: export the column as text"
    } else if has(&[',', '\'', '\u{a0}', '\u{202f}']) || text.matches('.').count() > 1 {
        "; leave out what parts thousands, and write a decimal point"
    } else if is_number(text.trim_matches(|c: char| !c.is_ascii_digit() && !"+-.".contains(c))) {
        "; leave out the sign of currency or unit"
    } else {
        ""
    }
}

impl Amount {
    /// The most digits, before and after the point together.
    pub const DIGITS_MAX: usize = 18;

    /// Reads `[-+]digits[.digits]`; leading zeros are allowed in the text and dropped.
    pub fn parse(text: &str) -> Result<Amount, AmountFault> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, fraction) = match unsigned.split_once('.') {
            Some((_, "")) => return Err(AmountFault::Syntax),
            Some(parts) => parts,
            None => (unsigned, ""),
        };
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return Err(AmountFault::Syntax);
        }
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        if whole.len() + fraction.len() > Self::DIGITS_MAX {
            return Err(AmountFault::TooLong);
        }
        // At most 18 digits fit an i64.
        let units = whole.bytes().chain(fraction.bytes()).fold(0, |units, digit| units * 10 + i64::from(digit - b'0'));
        let units = if text.starts_with('-') { -units } else { units };
        Ok(Amount(Decimal::new(units, fraction.len() as u32)))
    }

    /// Zero.
    pub const ZERO: Amount = Amount(Decimal::ZERO);

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        self.0.is_sign_negative() && !self.0.is_zero()
    }

    /// The size without the sign.
    pub fn abs(&self) -> Amount {
        Amount(self.0.abs())
    }

    /// What is left of it without `other`; `None` where that has more than 18 digits.
    pub fn minus(self, other: Amount) -> Option<Amount> {
        Amount::parse(&self.0.checked_sub(other.0)?.normalize().to_string()).ok()
    }

    /// Digits after the point.
    pub fn scale(&self) -> u32 {
        self.0.scale()
    }

    /// With exactly `digits` fractional digits, as money wants them; `None` where digits would be lost.
    pub fn with_scale(&self, digits: u32) -> Option<String> {
        (self.scale() <= digits).then(|| format!("{:.1$}", self.0, digits as usize))
    }
}

/// Text where people read it. Among our own files digits and scale: a survey writes and reads each amount twice.
mod exact {
    use rust_decimal::Decimal;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::{Serialize, Serializer};

    pub fn serialize<S: Serializer>(amount: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return rust_decimal::serde::str::serialize(amount, serializer);
        }
        let units = i64::try_from(amount.mantissa()).expect("at most 18 digits fit an i64");
        (units, amount.scale()).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        if deserializer.is_human_readable() {
            return rust_decimal::serde::str::deserialize(deserializer);
        }
        let (units, scale) = <(i64, u32)>::deserialize(deserializer)?;
        Decimal::try_new(units, scale).map_err(D::Error::custom)
    }
}

impl fmt::Display for Amount {
    /// The wire form: no exponent, no leading zeros, no trailing fractional zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nearly all points are whole numbers, which need no more than this.
        match i64::try_from(self.0.mantissa()) {
            Ok(whole) if self.0.scale() == 0 => fmt::Display::fmt(&whole, f),
            _ => fmt::Display::fmt(&self.0, f),
        }
    }
}

/// An exact sum of amounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total(#[serde(with = "rust_decimal::serde::str")] Decimal);

impl Total {
    /// Adds one amount.
    ///
    /// # Panics
    /// Where the sum needs more than 28 digits: conservation could no longer be shown, and a run that
    /// cannot show it must stop.
    pub fn add(&mut self, amount: Amount) {
        self.0 = self.0.checked_add(amount.0).expect("a sum of points fits 28 digits");
    }

    /// Adds another sum. Panics as [`Total::add`].
    pub fn merge(&mut self, other: Total) {
        self.add(Amount(other.0));
    }

    /// What it is more than another sum. Panics as [`Total::add`].
    #[must_use]
    pub fn less(self, other: Total) -> Total {
        Total(self.0.checked_sub(other.0).expect("a difference of sums fits 28 digits"))
    }

    /// Reads a sum, as a control file gives it: `[-+]digits[.digits]`, at most 28 digits.
    pub fn parse(text: &str) -> Option<Total> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let fits = whole.trim_start_matches('0').len() + fraction.len() <= Self::DIGITS_MAX;
        (is_digits(whole) && is_digits(fraction) && fits).then(|| Decimal::from_str_exact(text).ok().map(Total))?
    }

    const DIGITS_MAX: usize = 28;

    /// About the same number: for shares, never for sums.
    pub fn about(self) -> f64 {
        self.0.to_string().parse().expect("a decimal is a number")
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.normalize(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_exact_decimals_and_writes_the_wire_form() {
        for (text, wire) in [
            ("19999.00", "19999"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("+12", "12"),
            ("0012.50", "12.5"),
            ("999999999999999999", "999999999999999999"),
            ("0.000000000000000001", "0.000000000000000001"),
            ("-1999.50", "-1999.5"),
        ] {
            assert_eq!(Amount::parse(text).unwrap().to_string(), wire, "{text}");
        }
        for text in ["", "-", ".5", "5.", "1e5", "1,000", "(5)", "５", " 5", "5 ", "0x1", "1_0", "NaN", "--1"] {
            assert_eq!(Amount::parse(text), Err(AmountFault::Syntax), "{text:?}");
        }
        assert_eq!(Amount::parse("1234567890123456789"), Err(AmountFault::TooLong));
        assert_eq!(Amount::parse("1.123456789012345678"), Err(AmountFault::TooLong));
    }

    #[test]
    fn numbers_for_people_are_refused_with_a_hint() {
        for (text, word) in [
            ("(5)", "brackets"),
            ("\u{2212}5", "minus"),
            ("５", "full-width"),
            ("5 ", "blanks"),
            ("1.5E3", "exponent"),
            ("1,234", "thousands"),
            ("1.234,50", "thousands"),
            ("1.234.567", "thousands"),
            ("¥5", "currency"),
            ("5 pts", "unit"),
            ("5%", "unit"),
        ] {
            assert!(Amount::parse(text).is_err() && hint(text).contains(word), "{text}: {}", hint(text));
        }
        assert_eq!((hint("gold"), hint("")), ("", ""));
    }

    #[test]
    fn an_amount_is_read_as_it_was_written() {
        for text in ["0", "-999999999999999999", "0.000000000000000001", "12.5"] {
            let amount = Amount::parse(text).unwrap();
            assert_eq!(postcard::from_bytes(&postcard::to_stdvec(&amount).unwrap()), Ok(amount));
            assert_eq!(serde_json::from_str::<Amount>(&format!("\"{text}\"")).unwrap(), amount);
            assert_eq!(serde_json::to_string(&amount).unwrap(), format!("\"{text}\""));
        }
        let beyond = postcard::to_stdvec(&(1_i64, 29_u32)).unwrap();
        assert!(postcard::from_bytes::<Amount>(&beyond).is_err());
    }

    #[test]
    fn money_keeps_its_two_digits() {
        assert_eq!(Amount::parse("124.8").unwrap().with_scale(2).unwrap(), "124.80");
        assert_eq!(Amount::parse("-3").unwrap().with_scale(2).unwrap(), "-3.00");
        assert_eq!(Amount::parse("1.005").unwrap().with_scale(2), None);
    }

    #[test]
    fn totals_are_exact() {
        let mut total = Total::default();
        for _ in 0..10 {
            total.add(Amount::parse("0.1").unwrap());
        }
        assert_eq!(total.to_string(), "1");
    }

    #[test]
    fn totals_are_read_exactly_or_not_at_all() {
        for (text, read) in [("123456.50", "123456.5"), ("-7", "-7"), ("+0.10", "0.1"), ("0", "0"), ("007", "7")] {
            assert_eq!(Total::parse(text).unwrap().to_string(), read, "{text}");
        }
        let longest = "1234567890123456789012345.678";
        assert_eq!(Total::parse(longest).unwrap().to_string(), longest);
        for text in ["", "-", ".5", "5.", "1e5", "1,000", "1_000", " 5", "0x1", "12345678901234567890123456.789"] {
            assert_eq!(Total::parse(text), None, "{text:?}");
        }
        let [more, less] = ["0.3", "0.1"].map(|text| Total::parse(text).unwrap());
        assert_eq!((more.less(less).to_string(), less.less(more).to_string()), ("0.2".to_owned(), "-0.2".to_owned()));
        assert!((Total::parse("-12.5").unwrap().about() + 12.5).abs() < 1e-9);
    }
}
