//! `failures.csv|parquet`: the rows that did not end well, as the input has them, so that a replay reads back the
//! very row; behind them eight columns that tell how each ended and whose row it is.
//!
//! The inputs are read once more, and a failing row's own bytes (its own typed values) are copied: nothing is
//! decoded and encoded again on the way.

mod csv;
mod parquet;

use std::path::{Path, PathBuf};

use ::arrow::datatypes::{FieldRef, Fields};

use self::csv::CsvFailures;
use self::parquet::ParquetFailures;
use super::atomic::{AtomicFile, OutputError};
use super::source::parquet::Batches;
use super::source::{Charset, Format, Input, InputError, ReadRules, Reader, TailColumn};
use crate::model::Seat;

/// How a row ended, and whose row it is: the columns behind the input's own (`_raw` is added where it is needed).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The outcome's word.
    pub outcome: &'static str,
    /// The vendor's code, or the rule.
    pub code: String,
    /// What happened, for a person.
    pub message: String,
    /// Requests made.
    pub attempts: u32,
    /// The run that first read the row.
    pub run: String,
    /// The input that it stood in then.
    pub source: String,
    /// Its line there.
    pub line: u64,
}

impl Tail {
    /// Characters of a message that a failure file keeps: with it a record of the largest size must still replay.
    const MESSAGE_MAX: usize = 2000;

    /// The message as it is written: cut, and without NULs, which no replay would read.
    fn written_message(&self) -> String {
        self.message.chars().take(Self::MESSAGE_MAX).map(|c| if c == '\0' { ' ' } else { c }).collect()
    }
}

/// Why the failure files could not be written.
#[derive(Debug, thiserror::Error)]
pub enum FailureError<E> {
    /// The tails could not be had.
    #[error("{0}")]
    Tails(E),
    /// An input could not be read again.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A file could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A row that was there is there no more.
    #[error(
        "{name}: the row at line {line} is not there any more: the file changed while the job used it; restore it and start `passync resume`"
    )]
    Lost {
        /// The input.
        name: String,
        /// The row's line.
        line: u64,
    },
}

/// Writes the failure files into `dir`: `failures.csv` or `.parquet` for inputs of the first shape (columns, delimiter,
/// encoding), `failures-2...` for those of the second, and so on; each at least with its header.
///
/// `tails` come in the order of seats; `rules` are those that the inputs were surveyed by.
pub fn write<E>(
    dir: &Path,
    inputs: &[Input],
    rules: &ReadRules,
    tails: &mut dyn Iterator<Item = Result<(Seat, Tail), E>>,
) -> Result<Written, FailureError<E>> {
    let mut pending = Pending { tails, next: None };
    let mut files = Files { dir, sinks: Vec::new(), left_out: Vec::new() };
    for (ordinal, input) in inputs.iter().enumerate() {
        match input.format {
            Format::Parquet => copy_parquet(ordinal, input, &mut files, &mut pending)?,
            Format::Csv | Format::CsvGz | Format::CsvZst => copy_csv(ordinal, input, rules, &mut files, &mut pending)?,
        }
    }
    if let Some((seat, _)) = pending.peek()? {
        let name =
            inputs.get(usize::from(seat.source)).map_or_else(|| format!("input {}", seat.source), |i| i.name.clone());
        return Err(FailureError::Lost { name, line: seat.line });
    }
    if files.sinks.is_empty() {
        files.csv(&CsvShape { charset: Charset::Utf8, bom: false, delimiter: b',', header: Vec::new() })?;
    }
    let left_out = files.left_out;
    let paths = files.sinks.into_iter().map(|(_, sink)| sink.finish()).collect::<Result<_, _>>()?;
    Ok(Written { files: paths, left_out })
}

/// The failure files.
#[derive(Debug)]
pub struct Written {
    /// One per shape.
    pub files: Vec<PathBuf>,
    /// Columns that cannot be read, and are in none of them: nobody asked for them before. A sentence each.
    pub left_out: Vec<String>,
}

fn copy_csv<E>(
    ordinal: usize,
    input: &Input,
    rules: &ReadRules,
    files: &mut Files<'_>,
    pending: &mut Pending<'_, E>,
) -> Result<(), FailureError<E>> {
    let mut reader = Reader::open(input, rules)?;
    let own: Vec<usize> = (0..reader.header().len()).filter(|at| !TailColumn::is_tail(&reader.header()[*at])).collect();
    let raw_column = reader.header().iter().position(|name| name == TailColumn::Raw.name());
    let csv = reader.csv().expect("an input of a CSV format is read as CSV");
    let ((charset, bom), delimiter) = (csv.charset(), csv.delimiter());
    let header = own.iter().map(|at| csv.raw_header()[*at].clone()).collect();
    let sink = files.csv(&CsvShape { charset, bom, delimiter, header })?;
    while let Some(line) = pending.line_of(ordinal)? {
        let carried = loop {
            match reader.next()? {
                Some(row) if row.line == line => {
                    break raw_column.and_then(|at| row.marks.get(at)).map(str::to_owned);
                }
                Some(row) if row.line < line => {}
                _ => return Err(FailureError::Lost { name: input.name.clone(), line }),
            }
        };
        let raw = reader.csv().expect("as above").raw();
        sink.write(raw, &own, carried.as_deref(), &pending.take())?;
    }
    Ok(())
}

