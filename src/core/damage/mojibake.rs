//! Text that was decoded as what it is not, and encoded again: every byte is still there, and every character wrong.
//!
//! It shows where the characters, put back into the wrong encoding, are bytes that another encoding reads as Chinese.
//! Honest text does that by accident too seldom to matter; a pair of accented letters or two rare hanzi do not suffice.

use encoding_rs::{BIG5, Encoding, GBK};

/// What the text was, and what it was taken for.
pub(super) fn decoded_from(text: &str) -> Option<&'static str> {
    if text.is_ascii() {
        return None;
    }
    let has = |is_sign: &dyn Fn(&str) -> bool, is_part: &dyn Fn(char) -> bool| {
        text.split(|character| !is_part(character)).any(|run| !run.is_empty() && is_sign(run))
    };
    let is_latin = |character: char| latin_byte(character).is_some_and(|byte| byte >= 0x80);
    if has(&is_utf8_as_latin, &is_latin) {
        return Some("UTF-8 that was read as Latin-1");
    }
    if has(&is_chinese_as_latin, &|character| ('\u{a1}'..='\u{ff}').contains(&character)) {
        return Some("GBK or Big5 that was read as Latin-1");
    }
    let is_wide = |character: char| !character.is_ascii();
    if has(&|run| is_utf8_as(run, GBK), &is_wide) {
        return Some("UTF-8 that was read as GBK");
    }
    has(&|run| is_utf8_as(run, BIG5), &is_wide).then_some("UTF-8 that was read as Big5")
}

/// The byte that Windows-1252 has for a character; Latin-1's where it has none.
fn latin_byte(character: char) -> Option<u8> {
    if let Ok(byte) = u8::try_from(u32::from(character)) {
        return Some(byte);
    }
    // Windows-1252, 0x80 to 0x9F.
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    HIGH.iter().position(|known| *known == character).map(|at| 0x80 + at as u8)
}

/// A run of Latin characters of which three are one character of UTF-8 (`é‡‘`), or two are an accented letter that
/// was encoded twice (`Ã©`).
fn is_utf8_as_latin(run: &str) -> bool {
    let bytes: Vec<u8> = run.chars().filter_map(latin_byte).collect();
    let is_inner = |byte: u8| (0x80..0xc0).contains(&byte);
    bytes.windows(3).any(|three| {
        (0xe2..=0xef).contains(&three[0])
            && is_inner(three[1])
            && is_inner(three[2])
            && std::str::from_utf8(three).is_ok()
    }) || bytes.windows(2).any(|two| matches!(two[0], 0xc2 | 0xc3) && is_inner(two[1]))
}

/// A run of Latin letters and signs that no language writes in a row (`½ð¿¨`).
fn is_chinese_as_latin(run: &str) -> bool {
    let is_sign = |character: char| character < '\u{c0}' || matches!(character, '×' | '÷');
    let counts = |character: &char| !matches!(character, '«' | '»' | '°' | '·' | '¡' | '¿' | '®' | '©');
    let (length, signs) = (run.chars().count(), run.chars().filter(counts).filter(|c| is_sign(*c)).count());
    length >= 4 || length >= 2 && signs >= 1
}

/// A run of hanzi whose bytes in `wrong` are UTF-8 of Chinese text, the last character maybe cut.
fn is_utf8_as(run: &str, wrong: &'static Encoding) -> bool {
    let (bytes, _, is_lossy) = wrong.encode(run);
    if is_lossy {
        return false;
    }
    let whole = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() && is_chinese_lead(bytes[error.valid_up_to()]) => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !whole.is_empty() && whole.chars().all(|c| matches!(c, '\u{3000}'..='\u{9fff}' | '\u{ff00}'..='\u{ffef}'))
}

/// The first byte of a Chinese character in UTF-8.
fn is_chinese_lead(byte: u8) -> bool {
    (0xe3..=0xe9).contains(&byte) || byte == 0xef
}

#[cfg(test)]
mod tests {
    use encoding_rs::WINDOWS_1252;

    use super::*;

    const TEXTS: [&str; 8] = ["金卡", "銀卡", "会员", "鑽石卡", "普通會員", "白金", "黄金卡会员", "積分獎賞"];

    #[test]
    fn every_wrong_decoding_is_recognised() {
        for text in TEXTS {
            let (latin, _) = WINDOWS_1252.decode_without_bom_handling(text.as_bytes());
            assert_eq!(decoded_from(&latin), Some("UTF-8 that was read as Latin-1"), "{text}: {latin}");
            let twice: String = text.bytes().map(char::from).collect();
            assert_eq!(decoded_from(&twice), Some("UTF-8 that was read as Latin-1"), "{text}: {twice}");
            for encoding in [GBK, BIG5] {
                let (bytes, _, is_lossy) = encoding.encode(text);
                if !is_lossy {
                    let latin: String = bytes.iter().map(|byte| char::from(*byte)).collect();
                    assert_eq!(decoded_from(&latin), Some("GBK or Big5 that was read as Latin-1"), "{text}: {latin}");
                }
                // An odd number of bytes leaves one over, which the delimiter behind it makes undecodable.
                let even = &text.as_bytes()[..text.len() / 2 * 2];
                if let Some(wrong) = encoding.decode_without_bom_handling_and_without_replacement(even) {
                    assert!(decoded_from(&wrong).is_some(), "{text}: {wrong}");
                }
            }
        }
        assert_eq!(decoded_from("CafÃ©"), Some("UTF-8 that was read as Latin-1"));
    }

    #[test]
    fn honest_text_is_left_alone() {
        for text in TEXTS.into_iter().chain([
            "Café",
            "Größe",
            "créée",
            "naïveté",
            "¡Olé!",
            "25°",
            "€5",
            "«doré»",
            "璐璐",
            "婷婷",
            "Ærøskøbing",
            "Þórður",
            "中環 Central",
            "旺角",
            "Łódź",
            "カード",
            "골드",
        ]) {
            assert_eq!(decoded_from(text), None, "{text}");
        }
    }
}
