//! The bytes of a field -> its text.

use super::charset::{Charset, Units};
use super::split::Field;

/// Appends the text of a field: quotes taken off, doubled quotes made one. On an undecodable byte nothing is
/// appended and its index in `bytes` is told.
pub(super) fn append_field<U: Units>(
    bytes: &[u8],
    field: Field,
    charset: Charset,
    text: &mut String,
) -> Result<(), usize> {
    let quote = if field.quoted { U::at(bytes, field.start, true).map_or(0, |(_, width)| width) } else { 0 };
    let (start, end) = (field.start + quote, field.end - quote);
    if !field.doubled {
        return charset.append(&bytes[start..end], text).map_err(|bad| start + bad);
    }
    let mut doubled = String::new();
    charset.append(&bytes[start..end], &mut doubled).map_err(|bad| start + bad)?;
    for (at, part) in doubled.split("\"\"").enumerate() {
        if at > 0 {
            text.push('"');
        }
        text.push_str(part);
    }
    Ok(())
}
