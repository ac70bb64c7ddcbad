//! Parquet: the needed columns, decoded in small batches behind a fence, each value as the text it has in a CSV file.

mod fence;
mod footer;
mod gate;
mod json;
mod pages;
mod rows;
mod shape;
mod text;
mod thrift;
mod value;

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{FieldRef, Fields, SchemaRef};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ProjectionMask, parquet_to_arrow_field_levels, parquet_to_arrow_schema};
use parquet::errors::ParquetError;

use self::fence::fenced;
use self::gate::GatedGroup;
use super::cells::CellBuffer;
use super::limits::{BATCH_ROWS, RECORD_MAX};
use super::stored::{self, Stored};
use super::{Cells, Input, InputError, Kind, ReadRules, Stamp};
use crate::model::{Reject, Rule};

const REMEDY: &str = "the file is damaged: fetch or export it again";

/// A Parquet file being read.
pub struct ParquetReader {
    input: Input,
    batches: Batches,
    header: Vec<String>,
    kinds: Vec<Kind>,
    null_values: Vec<String>,
    /// By column of the file: its place in a batch.
    places: Vec<Option<usize>>,
    /// The columns of the current batch, and how many rows they have.
    batch: Vec<ArrayRef>,
    batch_rows: usize,
    /// The current row: in the batch, and in the file from 1.
    at: usize,
    row: u64,
    cells: CellBuffer,
    reject: Option<Reject>,
}

impl ParquetReader {
    pub(super) fn open(input: &Input, rules: &ReadRules) -> Result<ParquetReader, InputError> {
        let batches = Batches::open(input)?;
        let root = batches.metadata.parquet_schema().root_schema().get_fields();
        let header: Vec<String> = root.iter().map(|column| column.name().to_owned()).collect();
        let read_as = batches.metadata.schema().fields();
        let kinds = root.iter().zip(read_as).map(|(column, field)| value::kind_of(column, field.data_type())).collect();
        let mut reader = ParquetReader {
            input: input.clone(),
            batches,
            kinds,
            null_values: rules.null_values.clone(),
            places: Vec::new(),
            batch: Vec::new(),
            batch_rows: 0,
            at: 0,
            row: 0,
            cells: CellBuffer::default(),
            reject: None,
            header,
        };
        reader.select(&(0..reader.header.len()).collect::<Vec<_>>());
        Ok(reader)
    }

    pub(super) fn header(&self) -> &[String] {
        &self.header
    }

    pub(super) fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// Only these columns are decoded; those that have no text never are.
    pub(super) fn select(&mut self, needed: &[usize]) {
        let mut wanted = Vec::new();
        self.places = (0..self.header.len())
            .map(|column| {
                let is_wanted = needed.contains(&column) && !matches!(self.kinds[column], Kind::Unreadable(_));
                is_wanted.then(|| {
                    wanted.push(column);
                    wanted.len() - 1
                })
            })
            .collect();
        self.batches.select(wanted);
    }

    pub(super) fn advance(&mut self) -> Result<bool, InputError> {
        self.at += 1;
        while self.at >= self.batch_rows {
            let Some(batch) = self.batches.next()? else { return Ok(false) };
            self.at = 0;
            self.batch_rows = batch.num_rows();
            self.batch = batch.columns().iter().map(text::unchecked).collect();
        }
        self.row += 1;
        self.reject = self.fill().err();
        Ok(true)
    }

    fn fill(&mut self) -> Result<(), Reject> {
        self.cells.clear();
        let mut fault = Ok(());
        for (column, place) in self.places.iter().enumerate() {
            let pushed = self.cells.push(&self.null_values, |text| match place {
                Some(place) => value::append(self.batch[*place].as_ref(), self.at, text),
                None => Ok(()),
            });
            if let (Err((rule, found, expected)), Ok(())) = (pushed, &fault) {
                fault = Err(Reject::new(rule, &self.header[column], &found, expected));
            }
            if self.cells.bytes() > RECORD_MAX {
                self.cells.clear();
                let found = format!("more than {RECORD_MAX} bytes of text");
                return Err(Reject::new(Rule::RecordSize, &self.header[column], &found, "a row of at most that size"));
            }
        }
        fault
    }

    /// Its columns lie row group by row group: what is told is the share of the rows.
    pub(super) fn passed(&self) -> u64 {
        let rows = self.batches.metadata.metadata().file_metadata().num_rows().max(1) as f64;
        (self.batches.opened.0 as f64 * (self.row as f64 / rows).min(1.0)) as u64
    }

    pub(super) fn row(&self) -> u64 {
        self.row
    }

    pub(super) fn cells(&self) -> Cells<'_> {
        self.cells.cells()
    }

    pub(super) fn reject(&self) -> Option<&Reject> {
        self.reject.as_ref()
    }

    /// Hashes the file; it must be the one whose footer was read.
    pub(super) fn stamp(&mut self) -> Result<Stamp, InputError> {
        let stamp = Stored::open(&self.input)?.stamp(&self.input.name, self.row)?;
        if (stamp.size, stamp.modified_ns) != self.batches.opened {
            let found =
                format!("{} bytes when it was opened, {} now, or written since", self.batches.opened.0, stamp.size);
            return Err(InputError::Changed { name: self.input.name.clone(), found });
        }
        Ok(stamp)
    }
}

/// The batches of a Parquet file, row group by row group.
pub struct Batches {
    name: String,
    file: Arc<File>,
    metadata: ArrowReaderMetadata,
    /// Size and time of writing when the file was opened.
    opened: (u64, i64),
    /// The top-level columns that are decoded, ascending.
    columns: Vec<usize>,
    /// The next row group, and the one that is being decoded with the rows it still owes.
    next_group: usize,
    decoding: Option<(ParquetRecordBatchReader, u64)>,
}

