//! What a way through spreadsheets, floats and wrong encodings leaves on the values of a file, and how it shows.
//!
//! ```text
//! id       one id alone: exponents, `.0`, separators, invisible characters, words for nothing   -> the row
//! text     one text alone: blanks around it, invisible characters, a wrong decoding             -> the row
//! column   the values of a column together: lost zeros, rounded digits, odd widths              -> the row or the file
//! number   points with a dot that may part thousands                                            -> the row
//! cut      the last record of a file that does not end its last line                            -> the row
//! ```
//!
//! Nothing is mended: what was meant cannot be known. Each rule that looks at one value is sure of it; those that
//! look at a column weigh how often nature makes the same.

pub mod column;
mod counters;
pub mod cut;
pub mod id;
mod mojibake;
pub mod number;
mod order;
mod rounding;
mod shape;
mod tally;
pub mod text;

use crate::model::Rule;

/// What is wrong with one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The rule that it breaks.
    pub rule: Rule,
    /// What shows it, where the value itself does not; may be empty.
    pub detail: String,
    /// What was expected, and what to do.
    pub expected: &'static str,
}

impl Flaw {
    fn new(rule: Rule, detail: impl Into<String>, expected: &'static str) -> Flaw {
        Flaw { rule, detail: detail.into(), expected }
    }
}

/// Characters that take no place, or that no one sees: they come from web pages, chats and word processors.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `U+00A0 at character 7`.
fn place_of(character: char, at: usize) -> String {
    format!("U+{:04X} at character {}", u32::from(character), at + 1)
}

/// A number as floats write it: `1.23E+26`, `1e+26`, `2.6E26`. Digits with a bare `E` between them (`12E45`) are not
/// among them: hexadecimal ids look like that.
fn is_scientific(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return false };
    let (whole, fraction) = mantissa.split_once(['.', ',']).map_or((mantissa, None), |(w, f)| (w, Some(f)));
    let digits = exponent.strip_prefix(['-', '+']);
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    all_digits(whole)
        && fraction.is_none_or(all_digits)
        && !(whole.is_empty() && fraction.is_none_or(str::is_empty))
        && !digits.unwrap_or(exponent).is_empty()
        && all_digits(digits.unwrap_or(exponent))
        && (fraction.is_some() || digits.is_some())
}

/// Digits, a point, and noughts: `123.0`.
fn has_decimal_tail(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    text.split_once('.').is_some_and(|(whole, fraction)| {
        !whole.is_empty()
            && whole.bytes().all(|byte| byte.is_ascii_digit())
            && !fraction.is_empty()
            && fraction.bytes().all(|byte| byte == b'0')
    })
}

/// A cell in which a spreadsheet says that it has no value: `#N/A`, `#REF!`, `#DIV/0!`, `####`.
fn is_spreadsheet_error(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('#') else { return false };
    rest.is_empty() && text.len() > 1
        || rest.bytes().all(|byte| byte == b'#') && !rest.is_empty()
        || rest.eq_ignore_ascii_case("n/a")
        || rest.eq_ignore_ascii_case("getting_data")
        || rest.ends_with(['!', '?']) && rest.bytes().all(|byte| byte.is_ascii_uppercase() || b"/0!?".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_are_told_from_hexadecimal() {
        for text in ["1.23457E+26", "1e+26", "1E-5", "2.60601031E26", "-1,5E+3", "1.E+5", ".5e3"] {
            assert!(is_scientific(text), "{text}");
        }
        for text in ["12E45", "1e5", "e+5", "1.2e", "1.2e+", "abe+5", "E26", "1.2.3E+4", "1E+2x", "", "."] {
            assert!(!is_scientific(text), "{text}");
        }
    }

    #[test]
    fn what_spreadsheets_say_of_no_value() {
        for text in ["#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#SPILL!", "####"] {
            assert!(is_spreadsheet_error(text), "{text}");
        }
        for text in ["#1", "#", "N/A", "#gold", "#!x"] {
            assert!(!is_spreadsheet_error(text), "{text}");
        }
        assert!(has_decimal_tail("123.0") && has_decimal_tail("0.00"));
        assert!(!has_decimal_tail("123.") && !has_decimal_tail("1.2.0") && !has_decimal_tail("12.50"));
    }
}
