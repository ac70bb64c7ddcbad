//! A plain value -> the text that the same value has in a CSV file.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Decimal256Type, DecimalType, Float16Type, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use jiff::SignedDuration;
use jiff::civil::Date;

use crate::model::Rule;
use crate::model::moment::EPOCH;

/// A value that has no exact text: the rule that it breaks, what was found, what was expected.
pub(super) type ValueFault = (Rule, String, &'static str);

/// The column with text as bytes: the decoder looks at a page's text as a whole, so that a damaged length may cut a
/// character in two and leave a `str` that is none. [`append`] looks at each value.
pub(super) fn unchecked(column: &ArrayRef) -> ArrayRef {
    match column.as_string_view_opt() {
        Some(text) => Arc::new(text.clone().to_binary_view()),
        None => Arc::clone(column),
    }
}

/// Appends the value of a plain column that is [`unchecked`] at `row`; nothing for a null.
pub(super) fn append(column: &dyn Array, row: usize, text: &mut String) -> Result<(), ValueFault> {
    if column.is_null(row) {
        return Ok(());
    }
    match column.data_type() {
        DataType::Null => {}
        DataType::BinaryView => append_bytes(column.as_binary_view().value(row), text)?,
        DataType::Boolean => text.push_str(if column.as_boolean().value(row) { "true" } else { "false" }),
        DataType::Int8 => display(&value::<Int8Type>(column, row), text),
        DataType::Int16 => display(&value::<Int16Type>(column, row), text),
        DataType::Int32 => display(&value::<Int32Type>(column, row), text),
        DataType::Int64 => display(&value::<Int64Type>(column, row), text),
        DataType::UInt8 => display(&value::<UInt8Type>(column, row), text),
        DataType::UInt16 => display(&value::<UInt16Type>(column, row), text),
        DataType::UInt32 => display(&value::<UInt32Type>(column, row), text),
        DataType::UInt64 => display(&value::<UInt64Type>(column, row), text),
        DataType::Decimal128(precision, scale) => {
            text.push_str(&Decimal128Type::format_decimal(value::<Decimal128Type>(column, row), *precision, *scale));
        }
        DataType::Decimal256(precision, scale) => {
            text.push_str(&Decimal256Type::format_decimal(value::<Decimal256Type>(column, row), *precision, *scale));
        }
        // 15 (6, 3) significant digits survive the way from decimal to binary and back; with more the text is not
        // what was meant.
        DataType::Float64 => append_float(value::<Float64Type>(column, row), 15, text)?,
        DataType::Float32 => {
            let number = value::<Float32Type>(column, row);
            append_float(number.to_string().parse().unwrap_or(f64::NAN), 6, text)?;
        }
        DataType::Float16 => append_float(value::<Float16Type>(column, row).to_f64(), 3, text)?,
        DataType::Date32 => append_date(value::<Date32Type>(column, row), text)?,
        DataType::Timestamp(unit, zone) => {
            let nanoseconds = match unit {
                TimeUnit::Millisecond => i128::from(value::<TimestampMillisecondType>(column, row)) * 1_000_000,
                TimeUnit::Microsecond => i128::from(value::<TimestampMicrosecondType>(column, row)) * 1_000,
                TimeUnit::Nanosecond => i128::from(value::<TimestampNanosecondType>(column, row)),
                TimeUnit::Second => return Err(unreadable(column)),
            };
            append_instant(nanoseconds, zone.is_some(), text)?;
        }
        _ => return Err(unreadable(column)),
    }
    Ok(())
}

fn value<T: ArrowPrimitiveType>(column: &dyn Array, row: usize) -> T::Native {
    column.as_primitive::<T>().value(row)
}

fn display(number: &dyn std::fmt::Display, text: &mut String) {
    write!(text, "{number}").expect("a String takes everything");
}

fn unreadable(column: &dyn Array) -> ValueFault {
    (Rule::Encoding, column.data_type().to_string(), "text")
}

fn append_bytes(bytes: &[u8], text: &mut String) -> Result<(), ValueFault> {
    let value = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let found = format!("byte {:#04x} at offset {at} of the value", bytes[at]);
        (Rule::Encoding, found, "UTF-8; correct the export")
    })?;
    if value.contains('\0') {
        return Err((Rule::NulByte, "\0".to_owned(), "text without NUL bytes; correct the export"));
    }
    text.push_str(value);
    Ok(())
}

