//! One id alone.

use super::{Flaw, has_decimal_tail, is_invisible, is_scientific, is_spreadsheet_error, mojibake, place_of};
use crate::model::Rule;

/// What is wrong with an id; `headers` are the names that its column bears.
pub fn flaw(text: &str, headers: &[&str]) -> Option<Flaw> {
    if is_digits(text) {
        return None;
    }
    let told = |rule, expected| Some(Flaw::new(rule, "", expected));
    if headers.iter().any(|header| header.eq_ignore_ascii_case(text)) {
        return told(Rule::RepeatedHeader, "a row of data; take the second header out");
    }
    if is_scientific(text) {
        return told(Rule::IdScientific, "every digit; export the column as text");
    }
    if has_decimal_tail(text) {
        return told(Rule::IdDecimalTail, "the id without a decimal tail; export the column as text");
    }
    if is_formatted_number(text) {
        return told(Rule::IdNumber, "the bare id; export the column as text, without a number's format");
    }
    if is_spreadsheet_error(text) || WORDS.contains(&text.to_lowercase().as_str()) {
        return told(Rule::IdWord, "an id; an empty cell where there is none, or the word in input.null_values");
    }
    character(text)
}

/// Whether it consists of digits alone, as nearly all ids do: nothing is wrong with those by themselves.
pub fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What stands in a cell that has no id, and what stands below columns. In lower case.
const WORDS: [&str; 35] = [
    "null",
    "(null)",
    "<null>",
    "[null]",
    "nil",
    "none",
    "nan",
    "<na>",
    "nat",
    "na",
    "n/a",
    "n.a.",
    "inf",
    "\\n",
    "undefined",
    "unknown",
    "true",
    "false",
    "-",
    "--",
    "---",
    ".",
    "*",
    "total",
    "total:",
    "grand total",
    "subtotal",
    "sum",
    "eof",
    "合计",
    "总计",
    "小计",
    "合計",
    "總計",
    "小計",
];

/// `1,234`, `1.234.567`, `1 234 567`, `1'234`, `(5)`, `5%`, `¥12`, `-12`.
fn is_formatted_number(text: &str) -> bool {
    let trimmed = text.trim_start_matches(['¥', '￥', '$', '€', '£']).trim_end_matches(['%', '‰']);
    let inner = trimmed.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(trimmed);
    let bare = inner.strip_prefix(['-', '+', '\u{2212}']).unwrap_or(inner);
    let whole = bare.split_once('.').filter(|(_, rest)| !rest.contains('.')).map_or(bare, |(whole, _)| whole);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // With a plus it is a telephone.
    let has_sign = bare.len() < text.len() && !text.starts_with('+');
    let fraction = bare.get(whole.len() + 1..).is_none_or(is_number);
    has_sign && is_number(whole) && fraction
        || (",' .’\u{a0}\u{202f}".chars()).any(|mark| is_grouped(whole, bare, mark))
}

/// Digits in groups of two or three behind the first. A point or a blank may as well stand in an id, so it takes two
/// groups of them.
fn is_grouped(whole: &str, bare: &str, mark: char) -> bool {
    let text = if mark == '.' { bare } else { whole };
    let mut groups = text.split(mark);
    let first = groups.next().unwrap_or_default();
    let digits = |group: &str| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit());
    let rest: Vec<&str> = groups.collect();
    let least = if matches!(mark, '.' | ' ') { 2 } else { 1 };
    (1..=3).contains(&first.len())
        && digits(first)
        && rest.len() >= least
        && rest.iter().all(|group| (2..=3).contains(&group.len()) && digits(group))
        && rest.last().is_some_and(|group| group.len() == 3)
}

/// The first character that no id has.
fn character(text: &str) -> Option<Flaw> {
    let found = |detail: String| {
        const EXPECTED: &str =
            "an id without blanks around it, invisible, control or full-width characters; mend the export";
        Some(Flaw::new(Rule::IdCharacters, detail, EXPECTED))
    };
    let last = text.chars().count() - 1;
    for (at, character) in text.chars().enumerate() {
        let is_edge = at == 0 || at == last;
        let is_bad = character.is_control()
            || character.is_whitespace() && (is_edge || character != ' ')
            || is_invisible(character)
            || is_look_alike(character)
            // Signs of text: a cell that was quoted twice, or marked as text for a spreadsheet.
            || is_edge && matches!(character, '"' | '\'' | '`')
            || at == 0 && character == '='
            // What an encoding writes for a character that it lacks.
            || matches!(character, '\u{fffd}' | '?');
        if is_bad {
            return found(place_of(character, at));
        }
    }
    mojibake::decoded_from(text).and_then(|detail| found(detail.to_owned()))
}

