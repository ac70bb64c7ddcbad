//! `outcomes.csv|parquet`: one line per input row, in input order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMillisecondBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::atomic::{AtomicFile, OutputError};
use crate::model::Settled;
use crate::model::moment::rfc3339_ms;

/// The columns of `outcomes`.
pub const COLUMNS: [&str; 17] = [
    "source",
    "line",
    "bill_no",
    "card",
    "outcome",
    "code",
    "status",
    "message",
    "attempts",
    "in_doubt",
    "first_sent_at",
    "settled_at",
    "latency_ms",
    "trace_id",
    "carried_by",
    "http_status",
    "result_at",
];

/// One line.
#[derive(Clone, Copy, Debug)]
pub struct OutcomeLine<'a> {
    /// The input's name.
    pub source: &'a str,
    /// The row's line in it.
    pub line: u64,
    /// The row's bill; `None` where it has none, or could not be read.
    pub bill_no: Option<&'a str>,
    /// The row's card; empty where it could not be read.
    pub card: &'a str,
    /// How it ended.
    pub settled: &'a Settled,
    /// `source:line` of the row that did the call.
    pub carried_by: Option<&'a str>,
}

/// Writes `outcomes`; the file has its name after [`OutcomeWriter::finish`].
pub struct OutcomeWriter {
    path: PathBuf,
    form: Form,
}

enum Form {
    Csv(Box<csv::Writer<AtomicFile>>),
    Parquet(Box<ArrowWriter<AtomicFile>>, Box<Batch>),
}

impl OutcomeWriter {
    /// Begins `outcomes.csv` or `outcomes.parquet` in `dir`.
    pub fn create(dir: &Path, as_parquet: bool) -> Result<OutcomeWriter, OutputError> {
        let path = dir.join(if as_parquet { "outcomes.parquet" } else { "outcomes.csv" });
        let file = AtomicFile::create(&path)?;
        let form = if as_parquet {
            let writer = ArrowWriter::try_new(file, schema(), Some(parquet_properties()));
            Form::Parquet(Box::new(writer.map_err(|error| from_parquet(&path, error))?), Box::default())
        } else {
            let mut writer = csv::Writer::from_writer(file);
            writer.write_record(COLUMNS).map_err(|error| from_csv(&path, error))?;
            Form::Csv(Box::new(writer))
        };
        Ok(OutcomeWriter { path, form })
    }

