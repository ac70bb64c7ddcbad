//! `[gateway.extra]`: members of the pages' samples that their tables lack. Sent last, with updates only.

use crate::model::{Delta, Field, Reject, Value};
use crate::wire::json::Object;
use crate::wire::row::{Cells, Col};
use crate::wire::setting::Keys;
use crate::wire::{Column, SettingFault};

/// One extra member of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    key: String,
    source: Source,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// The same JSON in every call.
    Constant(Vec<u8>),
    /// A cell of the row.
    Column { name: String, number: bool },
}

/// Reads `[gateway.extra]`. `taken` are the members that the table of the page has, and `known` the dialect's
/// own columns: neither can be had twice.
pub fn from_settings(
    keys: &Keys<'_>,
    taken: &[&str],
    known: impl Fn(&str) -> bool,
) -> Result<Vec<Extra>, SettingFault> {
    let mut extras: Vec<Extra> = Vec::new();
    for (key, value) in keys.entries("extra")? {
        let prefix = format!("extra.{key}.");
        let fault = |text: String| SettingFault { key: format!("extra.{key}"), text };
        if taken.contains(&key) {
            return Err(fault("is sent already, from its own column".into()));
        }
        let Some(table) = value.as_table() else {
            return Err(fault(format!("found `{value}`, expected {EXPECTED}")));
        };
        if let Some(other) = table.keys().find(|name| !["column", "type", "value"].contains(&name.as_str())) {
            return Err(fault(format!("unknown key `{other}`; expected {EXPECTED}")));
        }
        let inner = keys.below(table, &prefix);
        let source = match (inner.text("column")?, inner.get("value")) {
            (Some(column), None) => {
                let twice = |extra: &Extra| matches!(&extra.source, Source::Column { name, .. } if name == column);
                if column.is_empty() || known(column) || extras.iter().any(twice) {
                    return Err(inner.fault("column", format!("`{column}` is in use already; name another one")));
                }
                let number = inner.word("type", &[("string", false), ("number", true)], false)?;
                Source::Column { name: column.to_owned(), number }
            }
            (None, Some(value)) if inner.get("type").is_none() => {
                Source::Constant(constant(value).ok_or_else(|| {
                    inner.fault("value", format!("found `{value}`, expected a text, a whole number, true or false"))
                })?)
            }
            _ => return Err(fault(format!("expected {EXPECTED}"))),
        };
        extras.push(Extra { key: key.to_owned(), source });
    }
    Ok(extras)
}

const EXPECTED: &str = r#"{ column = "NAME", type = "string" or "number" } or { value = ... }"#;

fn constant(value: &toml::Value) -> Option<Vec<u8>> {
    match value {
        toml::Value::String(text) => serde_json::to_vec(text).ok(),
        toml::Value::Integer(number) => Some(number.to_string().into_bytes()),
        toml::Value::Boolean(flag) => Some(flag.to_string().into_bytes()),
        _ => None,
    }
}

/// What is known of an extra column.
pub fn column(extras: &[Extra], name: &str) -> Option<Column> {
    extras.iter().find_map(|extra| match &extra.source {
        Source::Column { name: column, number } if column == name => Some(Column { required: false, id: !number }),
        _ => None,
    })
}

/// Reads the extra columns of a row.
pub struct ExtraReader(Vec<(Col, bool)>);

impl ExtraReader {
    /// Looks the columns up.
    pub fn new(extras: &[Extra], columns: &[String]) -> ExtraReader {
        let sources = extras.iter().filter_map(|extra| match &extra.source {
            Source::Column { name, number } => Some((Col::of(columns, name), *number)),
            Source::Constant(_) => None,
        });
        ExtraReader(sources.collect())
    }

    /// Adds what the row fills to the delta's ids.
    pub fn read(&self, cells: &Cells<'_>, delta: &mut Delta) -> Result<(), Reject> {
        for (column, number) in &self.0 {
            let value = match number {
                true => column.amount(cells)?.map(Value::Number),
                false => column.cell(cells).map(|text| Value::Text(text.into())),
            };
            delta.ids.extend(value.map(|value| Field { name: column.name().into(), value }));
        }
        Ok(())
    }
}

/// Writes what the delta has of them.
pub fn write(extras: &[Extra], delta: &Delta, body: &mut Object) {
    for Extra { key, source } in extras {
        match source {
            Source::Constant(json) => {
                body.raw(key, json);
            }
            Source::Column { name, .. } => {
                if let Some(field) = delta.ids.iter().find(|field| field.name == *name) {
                    body.value(key, &field.value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::setting::no_vault;

    fn read(text: &str) -> Result<Vec<Extra>, SettingFault> {
        let table: toml::Table = text.parse().unwrap();
        from_settings(&Keys::gateway(&table, &no_vault), &["status"], |name| name == "points")
    }

    #[test]
    fn constants_and_columns() {
        let extras = read(
            "[extra]\nbizSerialId = { column = 'biz_serial_id' }\namount = { column = 'cents', type = 'number' }\n\
             type = { value = 'CARD' }\nversion = { value = 2 }\nlive = { value = true }",
        )
        .unwrap();
        assert_eq!(column(&extras, "biz_serial_id"), Some(Column { required: false, id: true }));
        assert_eq!(column(&extras, "cents"), Some(Column { required: false, id: false }));
        assert_eq!(column(&extras, "CARD"), None);
        assert_eq!(extras.len(), 5);
        assert_eq!(read(""), Ok(vec![]));
    }

    #[test]
    fn what_cannot_be_sent_is_named() {
        for (text, key) in [
            ("extra = 1", "extra"),
            ("[extra]\na = 1", "extra.a"),
            ("[extra]\na = {}", "extra.a"),
            ("[extra]\na = { value = 1, column = 'x' }", "extra.a"),
            ("[extra]\na = { value = 1, type = 'number' }", "extra.a"),
            ("[extra]\na = { value = 1.5 }", "extra.a.value"),
            ("[extra]\na = { column = 'x', kind = 'string' }", "extra.a"),
            ("[extra]\na = { column = 'x', type = 'float' }", "extra.a.type"),
            ("[extra]\na = { column = 'points' }", "extra.a.column"),
            ("[extra]\na = { column = 'x' }\nb = { column = 'x' }", "extra.b.column"),
            ("[extra]\nstatus = { value = 'X' }", "extra.status"),
        ] {
            assert_eq!(read(text).unwrap_err().key, key, "{text}");
        }
    }
}
