//! The charsets of marketing-card. A character that a charset lacks is refused: `?` in its place would be signed,
//! sent and shown on the card.

use std::borrow::Cow;

use encoding_rs::GBK;

/// A charset of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8.
    Utf8,
    /// GBK as the vendor's own SDK, which is Java, has it.
    Gbk,
    /// GB2312-80: the part of GBK that has its planes.
    Gb2312,
}

/// A text that a charset cannot write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{character:?} (U+{code:04X}) cannot be written in {charset}", code = u32::from(*character), charset = charset.name())]
pub struct Unencodable {
    /// The first character that it lacks.
    pub character: char,
    /// The charset.
    pub charset: Charset,
}

impl Charset {
    /// Every charset.
    pub const ALL: [Charset; 3] = [Charset::Utf8, Charset::Gbk, Charset::Gb2312];

    /// The word of the wire.
    pub fn name(self) -> &'static str {
        match self {
            Charset::Utf8 => "UTF-8",
            Charset::Gbk => "GBK",
            Charset::Gb2312 => "GB2312",
        }
    }

    /// The charset of a word, whatever its case.
    pub fn parse(name: &str) -> Option<Charset> {
        Charset::ALL.into_iter().find(|charset| charset.name().eq_ignore_ascii_case(name))
    }

    /// The bytes of a text.
    pub fn encode(self, text: &str) -> Result<Cow<'_, [u8]>, Unencodable> {
        if self == Charset::Utf8 || text.is_ascii() {
            return Ok(Cow::Borrowed(text.as_bytes()));
        }
        let mut bytes = Vec::with_capacity(text.len());
        for character in text.chars() {
            match self.encode_char(character) {
                Some(unit) => bytes.extend_from_slice(unit.as_slice()),
                None => return Err(Unencodable { character, charset: self }),
            }
        }
        Ok(Cow::Owned(bytes))
    }

    fn encode_char(self, character: char) -> Option<Unit> {
        if character.is_ascii() {
            return Some(Unit::One([character as u8]));
        }
        if self == Charset::Gb2312
            && let Some((_, pair)) = GB2312_TOO.iter().find(|(other, _)| *other == character)
        {
            return Some(Unit::Two(*pair));
        }
        let mut utf8 = [0; 4];
        let (bytes, _, unmappable) = GBK.encode(character.encode_utf8(&mut utf8));
        let pair = match *bytes {
            [lead, trail] if !unmappable => [lead, trail],
            _ => return None, // one byte is the 0x80 of Windows for the euro sign, which Java's GBK lacks
        };
        let has = match self {
            Charset::Utf8 => false,
            Charset::Gbk => is_gbk(u16::from_be_bytes(pair)),
            Charset::Gb2312 => is_gb2312(pair),
        };
        has.then_some(Unit::Two(pair))
    }

    /// The text of bytes; `None` where they are not of this charset.
    pub fn decode(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        match self {
            Charset::Utf8 => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Charset::Gbk | Charset::Gb2312 => GBK.decode_without_bom_handling_and_without_replacement(bytes),
        }
    }

    /// How many bytes the character has that begins with the first of `bytes`; 0 where there is none. Inside of a
    /// GBK character stand bytes such as 0x5C (`\`) and 0x7B (`{`), which a scan of single bytes would stumble over.
    pub fn char_len(self, bytes: &[u8]) -> usize {
        let len = match (self, bytes) {
            (_, []) => 0,
            (Charset::Utf8, _) | (_, [..0x81 | 0xff, ..]) => 1,
            (_, [_, b'0'..=b'9', ..]) => 4, // GB18030, which the decoder knows
            _ => 2,
        };
        len.min(bytes.len())
    }
}

/// Two signs of GB2312-80 are read in two ways: GBK has the dash as U+2014 and the dot as U+00B7, while the GB2312 of Java
/// and of Python has these. The standard has one cell for either, so whichever a file has, it is what the cell means.
const GB2312_TOO: [(char, [u8; 2]); 2] = [('\u{2015}', [0xa1, 0xaa]), ('\u{30fb}', [0xa1, 0xa4])];

enum Unit {
    One([u8; 1]),
    Two([u8; 2]),
}

impl Unit {
    fn as_slice(&self) -> &[u8] {
        match self {
            Unit::One(byte) => byte,
            Unit::Two(pair) => pair,
        }
    }
}

/// The encoder is GB18030's, whose two-byte part has more than GBK: the user-defined zones, and characters that came
/// later. Java's GBK and Python's both lack them.
fn is_gbk(pair: u16) -> bool {
    let [lead, trail] = pair.to_be_bytes();
    let user_defined = match lead {
        0xaa..=0xaf | 0xf8..=0xfe => trail >= 0xa1,
        0xa1..=0xa7 => trail <= 0xa0,
        _ => false,
    };
    let later = matches!(
        pair,
        0xa2ab..=0xa2b0
            | 0xa2e3..=0xa2e4
            | 0xa2ef..=0xa2f0
            | 0xa2fd..=0xa2fe
            | 0xa4f4..=0xa4fe
            | 0xa5f7..=0xa5fe
            | 0xa6b9..=0xa6c0
            | 0xa6d9..=0xa6df
            | 0xa6ec..=0xa6ed
            | 0xa6f3
            | 0xa6f6..=0xa6fe
            | 0xa7c2..=0xa7d0
            | 0xa7f2..=0xa7fe
            | 0xa896..=0xa8a0
            | 0xa8bc
            | 0xa8bf
            | 0xa8c1..=0xa8c4
            | 0xa8ea..=0xa8fe
            | 0xa958
            | 0xa95b
            | 0xa95d..=0xa95f
            | 0xa989..=0xa995
            | 0xa997..=0xa9a3
            | 0xa9f0..=0xa9fe
            | 0xd7fa..=0xd7fe
            | 0xfe50..=0xfea0
    );
    !user_defined && !later
}

