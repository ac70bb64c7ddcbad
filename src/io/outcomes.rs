//! `outcomes.csv|parquet`: one line per input row, in input order.

use std::path::{Path, PathBuf};

use super::atomic::OutputError;
use super::table::{Cell, Column, Kind, TableWriter};
use crate::model::Settled;

/// The columns of `outcomes`.
const COLUMNS: [Column; 17] = [
    Column::filled("source", Kind::Text),
    Column::filled("line", Kind::Number),
    Column::new("bill_no", Kind::Text),
    Column::filled("card", Kind::Text),
    Column::filled("outcome", Kind::Text),
    Column::filled("code", Kind::Text),
    Column::filled("status", Kind::Text),
    Column::filled("message", Kind::Text),
    Column::filled("attempts", Kind::Small),
    Column::filled("in_doubt", Kind::Small),
    Column::new("first_sent_at", Kind::Time),
    Column::filled("settled_at", Kind::Time),
    Column::new("latency_ms", Kind::Number),
    Column::filled("trace_id", Kind::Text),
    Column::new("carried_by", Kind::Text),
    Column::new("http_status", Kind::Small),
    Column::filled("result_at", Kind::Text),
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
pub struct OutcomeWriter(TableWriter);

impl OutcomeWriter {
    /// Begins `outcomes.csv` or `outcomes.parquet` in `dir`.
    pub fn create(dir: &Path, as_parquet: bool) -> Result<OutcomeWriter, OutputError> {
        let path = dir.join(if as_parquet { "outcomes.parquet" } else { "outcomes.csv" });
        TableWriter::create(&path, &COLUMNS, as_parquet).map(OutcomeWriter)
    }

    /// Adds a line.
    pub fn write(&mut self, line: &OutcomeLine<'_>) -> Result<(), OutputError> {
        let settled = line.settled;
        self.0.write(&[
            Cell::Text(line.source),
            Cell::Number(line.line as i64),
            line.bill_no.map_or(Cell::Absent, Cell::Text),
            Cell::Text(line.card),
            Cell::Text(settled.outcome.as_str()),
            Cell::Text(&settled.code),
            Cell::Text(&settled.status),
            Cell::Text(&settled.message),
            Cell::Number(i64::from(settled.attempts)),
            Cell::Number(i64::from(settled.in_doubt)),
            settled.first_sent_ms.map_or(Cell::Absent, Cell::Time),
            Cell::Time(settled.settled_ms),
            latency_ms(settled).map_or(Cell::Absent, |ms| Cell::Number(ms as i64)),
            Cell::Text(&settled.trace_id),
            line.carried_by.map_or(Cell::Absent, Cell::Text),
            Some(settled.http_status)
                .filter(|status| *status != 0)
                .map_or(Cell::Absent, |status| Cell::Number(status.into())),
            Cell::Text(&settled.result_at),
        ])
    }

    /// Makes the file durable and gives it its name.
    pub fn finish(self) -> Result<PathBuf, OutputError> {
        self.0.finish()
    }
}

/// Microseconds as whole milliseconds, rounded.
fn latency_ms(settled: &Settled) -> Option<u64> {
    settled.latency_us.map(|us| us.saturating_add(500) / 1000)
}

#[cfg(test)]
mod tests {
    use arrow::array::RecordBatch;
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
        let schema = batches[0].schema();
        let told: Vec<_> = schema
            .fields()
            .iter()
            .map(|field| {
                format!("{} {}{}", field.name(), field.data_type(), if field.is_nullable() { "?" } else { "" })
            })
            .collect();
        assert_eq!(
            told.join(", "),
            "source Utf8, line Int64, bill_no Utf8?, card Utf8, outcome Utf8, code Utf8, status Utf8, message Utf8, \
             attempts Int32, in_doubt Int32, first_sent_at Timestamp(ms, \"UTC\")?, settled_at Timestamp(ms, \"UTC\"), \
             latency_ms Int64?, trace_id Utf8, carried_by Utf8?, http_status Int32?, result_at Utf8"
        );
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 2_500);
    }
}
