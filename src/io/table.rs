//! Tables for other programs: CSV or Parquet, whole or absent.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMillisecondBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::atomic::{AtomicFile, OutputError};
use crate::model::moment::rfc3339_ms;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Number,
    /// A whole number of 32 bits.
    Small,
    /// An instant, in milliseconds since 1970; RFC 3339 in a CSV.
    Time,
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    name: &'static str,
    kind: Kind,
    is_filled: bool,
}

impl Column {
    /// A column any cell of which may be absent.
    pub const fn new(name: &'static str, kind: Kind) -> Column {
        Column { name, kind, is_filled: false }
    }

    /// A column that every row has.
    pub const fn filled(name: &'static str, kind: Kind) -> Column {
        Column { name, kind, is_filled: true }
    }
}

/// One cell; what its column does not hold is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Text.
    Text(&'a str),
    /// A whole number, of either width.
    Number(i64),
    /// Milliseconds since 1970.
    Time(i64),
    /// Nothing.
    Absent,
}

/// A table being written; the file has its name after [`TableWriter::finish`].
pub struct TableWriter {
    path: PathBuf,
    form: Form,
}

enum Form {
    Csv(Box<csv::Writer<AtomicFile>>),
    Parquet(Box<ArrowWriter<AtomicFile>>, Batch),
}

impl TableWriter {
    /// Begins a table at `path`.
    pub fn create(path: &Path, columns: &[Column], as_parquet: bool) -> Result<TableWriter, OutputError> {
        let file = AtomicFile::create(path)?;
        let form = if as_parquet {
            let batch = Batch::new(columns);
            let writer = ArrowWriter::try_new(file, batch.schema.clone(), Some(parquet_properties()));
            Form::Parquet(Box::new(writer.map_err(|error| from_parquet(path, error))?), batch)
        } else {
            let mut writer = csv::Writer::from_writer(file);
            writer.write_record(columns.iter().map(|column| column.name)).map_err(|error| from_csv(path, error))?;
            Form::Csv(Box::new(writer))
        };
        Ok(TableWriter { path: path.to_owned(), form })
    }

    /// Adds a row, whose cells stand as the columns.
    pub fn write(&mut self, cells: &[Cell<'_>]) -> Result<(), OutputError> {
        match &mut self.form {
            Form::Csv(writer) => write_csv(writer, cells).map_err(|error| from_csv(&self.path, error)),
            Form::Parquet(writer, batch) => {
                batch.push(cells);
                if batch.rows < BATCH_ROWS {
                    return Ok(());
                }
                writer.write(&batch.take()).map_err(|error| from_parquet(&self.path, error))
            }
        }
    }

    /// Makes the file durable and gives it its name.
    pub fn finish(self) -> Result<PathBuf, OutputError> {
        let file = match self.form {
            Form::Csv(writer) => {
                writer.into_inner().map_err(|error| OutputError::new("write", &self.path, error.into_error()))?
            }
            Form::Parquet(mut writer, mut batch) => {
                let written = writer.write(&batch.take()).and_then(|()| writer.into_inner());
                written.map_err(|error| from_parquet(&self.path, error))?
            }
        };
        file.commit()?;
        Ok(self.path)
    }
}

fn write_csv(writer: &mut csv::Writer<AtomicFile>, cells: &[Cell<'_>]) -> csv::Result<()> {
    for cell in cells {
        match cell {
            Cell::Text(text) => writer.write_field(text)?,
            Cell::Number(number) => writer.write_field(number.to_string())?,
            Cell::Time(ms) => writer.write_field(rfc3339_ms(*ms))?,
            Cell::Absent => writer.write_field("")?,
        }
    }
    writer.write_record(None::<&[u8]>) // the end of the record
}

/// Small row groups bound the writer's memory: it holds one, encoded.
pub(super) fn parquet_properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(64 * 1024))
        .set_max_row_group_bytes(Some(16 * 1024 * 1024))
        .set_created_by(concat!("passync ", env!("CARGO_PKG_VERSION")).to_owned())
        .build()
}

/// The error of a Parquet writer; the system's own word is inside where the disk was at fault.
pub(super) fn from_parquet(path: &Path, error: ParquetError) -> OutputError {
    let source = match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(io) => *io,
            Err(other) => std::io::Error::other(other),
        },
        other => std::io::Error::other(other),
    };
    OutputError::new("write", path, source)
}