impl Batches {
    /// Opens a file for all of its columns.
    pub fn open(input: &Input) -> Result<Batches, InputError> {
        let (file, meta) = stored::open(input)?;
        let metadata = footer::read(&input.name, &file, meta.size())?;
        let columns = (0..metadata.schema().fields().len()).collect();
        let opened = (meta.len(), stored::modified_ns(&meta));
        Ok(Batches {
            name: input.name.clone(),
            file: Arc::new(file),
            metadata,
            opened,
            columns,
            next_group: 0,
            decoding: None,
        })
    }

    /// The columns as they are decoded.
    pub fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// The same columns as their writer had them in memory, where it says so: dictionaries, large strings. That is advice for
    /// readers of its own kind, and nothing that the bytes follow.
    pub fn as_written(&self) -> Option<Fields> {
        let file = self.metadata.metadata().file_metadata();
        let told = file.key_value_metadata()?;
        told.iter().find(|pair| pair.key == ARROW_SCHEMA_META_KEY)?;
        let schema = fenced(|| parquet_to_arrow_schema(file.schema_descr(), Some(told))).ok()?;
        let same = |(written, own): (&FieldRef, &FieldRef)| written.name() == own.name();
        let own = self.schema().fields();
        (schema.fields().len() == own.len() && schema.fields().iter().zip(own).all(same)).then_some(schema.fields)
    }

    /// How many rows the next row group has; `None` within one, and at the end.
    pub fn rows_ahead(&self) -> Option<u64> {
        let groups = self.metadata.metadata().row_groups();
        if self.decoding.is_some() { None } else { groups.get(self.next_group).map(|group| group.num_rows() as u64) }
    }

    /// Passes over the next row group.
    pub fn skip_group(&mut self) {
        self.next_group += 1;
    }

    /// The next rows.
    #[expect(clippy::should_implement_trait, reason = "an error ends it; the callers want `?`")]
    pub fn next(&mut self) -> Result<Option<RecordBatch>, InputError> {
        loop {
            let Some((reader, owed)) = &mut self.decoding else {
                if self.rows_ahead().is_none() {
                    return Ok(None);
                }
                let owed = self.rows_ahead().unwrap_or(0);
                let reader = fenced(|| self.reader(self.next_group, &self.columns))
                    .map_err(|found| self.blame(self.next_group, found))?;
                self.decoding = Some((reader, owed));
                self.next_group += 1;
                continue;
            };
            let group = self.next_group - 1;
            let decoded = fenced(|| reader.next().transpose().map_err(|error| ParquetError::External(Box::new(error))));
            match decoded {
                Ok(Some(batch)) if batch.num_rows() as u64 <= *owed => {
                    *owed -= batch.num_rows() as u64;
                    return Ok(Some(batch));
                }
                Ok(None) if *owed == 0 => self.decoding = None,
                Ok(_) => {
                    let found = "another number of rows than the footer tells".to_owned();
                    return Err(self.blame(group, found));
                }
                Err(found) => return Err(self.blame(group, found)),
            }
        }
    }

    fn reader(&self, group: usize, columns: &[usize]) -> Result<ParquetRecordBatchReader, ParquetError> {
        let schema = self.metadata.parquet_schema();
        let mask = ProjectionMask::roots(schema, columns.iter().copied());
        let levels = parquet_to_arrow_field_levels(schema, mask, Some(self.schema().fields()))?;
        let metadata = Arc::clone(self.metadata.metadata());
        let pages = GatedGroup { file: Arc::clone(&self.file), metadata, group };
        // A row of each nested column may have as many values as a whole batch of others.
        let nested = columns.iter().filter(|column| self.schema().field(**column).data_type().is_nested()).count();
        let rows = (BATCH_ROWS / nested.max(1)).max(1);
        ParquetRecordBatchReader::try_new_with_row_groups(&levels, &pages, rows, None)
    }

    /// Decodes these columns only, ascending.
    pub fn select(&mut self, columns: Vec<usize>) {
        self.columns = columns;
    }

    /// What keeps a column of the file from being decoded, if anything does: where, and what was found.
    pub fn fault_of(&self, column: usize) -> Option<(String, String)> {
        let group = |group| self.fault_in(group, column).map(|found| (self.place(group, column), found));
        (0..self.metadata.metadata().num_row_groups()).find_map(group)
    }

    /// The same in one row group.
    fn fault_in(&self, group: usize, column: usize) -> Option<String> {
        let decoded = fenced(|| {
            let mut rows = 0;
            for batch in self.reader(group, &[column])? {
                rows += batch.map_err(|error| ParquetError::External(Box::new(error)))?.num_rows() as i64;
            }
            if rows == self.metadata.metadata().row_group(group).num_rows() {
                return Ok(());
            }
            Err(ParquetError::General("another number of rows than the footer tells".to_owned()))
        });
        decoded.err()
    }

    fn place(&self, group: usize, column: usize) -> String {
        format!("row group {group}, column `{}`", self.metadata.schema().field(column).name())
    }

    /// Names the column at fault: the decoder does not, so each is decoded alone until one fails.
    fn blame(&self, group: usize, found: String) -> InputError {
        let fails = |column: &usize| self.fault_in(group, *column).map(|found| (*column, found));
        let (place, found) = match self.columns.iter().find_map(fails) {
            Some((column, found)) => (self.place(group, column), found),
            None => (format!("row group {group}"), found),
        };
        InputError::refused_at(&self.name, &place, found, REMEDY)
    }
}

impl std::fmt::Debug for Batches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batches")
            .field("name", &self.name)
            .field("schema", &Arc::clone(self.schema()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests;
