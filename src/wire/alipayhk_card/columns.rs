//! The columns of a row, and what they have to do with each other.

use super::AlipayHkCard;
use crate::model::{Delta, Field, Reject, Rule, Status, Value};
use crate::wire::json::Object;
use crate::wire::pass::card::{self, CardReader};
use crate::wire::pass::data::DataReader;
use crate::wire::pass::extra::ExtraReader;
use crate::wire::pass::form::Form as _;
use crate::wire::pass::locale::Locales;
use crate::wire::pass::member::{self, MemberReader};
use crate::wire::row::{self, Cells, Col, Common};
use crate::wire::{Column, ColumnFault, Columns, RowReader, RowRules};

/// The canonical columns.
pub const COLUMNS: Columns = Columns(&[
    &row::COMMON_COLUMNS,
    &card::COLUMNS,
    &[
        "status",
        "end_date",
        "points",
        "level",
        "level.<locale>",
        "data.<name>",
        "points_provider",
        "code_msg",
        "code_value",
    ],
]);

/// The statuses that the page lists; `USED` is not among them.
pub const STATUSES: [(&str, Status); 2] = [("UPDATE", Status::Update), ("CLOSED", Status::Closed)];

/// Who gave the points in an Alipay transaction.
pub const PROVIDERS: [&str; 2] = ["ALIPAYHK", "ALIPAYCN"];

/// What is known of a canonical column.
pub fn column(name: &str) -> Option<Column> {
    let own = match name {
        "status" | "end_date" | "points" | "level" | "points_provider" => Some(Column { required: false, id: false }),
        // Codes are digits with leading zeros: a spreadsheet damages them as it does ids.
        "code_msg" | "code_value" => Some(Column { required: false, id: true }),
        _ => member::column(name),
    };
    own.or_else(|| row::common_column(name)).or_else(|| card::column(name))
}

/// Reads rows.
pub struct Reader {
    common: Common,
    card: CardReader,
    extra: ExtraReader,
    status: Col,
    members: MemberReader,
    points_provider: Col,
    code_msg: Col,
    code_value: Col,
    code_info: bool,
}

impl Reader {
    /// Looks the columns up.
    pub fn new(dialect: &AlipayHkCard, columns: &[String], rules: &RowRules) -> Result<Reader, ColumnFault> {
        let locales = &dialect.locales;
        let common = Common::new(columns, rules, &dialect.endpoint.merchants, |name| dialect.known(name))?;
        let data = DataReader::new(columns, &dialect.data_names_number, |name| data_name(name, locales))?;
        Ok(Reader {
            common,
            card: CardReader::new(columns)?,
            extra: ExtraReader::new(&dialect.extras, columns),
            status: Col::of(columns, "status"),
            // One more: the code.
            members: MemberReader::new(columns, rules, locales, data, None, 1)?,
            points_provider: Col::of(columns, "points_provider"),
            code_msg: Col::personal(columns, "code_msg"),
            code_value: Col::personal(columns, "code_value"),
            code_info: dialect.code_info,
        })
    }

    fn read_update(&self, cells: &Cells<'_>, delta: &mut Delta) -> Result<(), Reject> {
        self.members.read(cells, delta)?;
        delta.members.extend(self.code(cells)?);
        if delta.members.is_empty() {
            return Err(member::no_change());
        }
        self.read_provider(cells, delta)
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
            const EXPECTED: &str = "an empty cell until AlipayHK has agreed to codes and `gateway.code_info = true`";
            return Err(self.code_value.reject(Rule::Combination, value, EXPECTED));
        }
        let json = String::from_utf8(code_info(msg, value)).expect("JSON made of text is text");
        Ok(Some(Field { name: "code".into(), value: Value::Json(json) }))
    }

    /// The provider makes the row an Alipay transaction. It rides with points and tells the bill.
    fn read_provider(&self, cells: &Cells<'_>, delta: &mut Delta) -> Result<(), Reject> {
        let Some(provider) = self.points_provider.one_of(cells, &PROVIDERS)? else { return Ok(()) };
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
        let mut delta = self.common.begin(cells, self.card.card(cells)?, status)?;
        self.card.read(cells, &mut delta)?;
        if status.is_final() {
            let others = [&self.points_provider, &self.code_msg, &self.code_value];
            self.members.refuse(cells, &others, status)?;
            delta.members.push(Field::text("status", status.as_str()));
        } else {
            self.extra.read(cells, &mut delta)?;
            self.read_update(cells, &mut delta)?;
        }
        self.common.finish(cells, &mut delta);
        Ok(delta)
    }
}

/// `codeInfo` as it is sent.
pub fn code_info(msg: &str, value: &str) -> Vec<u8> {
    let mut code = Object::new();
    code.text("$codemsg$", msg).text("$codevalue$", value);
    code.finish()
}

/// The name of a value of `dataInfo`, unless another column is sent under it.
fn data_name<'a>(name: &'a str, locales: &Locales) -> Result<&'a str, String> {
    let localised = |word: &str| name.strip_prefix(word).and_then(|rest| rest.strip_prefix('_'));
    match localised("points").or_else(|| localised("level")) {
        Some(locale) if locales.has(locale) => {
            Err("is what `points` and `level` are sent as; use those columns".into())
        }
        _ => Ok(name),
    }
}