/// The error of a CSV writer.
pub(super) fn from_csv(path: &Path, error: csv::Error) -> OutputError {
    OutputError::new("write", path, error.into())
}

/// Rows gathered before they are encoded; few, since bills and cards of so many are held.
const BATCH_ROWS: usize = 1024;

/// Rows that are not yet encoded.
struct Batch {
    schema: SchemaRef,
    rows: usize,
    builders: Vec<Builder>,
}

enum Builder {
    Text(StringBuilder),
    Number(Int64Builder),
    Small(Int32Builder),
    Time(TimestampMillisecondBuilder),
}

impl Batch {
    fn new(columns: &[Column]) -> Batch {
        let fields = columns.iter().map(|column| {
            let data = match column.kind {
                Kind::Text => DataType::Utf8,
                Kind::Number => DataType::Int64,
                Kind::Small => DataType::Int32,
                Kind::Time => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            };
            Field::new(column.name, data, !column.is_filled)
        });
        let builders = columns.iter().map(|column| match column.kind {
            Kind::Text => Builder::Text(StringBuilder::new()),
            Kind::Number => Builder::Number(Int64Builder::new()),
            Kind::Small => Builder::Small(Int32Builder::new()),
            Kind::Time => Builder::Time(TimestampMillisecondBuilder::new().with_timezone("UTC")),
        });
        Batch { schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())), rows: 0, builders: builders.collect() }
    }

    fn push(&mut self, cells: &[Cell<'_>]) {
        debug_assert_eq!(cells.len(), self.builders.len(), "a row has a cell for each column");
        self.rows += 1;
        for (builder, cell) in self.builders.iter_mut().zip(cells) {
            match (builder, cell) {
                (Builder::Text(texts), Cell::Text(text)) => texts.append_value(text),
                (Builder::Number(numbers), Cell::Number(number)) => numbers.append_value(*number),
                (Builder::Small(numbers), Cell::Number(number)) => {
                    numbers.append_value(i32::try_from(*number).unwrap_or(i32::MAX));
                }
                (Builder::Time(times), Cell::Time(ms)) => times.append_value(*ms),
                (Builder::Text(texts), _) => texts.append_null(),
                (Builder::Number(numbers), _) => numbers.append_null(),
                (Builder::Small(numbers), _) => numbers.append_null(),
                (Builder::Time(times), _) => times.append_null(),
            }
        }
    }

    fn take(&mut self) -> RecordBatch {
        self.rows = 0;
        let columns = self.builders.iter_mut().map(|builder| -> ArrayRef {
            match builder {
                Builder::Text(texts) => Arc::new(texts.finish()),
                Builder::Number(numbers) => Arc::new(numbers.finish()),
                Builder::Small(numbers) => Arc::new(numbers.finish()),
                Builder::Time(times) => Arc::new(times.finish()),
            }
        });
        RecordBatch::try_new(self.schema.clone(), columns.collect()).expect("the builders stand as the schema")
    }
}

#[cfg(test)]
mod tests {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

    use super::*;

    const COLUMNS: [Column; 3] =
        [Column::new("name", Kind::Text), Column::new("number", Kind::Number), Column::new("at", Kind::Time)];

    #[test]
    fn csv_and_parquet_have_the_same_rows() {
        let dir = tempfile::tempdir().unwrap();
        let [csv, parquet] = [("t.csv", false), ("t.parquet", true)].map(|(name, as_parquet)| {
            let mut table = TableWriter::create(&dir.path().join(name), &COLUMNS, as_parquet).unwrap();
            for number in 0..2_500 {
                table.write(&[Cell::Text("a,\"b\""), Cell::Number(number), Cell::Time(1_702_866_811_000)]).unwrap();
            }
            table.write(&[Cell::Absent, Cell::Absent, Cell::Absent]).unwrap();
            table.finish().unwrap()
        });
        let text = std::fs::read_to_string(csv).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines[0], lines[1]), ("name,number,at", "\"a,\"\"b\"\"\",0,2023-12-18T02:33:31.000Z"));
        assert_eq!((lines.len(), lines[2_501]), (2_502, ",,"));
        let reader = ParquetRecordBatchReader::try_new(std::fs::File::open(parquet).unwrap(), 1000).unwrap();
        let batches: Vec<_> = reader.map(Result::unwrap).collect();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 2_501);
        assert!(batches.last().unwrap().columns().iter().all(|column| column.null_count() == 1));
    }
}
