//! What a column holds, and the text of each of its values: plain, or nested as JSON.

use arrow::array::Array;
use arrow::datatypes::{DataType, TimeUnit};
use parquet::schema::types::Type;

use super::super::Kind;
use super::super::limits::RECORD_MAX;
use super::footer::is_int96;
use super::json;
use super::text::{self, ValueFault};

/// What a top-level column holds: `column` as the file describes it, `read_as` as the decoder gives it.
pub(super) fn kind_of(column: &Type, read_as: &DataType) -> Kind {
    if is_int96(column) {
        return Kind::Unreadable(
            "INT96, which is UTC from Spark and local time from Impala; write a TIMESTAMP".to_owned(),
        );
    }
    match read_as {
        DataType::Utf8View | DataType::BinaryView | DataType::Null => Kind::Text,
        DataType::Boolean
        | DataType::Date32
        | DataType::Timestamp(TimeUnit::Millisecond | TimeUnit::Microsecond | TimeUnit::Nanosecond, _) => Kind::Exact,
        other if other.is_integer() => Kind::Exact,
        DataType::Decimal128(..) | DataType::Decimal256(..) => Kind::Decimal,
        other if other.is_floating() => Kind::Float,
        nested if nested.is_nested() && json::is_readable(nested) => Kind::Nested,
        other if other.is_nested() => {
            Kind::Unreadable("a nested column with parts that have no JSON; write it as text".to_owned())
        }
        other => Kind::Unreadable(format!("{other}; write it as text")),
    }
}

/// Appends the value of a column that is [`text::unchecked`] at `row`; nothing for a null.
pub(super) fn append(column: &dyn Array, row: usize, text: &mut String) -> Result<(), ValueFault> {
    if column.data_type().is_nested() && !column.is_null(row) {
        return json::append(column, row, RECORD_MAX, text);
    }
    text::append(column, row, text)
}
