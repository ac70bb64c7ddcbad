//! The first record of a CSV file: encoding, delimiter, column names.

use super::super::limits::{COLUMNS_MAX, RECORD_MAX};
use super::super::{InputError, ReadRules};
use super::charset::{Charset, DoubleByte, Narrow, Units, Wide};
use super::split::{Field, Line, Split, after_line_end, line, split};
use super::text::append_field;
use super::window::Window;

/// What the first record tells.
pub(super) struct Header {
    pub charset: Charset,
    pub bom: bool,
    pub delimiter: u8,
    /// The columns' names, without the blank one behind a trailing delimiter.
    pub names: Vec<String>,
    /// The names' bytes as they stand.
    pub raw: Vec<Vec<u8>>,
    /// The fields of every record.
    pub width: usize,
    /// The physical line on which the next record may begin.
    pub line: u64,
}

const DELIMITERS: [u8; 4] = *b",;\t|";

impl Header {
    /// Reads the header and moves the window behind it.
    pub fn read(name: &str, window: &mut Window, rules: &ReadRules) -> Result<Header, InputError> {
        let by_bom = Charset::by_bom(window.bytes());
        let charset = by_bom.unwrap_or(rules.charset);
        window.consume(by_bom.map_or(0, |charset| charset.bom().len()));
        let (delimiter, names, raw, line) = match charset {
            Charset::Utf8 => read::<Narrow>(name, window, charset, rules.delimiter),
            Charset::Gbk | Charset::Gb18030 | Charset::Big5 => {
                read::<DoubleByte>(name, window, charset, rules.delimiter)
            }
            Charset::Utf16Le => read::<Wide<false>>(name, window, charset, rules.delimiter),
            Charset::Utf16Be => read::<Wide<true>>(name, window, charset, rules.delimiter),
        }?;
        let mut header = Header { charset, bom: by_bom.is_some(), delimiter, width: names.len(), names, raw, line };
        if header.width > 1 && header.names.last().is_some_and(String::is_empty) {
            header.names.pop();
            header.raw.pop();
        }
        Ok(header)
    }
}

type Parts = (u8, Vec<String>, Vec<Vec<u8>>, u64);

fn read<U: Units>(
    name: &str,
    window: &mut Window,
    charset: Charset,
    delimiter: Option<u8>,
) -> Result<Parts, InputError> {
    let mut lines = 1 + skip_blank::<U>(window)?;
    let mut fields = Vec::new();
    let (delimiter, next, found) = loop {
        let (bytes, last) = (window.bytes(), window.last());
        if bytes.is_empty() && last {
            return Err(InputError::refused(
                name,
                "the file has no header: it is empty",
                "export it again, with a header",
            ));
        }
        let chosen = match (delimiter, line::<U>(bytes, last)) {
            (Some(delimiter), _) => Some(delimiter),
            (None, Line::Whole { end, .. }) => Some(detect::<U>(name, &bytes[..end])?),
            (None, Line::Open { .. }) => None,
        };
        let scanned = chosen.map(|chosen| (chosen, split::<U>(bytes, chosen, last, COLUMNS_MAX + 1, &mut fields)));
        match scanned {
            Some((chosen, Split::Whole { next, lines, .. })) => break (chosen, next, lines),
            Some((_, Split::Broken(..))) => {
                return Err(InputError::refused_at(
                    name,
                    "the header",
                    "a quote out of place",
                    "quotes stand around a whole name, or not at all",
                ));
            }
            _ if bytes.len() > RECORD_MAX => {
                return Err(InputError::refused_at(
                    name,
                    "the header",
                    format!("more than {RECORD_MAX} bytes"),
                    "the first line names the columns: see that this is a CSV file and that its quotes close",
                ));
            }
            _ => window.more()?,
        }
    };
    lines += found;
    if fields.len() > COLUMNS_MAX {
        return Err(InputError::refused_at(
            name,
            "the header",
            format!("more than {COLUMNS_MAX} columns"),
            "see that this is a CSV file",
        ));
    }
    let bytes = window.bytes();
    let names = fields.iter().map(|field| column_name::<U>(name, bytes, *field, charset)).collect::<Result<_, _>>()?;
    let raw = fields.iter().map(|field| bytes[field.start..field.end].to_vec()).collect();
    window.consume(next);
    Ok((delimiter, names, raw, lines))
}

/// Passes over empty lines; how many there were.
pub(super) fn skip_blank<U: Units>(window: &mut Window) -> Result<u64, InputError> {
    let mut lines = 0;
    loop {
        match U::at(window.bytes(), 0, window.last()) {
            Some((b'\n' | b'\r', _)) => match after_line_end::<U>(window.bytes(), 0, window.last()) {
                Some(next) => {
                    window.consume(next);
                    lines += 1;
                }
                None => window.more()?,
            },
            None if !window.last() => window.more()?,
            _ => return Ok(lines),
        }
    }
}

/// The delimiter that stands most often between the quotes of the header; two that stand equally often are for a
/// person to tell apart. A header of one column may as well be split by commas.
fn detect<U: Units>(name: &str, header: &[u8]) -> Result<u8, InputError> {
    let mut counts = DELIMITERS.map(|delimiter| (0_usize, delimiter));
    let (mut at, mut in_quotes) = (0, false);
    while let Some((byte, width)) = U::at(header, at, true) {
        at += width;
        in_quotes ^= byte == b'"';
        if let Some((count, _)) = counts.iter_mut().find(|(_, delimiter)| *delimiter == byte && !in_quotes) {
            *count += 1;
        }
    }
    counts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    match counts {
        [(0, _), ..] => Ok(b','),
        [(most, first), (second, other), ..] if most == second => Err(InputError::refused_at(
            name,
            "the header",
            format!("{:?} and {:?} stand equally often ({most})", first as char, other as char),
            "set input.delimiter",
        )),
        [(_, delimiter), ..] => Ok(delimiter),
    }
}

fn column_name<U: Units>(name: &str, bytes: &[u8], field: Field, charset: Charset) -> Result<String, InputError> {
    let mut text = String::new();
    let fault = match append_field::<U>(bytes, field, charset, &mut text) {
        Ok(()) if !text.contains('\0') => return Ok(text),
        Ok(()) => "a NUL byte".to_owned(),
        Err(bad) => format!("the byte {:#04x} cannot be decoded", bytes[bad]),
    };
    let remedy = "set input.encoding as the file has it (UTF-16 wants a BOM), and see that this is a CSV file";
    Err(InputError::refused_at(name, "the header", fault, remedy))
}
