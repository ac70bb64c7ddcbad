//! Failing rows of Parquet inputs: all of the input's columns with their types, ours behind them.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, add_encoded_arrow_schema_to_metadata};
use parquet::errors::ParquetError;

use super::Tail;
use crate::io::atomic::{AtomicFile, OutputError};
use crate::io::source::TailColumn;
use crate::io::table::{from_parquet, parquet_properties};

/// Bytes of a row group that are gathered before it is written: few rows of many nested columns may have as many.
const GROUP_MAX: usize = 16 * 1024 * 1024;

/// A failure file in Parquet, being written.
pub(super) struct ParquetFailures {
    path: PathBuf,
    schema: SchemaRef,
    writer: ArrowWriter<AtomicFile>,
}

impl ParquetFailures {
    /// `own`: the input's columns; `as_written`: the same as their writer had them in memory, if it said so.
    pub fn begin(
        file: AtomicFile,
        own: &[FieldRef],
        as_written: Option<Vec<FieldRef>>,
    ) -> Result<ParquetFailures, OutputError> {
        let tail = TailColumn::ALL.map(|column| {
            let kind = match column {
                TailColumn::Attempts => DataType::Int32,
                TailColumn::Line => DataType::Int64,
                _ => DataType::Utf8,
            };
            Arc::new(Field::new(column.name(), kind, column == TailColumn::Raw))
        });
        let with_tail = |fields: &[FieldRef]| Schema::new(fields.iter().chain(&tail).cloned().collect::<Vec<_>>());
        let schema = Arc::new(with_tail(own));
        let path = file.path().to_owned();
        // Our way of holding the columns (views) is no business of the file's readers; that of their writer is.
        let mut properties = parquet_properties();
        if let Some(as_written) = as_written {
            add_encoded_arrow_schema_to_metadata(&with_tail(&as_written), &mut properties);
        }
        let options = ArrowWriterOptions::new().with_skip_arrow_metadata(true).with_properties(properties);
        let writer = ArrowWriter::try_new_with_options(file, Arc::clone(&schema), options)
            .map_err(|error| from_parquet(&path, error))?;
        Ok(ParquetFailures { path, schema, writer })
    }

    /// Adds the rows of `batch` at the given places, each with its tail. It has the input's own columns.
    pub fn write(&mut self, batch: &RecordBatch, failing: &[(u32, Tail)]) -> Result<(), OutputError> {
        let places = UInt32Array::from_iter_values(failing.iter().map(|(place, _)| *place));
        let text = |of: fn(&Tail) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(failing.iter().map(|(_, tail)| of(tail))))
        };
        let copied = || -> Result<RecordBatch, ParquetError> {
            let mut columns = Vec::with_capacity(self.schema.fields().len());
            for column in batch.columns() {
                columns.push(take(column, &places, None)?);
            }
            columns.extend(TailColumn::ALL.map(|column| match column {
                TailColumn::Outcome => text(|tail| tail.outcome.to_owned()),
                TailColumn::Code => text(|tail| tail.code.clone()),
                TailColumn::Message => text(Tail::written_message),
                TailColumn::Run => text(|tail| tail.run.clone()),
                TailColumn::Source => text(|tail| tail.source.clone()),
                TailColumn::Attempts => {
                    Arc::new(Int32Array::from_iter_values(failing.iter().map(|(_, tail)| tail.attempts as i32)))
                }
                TailColumn::Line => {
                    Arc::new(Int64Array::from_iter_values(failing.iter().map(|(_, tail)| tail.line as i64)))
                }
                TailColumn::Raw => Arc::new(StringArray::new_null(failing.len())),
            }));
            Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
        };
        let fault = |error| from_parquet(&self.path, error);
        self.writer.write(&copied().map_err(fault)?).map_err(fault)?;
        if self.writer.memory_size() > GROUP_MAX {
            self.writer.flush().map_err(fault)?;
        }
        Ok(())
    }

    pub fn finish(self) -> Result<PathBuf, OutputError> {
        let file = self.writer.into_inner().map_err(|error| from_parquet(&self.path, error))?;
        file.commit()?;
        Ok(self.path)
    }
}
