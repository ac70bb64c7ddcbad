//! The sources: files in, rows of text cells out, streamed in bounded memory.
//!
//! ```text
//! resolve   patterns and dates -> input files
//! stored    bytes: counted, hashed, decompressed within a budget
//! csv       records, their cells and their bytes        parquet   batches, their cells as text
//! layout    file columns -> the dialect's columns (pure)
//! ```
//!
//! A row is exact or it is a [`Reject`]; a file that cannot be trusted as a whole is an [`InputError`]. Nothing here
//! guesses, replaces a byte or drops a row. What a hostile file may cost stands in [`limits`].

mod cells;
pub mod csv;
mod error;
pub mod layout;
pub mod limits;
pub mod parquet;
mod resolve;
mod stored;

use std::io::Read;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

pub use cells::Cells;
pub use csv::{Charset, Trailer, UnknownCharset};
pub use error::{InputError, Missing, newest_beside};
pub use layout::{Layout, LayoutFault};
pub use resolve::{STANDARD_INPUT, resolve};

use self::csv::CsvReader;
use self::parquet::ParquetReader;
use crate::io::atomic::{AtomicFile, OutputError};
use crate::io::job::settings;
use crate::model::Reject;

/// One input file of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// What `source` and `_source` show: the path relative to the job's folder, or the absolute one.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// How it is read.
    pub format: Format,
    /// The `{date}` that it was found by.
    pub date: Option<Date>,
}

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// CSV.
    Csv,
    /// CSV in gzip.
    CsvGz,
    /// CSV in zstd.
    CsvZst,
    /// Parquet.
    Parquet,
}

/// What shapes cells.
#[derive(Clone, Debug)]
pub struct ReadRules {
    charset: Charset,
    delimiter: Option<u8>,
    null_values: Vec<String>,
    trailer_mark: Option<String>,
}

impl ReadRules {
    /// The rules that `[input]` sets.
    pub fn new(settings: &settings::Input) -> Result<ReadRules, UnknownCharset> {
        Ok(ReadRules {
            charset: Charset::named(&settings.encoding)?,
            delimiter: settings.delimiter,
            null_values: settings.null_values.clone(),
            trailer_mark: settings.trailer.as_ref().map(|trailer| trailer.mark.clone()),
        })
    }
}

/// What a column holds, as far as the file's own types tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text; every column of a CSV file.
    Text,
    /// An integer, a date, a timestamp, a boolean: its text is exact.
    Exact,
    /// An exact decimal; as an id it has lost its leading zeros.
    Decimal,
    /// A binary floating-point number: never an id.
    Float,
    /// A list, a map or a struct: its text is JSON.
    Nested,
    /// A type that has no text of its own, and why.
    Unreadable(String),
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The physical line on which the record begins (CSV), or the row (Parquet); from 1.
    pub line: u64,
    /// The cells in the file's column order, absent ones told; or why the row is not valid.
    pub cells: Result<Cells<'a>, &'a Reject>,
    /// The cells as far as the row has them, even where it is rejected: whose row a line of a failure file is, stands
    /// here. Empty where the record could not be split.
    pub marks: Cells<'a>,
    /// Whether the file ends here without a line end, so that the last cell may be cut off.
    pub is_open: bool,
}

/// What was read of a file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stamp {
    /// Bytes, as stored.
    pub size: u64,
    /// SHA-256 of these bytes, in hex.
    pub sha256: String,
    /// Rows, rejected ones included.
    pub rows: u64,
    /// When the file was last written; nanoseconds since 1970.
    pub modified_ns: i64,
}

impl Stamp {
    /// Whether the file still looks as it did: size and time of writing. Cheap; only another reading proves it.
    pub fn unchanged(&self, input: &Input) -> Result<(), InputError> {
        let now = std::fs::metadata(&input.path).map_err(|error| InputError::io(&input.name, "look at it", error))?;
        if (now.len(), stored::modified_ns(&now)) == (self.size, self.modified_ns) {
            return Ok(());
        }
        let found = format!("{} bytes when it was surveyed, {} now, or written since", self.size, now.len());
        Err(InputError::Changed { name: input.name.clone(), found })
    }
}

/// One file being read, row by row.
pub struct Reader(Source);

enum Source {
    Csv(Box<CsvReader>),
    Parquet(Box<ParquetReader>),
}

impl Reader {
    /// Opens a file and reads its header or footer.
    pub fn open(input: &Input, rules: &ReadRules) -> Result<Reader, InputError> {
        Ok(Reader(match input.format {
            Format::Csv | Format::CsvGz | Format::CsvZst => Source::Csv(Box::new(CsvReader::open(input, rules)?)),
            Format::Parquet => Source::Parquet(Box::new(ParquetReader::open(input, rules)?)),
        }))
    }