fn copy_parquet<E>(
    ordinal: usize,
    input: &Input,
    files: &mut Files<'_>,
    pending: &mut Pending<'_, E>,
) -> Result<(), FailureError<E>> {
    let mut batches = Batches::open(input)?;
    let fields = batches.schema().fields();
    let mut own: Vec<usize> = (0..fields.len()).filter(|at| !TailColumn::is_tail(fields[*at].name())).collect();
    if pending.line_of(ordinal)?.is_some() {
        own.retain(|column| {
            let Some((place, found)) = batches.fault_of(*column) else { return true };
            files.left_out.push(format!("{}: {place}: {found}: the failure file goes without this column", input.name));
            false
        });
    }
    let of = |fields: &Fields| own.iter().map(|at| fields[*at].clone()).collect::<Vec<_>>();
    let sink = files.parquet(&of(fields), batches.as_written().as_ref().map(of))?;
    batches.select(own);
    let mut passed = 0_u64;
    while let Some(line) = pending.line_of(ordinal)? {
        if let Some(rows) = batches.rows_ahead().filter(|rows| passed + rows < line) {
            batches.skip_group();
            passed += rows;
            continue;
        }
        let Some(batch) = batches.next()? else {
            return Err(FailureError::Lost { name: input.name.clone(), line });
        };
        let end = passed + batch.num_rows() as u64;
        let mut failing = Vec::new();
        while let Some(line) = pending.line_of(ordinal)?.filter(|line| (passed + 1..=end).contains(line)) {
            failing.push(((line - passed - 1) as u32, pending.take()));
        }
        if !failing.is_empty() {
            sink.write(&batch, &failing)?;
        } else if line <= passed {
            return Err(FailureError::Lost { name: input.name.clone(), line });
        }
        passed = end;
    }
    Ok(())
}

/// The tails, one looked at ahead.
struct Pending<'a, E> {
    tails: &'a mut dyn Iterator<Item = Result<(Seat, Tail), E>>,
    next: Option<(Seat, Tail)>,
}

impl<E> Pending<'_, E> {
    fn peek(&mut self) -> Result<Option<&(Seat, Tail)>, FailureError<E>> {
        if self.next.is_none() {
            self.next = self.tails.next().transpose().map_err(FailureError::Tails)?;
        }
        Ok(self.next.as_ref())
    }

    /// The line of the next failing row, if it stands in this input.
    fn line_of(&mut self, ordinal: usize) -> Result<Option<u64>, FailureError<E>> {
        let next = self.peek()?;
        Ok(next.filter(|(seat, _)| usize::from(seat.source) == ordinal).map(|(seat, _)| seat.line))
    }

    /// The tail that was looked at.
    fn take(&mut self) -> Tail {
        self.next.take().expect("line_of told of it").1
    }
}

/// What the rows of one failure file have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    Csv(CsvShape),
    Parquet(Vec<FieldRef>),
}

/// The shape of CSV inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CsvShape {
    charset: Charset,
    bom: bool,
    delimiter: u8,
    /// The names of the input's own columns, as bytes.
    header: Vec<Vec<u8>>,
}

/// The failure files so far, one per shape.
struct Files<'a> {
    dir: &'a Path,
    sinks: Vec<(Shape, Sink)>,
    /// See [`Written`].
    left_out: Vec<String>,
}

enum Sink {
    Csv(CsvFailures),
    Parquet(Box<ParquetFailures>),
}

impl Sink {
    fn finish(self) -> Result<PathBuf, OutputError> {
        match self {
            Sink::Csv(csv) => csv.finish(),
            Sink::Parquet(parquet) => parquet.finish(),
        }
    }
}

impl Files<'_> {
    fn csv(&mut self, shape: &CsvShape) -> Result<&mut CsvFailures, OutputError> {
        let begin = |file| Ok(Sink::Csv(CsvFailures::begin(file, shape)?));
        match self.of(&Shape::Csv(shape.clone()), "csv", begin)? {
            Sink::Csv(csv) => Ok(csv),
            Sink::Parquet(_) => unreachable!("a CSV shape has a CSV file"),
        }
    }

    fn parquet(
        &mut self,
        fields: &[FieldRef],
        as_written: Option<Vec<FieldRef>>,
    ) -> Result<&mut ParquetFailures, OutputError> {
        let begin = |file| Ok(Sink::Parquet(Box::new(ParquetFailures::begin(file, fields, as_written)?)));
        match self.of(&Shape::Parquet(fields.to_vec()), "parquet", begin)? {
            Sink::Parquet(parquet) => Ok(parquet),
            Sink::Csv(_) => unreachable!("a Parquet shape has a Parquet file"),
        }
    }

    fn of(
        &mut self,
        shape: &Shape,
        extension: &str,
        begin: impl FnOnce(AtomicFile) -> Result<Sink, OutputError>,
    ) -> Result<&mut Sink, OutputError> {
        let known = self.sinks.iter().position(|(known, _)| known == shape);
        let at = known.unwrap_or(self.sinks.len());
        if known.is_none() {
            let name =
                if at == 0 { format!("failures.{extension}") } else { format!("failures-{}.{extension}", at + 1) };
            self.sinks.push((shape.clone(), begin(AtomicFile::create(&self.dir.join(name))?)?));
        }
        Ok(&mut self.sinks[at].1)
    }
}

#[cfg(test)]
mod tests;
