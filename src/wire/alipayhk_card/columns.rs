//! The columns of a row, and what they have to do with each other.

use super::AlipayHkCard;
use crate::model::{Amount, Delta, Field, Reject, Rule, Status, Value};
use crate::wire::json::Object;
use crate::wire::pass::card::{self, CardReader};
use crate::wire::pass::extra::ExtraReader;
use crate::wire::pass::locale::LevelReader;
use crate::wire::row::{self, Cells, Col, Common};
use crate::wire::{Column, ColumnFault, RowReader, RowRules};

/// The canonical columns.
pub const COLUMNS: &[&str] = &[
    "bill_no",
    "occurred_at",
    "sequence",
    "last_changed_points",
    "merchant_id",
    "pass_id",
    "user_id",
    "open_id",
    "template_code",
    "status",
    "end_date",
    "points",
    "level",
    "level.<locale>",
    "data.<name>",
    "points_provider",
    "code_msg",
    "code_value",
];

/// The statuses that the page lists; `USED` is not among them.
const STATUSES: [(&str, Status); 2] = [("UPDATE", Status::Update), ("CLOSED", Status::Closed)];
/// Who gave the points in an Alipay transaction.
pub const PROVIDERS: [(&str, &str); 2] = [("ALIPAYHK", "ALIPAYHK"), ("ALIPAYCN", "ALIPAYCN")];

/// What is known of a canonical column.
pub fn column(name: &str) -> Option<Column> {
    let pattern = name.starts_with("level.") || name.starts_with("data.");
    let own = pattern || ["status", "end_date", "points", "level", "points_provider"].contains(&name);
    // Codes are digits with leading zeros: a spreadsheet damages them as it does ids.
    let code = ["code_msg", "code_value"].contains(&name);
    let own = (own || code).then_some(Column { required: false, id: code });
    own.or_else(|| row::common_column(name)).or_else(|| card::column(name))
}

/// Reads rows.
pub struct Reader {
    common: Common,
    card: CardReader,
    extra: ExtraReader,
    status: Col,
    end_date: Col,
    points: Col,
    negative_points: bool,
    points_provider: Col,
    levels: LevelReader,
    /// Sorted by name, with whether it is a number.
    data: Vec<(Col, bool)>,
    code_msg: Col,
    code_value: Col,
    code_info: bool,
}

impl Reader {
    /// Looks the columns up.
    pub fn new(dialect: &AlipayHkCard, columns: &[String], rules: &RowRules) -> Result<Reader, ColumnFault> {
        use crate::wire::Dialect as _;
        let of = |name| Col::of(columns, name);
        let reader = Reader {
            common: Common::new(columns, rules, &dialect.endpoint.merchants, |name| dialect.column(name))?,
            card: CardReader::new(columns)?,
            extra: ExtraReader::new(&dialect.extras, columns),
            status: of("status"),
            end_date: of("end_date"),
            points: of("points"),
            negative_points: rules.negative_points,
            points_provider: of("points_provider"),
            levels: LevelReader::new(columns, &dialect.locales)?,
            data: data_columns(dialect, columns)?,
            code_msg: of("code_msg"),
            code_value: of("code_value"),
            code_info: dialect.code_info,
        };
        // Beside levels and data: end_date, points and code.
        let members_max = 3 + reader.levels.members_max() + reader.data.len();
        match reader.data.last() {
            Some((column, _)) if members_max > Delta::MEMBERS_MAX => Err(ColumnFault {
                column: column.name().to_owned(),
                text: format!("makes {members_max} members; a row has at most {}", Delta::MEMBERS_MAX),
            }),
            _ => Ok(reader),
        }
    }

    /// What a CLOSED row may not fill.
    fn changes(&self) -> impl Iterator<Item = &Col> {
        [&self.end_date, &self.points, &self.points_provider, &self.code_msg, &self.code_value]
            .into_iter()
            .chain(self.levels.columns())
            .chain(self.data.iter().map(|(column, _)| column))
    }

    fn refuse_changes(&self, cells: &Cells<'_>) -> Result<(), Reject> {
        match self.changes().find_map(|column| Some((column, column.cell(cells)?))) {
            Some((column, found)) => {
                Err(column.reject(Rule::Combination, found, "nothing: a CLOSED row sends ids and status only"))
            }
            None => Ok(()),
        }
    }

