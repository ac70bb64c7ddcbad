//! CSV: records out of a window of bytes, cells out of records, and the bytes of both for the failure file.
//!
//! What is wrong with a record is a [`Reject`] of that row; after it reading goes on at the next line. Of lines that a quote may
//! have joined nobody can tell whether they are rows or somebody's text: none of them is taken for a row. (A quote that
//! never closes joins nothing: it costs its own line.) The file as a whole is refused only where nothing could be trusted:
//! no header, a truncated stream, a bomb.

mod charset;
mod header;
mod split;
mod text;
mod trailer;
mod window;

pub use charset::{Charset, UnknownCharset};
pub use split::Field;
pub use trailer::Trailer;

use std::mem::take;

use self::charset::{DoubleByte, Narrow, Units, Wide};
use self::header::{Header, skip_blank};
use self::split::{Line, QuoteFault, Split, joins_rows, line, split};
use self::text::append_field;
use self::window::Window;
use super::cells::CellBuffer;
use super::limits::{RAW_MAX, RECORD_MAX, TAIL_MAX};
use super::stored::Unfolded;
use super::{Cells, Input, InputError, ReadRules, Stamp, TailColumn};
use crate::model::{Reject, Rule};

/// A CSV file being read.
pub struct CsvReader {
    header: Header,
    window: Window,
    null_values: Vec<String>,
    record_max: usize,
    /// Where a failure file has its `_code`, `_message` and `_raw`.
    tail: Option<[usize; 3]>,
    /// The physical line at which the window begins.
    line: u64,
    /// The current record: its bytes in the window, all of them to be consumed before the next.
    record: Extent,
    fields: Vec<Field>,
    cells: CellBuffer,
    reject: Option<Reject>,
    /// The first bytes of a record that was passed over because of its size.
    oversized: Vec<u8>,
    doubt: Doubt,
    rows: u64,
    /// The first field of a trailer.
    trailer_mark: Option<String>,
    trailer: Option<Trailer>,
}

/// The current record in the window.
#[derive(Clone, Copy, Default)]
struct Extent {
    end: usize,
    next: usize,
    lines: u64,
    is_split: bool,
}

/// Lines of which a quote leaves it open whether they are rows.
#[derive(Clone, Copy, Default)]
struct Doubt {
    /// The line of the quote.
    since: u64,
    /// The last line in doubt.
    until: u64,
}

impl Doubt {
    /// A record on `line` may have been joined from so many lines.
    fn reach(&mut self, line: u64, lines: u64) {
        if line > self.until {
            self.since = line;
        }
        self.until = self.until.max(line + lines - 1);
    }
}

/// A record as the file has it, for the failure file.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    /// The bytes of the whole record, without its line end; of an oversized one the first
    /// [`RAW_MAX`].
    pub bytes: &'a [u8],
    /// Its fields; `None` where it could not be split into the header's columns.
    pub fields: Option<&'a [Field]>,
}

impl CsvReader {
    pub(super) fn open(input: &Input, rules: &ReadRules) -> Result<CsvReader, InputError> {
        let mut window = Window::new(Unfolded::open(input)?)?;
        let header = Header::read(&input.name, &mut window, rules)?;
        let column = |column: TailColumn| header.names.iter().position(|name| name == column.name());
        let tail = match (column(TailColumn::Code), column(TailColumn::Message), column(TailColumn::Raw)) {
            (Some(code), Some(message), Some(raw)) => Some([code, message, raw]),
            _ => None,
        };
        Ok(CsvReader {
            line: header.line,
            header,
            window,
            null_values: rules.null_values.clone(),
            record_max: if tail.is_some() { RECORD_MAX + TAIL_MAX } else { RECORD_MAX },
            tail,
            record: Extent::default(),
            fields: Vec::new(),
            cells: CellBuffer::default(),
            reject: None,
            oversized: Vec::new(),
            doubt: Doubt::default(),
            rows: 0,
            trailer_mark: rules.trailer_mark.clone(),
            trailer: None,
        })
    }

    /// The columns' names.
    pub fn header(&self) -> &[String] {
        &self.header.names
    }

    /// The columns' names as bytes of the file.
    pub fn raw_header(&self) -> &[Vec<u8>] {
        &self.header.raw
    }

    /// The encoding, and whether a BOM told it.
    pub fn charset(&self) -> (Charset, bool) {
        (self.header.charset, self.header.bom)
    }

    /// The delimiter.
    pub fn delimiter(&self) -> u8 {
        self.header.delimiter
    }

    /// Moves to the next record; `false` at the end of the file.
    pub(super) fn advance(&mut self) -> Result<bool, InputError> {
        match self.header.charset {
            Charset::Utf8 => self.step::<Narrow>(),
            Charset::Gbk | Charset::Gb18030 | Charset::Big5 => self.step::<DoubleByte>(),
            Charset::Utf16Le => self.step::<Wide<false>>(),
            Charset::Utf16Be => self.step::<Wide<true>>(),
        }
    }

