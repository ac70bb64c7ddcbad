//! Nested columns as JSON: a struct is an object, a list an array, a map an object by its keys. A null member is left
//! out, a null item is `null`; numbers keep their digits.

use arrow::array::{Array, AsArray, StructArray};
use arrow::datatypes::DataType;

use super::text::{ValueFault, append as append_plain};
use crate::model::Rule;

/// Whether every part of a column has a text.
pub(super) fn is_readable(kind: &DataType) -> bool {
    match kind {
        DataType::List(item) => is_readable(item.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| is_readable(field.data_type())),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                matches!(fields[0].data_type(), DataType::Utf8View) && is_readable(fields[1].data_type())
            }
            _ => false,
        },
        DataType::Utf8View
        | DataType::BinaryView
        | DataType::Boolean
        | DataType::Null
        | DataType::Decimal128(..)
        | DataType::Decimal256(..)
        | DataType::Date32
        | DataType::Timestamp(..) => true,
        other => other.is_integer() || other.is_floating(),
    }
}

/// Appends the value of a nested column at `row`, of which [`is_readable`] holds; at most `bytes_max` are added.
pub(super) fn append(column: &dyn Array, row: usize, bytes_max: usize, text: &mut String) -> Result<(), ValueFault> {
    let end = text.len().saturating_add(bytes_max);
    append_within(column, row, end, text)
}

fn append_within(column: &dyn Array, row: usize, end: usize, text: &mut String) -> Result<(), ValueFault> {
    if text.len() > end {
        return Err((Rule::RecordSize, "a nested value of more bytes than a record".to_owned(), "a smaller one"));
    }
    if column.is_null(row) {
        text.push_str("null");
        return Ok(());
    }
    match column.data_type() {
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            joined(text, ['[', ']'], 0..items.len(), |at, text| append_within(items.as_ref(), at, end, text))
        }
        DataType::Struct(_) => append_struct(column.as_struct(), row, end, text),
        DataType::Map(..) => {
            let entries = column.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            joined(text, ['{', '}'], 0..entries.len(), |at, text| {
                append_text(keys.as_ref(), at, text)?;
                text.push(':');
                append_within(values.as_ref(), at, end, text)
            })
        }
        DataType::Boolean | DataType::Decimal128(..) | DataType::Decimal256(..) => append_plain(column, row, text),
        kind if kind.is_integer() || kind.is_floating() => append_plain(column, row, text),
        _ => append_text(column, row, text),
    }
}

fn append_struct(object: &StructArray, row: usize, end: usize, text: &mut String) -> Result<(), ValueFault> {
    let names = object.column_names();
    let filled = (0..names.len()).filter(|at| !object.column(*at).is_null(row));
    joined(text, ['{', '}'], filled, |at, text| {
        text.push_str(&quoted(names[at]));
        text.push(':');
        append_within(object.column(at).as_ref(), row, end, text)
    })
}

/// A value that is text in JSON too.
fn append_text(column: &dyn Array, row: usize, text: &mut String) -> Result<(), ValueFault> {
    let mut plain = String::new();
    match column.as_string_view_opt() {
        // As with a column of its own, what the decoder took for text may be none.
        Some(view) => append_plain(&view.slice(row, 1).to_binary_view(), 0, &mut plain)?,
        None => append_plain(column, row, &mut plain)?,
    }
    text.push_str(&quoted(&plain));
    Ok(())
}

fn joined(
    text: &mut String,
    [open, close]: [char; 2],
    items: impl Iterator<Item = usize>,
    mut write: impl FnMut(usize, &mut String) -> Result<(), ValueFault>,
) -> Result<(), ValueFault> {
    text.push(open);
    for (nth, at) in items.enumerate() {
        if nth > 0 {
            text.push(',');
        }
        write(at, text)?;
    }
    text.push(close);
    Ok(())
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text can be written")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, Decimal128Array, Float64Array, Int64Array, ListArray, StringViewArray, TimestampMillisecondArray,
    };
    use arrow::datatypes::{Field, Fields, Int32Type};

    use super::*;

    fn json(column: &dyn Array, row: usize) -> Result<String, Rule> {
        assert!(is_readable(column.data_type()));
        let mut text = String::new();
        append(column, row, 10_000, &mut text).map(|()| text).map_err(|(rule, ..)| rule)
    }

    fn object(members: Vec<(&str, ArrayRef)>) -> StructArray {
        let fields: Fields =
            members.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
        StructArray::new(fields, members.into_iter().map(|(_, column)| column).collect(), None)
    }

    #[test]
    fn nested_values_keep_every_digit_and_leave_out_what_is_null() {
        let stamps =
            Decimal128Array::from(vec![Some(20_231_218_103_331_000_001), None]).with_precision_and_scale(20, 0);
        let column = object(vec![
            ("code_status", Arc::new(StringViewArray::from(vec![Some("SUCCESS \"1\""), Some("金卡\n")]))),
            ("time_stamp", Arc::new(stamps.unwrap())),
            ("flag", Arc::new(Int64Array::from(vec![None, Some(-9_007_199_254_740_993)]))),
            ("at", Arc::new(TimestampMillisecondArray::from(vec![None, Some(1_702_866_811_000)]))),
        ]);
        assert_eq!(json(&column, 0).unwrap(), r#"{"code_status":"SUCCESS \"1\"","time_stamp":20231218103331000001}"#);
        assert_eq!(
            json(&column, 1).unwrap(),
            r#"{"code_status":"金卡\n","flag":-9007199254740993,"at":"2023-12-18 02:33:31"}"#
        );
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
        assert_eq!((json(&list, 0).unwrap().as_str(), json(&list, 2).unwrap().as_str()), ("[1,null]", "[]"));
    }

    #[test]
    fn what_has_no_exact_text_or_is_too_large_costs_the_row() {
        let floats = object(vec![("a", Arc::new(Float64Array::from(vec![0.1 + 0.2, 0.5])) as ArrayRef)]);
        assert_eq!(json(&floats, 0), Err(Rule::NotANumber));
        assert_eq!(json(&floats, 1).unwrap(), r#"{"a":0.5}"#);
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some((0..9999).map(Some))]);
        assert_eq!(json(&list, 0), Err(Rule::RecordSize));
    }
}