fn append_float(number: f64, digits_max: usize, text: &mut String) -> Result<(), ValueFault> {
    const EXPECTED: &str = "an exact number; export the column as decimal or text, not as floating point";
    if !number.is_finite() {
        return Err((Rule::NotANumber, number.to_string(), EXPECTED));
    }
    let written = number.to_string();
    let digits = written.trim_start_matches('-').replace('.', "");
    // Round numbers, too: 20,000,001 is 20,000,000 in 32 bits.
    if digits.trim_start_matches('0').len() > digits_max {
        return Err((Rule::NotANumber, written, EXPECTED));
    }
    text.push_str(&written);
    Ok(())
}

const YEARS: &str = "a time between the years 1 and 9999";

fn append_date(days: i32, text: &mut String) -> Result<(), ValueFault> {
    let date = Date::constant(1970, 1, 1)
        .checked_add(SignedDuration::from_hours(i64::from(days) * 24))
        .ok()
        .filter(|date| (1..=9999).contains(&date.year()))
        .ok_or_else(|| (Rule::NotATime, format!("day {days} since 1970"), YEARS))?;
    display(&date, text);
    Ok(())
}

fn append_instant(nanoseconds: i128, in_utc: bool, text: &mut String) -> Result<(), ValueFault> {
    // As a date and a time: jiff's instants end a day before those do, on which what never ends is said to end.
    const SECOND: i128 = 1_000_000_000;
    let since = i64::try_from(nanoseconds.div_euclid(SECOND))
        .map(|seconds| SignedDuration::new(seconds, nanoseconds.rem_euclid(SECOND) as i32));
    let time = since
        .ok()
        .and_then(|since| EPOCH.checked_add(since).ok())
        .filter(|time| time.year() >= 1)
        .ok_or_else(|| (Rule::NotATime, format!("{nanoseconds} ns since 1970"), YEARS))?;
    let (between, behind) = if in_utc { ('T', "Z") } else { (' ', "") };
    write!(text, "{}{between}{}{behind}", time.date(), time.time()).expect("a String takes everything");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(number: f64) -> Option<String> {
        let mut text = String::new();
        append_float(number, 15, &mut text).ok().map(|()| text)
    }

    #[test]
    fn floats_have_a_text_only_where_it_is_what_was_meant() {
        for (number, text) in [
            (19999.0, Some("19999")),
            (1999.5, Some("1999.5")),
            (0.1, Some("0.1")),
            (-0.001, Some("-0.001")),
            (1e14, Some("100000000000000")),
            (1e15, None),
            (0.1 + 0.2, None),
            (1_234_567_890_123_456.0, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ] {
            assert_eq!(float(number).as_deref(), text, "{number}");
        }
    }

    #[test]
    fn the_last_day_is_a_day() {
        let mut text = String::new();
        append_instant(253_402_271_999_000_000_000, true, &mut text).unwrap();
        assert_eq!(text, "9999-12-31T15:59:59Z");
        assert!(append_instant(253_402_300_800_000_000_000, true, &mut text).is_err());
        assert!(append_instant(i128::from(i64::MIN) * 1_000_000, true, &mut text).is_err());
    }

    #[test]
    fn times_have_a_fraction_only_when_needed() {
        let mut text = String::new();
        append_instant(1_702_866_811_000_000_000, true, &mut text).unwrap();
        text.push('|');
        append_instant(1_702_866_811_250_000_000, true, &mut text).unwrap();
        text.push('|');
        append_instant(1_702_866_811_250_000_000, false, &mut text).unwrap();
        text.push('|');
        append_instant(1_702_866_811_000_000_000, false, &mut text).unwrap();
        text.push('|');
        append_date(19_709, &mut text).unwrap();
        assert_eq!(
            text,
            "2023-12-18T02:33:31Z|2023-12-18T02:33:31.25Z|2023-12-18 02:33:31.25|2023-12-18 02:33:31|2023-12-18"
        );
        assert!(append_instant(i128::from(i64::MAX) * 1_000_000, true, &mut text).is_err());
        assert!(append_date(i32::MAX, &mut text).is_err());
    }
}
