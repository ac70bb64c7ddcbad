//! The footer of a Parquet file, looked at before anything is decoded.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::{FooterTail, ParquetMetaData, ParquetStatisticsPolicy};
use parquet::schema::types::Type;

use super::super::InputError;
use super::super::limits::{COLUMNS_MAX, FIXED_LENGTH_MAX, FOOTER_MAX, ROW_GROUPS_MAX, ROWS_PER_BYTE_MAX};
use super::fence::fenced;
use super::pages::check_pages;
use super::shape;

const REMEDY: &str = "export it again as writers do by default: not encrypted, in pages of about 1 MiB, and without columns that nobody needs";

/// Reads and checks the footer, and the header of every page.
pub(super) fn read(name: &str, file: &File, size: u64) -> Result<ArrowReaderMetadata, InputError> {
    let refused = |found: String| InputError::refused_at(name, "footer", found, REMEDY);
    let length = check_tail(file, size).map_err(refused)?;
    let mut footer = vec![0; length];
    file.read_exact_at(&mut footer, size - 8 - length as u64).map_err(|error| refused(error.to_string()))?;
    shape::check_shape(&footer).map_err(refused)?;
    drop(footer);
    // The schema that Arrow embeds is advice by the writer; the file's own types are what its bytes follow.
    let options = ArrowReaderOptions::new()
        .with_skip_arrow_metadata(true)
        .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll);
    let plain = fenced(|| ArrowReaderMetadata::load(file, options.clone())).map_err(refused)?;
    check_shape(plain.metadata(), size).map_err(refused)?;
    check_chunks(name, file, plain.metadata(), size)?;
    let columns = plain.parquet_schema().root_schema().get_fields();
    let read_as = plain.schema().fields().iter().zip(columns).map(|(field, column)| {
        if is_int96(column) { field.as_ref().clone().with_data_type(INT96) } else { viewed(field) }
    });
    let schema = Arc::new(Schema::new(read_as.collect::<Fields>()));
    fenced(|| ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options.with_schema(schema))).map_err(refused)
}

/// The length of the footer.
fn check_tail(file: &File, size: u64) -> Result<usize, String> {
    let mut tail = [0; 8];
    let at = size.checked_sub(12).ok_or_else(|| format!("{size} bytes are no Parquet file"))? + 4;
    file.read_exact_at(&mut tail, at).map_err(|error| error.to_string())?;
    let tail = FooterTail::try_new(&tail)
        .map_err(|_| "the file does not end as a Parquet file ends: it is truncated, or no Parquet")?;
    if tail.is_encrypted_footer() {
        return Err("the file is encrypted; passync reads plain Parquet".to_owned());
    }
    let length = tail.metadata_length() as u64;
    if length > at {
        return Err(format!("a footer of {length} bytes in a file of {size}"));
    }
    if length > FOOTER_MAX {
        return Err(format!("a footer of {length} bytes, more than {FOOTER_MAX}"));
    }
    Ok(tail.metadata_length())
}

fn check_shape(metadata: &ParquetMetaData, size: u64) -> Result<(), String> {
    let schema = metadata.file_metadata().schema_descr();
    let columns = schema.num_columns();
    if let Some(wide) = schema.columns().iter().find(|column| column.type_length() > FIXED_LENGTH_MAX) {
        return Err(format!("a column (`{}`) of values of {} bytes each", wide.path().string(), wide.type_length()));
    }
    if columns > COLUMNS_MAX || metadata.num_row_groups() > ROW_GROUPS_MAX {
        return Err(format!("{columns} columns in {} row groups", metadata.num_row_groups()));
    }
    let mut rows = 0_u64;
    for (group, row_group) in metadata.row_groups().iter().enumerate() {
        let count =
            u64::try_from(row_group.num_rows()).map_err(|_| format!("row group {group}: a negative number of rows"))?;
        rows = rows.checked_add(count).ok_or("more rows than can be counted")?;
    }
    if u64::try_from(metadata.file_metadata().num_rows()) != Ok(rows) {
        let told = metadata.file_metadata().num_rows();
        return Err(format!("{told} rows in the file, {rows} in its row groups"));
    }
    if rows > size.saturating_mul(ROWS_PER_BYTE_MAX) {
        return Err(format!("{rows} rows in {size} bytes"));
    }
    Ok(())
}

fn check_chunks(name: &str, file: &File, metadata: &ParquetMetaData, size: u64) -> Result<(), InputError> {
    for (group, row_group) in metadata.row_groups().iter().enumerate() {
        for column in row_group.columns() {
            let checked = || {
                let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
                let number =
                    |number: i64| u64::try_from(number).map_err(|_| format!("a negative offset or size ({number})"));
                let (start, length) = (number(start)?, number(column.compressed_size())?);
                let end = start
                    .checked_add(length)
                    .filter(|end| *end <= size)
                    .ok_or_else(|| format!("a column chunk of {length} bytes at offset {start} in a file of {size}"))?;
                check_pages(file, start, end, number(column.num_values())?)
            };
            checked().map_err(|found| {
                let place = format!("row group {group}, column `{}`", column.column_path().string());
                InputError::refused_at(name, &place, found, REMEDY)
            })?;
        }
    }
    Ok(())
}

/// What a column of INT96 is read as: in nanoseconds of 64 bits, the decoder's choice, the year 9999 is one of 1816. Spark writes
/// microseconds.
const INT96: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// Whether a column holds the timestamps of old Spark, Hive and Impala.
pub(super) fn is_int96(column: &Type) -> bool {
    column.is_primitive() && column.get_physical_type() == PhysicalType::INT96
}

/// The same column read as views: a text that a dictionary repeats a thousand times is then there once.
fn viewed(field: &Field) -> Field {
    let inner = |field: &FieldRef| Arc::new(viewed(field));
    let kind = match field.data_type() {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Binary => DataType::BinaryView,
        DataType::List(item) => DataType::List(inner(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        DataType::Map(entries, sorted) => DataType::Map(inner(entries), *sorted),
        other => other.clone(),
    };
    field.clone().with_data_type(kind)
}