    /// The file's own column names, in its order.
    pub fn header(&self) -> &[String] {
        match &self.0 {
            Source::Csv(csv) => csv.header(),
            Source::Parquet(parquet) => parquet.header(),
        }
    }

    /// What the columns hold, in the same order.
    pub fn kinds(&self) -> Vec<Kind> {
        match &self.0 {
            Source::Csv(csv) => vec![Kind::Text; csv.header().len()],
            Source::Parquet(parquet) => parquet.kinds().to_vec(),
        }
    }

    /// Only these columns (by index in the header) are wanted; the others may come as absent. Before the first
    /// [`Reader::next`].
    pub fn select(&mut self, needed: &[usize]) {
        if let Source::Parquet(parquet) = &mut self.0 {
            parquet.select(needed);
        }
    }

    /// The next row; `None` at the end of the file. An error refuses the file as a whole.
    #[expect(clippy::should_implement_trait, reason = "a row borrows the reader: no Iterator can do that")]
    pub fn next(&mut self) -> Result<Option<Row<'_>>, InputError> {
        let is_there = match &mut self.0 {
            Source::Csv(csv) => csv.advance()?,
            Source::Parquet(parquet) => parquet.advance()?,
        };
        let (line, reject, marks) = match &self.0 {
            Source::Csv(csv) => (csv.line(), csv.reject(), csv.cells()),
            Source::Parquet(parquet) => (parquet.row(), parquet.reject(), parquet.cells()),
        };
        if !is_there {
            return Ok(None);
        }
        let is_open = self.csv().is_some_and(CsvReader::is_open);
        Ok(Some(Row { line, cells: reject.map_or(Ok(marks), Err), marks, is_open }))
    }

    /// About how many bytes of the file, as stored, are behind the current row.
    pub fn passed(&self) -> u64 {
        match &self.0 {
            Source::Csv(csv) => csv.passed(),
            Source::Parquet(parquet) => parquet.passed(),
        }
    }

    /// What was read, once [`Reader::next`] has told the end. The file must not have changed meanwhile.
    pub fn stamp(&mut self) -> Result<Stamp, InputError> {
        match &mut self.0 {
            Source::Csv(csv) => csv.stamp(),
            Source::Parquet(parquet) => parquet.stamp(),
        }
    }

    /// The last trailer of a CSV file, once [`Reader::next`] has told the end.
    pub fn trailer(&self) -> Option<&Trailer> {
        self.csv().and_then(CsvReader::trailer)
    }

    /// The CSV file behind it: its bytes are what the failure file repeats.
    pub(crate) fn csv(&self) -> Option<&CsvReader> {
        match &self.0 {
            Source::Csv(csv) => Some(csv),
            Source::Parquet(_) => None,
        }
    }
}

/// Puts standard input into `path`, since an input is read more than once.
pub fn spool(from: &mut impl Read, path: &Path) -> Result<(), OutputError> {
    let mut file = AtomicFile::create(path)?;
    std::io::copy(from, &mut file).map_err(|error| OutputError::new("spool standard input to", path, error))?;
    file.commit()
}

/// The columns that a failure file appends to the input's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailColumn {
    /// How the row ended.
    Outcome,
    /// The vendor's code, or the rule.
    Code,
    /// What happened, for a person.
    Message,
    /// Requests made.
    Attempts,
    /// The run that first read the row.
    Run,
    /// The input that it stood in.
    Source,
    /// Its line there.
    Line,
    /// Base64 of a record that could not be split.
    Raw,
}

impl TailColumn {
    /// All of them, in the file's order.
    pub const ALL: [TailColumn; 8] = [
        TailColumn::Outcome,
        TailColumn::Code,
        TailColumn::Message,
        TailColumn::Attempts,
        TailColumn::Run,
        TailColumn::Source,
        TailColumn::Line,
        TailColumn::Raw,
    ];

    /// The column's name.
    pub fn name(self) -> &'static str {
        match self {
            TailColumn::Outcome => "_outcome",
            TailColumn::Code => "_code",
            TailColumn::Message => "_message",
            TailColumn::Attempts => "_attempts",
            TailColumn::Run => "_run",
            TailColumn::Source => "_source",
            TailColumn::Line => "_line",
            TailColumn::Raw => "_raw",
        }
    }

    /// Whether a file's column is one of ours.
    pub fn is_tail(name: &str) -> bool {
        TailColumn::ALL.iter().any(|column| column.name() == name)
    }
}

#[cfg(test)]
pub(crate) mod tests;