/// Looks like an ASCII letter, digit or sign and is none: full-width forms, dashes, quotes, other digits, accents. Or is
/// a sign of money: `€` is what GBK makes of a byte that was overwritten.
fn is_look_alike(character: char) -> bool {
    matches!(character,
        '\u{fe30}'..='\u{fe6f}' | '\u{ff01}'..='\u{ff5e}' | '\u{ffe0}'..='\u{ffe6}' | '\u{2010}'..='\u{2027}' | '\u{2212}' | '\u{b4}'
        | '\u{20a0}'..='\u{20cf}' | '\u{300}'..='\u{36f}' | '\u{2070}'..='\u{209c}' | '\u{b2}' | '\u{b3}' | '\u{b9}' | '\u{1d400}'..='\u{1d7ff}')
        || character.is_numeric() && !character.is_ascii() && !is_ideograph(character)
}

/// Chinese numerals are words.
fn is_ideograph(character: char) -> bool {
    matches!(character, '\u{3007}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Option<Rule> {
        flaw(text, &["pass_id", "PASS"]).map(|flaw| flaw.rule)
    }

    #[test]
    fn ids_of_every_honest_form_pass() {
        for text in [
            "0",
            "007",
            "202601020000000000000000001",
            "P0012345",
            "b1",
            "a-b_c.d:e/f+g=h@i~j",
            "5f1E10",
            "12E45",
            "2026-01-02",
            "1.2.3",
            "12.5",
            "192.168.10.1",
            "card 17",
            "訂單-001",
            "会员七号",
            "T5228480402",
            "oGg1s5O7xYk=x",
            "_kqCFVnlqCWwLUptMXTlRw==",
            "MixedCase",
            "nanjing",
            "nullary",
            "1,2",
            "+85291234567",
            "10 20",
        ] {
            assert_eq!(rule(text), None, "{text}");
        }
    }

    #[test]
    fn damaged_ids_are_told_by_what_damaged_them() {
        for (wanted, texts) in [
            (Rule::IdScientific, &["1.23457E+26", "2.606e+26", "1E+15"][..]),
            (Rule::IdDecimalTail, &["123.0", "0012.00", "-5.0"]),
            (
                Rule::IdNumber,
                &[
                    "1,234",
                    "260,601,031,000",
                    "1.234.567",
                    "1'234",
                    "1 234 567",
                    "(5)",
                    "5%",
                    "¥12",
                    "-12",
                    "$1,234.00",
                ],
            ),
            (
                Rule::IdWord,
                &[
                    "#N/A", "#REF!", "NULL", "null", "NaN", "None", "TRUE", "-", "n/a", "总计", "Total", "\\N", "N.A.",
                    "inf",
                ],
            ),
            (Rule::RepeatedHeader, &["pass_id", "PASS_ID", "pass"]),
            (
                Rule::IdCharacters,
                &[
                    " 12",
                    "12 ",
                    "12\u{a0}",
                    "1\u{200b}2",
                    "\u{feff}12",
                    "1\t2",
                    "1\n2",
                    "1\u{7}2",
                    "１２",
                    "1２3",
                    "12\u{2013}3",
                    "12€3",
                    "=A1+1",
                    "12\u{fe30}3",
                    "'0012",
                    "=\"0012\"",
                    "\"12\"",
                    "12?",
                    "1\u{fffd}2",
                    "\u{3000}12",
                    "\u{661}\u{662}",
                    "e\u{301}1",
                    "\u{202e}12",
                    "é‡‘-1",
                ],
            ),
        ] {
            for text in texts {
                assert_eq!(rule(text), Some(wanted), "{text:?}");
            }
        }
        let flaw = flaw("12\u{a0}", &[]).unwrap();
        assert_eq!(flaw.detail, "U+00A0 at character 3");
    }
}
