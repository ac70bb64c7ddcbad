//! One text alone: a level, a name, a reason. What people read on the card.

use super::{Flaw, has_decimal_tail, is_invisible, is_scientific, is_spreadsheet_error, mojibake, place_of};
use crate::model::Rule;

/// What is wrong with a text that people read.
pub fn flaw(text: &str) -> Option<Flaw> {
    const EXPECTED: &str = "the text as people are to read it; mend the export, or list the column in input.verbatim";
    let found = |detail: String| Some(Flaw::new(Rule::TextDamaged, detail, EXPECTED));
    if text.is_ascii() && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return is_word_for_nothing(text).then(|| Flaw::new(Rule::TextDamaged, "a word for nothing", EXPECTED));
    }
    // A price has two noughts behind its point, a float has one.
    if is_scientific(text) || has_decimal_tail(text) && text.ends_with(".0") {
        return found("a number that was a float".to_owned());
    }
    if is_spreadsheet_error(text) || is_word_for_nothing(text) {
        return found("a word for nothing".to_owned());
    }
    if is_wrapped(text) {
        return found("signs of quotation around it".to_owned());
    }
    if text.contains("??") || text.chars().all(|character| character == '?') {
        return found("`?`, which is what an encoding writes for a character that it lacks".to_owned());
    }
    odd_character(text).or_else(|| decoding(text))
}

/// What is wrong with a value of any kind: that it was decoded as what it is not.
pub fn decoding(text: &str) -> Option<Flaw> {
    const EXPECTED: &str = "text in the encoding that input.encoding says; mend the export";
    if text.is_ascii() {
        return None;
    }
    let found = |detail: &str| Flaw::new(Rule::TextDamaged, detail, EXPECTED);
    if text.contains('\u{fffd}') {
        return Some(found("U+FFFD, which stands for lost bytes"));
    }
    mojibake::decoded_from(text).map(found)
}

/// Exactly as programs write them: a level may well be called "Unknown".
fn is_word_for_nothing(text: &str) -> bool {
    const WORDS: [&str; 16] = [
        "NULL",
        "null",
        "Null",
        "(null)",
        "<null>",
        "NaN",
        "nan",
        "NaT",
        "<NA>",
        "None",
        "nil",
        "N/A",
        "n/a",
        "N.A.",
        "undefined",
        "\\N",
    ];
    WORDS.contains(&text)
}

/// `“Gold”`, `"Gold"`, `="Gold"`, `'Gold`: signs that another program took for quotes, or left there. Not `'90s` or
/// `'t Hof`.
fn is_wrapped(text: &str) -> bool {
    let is_elision = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit() || first.is_ascii_lowercase());
    text.starts_with("=\"")
        || text.len() > 1 && text.starts_with('"') && text.ends_with('"')
        || text.strip_prefix('\'').is_some_and(|rest| !is_elision(rest))
        || text.starts_with(['“', '”', '„', '‘', '’'])
            && text.ends_with(['“', '”', '‘', '’'])
            && text.chars().count() > 1
}

fn odd_character(text: &str) -> Option<Flaw> {
    const EXPECTED: &str = "text without blanks around it, invisible or control characters; mend the export, or list the column in input.verbatim";
    let characters: Vec<char> = text.chars().collect();
    let is_joined = |at: Option<usize>| at.and_then(|at| characters.get(at)).is_some_and(|near| is_joinable(*near));
    let found = characters.iter().enumerate().find(|&(at, &character)| {
        let is_edge = at == 0 || at + 1 == characters.len();
        let joins =
            matches!(character, '\u{200c}' | '\u{200d}') && is_joined(at.checked_sub(1)) && is_joined(Some(at + 1));
        character.is_control() && !matches!(character, '\t' | '\n' | '\r')
            || character.is_whitespace() && is_edge
            || matches!(character, '\u{a0}' | '\u{2007}' | '\u{202f}' | '\u{2028}' | '\u{2029}')
            || is_invisible(character) && !joins
    });
    found.map(|(at, character)| Flaw::new(Rule::TextDamaged, place_of(*character, at), EXPECTED))
}

/// What joiners are part of: emoji, and the scripts from Arabic to Sinhala.
fn is_joinable(character: char) -> bool {
    matches!(character, '\u{600}'..='\u{dff}' | '\u{2190}'..='\u{2bff}' | '\u{fe0f}' | '\u{1f000}'..='\u{1faff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_honest_form_pass() {
        for text in [
            "Gold",
            "金卡",
            "銀卡 Silver",
            "VIP+",
            "Member’s Day",
            "ＶＩＰ會員",
            "一等",
            "Café Größe",
            "👨\u{200d}👩\u{200d}👧",
            "Level 2.0",
            "2",
            "1.5",
            "12.00",
            "no?",
            "真的？",
            "two\nlines",
            "Unknown",
            "-",
            "#1 member",
            "«Privilège»",
            "5% off, “really”",
            "Platinum \"K11\"",
            "'90s Club",
            "'t Hof",
        ] {
            assert_eq!(flaw(text), None, "{text}");
        }
    }

    #[test]
    fn damaged_texts_are_told() {
        for text in [
            "Gold ",
            " Gold",
            "Gold\u{a0}",
            "Gold\u{a0}Card",
            "Go\u{200b}ld",
            "Go\u{200d}ld",
            "普通\u{200d}會員",
            "\u{feff}Gold",
            "Go\u{7}ld",
            "金\u{3000}",
            "“Gold”",
            "\"Gold\"",
            "'Gold",
            "'金卡",
            "=\"Gold\"",
            "??",
            "?",
            "VIP ??",
            "#N/A",
            "NULL",
            "nan",
            "None",
            "1.0",
            "1.2E+05",
            "Go\u{fffd}d",
            "é‡‘å\u{8d}¡",
            "閲戝崱",
            "½ð¿¨",
        ] {
            assert!(flaw(text).is_some(), "{text:?}");
        }
        assert_eq!(decoding(r#"{"label":"閲戝崱"}"#).unwrap().detail, "UTF-8 that was read as GBK");
        assert_eq!(decoding("Gold\u{a0}"), None, "only the decoding is looked at");
    }
}
