//! The trailer: a record behind the rows that says what the rows add up to. It is no row, and has a width of its own.

use super::CsvReader;
use super::charset::Units;
use super::split::{Split, split};
use super::text::append_field;

/// Fields of a trailer that are kept; exports have three to ten.
const FIELDS_MAX: usize = 64;

/// A trailer that was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// The physical line on which it begins.
    pub line: u64,
    /// Its fields as text; empty where one of them cannot be decoded.
    pub fields: Vec<String>,
    /// Rows that the file had before it.
    pub rows_before: u64,
    /// How many there are so far, this one included: a whole file has one.
    pub count: u64,
}

impl CsvReader {
    /// The last trailer met so far.
    pub fn trailer(&self) -> Option<&Trailer> {
        self.trailer.as_ref()
    }

    /// Takes the current record out of the rows, if it is a trailer.
    pub(super) fn take_trailer<U: Units>(&mut self) -> bool {
        if !self.begins_with_mark::<U>() {
            return false;
        }
        self.rows -= 1;
        self.trailer = Some(Trailer {
            line: self.line,
            fields: self.all_fields::<U>().unwrap_or_default(),
            rows_before: self.rows,
            count: self.trailer.as_ref().map_or(1, |trailer| trailer.count + 1),
        });
        true
    }

    fn begins_with_mark<U: Units>(&self) -> bool {
        let (Some(mark), Some(first)) = (&self.trailer_mark, self.fields.first()) else { return false };
        let bytes = &self.window.bytes()[..self.record.end];
        let mut text = String::new();
        first.end <= bytes.len()
            && append_field::<U>(bytes, *first, self.header.charset, &mut text).is_ok()
            && text.trim() == mark
    }

    fn all_fields<U: Units>(&self) -> Option<Vec<String>> {
        let bytes = &self.window.bytes()[..self.record.end];
        let mut fields = Vec::new();
        let Split::Whole { .. } = split::<U>(bytes, self.header.delimiter, true, FIELDS_MAX, &mut fields) else {
            return None;
        };
        let text = |field| {
            let mut text = String::new();
            append_field::<U>(bytes, field, self.header.charset, &mut text).ok().map(|()| text.trim().to_owned())
        };
        fields.into_iter().map(text).collect()
    }
}
