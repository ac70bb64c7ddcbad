//! Encodings: how bytes form characters, for splitting; and bytes to text, exactly or not at all.

use encoding_rs::{BIG5, DecoderResult, Encoding, GB18030, GBK, UTF_8, UTF_16BE, UTF_16LE};

/// An encoding of CSV files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8.
    Utf8,
    /// GBK, and GB2312 in it.
    Gbk,
    /// GB18030.
    Gb18030,
    /// Big5.
    Big5,
    /// UTF-16, little-endian; only by its BOM.
    Utf16Le,
    /// UTF-16, big-endian; only by its BOM.
    Utf16Be,
}

/// An encoding that this program does not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("input.encoding: {0:?} is not known; expected utf-8, gbk, gb18030 or big5 (UTF-16 is told by its BOM)")]
pub struct UnknownCharset(pub String);

impl Charset {
    /// The encoding that the job file names.
    pub fn named(label: &str) -> Result<Charset, UnknownCharset> {
        let encoding = Encoding::for_label(label.as_bytes());
        [Charset::Utf8, Charset::Gbk, Charset::Gb18030, Charset::Big5]
            .into_iter()
            .find(|charset| encoding == Some(charset.encoding()))
            .ok_or_else(|| UnknownCharset(label.to_owned()))
    }

    /// The encoding that a file's BOM tells.
    pub fn by_bom(bytes: &[u8]) -> Option<Charset> {
        [Charset::Utf8, Charset::Utf16Le, Charset::Utf16Be].into_iter().find(|charset| bytes.starts_with(charset.bom()))
    }

    /// The BOM of an encoding that has one.
    pub fn bom(self) -> &'static [u8] {
        match self {
            Charset::Utf8 => b"\xef\xbb\xbf",
            Charset::Utf16Le => b"\xff\xfe",
            Charset::Utf16Be => b"\xfe\xff",
            Charset::Gbk | Charset::Gb18030 | Charset::Big5 => b"",
        }
    }

    fn encoding(self) -> &'static Encoding {
        match self {
            Charset::Utf8 => UTF_8,
            Charset::Gbk => GBK,
            Charset::Gb18030 => GB18030,
            Charset::Big5 => BIG5,
            Charset::Utf16Le => UTF_16LE,
            Charset::Utf16Be => UTF_16BE,
        }
    }

    /// Appends `bytes` as text. On an undecodable byte nothing is appended and its index is told: a replacement
    /// character would be a guess.
    pub fn append(self, bytes: &[u8], text: &mut String) -> Result<(), usize> {
        if self == Charset::Utf8 {
            let decoded = std::str::from_utf8(bytes).map_err(|error| error.valid_up_to())?;
            text.push_str(decoded);
            return Ok(());
        }
        match self.encoding().decode_without_bom_handling_and_without_replacement(bytes) {
            Some(decoded) => {
                text.push_str(&decoded);
                Ok(())
            }
            None => Err(self.first_bad(bytes)),
        }
    }

    fn first_bad(self, bytes: &[u8]) -> usize {
        let mut decoder = self.encoding().new_decoder_without_bom_handling();
        let room = decoder.max_utf8_buffer_length_without_replacement(bytes.len()).unwrap_or(0);
        let (result, read, _) = decoder.decode_to_utf8_without_replacement(bytes, &mut vec![0; room], true);
        match result {
            DecoderResult::Malformed(length, after) => read.saturating_sub(usize::from(length) + usize::from(after)),
            DecoderResult::InputEmpty | DecoderResult::OutputFull => 0,
        }
    }

    /// Text in this encoding. A character that it does not have becomes a numeric reference (`&#128512;`): only our
    /// own columns pass here, the input's are kept as bytes.
    pub fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Charset::Utf16Le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Charset::Utf16Be => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            _ => self.encoding().encode(text).0.into_owned(),
        }
    }
}

/// How the bytes of an encoding form units, as far as a splitter must know.
pub(super) trait Units {
    /// The unit that begins at `at`: the ASCII byte it stands for, or [`OTHER`], and its length in bytes. `None`
    /// where `bytes` end before or within it; `last` means that no more will follow.
    fn at(bytes: &[u8], at: usize, last: bool) -> Option<(u8, usize)>;
}

