//! What an id looks like: its class, its length, whether it begins with a nought.

use super::rounding::{Mark, is_rounded};

/// A text with so many digits for each other character is a number that something happened to, if the others of its
/// column are numbers. With fewer it is an id of another kind.
const DIGITS_PER_OTHER: usize = 4;

/// What a shape consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Digits alone.
    Digits,
    /// Digits that were rounded: to 15 digits, or to what a float holds.
    Rounded,
    /// Digits that may have been rounded to 17. The nought of a counter of ten digits looks the same.
    MaybeRounded,
    /// `12E45`: hexadecimal, or a float.
    BareExponent,
    /// Digits behind a letter: an id of another kind, unless it is as long as its column's digits.
    Labelled,
    /// Digits but for a few characters.
    Marked,
    /// What is no id where the others are digits: words.
    Stranger,
    /// Anything else.
    Text,
}

/// The shape of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Of what it consists.
    pub class: Class,
    /// How many characters it has.
    pub chars: u16,
    /// Whether it is digits that begin with a nought.
    pub leading_zero: bool,
}

impl Shape {
    /// The shape of `text`.
    pub fn of(text: &str) -> Shape {
        let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let leading_zero = is_digits && text.len() > 1 && text.starts_with('0');
        let class = match is_digits {
            true if !is_rounded(text) => Class::Digits,
            true if Mark::Fifteen.is_on(text) || Mark::Binary.is_on(text) => Class::Rounded,
            true => Class::MaybeRounded,
            false if is_bare_exponent(text) => Class::BareExponent,
            false if text.contains(char::is_whitespace) => Class::Stranger,
            false if is_mostly_digits(text) && text.starts_with(char::is_alphabetic) => Class::Labelled,
            false if is_mostly_digits(text) => Class::Marked,
            false => Class::Text,
        };
        let chars = if is_digits { text.len() } else { text.chars().count() };
        Shape { class, chars: u16::try_from(chars).unwrap_or(u16::MAX), leading_zero }
    }

    /// Whether it is digits, rounded or not.
    pub fn is_digits(self) -> bool {
        matches!(self.class, Class::Digits | Class::Rounded | Class::MaybeRounded)
    }

    /// Whether it is digits that may have been rounded.
    pub fn is_rounded(self) -> bool {
        matches!(self.class, Class::Rounded | Class::MaybeRounded)
    }
}

fn is_bare_exponent(text: &str) -> bool {
    text.split_once(['e', 'E']).is_some_and(|(mantissa, exponent)| {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        digits(mantissa) && digits(exponent) && exponent.len() <= 3
    })
}

fn is_mostly_digits(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    digits >= DIGITS_PER_OTHER * (text.chars().count() - digits)
}
