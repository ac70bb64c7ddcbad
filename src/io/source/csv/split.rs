//! One record out of a window of bytes: RFC 4180 and what else exists, without IO and without copies.
//!
//! A quote that breaks the rule is told at once, so that it costs the lines that it may have joined and not the file. Scanning
//! again from the next line keeps the whole linear: inside a quoted field only doubled quotes pass, so no line within a
//! broken record opens a quote of its own that stays open.

use super::charset::Units;

/// Where a field stands in its record's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its first byte, a quote included.
    pub start: usize,
    /// After its last byte, a quote included.
    pub end: usize,
    /// Whether it stands in quotes.
    pub quoted: bool,
    /// Whether it has doubled quotes inside.
    pub doubled: bool,
}

/// What a window begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Split {
    /// A record of `count` fields on `lines` physical lines; it ends at `end`, the next begins at `next`.
    Whole { end: usize, next: usize, lines: u64, count: usize },
    /// A record that broke the rule of quotes, on the last of so many physical lines.
    Broken(QuoteFault, u64),
    /// The window ends within the record.
    More,
}

/// How a record broke the rule of quotes, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QuoteFault {
    /// Text after a closing quote.
    TextAfter(usize),
    /// A field that does not begin with a quote has an odd number of them. Pairs are let pass: minutes and
    /// seconds, JSON.
    Lone(usize),
    /// A quote that never closes.
    Unclosed(usize),
}

/// What ended a field.
enum Stop {
    Delimiter { next: usize },
    Line { next: usize },
    End,
}

/// Splits the record that `bytes` begin with. At most `keep` fields are put into `fields`; all are counted.
/// `last`: nothing follows `bytes`.
pub(super) fn split<U: Units>(bytes: &[u8], delimiter: u8, last: bool, keep: usize, fields: &mut Vec<Field>) -> Split {
    fields.clear();
    let (mut at, mut lines, mut count) = (0, 1, 0);
    loop {
        let scanned = match U::at(bytes, at, last) {
            Some((b'"', width)) => quoted::<U>(bytes, at, width, delimiter, last, &mut lines),
            _ => plain::<U>(bytes, at, delimiter, last, lines),
        };
        let (field, stop) = match scanned {
            Ok(scanned) => scanned,
            Err(split) => return split,
        };
        count += 1;
        if fields.len() < keep {
            fields.push(field);
        }
        match stop {
            Stop::Delimiter { next } => at = next,
            Stop::Line { next } => return Split::Whole { end: field.end, next, lines, count },
            Stop::End => return Split::Whole { end: field.end, next: field.end, lines, count },
        }
    }
}

fn plain<U: Units>(bytes: &[u8], start: usize, delimiter: u8, last: bool, lines: u64) -> Result<(Field, Stop), Split> {
    let (mut at, mut quotes, mut first_quote) = (start, 0, start);
    let stop = loop {
        match U::at(bytes, at, last) {
            None if last => break Stop::End,
            None => return Err(Split::More),
            Some((byte, width)) if byte == delimiter => break Stop::Delimiter { next: at + width },
            Some((b'\n' | b'\r', _)) => {
                break Stop::Line { next: after_line_end::<U>(bytes, at, last).ok_or(Split::More)? };
            }
            Some((b'"', width)) => {
                if quotes == 0 {
                    first_quote = at;
                }
                quotes += 1;
                at += width;
            }
            Some((_, width)) => at += width,
        }
    };
    if quotes % 2 == 1 {
        return Err(Split::Broken(QuoteFault::Lone(first_quote), lines));
    }
    Ok((Field { start, end: at, quoted: false, doubled: false }, stop))
}

fn quoted<U: Units>(
    bytes: &[u8],
    start: usize,
    quote: usize,
    delimiter: u8,
    last: bool,
    lines: &mut u64,
) -> Result<(Field, Stop), Split> {
    let mut at = start + quote;
    let mut doubled = false;
    let opened_on = *lines;
    loop {
        match U::at(bytes, at, last) {
            None if last => return Err(Split::Broken(QuoteFault::Unclosed(start), opened_on)),
            None => return Err(Split::More),
            Some((b'"', width)) => {
                let after = at + width;
                let stop = match U::at(bytes, after, last) {
                    Some((b'"', width)) => {
                        doubled = true;
                        at = after + width;
                        continue;
                    }
                    None if last => Stop::End,
                    None => return Err(Split::More),
                    Some((byte, width)) if byte == delimiter => Stop::Delimiter { next: after + width },
                    Some((b'\n' | b'\r', _)) => {
                        Stop::Line { next: after_line_end::<U>(bytes, after, last).ok_or(Split::More)? }
                    }
                    Some(_) => return Err(Split::Broken(QuoteFault::TextAfter(after), *lines)),
                };
                return Ok((Field { start, end: after, quoted: true, doubled }, stop));
            }
            Some((b'\n' | b'\r', _)) => {
                *lines += 1;
                at = after_line_end::<U>(bytes, at, last).ok_or(Split::More)?;
            }
            Some((_, width)) => at += width,
        }
    }
}

/// Behind the line end (LF, CRLF, CR) at `at`; `None` where a CR is the last byte so far.
pub(super) fn after_line_end<U: Units>(bytes: &[u8], at: usize, last: bool) -> Option<usize> {
    match U::at(bytes, at, last)? {
        (b'\r', width) => match U::at(bytes, at + width, last) {
            Some((b'\n', more)) => Some(at + width + more),
            None if !last => None,
            _ => Some(at + width),
        },
        (_, width) => Some(at + width),
    }
}

