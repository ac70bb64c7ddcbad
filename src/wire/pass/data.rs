//! `data.` columns: values of a card that the template's owner has named.

use crate::model::{Delta, Field, Reject, Value};
use crate::wire::ColumnFault;
use crate::wire::SettingFault;
use crate::wire::row::{Cells, Col};
use crate::wire::setting::Keys;

/// Reads `gateway.data_names_number`: the values that go out as JSON numbers.
pub fn numbers_from_settings(keys: &Keys<'_>) -> Result<Vec<String>, SettingFault> {
    Ok(keys.texts("data_names_number", &[])?.into_iter().map(str::to_owned).collect())
}

/// Reads the `data.` columns of a row.
pub struct DataReader {
    /// Sorted by name, because what a row says must not depend on the order of its columns; with whether the value
    /// is a number.
    columns: Vec<(Col, bool)>,
}

impl DataReader {
    /// Looks the columns up. `name_of` takes what stands behind `data.` and gives the value's own name, or what is
    /// wrong with it.
    pub fn new(
        columns: &[String],
        numbers: &[String],
        name_of: impl Fn(&str) -> Result<&str, String>,
    ) -> Result<DataReader, ColumnFault> {
        let mut data = Vec::new();
        for column in columns {
            let Some(rest) = column.strip_prefix("data.") else { continue };
            let fault = |text: String| ColumnFault { column: column.clone(), text };
            let name = name_of(rest).map_err(fault)?;
            if name.is_empty() || name.contains(|character: char| character == '$' || character.is_whitespace()) {
                return Err(fault("has no name that could stand between two `$`".into()));
            }
            data.push((Col::of(columns, column), numbers.iter().any(|number| number == name)));
        }
        data.sort_by(|(one, _), (other, _)| one.name().cmp(other.name()));
        Ok(DataReader { columns: data })
    }

    /// The columns.
    pub fn columns(&self) -> impl Iterator<Item = &Col> {
        self.columns.iter().map(|(column, _)| column)
    }

    /// A fault if `others` more members than these would be too many for a row.
    pub fn check_members(&self, others: usize) -> Result<(), ColumnFault> {
        let members_max = self.columns.len() + others;
        match self.columns().last() {
            Some(column) if members_max > Delta::MEMBERS_MAX => Err(ColumnFault {
                column: column.name().to_owned(),
                text: format!("makes {members_max} members; a row has at most {}", Delta::MEMBERS_MAX),
            }),
            _ => Ok(()),
        }
    }

    /// Adds the values to a delta's members.
    pub fn read(&self, cells: &Cells<'_>, delta: &mut Delta) -> Result<(), Reject> {
        for (column, number) in &self.columns {
            let value = if *number {
                column.amount(cells)?.map(Value::Number)
            } else {
                column.cell(cells).map(|text| Value::Text(text.into()))
            };
            delta.members.extend(value.map(|value| Field { name: column.name().into(), value }));
        }
        Ok(())
    }
}