    /// The physical line on which the current record begins.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Whether the file ends with the current record, without a line end and without a closing quote.
    pub(super) fn is_open(&self) -> bool {
        let ends_here = self.window.last() && self.record.end == self.window.bytes().len();
        ends_here && self.record.is_split && !self.fields.last().is_some_and(|field| field.quoted)
    }

    /// The cells of the current record, as far as it has them.
    pub(super) fn cells(&self) -> Cells<'_> {
        self.cells.cells()
    }

    /// What is wrong with the current record.
    pub(super) fn reject(&self) -> Option<&Reject> {
        self.reject.as_ref()
    }

    /// The bytes of the current record.
    pub fn raw(&self) -> RawRecord<'_> {
        let bytes = if self.oversized.is_empty() {
            let bytes = &self.window.bytes()[..self.record.end];
            if self.record.is_split { bytes } else { &bytes[..bytes.len().min(RAW_MAX)] }
        } else {
            &self.oversized
        };
        let columns = self.header.names.len();
        RawRecord { bytes, fields: self.record.is_split.then(|| &self.fields[..columns]) }
    }

    pub(super) fn passed(&self) -> u64 {
        self.window.passed()
    }

    pub(super) fn stamp(&mut self) -> Result<Stamp, InputError> {
        self.window.source().stamp(self.rows)
    }

    fn step<U: Units>(&mut self) -> Result<bool, InputError> {
        while self.step_record::<U>()? {
            if !self.take_trailer::<U>() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn step_record<U: Units>(&mut self) -> Result<bool, InputError> {
        let passed = take(&mut self.record);
        self.window.consume(passed.next);
        self.line += passed.lines;
        self.oversized.clear();
        self.cells.clear();
        self.reject = None;
        self.line += skip_blank::<U>(&mut self.window)?;
        if self.window.bytes().is_empty() {
            return Ok(false);
        }
        self.rows += 1;
        if let Err(reject) = self.take_record::<U>()? {
            self.reject = Some(reject);
        } else {
            self.record.is_split = true;
            self.reject = self.decode::<U>().err();
        }
        Ok(true)
    }

    /// Finds the extent and the fields of the record that the window begins with.
    fn take_record<U: Units>(&mut self) -> Result<Result<(), Reject>, InputError> {
        let (delimiter, width) = (self.header.delimiter, self.header.width);
        loop {
            let (bytes, last) = (self.window.bytes(), self.window.last());
            let is_large = bytes.len() > self.record_max;
            let (fault, lines) = match split::<U>(bytes, delimiter, last, width + 1, &mut self.fields) {
                Split::More if !is_large => {
                    self.window.more()?;
                    continue;
                }
                Split::Whole { end, next, lines, count } if end <= self.record_max => {
                    let joined = lines > 1 && (count != width || joins_rows::<U>(&bytes[..end], delimiter, width));
                    if !joined {
                        self.record = Extent { end, next, lines, is_split: false };
                        if self.line <= self.doubt.until {
                            self.doubt.reach(self.line, lines);
                            return Ok(Err(in_doubt(self.doubt.since)));
                        }
                        return Ok(if count == width { Ok(()) } else { Err(wrong_width(count, width)) });
                    }
                    (joined_rows(lines, count, width), lines)
                }
                Split::Whole { lines: 1, .. } => (oversized(self.record_max), 1),
                // No text is that long: the lines behind the quote are rows.
                Split::Whole { .. } | Split::More => (unclosed(self.record_max), 1),
                Split::Broken(fault, lines) => (broken(fault), lines),
            };
            // The record cannot be trusted beyond its first line, nor can what it may have swallowed.
            self.doubt.reach(self.line, lines);
            return match line::<U>(bytes, last) {
                Line::Whole { end, next } if end <= self.record_max => {
                    self.record = Extent { end, next, lines: 1, is_split: false };
                    Ok(Err(fault))
                }
                Line::Open { .. } if !is_large => {
                    self.window.more()?;
                    continue;
                }
                Line::Whole { .. } | Line::Open { .. } => {
                    self.pass_over_line::<U>()?;
                    Ok(Err(oversized(self.record_max)))
                }
            };
        }
    }

    /// Passes over a line that is larger than any record, and keeps how it begins.
    fn pass_over_line<U: Units>(&mut self) -> Result<(), InputError> {
        let bytes = self.window.bytes();
        self.oversized.extend_from_slice(&bytes[..bytes.len().min(RAW_MAX)]);
        loop {
            match line::<U>(self.window.bytes(), self.window.last()) {
                Line::Whole { next, .. } => {
                    self.record = Extent { end: 0, next, lines: 1, is_split: false };
                    return Ok(());
                }
                Line::Open { seen } => {
                    self.window.consume(seen);
                    self.window.more()?;
                }
            }
        }
    }

    /// Decodes the fields into cells.
    fn decode<U: Units>(&mut self) -> Result<(), Reject> {
        let bytes = &self.window.bytes()[..self.record.end];
        let (columns, trailing) = self.fields.split_at(self.header.names.len());
        if trailing.iter().any(|field| field.start < field.end) {
            self.record.is_split = false;
            return Err(wrong_width(self.header.width, self.header.names.len()));
        }
        let mut first_fault = Ok(());
        for (column, field) in columns.iter().enumerate() {
            let decoded = self.cells.push(&self.null_values, |text| {
                let start = text.len();
                append_field::<U>(bytes, *field, self.header.charset, text).map_err(Bad::Byte)?;
                if text[start..].contains('\0') { Err(Bad::Nul) } else { Ok(()) }
            });
            if let (Err(bad), Ok(())) = (decoded, &first_fault) {
                let offset = self.window.offset();
                first_fault = Err(bad.reject(&self.header.names[column], bytes, offset, self.header.charset));
            }
        }
        if let Err(reject) = first_fault {
            // A character that a delimiter cut in half would swallow the delimiter that we put behind it.
            self.record.is_split = columns.iter().all(|field| ends_whole::<U>(&bytes[field.start..field.end]));
            return Err(reject);
        }
        self.unsplit_before()
    }

    /// A row of a failure file whose record could not be split is no data: it waits for a person.
    fn unsplit_before(&self) -> Result<(), Reject> {
        let cells = self.cells.cells();
        let Some([code, message, raw]) = self.tail else { return Ok(()) };
        if cells.get(raw).is_none() {
            return Ok(());
        }
        let code = cells.get(code).unwrap_or_default();
        let rule = Rule::ALL.iter().copied().find(|rule| code.contains(rule.code()) || code.contains(rule.slug()));
        let found = cells.get(message).unwrap_or("a record that could not be split");
        Err(Reject::new(
            rule.unwrap_or(Rule::RecordQuote),
            TailColumn::Raw.name(),
            found,
            "the record's values in their own columns, and an empty `_raw`",
        ))
    }
}

/// Why a field has no text.
enum Bad {
    Byte(usize),
    Nul,
}

impl Bad {
    fn reject(self, column: &str, bytes: &[u8], offset: u64, charset: Charset) -> Reject {
        match self {
            Bad::Byte(at) => Reject::new(
                Rule::Encoding,
                column,
                &format!("byte {:#04x} at offset {} of the file", bytes[at], offset + at as u64),
                format!("{charset:?}; correct the export, or set input.encoding as the file has it"),
            ),
            Bad::Nul => Reject::new(Rule::NulByte, column, "\0", "text without NUL bytes; correct the export"),
        }
    }
}

fn ends_whole<U: Units>(field: &[u8]) -> bool {
    let mut at = 0;
    while at < field.len() {
        match U::at(field, at, false) {
            Some((_, width)) => at += width,
            None => return false,
        }
    }
    true
}

fn wrong_width(count: usize, width: usize) -> Reject {
    Reject::new(
        Rule::RecordWidth,
        "",
        &format!("{count} fields"),
        format!("{width} fields, as the header has; a delimiter within a value wants quotes around the value"),
    )
}

fn joined_rows(lines: u64, count: usize, width: usize) -> Reject {
    Reject::new(
        Rule::RecordQuote,
        "",
        &format!("a quote that joins {lines} lines into {count} fields"),
        format!("{width} fields; a lone quote wants to be doubled, with quotes around its value"),
    )
}

fn in_doubt(since: u64) -> Reject {
    Reject::new(
        Rule::RecordQuote,
        "",
        &format!("a line that may be text within the quotes of line {since}"),
        format!(
            "quotes that leave no doubt which lines are rows; mend line {since}, and take this one out where it is text"
        ),
    )
}

fn unclosed(record_max: usize) -> Reject {
    Reject::new(
        Rule::RecordQuote,
        "",
        "a quote that does not close",
        format!(
            "a closing quote within {record_max} bytes; a lone quote wants to be doubled, with quotes around its value"
        ),
    )
}

fn oversized(record_max: usize) -> Reject {
    Reject::new(
        Rule::RecordSize,
        "",
        &format!("a line of more than {record_max} bytes"),
        "a record of at most that size; see that the export ends its lines",
    )
}

fn broken(fault: QuoteFault) -> Reject {
    let (found, at) = match fault {
        QuoteFault::TextAfter(at) => ("text after a closing quote", at),
        QuoteFault::Lone(at) => ("a lone quote within a value", at),
        QuoteFault::Unclosed(at) => ("a quote that does not close", at),
    };
    Reject::new(
        Rule::RecordQuote,
        "",
        &format!("{found} (byte {} of the record)", at + 1),
        "a value with quotes around it and each quote within it doubled",
    )
}

#[cfg(test)]
mod tests;
