//! The columns that name a card and its user, on their way into a body and out of one.

use super::{Members, parameter};
use crate::model::{Delta, Field, Reject, Rule, Status};
use crate::wire::json::Object;
use crate::wire::row::{Cells, Col};
use crate::wire::{Call, CallFault, Column, ColumnFault};

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
        let [pass_id, user_id, open_id] = ["pass_id", "user_id", "open_id"].map(|name| Col::personal(columns, name));
        let template_code = Col::of(columns, "template_code");
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

/// Begins a call with merchant, card and status, as a gateway that goes by the page's table reads them.
pub fn begin_call(
    body: Members<'_>,
    bytes: &[u8],
    template: &str,
    statuses: &[(&str, Status)],
    sent_at: String,
) -> Result<Call, CallFault> {
    let (merchant, card) = (body.needed("merchantId")?, body.needed("passId")?);
    let ids = [body.text("userId")?, body.text("openId")?];
    if ids.iter().flatten().all(|id| id.is_empty()) {
        return Err(parameter("userId", "is missing, and so is openId"));
    }
    if ids.into_iter().flatten().chain(body.text(template)?).chain([card]).any(|id| id.chars().count() > ID_CHARS_MAX) {
        return Err(CallFault::Parameter(format!("an id has more than {ID_CHARS_MAX} characters")));
    }
    let word = body.needed("status")?;
    let status = statuses.iter().find(|(known, _)| *known == word).map(|(_, status)| *status);
    Ok(Call {
        merchant: merchant.to_owned(),
        card: card.to_owned(),
        bill_no: None,
        status: status.ok_or_else(|| parameter("status", "is none that the page lists"))?,
        members: Vec::new(),
        sent_at,
        body: bytes.to_vec(),
    })
}

/// What a call that ends its card does to it. `changes`: members of the body that do not go with that.
pub fn end_call(body: Members<'_>, call: &mut Call, changes: &[&str]) -> Result<(), CallFault> {
    let status = call.status.as_str();
    for key in changes {
        if body.get(key)?.is_some() {
            return Err(parameter(key, &format!("does not go with {status}")));
        }
    }
    call.members.push(("status".to_owned(), status.to_owned()));
    Ok(())
}