    /// Adds a line.
    pub fn write(&mut self, line: &OutcomeLine<'_>) -> Result<(), OutputError> {
        match &mut self.form {
            Form::Csv(writer) => writer.write_record(texts(line)).map_err(|error| from_csv(&self.path, error)),
            Form::Parquet(writer, batch) => {
                batch.push(line);
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

/// Rows gathered before they are encoded; small, since cards and bills of so many rows are held.
const BATCH_ROWS: usize = 1024;

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

/// Microseconds as whole milliseconds, rounded.
fn latency_ms(settled: &Settled) -> Option<u64> {
    settled.latency_us.map(|us| us.saturating_add(500) / 1000)
}

fn texts(line: &OutcomeLine<'_>) -> [String; 17] {
    let text = |text: &str| text.to_owned();
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let settled = line.settled;
    [
        text(line.source),
        line.line.to_string(),
        text(line.bill_no.unwrap_or_default()),
        text(line.card),
        text(settled.outcome.as_str()),
        text(&settled.code),
        text(&settled.status),
        text(&settled.message),
        settled.attempts.to_string(),
        settled.in_doubt.to_string(),
        settled.first_sent_ms.map(rfc3339_ms).unwrap_or_default(),
        rfc3339_ms(settled.settled_ms),
        number(latency_ms(settled)),
        text(&settled.trace_id),
        text(line.carried_by.unwrap_or_default()),
        number(Some(u64::from(settled.http_status)).filter(|status| *status != 0)),
        text(&settled.result_at),
    ]
}

fn schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    Arc::new(Schema::new(
        COLUMNS
            .map(|name| match name {
                "line" => Field::new(name, DataType::Int64, false),
                "attempts" | "in_doubt" => Field::new(name, DataType::Int32, false),
                "first_sent_at" => Field::new(name, time.clone(), true),
                "settled_at" => Field::new(name, time.clone(), false),
                "latency_ms" => Field::new(name, DataType::Int64, true),
                "http_status" => Field::new(name, DataType::Int32, true),
                "bill_no" | "carried_by" => Field::new(name, DataType::Utf8, true),
                _ => Field::new(name, DataType::Utf8, false),
            })
            .to_vec(),
    ))
}

/// Lines that are not yet encoded.
#[derive(Default)]
struct Batch {
    rows: usize,
    source: StringBuilder,
    line: Int64Builder,
    bill_no: StringBuilder,
    card: StringBuilder,
    outcome: StringBuilder,
    code: StringBuilder,
    status: StringBuilder,
    message: StringBuilder,
    attempts: Int32Builder,
    in_doubt: Int32Builder,
    first_sent_at: TimestampMillisecondBuilder,
    settled_at: TimestampMillisecondBuilder,
    latency_ms: Int64Builder,
    trace_id: StringBuilder,
    carried_by: StringBuilder,
    http_status: Int32Builder,
    result_at: StringBuilder,
}

impl Batch {
    fn push(&mut self, line: &OutcomeLine<'_>) {
        let settled = line.settled;
        self.rows += 1;
        self.source.append_value(line.source);
        self.line.append_value(line.line as i64);
        self.bill_no.append_option(line.bill_no);
        self.card.append_value(line.card);
        self.outcome.append_value(settled.outcome.as_str());
        self.code.append_value(&settled.code);
        self.status.append_value(&settled.status);
        self.message.append_value(&settled.message);
        self.attempts.append_value(settled.attempts as i32);
        self.in_doubt.append_value(settled.in_doubt as i32);
        self.first_sent_at.append_option(settled.first_sent_ms);
        self.settled_at.append_value(settled.settled_ms);
        self.latency_ms.append_option(latency_ms(settled).map(|ms| ms as i64));
        self.trace_id.append_value(&settled.trace_id);
        self.carried_by.append_option(line.carried_by);
        self.http_status.append_option(Some(i32::from(settled.http_status)).filter(|status| *status != 0));
        self.result_at.append_value(&settled.result_at);
    }

    fn take(&mut self) -> RecordBatch {
        self.rows = 0;
        let columns: [ArrayRef; 17] = [
            Arc::new(self.source.finish()),
            Arc::new(self.line.finish()),
            Arc::new(self.bill_no.finish()),
            Arc::new(self.card.finish()),
            Arc::new(self.outcome.finish()),
            Arc::new(self.code.finish()),
            Arc::new(self.status.finish()),
            Arc::new(self.message.finish()),
            Arc::new(self.attempts.finish()),
            Arc::new(self.in_doubt.finish()),
            Arc::new(self.first_sent_at.finish().with_timezone("UTC")),
            Arc::new(self.settled_at.finish().with_timezone("UTC")),
            Arc::new(self.latency_ms.finish()),
            Arc::new(self.trace_id.finish()),
            Arc::new(self.carried_by.finish()),
            Arc::new(self.http_status.finish()),
            Arc::new(self.result_at.finish()),
        ];
        RecordBatch::try_new(schema(), columns.to_vec()).expect("the builders stand as the schema")
    }
}

#[cfg(test)]
mod tests {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

    use super::*;
    use crate::model::Outcome;

    fn settled() -> Settled {
        Settled {
            latency_us: Some(6_499),
            first_sent_ms: Some(1_702_866_811_000),
            http_status: 200,
            attempts: 2,
            ..Settled::local(Outcome::Applied, "SUCCESS", "done, \"well\"", 1_702_866_811_250)
        }
    }

    fn write(dir: &Path, as_parquet: bool, lines: u64) -> PathBuf {
        let mut writer = OutcomeWriter::create(dir, as_parquet).unwrap();
        let settled = settled();
        for line in 1..=lines {
            let (bill_no, card) = (Some("260601031000003201000103"), "0001");
            let line = OutcomeLine { source: "a.csv", line, bill_no, card, settled: &settled, carried_by: None };
            writer.write(&line).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn csv_has_the_columns_of_the_contract() {
        let dir = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(write(dir.path(), false, 1)).unwrap();
        assert_eq!(
            text,
            "source,line,bill_no,card,outcome,code,status,message,attempts,in_doubt,first_sent_at,settled_at,latency_ms,\
             trace_id,carried_by,http_status,result_at\n\
             a.csv,1,260601031000003201000103,0001,applied,SUCCESS,,\"done, \"\"well\"\"\",2,0,2023-12-18T02:33:31.000Z,\
             2023-12-18T02:33:31.250Z,6,,,200,\n"
        );
    }

    #[test]
    fn parquet_has_the_same_columns_and_every_row() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), true, 2_500);
        let reader = ParquetRecordBatchReader::try_new(std::fs::File::open(path).unwrap(), 1000).unwrap();
        let batches: Vec<_> = reader.map(Result::unwrap).collect();
        let names: Vec<_> = batches[0].schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, COLUMNS);
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 2_500);
    }
}
