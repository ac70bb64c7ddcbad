//! `intl-pass`: redeeming, closing and (once the vendor supports it) updating a pass of Alipay's gift card and member
//! center (<https://docs.antom.com/ac/gcmc/updatePass>).

mod body;
mod columns;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use super::key::{Key, Shape};
use super::pass::extra::{self, Extra};
use super::pass::form::{Form, Pass};
use super::pass::locale::Locales;
use super::pass::{Endpoint, codes, data, encryption, keys};
use super::setting::Keys;
use super::{Call, CallFault, Column, ColumnFault, Columns, Entry, RowReader, RowRules, SettingFault, Signing};
use crate::model::Delta;

/// The dialect's line in [`DIALECTS`](super::DIALECTS).
pub const ENTRY: Entry = Entry {
    name: IntlPass::NAME,
    keys: &[
        keys::MERCHANT_ID,
        keys::MERCHANTS,
        keys::CLIENT_ID,
        keys::KEY_VERSION,
        keys::ALGORITHM,
        keys::PATH,
        keys::LOCALES,
        keys::REQUEST_TIME_FORMAT,
        keys::DATA_NAMES_NUMBER,
        Key::new(
            "field_names",
            Shape::Word(&["table", "sample"]),
            "names of the page's table, or of its samples (templateId, verifyCode ...)",
        ),
        Key::new("data_info_as", Shape::Word(&["object", "string"]), "the JSON type of dataInfo"),
        Key::new("end_date_zone", Shape::Form("^[+-][0-9]{2}:[0-9]{2}$"), "the offset in which endDate is written"),
        Key::new(
            "allow_update",
            Shape::Flag,
            "rows with status UPDATE are sent; the page says that they are not supported yet",
        ),
        Key::new("points_member", Shape::Text, "the member of dataInfo that shows points"),
        keys::EXTRA,
        keys::ENCRYPTION,
    ],
    signing: Signing::Head,
    columns: columns::COLUMNS,
    secrets: encryption::SECRETS,
    codes: codes::CODES,
    starter: include_str!("starter.toml"),
    build: |keys| Ok(Box::new(Pass(IntlPass::from_settings(keys)?))),
};

/// The dialect with its settings.
struct IntlPass {
    endpoint: Endpoint,
    locales: Locales,
    names: &'static body::Names,
    /// `dataInfo` goes out as a string that holds JSON, and not as an object.
    data_info_as_string: bool,
    end_date_zone: TimeZone,
    allow_update: bool,
    /// What the card calls its points: `$score$` in the page's samples.
    points_member: String,
    data_names_number: Vec<String>,
    extras: Vec<Extra>,
}

impl IntlPass {
    fn from_settings(keys: &Keys<'_>) -> Result<IntlPass, SettingFault> {
        let names = [("table", &body::TABLE_NAMES), ("sample", &body::SAMPLE_NAMES)];
        let points_member = keys.token("points_member", Some("score"))?;
        if points_member == "level" || points_member.contains('$') {
            return Err(keys.fault("points_member", format!("found {points_member:?}, expected a name as score")));
        }
        Ok(IntlPass {
            endpoint: Endpoint::from_settings(keys, "result")?,
            locales: Locales::from_settings(keys)?,
            names: keys.word("field_names", &names, &body::TABLE_NAMES)?,
            data_info_as_string: keys.word("data_info_as", &[("object", false), ("string", true)], false)?,
            end_date_zone: fixed_zone(keys)?,
            allow_update: keys.flag("allow_update", false)?,
            points_member: points_member.to_owned(),
            data_names_number: data::numbers_from_settings(keys)?,
            extras: extra::from_settings(keys, &body::members(), |name| columns::column(name).is_some())?,
        })
    }
}

/// Reads `gateway.end_date_zone`: an offset, because the page's sample has one.
fn fixed_zone(keys: &Keys<'_>) -> Result<TimeZone, SettingFault> {
    const DAY_S: i64 = 86_400;
    let text = keys.token("end_date_zone", Some("+08:00"))?;
    let shaped = text.len() == 6 && text.as_bytes()[3] == b':';
    // Midnight there, less midnight in UTC, is the offset.
    let there = format!("1970-01-02T00:00:00{text}").parse::<Timestamp>().ok().filter(|_| shaped);
    let offset = there.and_then(|instant| Offset::from_seconds((DAY_S - instant.as_second()) as i32).ok());
    let offset = offset.filter(|offset| (-12 * 3_600..=14 * 3_600).contains(&offset.seconds())); // where clocks are
    let fault = || {
        keys.fault("end_date_zone", format!("found {text:?}, expected an offset as \"+08:00\", from -12:00 to +14:00"))
    };
    offset.map(TimeZone::fixed).ok_or_else(fault)
}

impl Form for IntlPass {
    const NAME: &'static str = "intl-pass";
    const COLUMNS: Columns = columns::COLUMNS;

    fn column(name: &str) -> Option<Column> {
        columns::column(name)
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn extras(&self) -> &[Extra] {
        &self.extras
    }

    fn reader(&self, columns: &[String], rules: &RowRules) -> Result<Box<dyn RowReader>, ColumnFault> {
        Ok(Box::new(columns::Reader::new(self, columns, rules)?))
    }

    fn write(&self, delta: &Delta, drop: u64) -> Vec<u8> {
        body::write(self, delta, drop)
    }

    fn read(&self, body: &[u8], sent_at: String) -> Result<Call, CallFault> {
        body::read(self, body, sent_at)
    }
}
