//! Why a row is not valid. Row trouble is data, never an `Err` up the stack.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! rules {
    ($($name:ident $number:literal $slug:literal $text:literal;)*) => {
        /// A rule that a row broke; the code is stable across versions.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Rule {
            $(#[doc = $text] $name,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Rule] = &[$(Rule::$name),*];

            /// The stable code, such as `R012`.
            pub fn code(self) -> &'static str {
                match self { $(Rule::$name => concat!("R", $number),)* }
            }

            /// The rule's name, such as `id-scientific-notation`.
            pub fn slug(self) -> &'static str {
                match self { $(Rule::$name => $slug,)* }
            }

            /// What the rule wants, in a sentence.
            pub fn text(self) -> &'static str {
                match self { $(Rule::$name => $text,)* }
            }
        }
    };
}

rules! {
    RecordWidth "001" "record-width" "A record has as many fields as the header.";
    RecordQuote "002" "record-quote" "Quotes open and close a field; a record that cannot be split is kept whole in `_raw`.";
    RecordSize "003" "record-size" "A record has at most 1 MiB.";
    Encoding "004" "encoding" "Every byte of a record can be decoded in the input's encoding.";
    NulByte "005" "nul-byte" "A record has no NUL byte.";
    RepeatedHeader "006" "repeated-header" "A record is not the header once more.";
    CutOff "007" "cut-off" "The last record of a file is whole, where the file does not end its last line.";
    Missing "010" "missing" "A required column has a value.";
    TooLong "011" "too-long" "A value is no longer than the vendor's page allows, in characters.";
    IdScientific "012" "id-scientific-notation" "An id was not turned into a floating-point number by a spreadsheet.";
    IdDecimalTail "013" "id-decimal-tail" "An id has no `.0` tail.";
    IdRounded "014" "id-rounded" "An id was not rounded to 15 significant digits.";
    IdWidth "015" "id-width" "An id has kept its leading zeros.";
    IdCharacters "016" "id-characters" "An id has no full-width digits, invisible characters, blanks around it or control characters.";
    IdNumber "017" "id-number-format" "An id was not given the format of a number: separators of thousands, signs, brackets.";
    IdWord "018" "id-word-for-nothing" "An id is none of the words for nothing, and no spreadsheet's error.";
    TextDamaged "019" "text-damaged" "A text has no blanks around it, no invisible characters, and was decoded as what it is.";
    NotANumber "020" "not-a-number" "A number is a plain decimal of at most 18 digits.";
    Scale "021" "scale" "A number has no more decimals than the vendor's page allows.";
    Negative "022" "negative-points" "Points are not negative unless `negative_points` permits it.";
    NotATime "023" "not-a-time" "A time is RFC 3339, local in the input's zone, or epoch milliseconds.";
    NotAWord "024" "not-a-word" "A value is one of the words that the vendor's page lists.";
    NotJson "025" "not-json" "A JSON cell parses, and has the parts that the vendor's page requires.";
    Combination "030" "combination" "Columns go together as the vendor's page says.";
    NoChange "031" "no-change" "A row changes at least one member.";
    MixedTimes "032" "mixed-times" "A file has `occurred_at` in every row or in none.";
    MissingBill "033" "missing-bill" "A row has a bill number where `require_bill_no` or an Alipay transaction wants one.";
    Merchant "034" "merchant" "A row's merchant is one of the job's `merchants`.";
    StatusGuard "040" "status-not-permitted" "A row's status is listed in `[guard] statuses`.";
    PointsGuard "041" "points-over-limit" "Points are at most `[guard] points_max`.";
    ChangeGuard "042" "change-over-limit" "A change of points is at most `[guard] change_max`.";
    Unencodable "043" "unencodable" "Every character of a row can be written in the gateway's charset.";
    Horizon "044" "before-horizon" "A row is not from before the horizon of `ledger prune --bills-before`.";
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code(), self.slug())
    }
}

/// Why one row is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// The rule it broke.
    pub rule: Rule,
    /// The column, by its canonical name; empty where the record as a whole is at fault.
    pub column: String,
    /// What was found (shortened, invisible characters made visible).
    pub found: String,
    /// What was expected, and what to do.
    pub expected: String,
}

impl Reject {
    /// A reject; `found` is shortened and made visible here.
    pub fn new(rule: Rule, column: &str, found: &str, expected: impl Into<String>) -> Reject {
        Reject { rule, column: column.to_owned(), found: visible(found), expected: expected.into() }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.rule.slug())?;
        if !self.column.is_empty() {
            write!(f, "column `{}`: ", self.column)?;
        }
        write!(f, "found {}, expected {}", self.found, self.expected)
    }
}

/// What names a person, veiled: enough to find a row by, too little to know the person by, since ids of one wallet
/// begin alike. Of a short code less is shown, at most a quarter.
pub fn veiled(id: &str) -> String {
    const SHOWN_MAX: usize = 4;
    let shown: String = id.chars().take(SHOWN_MAX.min(id.chars().count() / 4)).collect();
    shown + "…"
}

/// A value as a person can see it: quoted, control and invisible characters escaped, at most 60 characters.
pub fn visible(text: &str) -> String {
    format!("\"{}\"", shown(text, 60))
}

/// The same without quotes, and with at most so many characters.
pub fn shown(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for (at, character) in text.chars().enumerate() {
        if at == most {
            shown.push('…');
            break;
        }
        let invisible = character.is_control()
            || (character.is_whitespace() && character != ' ')
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{ad}' | '\u{61c}');
        if invisible {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// The same, borrowed where it is plain ASCII, as codes are.
pub fn as_shown(text: &str, most: usize) -> Cow<'_, str> {
    let is_plain = text.len() <= most && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if is_plain { Cow::Borrowed(text) } else { Cow::Owned(shown(text, most)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_slugs_are_unique() {
        let codes: std::collections::BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.code()).collect();
        let slugs: std::collections::BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.slug()).collect();
        assert_eq!((codes.len(), slugs.len()), (Rule::ALL.len(), Rule::ALL.len()));
    }

    #[test]
    fn of_an_id_a_quarter_is_shown_at_most() {
        let ids = ["2160220037090534", "88712290", "1234", "123", ""].map(veiled);
        assert_eq!(ids, ["2160…", "88…", "1…", "…", "…"]);
    }

    #[test]
    fn invisible_characters_are_shown() {
        assert_eq!(visible("a\u{200b}b\tc"), "\"a\\u{200b}b\\u{9}c\"");
        assert_eq!(visible(&"x".repeat(100)).chars().count(), 63);
        assert_eq!(shown("\u{2066}\u{61c}\0ab", 4), "\\u{2066}\\u{61c}\\u{0}a…");
        for text in ["SUCCESS", "not at all", "FOUR", "銀卡", "a\tb", ""] {
            assert_eq!(as_shown(text, 4), shown(text, 4));
            assert_eq!(as_shown(text, 40), shown(text, 40));
        }
    }
}