/// The cells of GB2312-80's rows 1 to 9 (signs, letters) and 16 to 87 (hanzi) that it fills.
fn is_gb2312([lead, trail]: [u8; 2]) -> bool {
    match lead {
        0xa1 | 0xa3 | 0xb0..=0xd6 | 0xd8..=0xf7 => (0xa1..=0xfe).contains(&trail),
        0xa2 => matches!(trail, 0xb1..=0xe2 | 0xe5..=0xee | 0xf1..=0xfc),
        0xa4 => matches!(trail, 0xa1..=0xf3),
        0xa5 => matches!(trail, 0xa1..=0xf6),
        0xa6 => matches!(trail, 0xa1..=0xb8 | 0xc1..=0xd8),
        0xa7 => matches!(trail, 0xa1..=0xc1 | 0xd1..=0xf1),
        0xa8 => matches!(trail, 0xa1..=0xba | 0xc5..=0xe9),
        0xa9 => matches!(trail, 0xa4..=0xef),
        0xd7 => matches!(trail, 0xa1..=0xf9),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The characters of the basic plane that a charset has.
    fn repertoire(charset: Charset) -> usize {
        (0x80..=0xffff).filter_map(char::from_u32).filter(|c| charset.encode_char(*c).is_some()).count()
    }

    #[test]
    fn the_charsets_have_as_many_characters_as_their_standards() {
        // GB2312-80: 682 signs and 6,763 hanzi. GBK 1.0: 21,886, less those that Unicode got later (the 95 that Java
        // and Python lack too leave 21,791).
        assert_eq!(repertoire(Charset::Gb2312), 682 + 6_763 + GB2312_TOO.len());
        assert_eq!(repertoire(Charset::Gbk), 21_791);
    }

    #[test]
    fn a_character_that_is_lacking_is_named() {
        assert_eq!(&*Charset::Gb2312.encode("金卡A").unwrap(), b"\xbd\xf0\xbf\xa8A");
        assert_eq!(&*Charset::Gbk.encode("鑽").unwrap(), b"\xe8\x8d");
        for (charset, text, character) in [
            (Charset::Gb2312, "金鑽", '鑽'),
            (Charset::Gb2312, "①ⅰ", 'ⅰ'),
            (Charset::Gbk, "金€", '€'),
            (Charset::Gbk, "😀", '😀'),
            (Charset::Gbk, "\u{e000}", '\u{e000}'),
            (Charset::Gbk, "ǹ", 'ǹ'),
        ] {
            assert_eq!(charset.encode(text), Err(Unencodable { character, charset }), "{text}");
        }
        for text in ["金—卡·A", "金\u{2015}卡\u{30fb}A"] {
            assert_eq!(&*Charset::Gb2312.encode(text).unwrap(), b"\xbd\xf0\xa1\xaa\xbf\xa8\xa1\xa4A", "{text}");
        }
        assert_eq!(&*Charset::Gbk.encode("\u{2015}").unwrap(), b"\xa8\x44", "GBK has both dashes");
        assert!(Charset::Gbk.encode("\u{30fb}").is_err(), "and one dot");
        let fault = Charset::Gb2312.encode("鑽").unwrap_err().to_string();
        assert_eq!(fault, "'鑽' (U+947D) cannot be written in GB2312");
    }

    #[test]
    fn a_scan_steps_over_whole_characters() {
        // 刓 ends in a backslash, 寋 in a brace.
        for text in ["刓", "寋"] {
            let bytes = Charset::Gbk.encode(text).unwrap();
            assert!(matches!(bytes[1], b'\\' | b'{' | b'}'), "{text}: {bytes:x?}");
            assert_eq!((Charset::Gbk.char_len(&bytes), Charset::Gbk.char_len(&bytes[..1])), (2, 1));
        }
        assert_eq!((Charset::Gbk.char_len(b"\x81\x30\x81\x30"), Charset::Utf8.char_len(b"a")), (4, 1));
        assert_eq!((Charset::Gbk.char_len(b""), Charset::Gbk.decode(b"\xbd")), (0, None));
    }

    proptest! {
        #[test]
        fn decodes_what_it_encodes(text in "[\\u{4e00}-\\u{9fa5}a-z\\\\{}]*") {
            for charset in Charset::ALL {
                if let Ok(bytes) = charset.encode(&text) {
                    prop_assert_eq!(charset.decode(&bytes).unwrap(), text.as_str());
                    let (mut at, mut steps) = (0, 0);
                    while at < bytes.len() {
                        at += charset.char_len(&bytes[at..]);
                        steps += 1;
                    }
                    prop_assert!(charset == Charset::Utf8 || steps == text.chars().count());
                }
            }
        }
    }
}