/// A unit that is not ASCII.
pub(super) const OTHER: u8 = 0x80;

/// UTF-8: no part of a longer character looks like ASCII.
pub(super) struct Narrow;

/// GBK, GB18030, Big5: the second byte of a character may look like ASCII (`|` is one of those).
pub(super) struct DoubleByte;

/// UTF-16.
pub(super) struct Wide<const BIG_ENDIAN: bool>;

impl Units for Narrow {
    #[inline]
    fn at(bytes: &[u8], at: usize, _: bool) -> Option<(u8, usize)> {
        bytes.get(at).map(|byte| (*byte, 1))
    }
}

impl Units for DoubleByte {
    #[inline]
    fn at(bytes: &[u8], at: usize, last: bool) -> Option<(u8, usize)> {
        let byte = *bytes.get(at)?;
        if !(0x81..=0xfe).contains(&byte) {
            return Some((byte.min(OTHER), 1));
        }
        match bytes.get(at + 1) {
            Some(0x40..=0x7e | 0x80..=0xfe) => Some((OTHER, 2)),
            None if !last => None,
            _ => Some((OTHER, 1)),
        }
    }
}

impl<const BIG_ENDIAN: bool> Units for Wide<BIG_ENDIAN> {
    #[inline]
    fn at(bytes: &[u8], at: usize, last: bool) -> Option<(u8, usize)> {
        let Some(pair) = bytes.get(at..at + 2) else {
            return (last && at < bytes.len()).then_some((OTHER, 1));
        };
        let unit =
            if BIG_ENDIAN { u16::from_be_bytes([pair[0], pair[1]]) } else { u16::from_le_bytes([pair[0], pair[1]]) };
        Some((u8::try_from(unit).unwrap_or(OTHER).min(OTHER), 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_text_exactly_or_not_at_all() {
        let mut text = String::new();
        for (charset, bytes) in [
            (Charset::Utf8, "金卡".as_bytes()),
            (Charset::Gbk, b"\xbd\xf0\xbf\xa8"),
            (Charset::Gb18030, b"\xbd\xf0\xbf\xa8"),
            (Charset::Big5, b"\xaa\xf7\xa5\x64"),
            (Charset::Utf16Le, b"\xd1\x91\x61\x53"),
            (Charset::Utf16Be, b"\x91\xd1\x53\x61"),
        ] {
            text.clear();
            charset.append(bytes, &mut text).unwrap();
            assert_eq!(text, "金卡", "{charset:?}");
            assert_eq!(charset.encode("金卡"), bytes, "{charset:?}");
        }
        assert_eq!(Charset::Utf8.append(b"ab\xffc", &mut text), Err(2));
        assert_eq!(Charset::Gbk.append(b"ab\xff", &mut text), Err(2));
        assert_eq!(Charset::Big5.append(b"\xaa\xf7\x81\x20", &mut text), Err(2));
        assert_eq!(Charset::Utf16Le.append(b"a\0\0\xd8b\0", &mut text), Err(2));
        assert_eq!(text, "金卡", "nothing was appended");
    }

    #[test]
    fn labels_are_those_of_the_job_file() {
        assert_eq!(Charset::named("UTF-8"), Ok(Charset::Utf8));
        assert_eq!(Charset::named("gb2312"), Ok(Charset::Gbk));
        assert!(Charset::named("utf-16le").is_err() && Charset::named("latin1").is_err());
    }

    #[test]
    fn a_second_byte_that_looks_like_a_delimiter_is_none() {
        // U+4E85 is 0x81 0x7C in GBK.
        assert_eq!(DoubleByte::at(b"\x81|", 0, false), Some((OTHER, 2)));
        assert_eq!(DoubleByte::at(b"\x81", 0, false), None);
        assert_eq!(DoubleByte::at(b"\x81", 0, true), Some((OTHER, 1)));
        assert_eq!(DoubleByte::at(b"\x81\n", 0, false), Some((OTHER, 1)));
        assert_eq!(Wide::<false>::at(b"|\0", 0, false), Some((b'|', 2)));
        assert_eq!(Wide::<true>::at(b"\0", 0, true), Some((OTHER, 1)));
    }
}
