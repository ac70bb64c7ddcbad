//! The columns that name a card and its user, on their way into a body and out of one.

use super::{Members, parameter};
use crate::model::{Delta, Field, Reject, Rule};
use crate::wire::json::Object;
use crate::wire::row::{Cells, Col};
use crate::wire::{CallFault, Column, ColumnFault};

/// The vendor's pages give 32 for each of these ids.
const ID_CHARS_MAX: usize = 32;

/// The columns.
pub const COLUMNS: [&str; 4] = ["pass_id", "user_id", "open_id", "template_code"];

/// What is known of them.
pub fn column(name: &str) -> Option<Column> {
    COLUMNS.contains(&name).then(|| Column { required: name == "pass_id", id: true })
}

/// Reads them from rows.
pub struct CardReader {
    pass_id: Col,
    user_id: Col,
    open_id: Col,
    template_code: Col,
}

impl CardReader {
    /// Looks them up.
    pub fn new(columns: &[String]) -> Result<CardReader, ColumnFault> {
        let [pass_id, user_id, open_id, template_code] = COLUMNS.map(|name| Col::of(columns, name));
        let fault = |column: &Col, text: &str| ColumnFault { column: column.name().into(), text: text.into() };
        if !pass_id.exists() {
            return Err(fault(&pass_id, "is missing; name the input's own column for it under [input.columns]"));
        }
        if !user_id.exists() && !open_id.exists() {
            return Err(fault(&user_id, "is missing, and so is `open_id`; the page asks for one of them"));
        }
        Ok(CardReader { pass_id, user_id, open_id, template_code })
    }

    /// The card.
    pub fn card<'a>(&self, cells: &'a Cells<'_>) -> Result<&'a str, Reject> {
        self.pass_id.needed(cells, ID_CHARS_MAX)
    }

    /// Adds the ids to a delta.
    pub fn read(&self, cells: &Cells<'_>, delta: &mut Delta) -> Result<(), Reject> {
        for column in [&self.user_id, &self.open_id, &self.template_code] {
            let text = column.text(cells, ID_CHARS_MAX)?;
            delta.ids.extend(text.map(|text| Field::text(column.name(), text)));
        }
        if delta.id("user_id").is_none() && delta.id("open_id").is_none() {
            return Err(self.user_id.reject(Rule::Missing, "", "a value here or in `open_id`"));
        }
        Ok(())
    }
}

/// Begins a body with merchant, user, template and card. `template`: what the template's member is called.
pub fn begin_body(delta: &Delta, template: &str) -> Object {
    let mut body = Object::new();
    body.text("merchantId", &delta.merchant);
    for (key, id) in [("userId", "user_id"), ("openId", "open_id"), (template, "template_code")] {
        if let Some(text) = delta.id(id) {
            body.text(key, text);
        }
    }
    body.text("passId", &delta.card);
    body
}

/// Reads merchant and card from a body that a gateway received.
pub fn read_body<'a>(body: Members<'a>, template: &str) -> Result<(&'a str, &'a str), CallFault> {
    let merchant = body.needed("merchantId")?;
    let ids = [body.text("userId")?, body.text("openId")?];
    if ids.iter().flatten().all(|id| id.is_empty()) {
        return Err(parameter("userId", "is missing, and so is openId"));
    }
    let card = body.needed("passId")?;
    for id in ids.into_iter().flatten().chain(body.text(template)?).chain([card]) {
        if id.chars().count() > ID_CHARS_MAX {
            return Err(CallFault::Parameter(format!("an id has more than {ID_CHARS_MAX} characters")));
        }
    }
    Ok((merchant, card))
}
