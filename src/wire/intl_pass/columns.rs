//! The columns of a row, and what they have to do with each other.

use super::IntlPass;
use crate::model::{Delta, Field, Reject, Rule, Status};
use crate::wire::pass::card::{self, CardReader};
use crate::wire::pass::data::DataReader;
use crate::wire::pass::extra::ExtraReader;
use crate::wire::pass::form::Form as _;
use crate::wire::pass::member::{self, MemberReader};
use crate::wire::row::{self, Cells, Col, Common};
use crate::wire::{Column, ColumnFault, Columns, RowReader, RowRules};

/// The canonical columns.
pub const COLUMNS: Columns = Columns(&[
    &row::COMMON_COLUMNS,
    &card::COLUMNS,
    &[
        "status",
        "update_type",
        "verify_code",
        "verify_type",
        "end_date",
        "points",
        "level",
        "level.<locale>",
        "data.<locale>.<name>",
    ],
]);

/// The statuses that the page lists, and the one that it implies.
pub const STATUSES: [(&str, Status); 3] =
    [("USED", Status::Used), ("CLOSED", Status::Closed), ("UPDATE", Status::Update)];

/// The kinds of update. A call has one.
pub const UPDATE_TYPES: [&str; 3] = [LEVEL, SCORE, VALIDITY];
const LEVEL: &str = "UPDATE_LEVEL";
const SCORE: &str = "UPDATE_SCORE";
const VALIDITY: &str = "UPDATE_VALIDITY";

/// The page's lengths, in characters.
const VERIFY_CODE_CHARS_MAX: usize = 128;
const VERIFY_TYPE_CHARS_MAX: usize = 32;

/// What is known of a canonical column.
pub fn column(name: &str) -> Option<Column> {
    let own = match name {
        "status" => Some(Column { required: true, id: false }),
        "update_type" | "end_date" | "points" | "level" => Some(Column { required: false, id: false }),
        "verify_code" | "verify_type" => Some(Column { required: false, id: true }),
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
    update_type: Col,
    verify_code: Col,
    verify_type: Col,
    members: MemberReader,
    allow_update: bool,
}

impl Reader {
    /// Looks the columns up.
    pub fn new(dialect: &IntlPass, columns: &[String], rules: &RowRules) -> Result<Reader, ColumnFault> {
        let common = Common::new(columns, rules, &dialect.endpoint.merchants, |name| dialect.known(name))?;
        let data = DataReader::new(columns, &dialect.data_names_number, |rest| data_name(dialect, rest))?;
        let status = Col::of(columns, "status");
        if !status.exists() {
            let text = "is missing, and has no default: a redeemed pass cannot be had back; name its column".to_owned();
            return Err(ColumnFault { column: "status".to_owned(), text });
        }
        Ok(Reader {
            common,
            card: CardReader::new(columns)?,
            extra: ExtraReader::new(&dialect.extras, columns),
            status,
            update_type: Col::of(columns, "update_type"),
            verify_code: Col::personal(columns, "verify_code"),
            verify_type: Col::of(columns, "verify_type"),
            members: MemberReader::new(columns, rules, &dialect.locales, data, Some(dialect.end_date_zone.clone()), 0)?,
            allow_update: dialect.allow_update,
        })
    }

    fn status(&self, cells: &Cells<'_>) -> Result<Status, Reject> {
        const NOT_YET: &str =
            "USED or CLOSED: the vendor's page does not support UPDATE yet; `gateway.allow_update = true` sends it";
        match self.status.word(cells, &STATUSES)? {
            None => Err(self.status.reject(Rule::Missing, "", "USED, CLOSED or UPDATE; there is no default")),
            Some(Status::Update) if !self.allow_update => Err(self.status.reject(Rule::NotAWord, "UPDATE", NOT_YET)),
            Some(status) => Ok(status),
        }
    }

    fn read_verification(&self, cells: &Cells<'_>, delta: &mut Delta) -> Result<(), Reject> {
        for (column, chars_max) in
            [(&self.verify_code, VERIFY_CODE_CHARS_MAX), (&self.verify_type, VERIFY_TYPE_CHARS_MAX)]
        {
            let text = column.text(cells, chars_max)?;
            delta.ids.extend(text.map(|text| Field::text(column.name(), text)));
        }
        if delta.status == Status::Used && delta.id("verify_code").is_none() {
            return Err(self.verify_code.reject(Rule::Missing, "", "the pass's code: USED needs it"));
        }
        Ok(())
    }

    /// Reads the changes and names their kind.
    fn read_update(&self, cells: &Cells<'_>, delta: &mut Delta) -> Result<(), Reject> {
        self.members.read(cells, delta)?;
        if delta.members.is_empty() {
            return Err(member::no_change());
        }
        let kind = self.update_type(cells, delta)?;
        delta.ids.push(Field::text(self.update_type.name(), kind));
        Ok(())
    }

    /// The one kind of the row's changes, stated or not.
    fn update_type(&self, cells: &Cells<'_>, delta: &Delta) -> Result<&'static str, Reject> {
        let stated = self.update_type.one_of(cells, &UPDATE_TYPES)?;
        let makes = |kind: &str| delta.members.iter().any(|field| kind_of(&field.name) == Some(kind));
        let made: Vec<&'static str> = UPDATE_TYPES.into_iter().filter(|kind| makes(kind)).collect();
        let clash = |found: &str, expected: String| Err(self.update_type.reject(Rule::Combination, found, expected));
        match (stated.as_ref(), made.as_slice()) {
            (Some(kind), []) | (None, [kind]) => Ok(kind),
            (Some(stated), [kind]) if stated == kind => Ok(kind),
            (Some(stated), [kind]) => clash(stated, format!("{kind}, as the row's changes are")),
            (None, []) => {
                Err(self.update_type.reject(Rule::Missing, "", "a kind of update: `data` alone does not tell it"))
            }
            (_, several) => clash(&several.join(" and "), "one kind of change a row: split the row".into()),
        }
    }
}

impl RowReader for Reader {
    fn read(&self, cells: &Cells<'_>) -> Result<Delta, Reject> {
        let status = self.status(cells)?;
        let mut delta = self.common.begin(cells, self.card.card(cells)?, status)?;
        self.card.read(cells, &mut delta)?;
        self.read_verification(cells, &mut delta)?;
        self.extra.read(cells, &mut delta)?;
        if status.is_final() {
            self.members.refuse(cells, &[&self.update_type], status)?;
            delta.members.push(Field::text("status", status.as_str()));
        } else {
            self.read_update(cells, &mut delta)?;
        }
        self.common.finish(cells, &mut delta);
        Ok(delta)
    }
}

/// The kind of update that a member makes; values of the card's own ride with any.
fn kind_of(member: &str) -> Option<&'static str> {
    match member {
        "points" => Some(SCORE),
        "end_date" => Some(VALIDITY),
        _ => member.starts_with("level.").then_some(LEVEL),
    }
}

/// The name in `data.<locale>.<name>`, unless another column is sent under it.
fn data_name<'a>(dialect: &IntlPass, rest: &'a str) -> Result<&'a str, String> {
    let Some((locale, name)) = rest.split_once('.') else {
        return Err("has no locale; expected data.<locale>.<name>".into());
    };
    if !dialect.locales.has(locale) {
        return Err(format!("names `{locale}`, which is not in `gateway.locales`"));
    }
    if name == "level" || name == dialect.points_member {
        return Err("is what `points` and `level` are sent as; use those columns".into());
    }
    Ok(name)
}