/// The physical line that a window begins with, whatever its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It ends at `end`; the next begins at `next`.
    Whole { end: usize, next: usize },
    /// It goes on: `seen` bytes have no line end.
    Open { seen: usize },
}

/// The first physical line of `bytes`.
pub(super) fn line<U: Units>(bytes: &[u8], last: bool) -> Line {
    let mut at = 0;
    loop {
        match U::at(bytes, at, last) {
            Some((b'\n' | b'\r', _)) => {
                return match after_line_end::<U>(bytes, at, last) {
                    Some(next) => Line::Whole { end: at, next },
                    None => Line::Open { seen: at },
                };
            }
            Some((_, width)) => at += width,
            None if last => return Line::Whole { end: at, next: at },
            None => return Line::Open { seen: at },
        }
    }
}

/// Whether every physical line of a record would be a record of `width` fields by itself: then a lone quote may have joined
/// them. A text whose lines have as many delimiters by accident costs its row; of one column, every text would.
pub(super) fn joins_rows<U: Units>(record: &[u8], delimiter: u8, width: usize) -> bool {
    let (mut at, mut fields) = (0, 1);
    while let Some((byte, length)) = U::at(record, at, true) {
        at += length;
        if byte == delimiter {
            fields += 1;
        } else if matches!(byte, b'\n' | b'\r') {
            if fields != width {
                return false;
            }
            at = after_line_end::<U>(record, at - length, true).unwrap_or(at);
            fields = 1;
        }
    }
    width >= 2 && fields == width
}

#[cfg(test)]
mod tests {
    use super::super::charset::{DoubleByte, Narrow, Wide};
    use super::*;

    fn texts(bytes: &[u8], last: bool) -> (Split, Vec<String>) {
        let mut fields = Vec::new();
        let split = split::<Narrow>(bytes, b',', last, 99, &mut fields);
        let texts = fields.iter().map(|f| String::from_utf8_lossy(&bytes[f.start..f.end]).into_owned()).collect();
        (split, texts)
    }

    #[test]
    fn line_ends_of_every_kind_end_a_record() {
        for (end, next) in [("\n", 4), ("\r\n", 5), ("\rx", 4), ("\r\r\n", 4)] {
            let (split, fields) = texts(format!("1,2{end}").as_bytes(), false);
            assert_eq!(split, Split::Whole { end: 3, next, lines: 1, count: 2 }, "{end:?}");
            assert_eq!(fields, ["1", "2"]);
        }
        assert_eq!(texts(b"1,2\r", false).0, Split::More, "a LF may follow");
        assert_eq!(texts(b"1,2", false).0, Split::More);
        assert_eq!(texts(b"1,2", true).0, Split::Whole { end: 3, next: 3, lines: 1, count: 2 });
        assert_eq!(texts(b"1,", true).0, Split::Whole { end: 2, next: 2, lines: 1, count: 2 });
    }

    #[test]
    fn quoted_fields_hold_delimiters_lines_and_doubled_quotes() {
        let (split, fields) = texts(b"\"a,\"\"b\"\"\r\nc\rd\n\",2\n3", false);
        assert_eq!(split, Split::Whole { end: 17, next: 18, lines: 4, count: 2 });
        assert_eq!(fields, ["\"a,\"\"b\"\"\r\nc\rd\n\"", "2"]);
    }

    #[test]
    fn quotes_out_of_place_are_told_with_their_byte() {
        for (text, fault, lines) in [
            (&b"1,\"a\"b,2\n"[..], QuoteFault::TextAfter(5), 1),
            (b"1,\"a\" ,2\n", QuoteFault::TextAfter(5), 1),
            (b"1,\"a\n\" ,2\n", QuoteFault::TextAfter(6), 2),
            (b"1,a\"b,2\n", QuoteFault::Lone(3), 1),
            (b"1,\"a\n2,b\n", QuoteFault::Unclosed(2), 1),
        ] {
            assert_eq!(texts(text, true).0, Split::Broken(fault, lines), "{}", String::from_utf8_lossy(text));
        }
        assert!(matches!(texts(b"5'6\"N 7'8\"E,2\n", true).0, Split::Whole { count: 2, .. }), "pairs pass");
    }

    #[test]
    fn rows_that_a_quote_joined_are_recognised() {
        assert!(joins_rows::<Narrow>(b"1,\"a,2\n3,b\",4", b',', 3));
        assert!(!joins_rows::<Narrow>(b"1,\"a\nb\",4", b',', 3));
        assert!(joins_rows::<Narrow>(b"1,\"a\n2,b\"", b',', 2));
        assert!(!joins_rows::<Narrow>(b"\"a\nb\"", b',', 1));
    }

    #[test]
    fn characters_of_two_bytes_are_not_split() {
        let mut fields = Vec::new();
        let whole = split::<DoubleByte>(b"\x81||x\n", b'|', false, 9, &mut fields);
        assert_eq!(whole, Split::Whole { end: 4, next: 5, lines: 1, count: 2 });
        assert_eq!((fields[0].start, fields[0].end), (0, 2));
        let wide: Vec<u8> = "a,\"b\r\n\"\r\nc".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let whole = split::<Wide<false>>(&wide, b',', true, 9, &mut fields);
        assert_eq!(whole, Split::Whole { end: 14, next: 18, lines: 2, count: 2 });
    }
}
