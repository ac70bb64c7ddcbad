//! The members that a card has in both dialects: validity, points, levels, and values of its own.

use jiff::tz::TimeZone;

use super::data::DataReader;
use super::locale::{LevelReader, Locales};
use super::parameter;
use crate::model::{Amount, Delta, Field, LocalTime, Reject, Rule, Status, Value};
use crate::wire::row::{Cells, Col};
use crate::wire::{CallFault, Column, ColumnFault, RowRules};

/// Reads the members of a row.
pub struct MemberReader {
    end_date: Col,
    /// The zone in which it is written; `None`: as milliseconds.
    end_date_zone: Option<TimeZone>,
    points: Col,
    negative_points: bool,
    times: LocalTime,
    levels: LevelReader,
    data: DataReader,
}

impl MemberReader {
    /// Looks the columns up. `end_date_zone`: that in which `end_date` is written, unless as milliseconds. `others`: how
    /// many more members a row of the dialect may have.
    pub fn new(
        columns: &[String],
        rules: &RowRules,
        locales: &Locales,
        data: DataReader,
        end_date_zone: Option<TimeZone>,
        others: usize,
    ) -> Result<MemberReader, ColumnFault> {
        let levels = LevelReader::new(columns, locales)?;
        // Beside these: end_date and points.
        data.check_members(levels.members_max() + 2 + others)?;
        Ok(MemberReader {
            end_date: Col::of(columns, "end_date"),
            end_date_zone,
            points: Col::of(columns, "points"),
            negative_points: rules.negative_points,
            times: rules.times.clone(),
            levels,
            data,
        })
    }

    /// Adds what the row fills to a delta, in an order that neither columns nor locales have a part in.
    pub fn read(&self, cells: &Cells<'_>, delta: &mut Delta) -> Result<(), Reject> {
        let mut member = |column: &Col, value| delta.members.push(Field { name: column.name().into(), value });
        if let Some(ms) = self.end_date.end_of_day(cells, &self.times)? {
            if let Some(zone) = &self.end_date_zone {
                self.end_date.writable(cells, ms, zone)?;
            }
            member(&self.end_date, Value::Time(ms));
        }
        if let Some(points) = self.points.points(cells, self.negative_points)? {
            member(&self.points, Value::Number(points));
        }
        self.levels.read(cells, delta)?;
        self.data.read(cells, delta)
    }

    /// Refuses a row that ends its card and yet fills one of these columns, or of `others`.
    pub fn refuse<'a>(&'a self, cells: &Cells<'_>, others: &[&'a Col], status: Status) -> Result<(), Reject> {
        let own = [&self.end_date, &self.points].into_iter().chain(self.levels.columns()).chain(self.data.columns());
        match own.chain(others.iter().copied()).find_map(|column| Some((column, column.cell(cells)?))) {
            Some((column, found)) => {
                let status = status.as_str();
                let expected = format!("an empty cell: a {status} row names its card, and changes nothing on it");
                Err(column.reject(Rule::Combination, found, expected))
            }
            None => Ok(()),
        }
    }
}

/// What is known of a column whose name is a pattern.
pub fn column(name: &str) -> Option<Column> {
    let pattern = name.starts_with("level.") || name.starts_with("data.");
    pattern.then_some(Column { required: false, id: false })
}

/// Adds points to what a gateway read: they are one member, in every language the same.
pub fn read_points(text: &str, members: &mut Vec<(String, String)>) -> Result<(), CallFault> {
    let points = Amount::parse(text).map_err(|fault| parameter("points", &format!("is not {fault}")))?.to_string();
    match members.iter().find(|(name, _)| name == "points") {
        Some((_, other)) if *other != points => Err(parameter("dataInfo", "has other points in another language")),
        Some(_) => Ok(()),
        None => {
            members.push(("points".to_owned(), points));
            Ok(())
        }
    }
}

/// A reject for a row that changes nothing.
pub fn no_change() -> Reject {
    Reject::new(Rule::NoChange, "", "", "a value in points, a level, end_date or data")
}