    fn read_members(&self, cells: &Cells<'_>, delta: &mut Delta) -> Result<(), Reject> {
        let mut member = |name: &str, value| delta.members.push(Field { name: name.to_owned(), value });
        if let Some(ms) = self.end_date.end_of_day(cells, self.common.times())? {
            member("end_date", Value::Time(ms));
        }
        if let Some(points) = self.points.points(cells, self.negative_points)? {
            member("points", Value::Number(points));
        }
        self.levels.read(cells, delta)?;
        for (column, number) in &self.data {
            let value = data_value(column, *number, cells)?;
            delta.members.extend(value.map(|value| Field { name: column.name().to_owned(), value }));
        }
        delta.members.extend(self.code(cells)?);
        if delta.members.is_empty() {
            return Err(Reject::new(Rule::NoChange, "", "", "a value in points, a level, end_date or data"));
        }
        Ok(())
    }

    /// Message and value of a code are one member: the page has both or none.
    fn code(&self, cells: &Cells<'_>) -> Result<Option<Field>, Reject> {
        let (msg, value) = match (self.code_msg.cell(cells), self.code_value.cell(cells)) {
            (None, None) => return Ok(None),
            (Some(msg), Some(value)) => (msg, value),
            (Some(_), None) => return Err(self.code_value.reject(Rule::Combination, "", "a value beside `code_msg`")),
            (None, Some(_)) => return Err(self.code_msg.reject(Rule::Combination, "", "a value beside `code_value`")),
        };
        if !self.code_info {
            const EXPECTED: &str = "nothing until AlipayHK has agreed to codes and `gateway.code_info = true`";
            return Err(self.code_value.reject(Rule::Combination, value, EXPECTED));
        }
        let json = String::from_utf8(code_info(msg, value)).expect("JSON made of text is text");
        Ok(Some(Field { name: "code".to_owned(), value: Value::Json(json) }))
    }

    /// The provider makes the row an Alipay transaction. It rides with points and tells the bill.
    fn read_provider(&self, cells: &Cells<'_>, delta: &mut Delta) -> Result<(), Reject> {
        let Some(provider) = self.points_provider.word(cells, &PROVIDERS)? else { return Ok(()) };
        if delta.bill_no.is_none() {
            return Err(self.common.missing_bill("AlipayHK's bill number, as the row has a `points_provider`"));
        }
        if delta.member("points").is_none() {
            return Err(self.points_provider.reject(
                Rule::Combination,
                provider,
                "`points` beside it, or an empty cell",
            ));
        }
        delta.riders.push(Field::text(self.points_provider.name(), provider));
        Ok(())
    }
}

impl RowReader for Reader {
    fn read(&self, cells: &Cells<'_>) -> Result<Delta, Reject> {
        let status = self.status.word(cells, &STATUSES)?.unwrap_or(Status::Update);
        let mut delta = self.common.begin(cells, self.card.card(cells)?, status, &[("status", status.as_str())])?;
        self.card.read(cells, &mut delta)?;
        if status.is_final() {
            self.refuse_changes(cells)?;
            delta.members.push(Field::text("status", status.as_str()));
            return Ok(delta);
        }
        self.extra.read(cells, &mut delta)?;
        self.read_members(cells, &mut delta)?;
        self.read_provider(cells, &mut delta)?;
        Ok(delta)
    }
}

/// `codeInfo` as it is sent.
pub fn code_info(msg: &str, value: &str) -> Vec<u8> {
    let mut code = Object::new();
    code.text("$codemsg$", msg).text("$codevalue$", value);
    code.finish()
}

fn data_columns(dialect: &AlipayHkCard, columns: &[String]) -> Result<Vec<(Col, bool)>, ColumnFault> {
    let mut data = Vec::new();
    for column in columns {
        let Some(name) = column.strip_prefix("data.") else { continue };
        let fault = |text: &str| Err(ColumnFault { column: column.clone(), text: text.to_owned() });
        if name.is_empty() || name.contains(|character: char| character == '$' || character.is_whitespace()) {
            return fault("has no name that could stand between two `$`");
        }
        let reserved = ["points", "level"].iter().any(|word| {
            dialect
                .locales
                .iter()
                .any(|locale| name.strip_prefix(word).and_then(|rest| rest.strip_prefix('_')) == Some(locale))
        });
        if reserved {
            return fault("is what `points` and `level` are sent as; use those columns");
        }
        data.push((Col::of(columns, column), dialect.data_names_number.iter().any(|number| number == name)));
    }
    // What a row says must not depend on the order of its columns.
    data.sort_by(|(one, _), (other, _)| one.name().cmp(other.name()));
    Ok(data)
}

fn data_value(column: &Col, number: bool, cells: &Cells<'_>) -> Result<Option<Value>, Reject> {
    if number {
        let amount: Option<Amount> = column.amount(cells)?;
        return Ok(amount.map(Value::Number));
    }
    Ok(column.cell(cells).map(|text| Value::Text(text.to_owned())))
}
