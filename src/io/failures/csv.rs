//! Failing rows of CSV inputs: the fields' bytes as they stand, the input's delimiter and encoding.

use std::io::Write;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{CsvShape, Tail};
use crate::io::atomic::{AtomicFile, OutputError};
use crate::io::source::csv::RawRecord;
use crate::io::source::{Charset, TailColumn};

/// A failure file in CSV, being written.
pub(super) struct CsvFailures {
    file: AtomicFile,
    charset: Charset,
    delimiter: u8,
    /// Both in the file's encoding.
    delimiter_bytes: Vec<u8>,
    line_end: Vec<u8>,
}

impl CsvFailures {
    pub fn begin(file: AtomicFile, shape: &CsvShape) -> Result<CsvFailures, OutputError> {
        let charset = shape.charset;
        let mut failures = CsvFailures {
            file,
            charset,
            delimiter: shape.delimiter,
            delimiter_bytes: charset.encode(&char::from(shape.delimiter).to_string()),
            line_end: charset.encode("\n"),
        };
        if shape.bom {
            failures.put(&[charset.bom()])?;
        }
        let own = shape.header.iter().map(Vec::as_slice).collect();
        failures.line(own, TailColumn::ALL.map(TailColumn::name))?;
        Ok(failures)
    }

    /// Adds a row. `own` are the input's own columns; `carried` is what a failure file that is replayed has in `_raw`.
    pub fn write(
        &mut self,
        raw: RawRecord<'_>,
        own: &[usize],
        carried: Option<&str>,
        tail: &Tail,
    ) -> Result<(), OutputError> {
        let (own, unsplit) = match raw.fields {
            Some(fields) => (own.iter().map(|at| &raw.bytes[fields[*at].start..fields[*at].end]).collect(), None),
            None => (vec![&b""[..]; own.len()], Some(STANDARD.encode(raw.bytes))),
        };
        let raw_cell = unsplit.as_deref().or(carried).unwrap_or_default();
        let (message, attempts, line) = (tail.written_message(), tail.attempts.to_string(), tail.line.to_string());
        self.line(own, [tail.outcome, &tail.code, &message, &attempts, &tail.run, &tail.source, &line, raw_cell])
    }

    pub fn finish(self) -> Result<PathBuf, OutputError> {
        let path = self.file.path().to_owned();
        self.file.commit()?;
        Ok(path)
    }

    fn line(&mut self, own: Vec<&[u8]>, tail: [&str; 8]) -> Result<(), OutputError> {
        let tail = tail.map(|cell| self.charset.encode(&quoted(cell, self.delimiter)));
        let cells: Vec<&[u8]> = own.into_iter().chain(tail.iter().map(Vec::as_slice)).collect();
        let (delimiter, line_end) = (self.delimiter_bytes.clone(), self.line_end.clone());
        let line = cells.join(&delimiter[..]);
        self.put(&[&line, &line_end])
    }

    fn put(&mut self, parts: &[&[u8]]) -> Result<(), OutputError> {
        let written = parts.iter().try_for_each(|part| self.file.write_all(part));
        written.map_err(|error| OutputError::new("write", self.file.path(), error))
    }
}

/// A cell of ours. What is not ASCII is quoted too: a character that the encoding lacks becomes a reference with a
/// `;`, which may be the delimiter.
fn quoted(cell: &str, delimiter: u8) -> String {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != delimiter;
    let inner_blanks = cell.trim() == cell;
    if cell.bytes().all(|byte| is_plain(byte) || (byte == b' ' && inner_blanks)) {
        return cell.to_owned();
    }
    format!("\"{}\"", cell.replace('"', "\"\""))
}
