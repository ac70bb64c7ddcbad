//! `alipayhk-card`: points, level and validity of a membership card in Alipay's Hong Kong wallet
//! (<https://docs.alipay.hk/alipayhkdocs/hk/auto_earn/update_card>).

mod body;
mod columns;
#[cfg(test)]
mod tests;

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
    name: AlipayHkCard::NAME,
    keys: &[
        keys::MERCHANT_ID,
        keys::MERCHANTS,
        keys::CLIENT_ID,
        keys::KEY_VERSION,
        keys::ALGORITHM,
        keys::PATH,
        keys::LOCALES,
        keys::REQUEST_TIME_FORMAT,
        Key::new(
            "bill_fields",
            Shape::Word(&["omit", "null"]),
            "billNo, lastChangedPoints and pointsProvider of rows that are no Alipay transaction",
        ),
        Key::new("end_date_as", Shape::Word(&["string", "number"]), "the JSON type of endDate"),
        Key::new("code_info", Shape::Flag, "codeInfo may be sent: agree it with AlipayHK first"),
        keys::DATA_NAMES_NUMBER,
        keys::EXTRA,
        keys::ENCRYPTION,
    ],
    signing: Signing::Head,
    columns: columns::COLUMNS,
    secrets: encryption::SECRETS,
    codes: codes::CODES,
    starter: include_str!("starter.toml"),
    build: |keys| Ok(Box::new(Pass(AlipayHkCard::from_settings(keys)?))),
};

/// The dialect with its settings.
struct AlipayHkCard {
    endpoint: Endpoint,
    locales: Locales,
    /// Rows that are no Alipay transactions send their three bill fields as null, instead of leaving them out.
    null_bill_fields: bool,
    /// `endDate` goes out as a JSON number, as in the page's samples; its table says string.
    end_date_as_number: bool,
    code_info: bool,
    data_names_number: Vec<String>,
    extras: Vec<Extra>,
}

impl AlipayHkCard {
    fn from_settings(keys: &Keys<'_>) -> Result<AlipayHkCard, SettingFault> {
        Ok(AlipayHkCard {
            endpoint: Endpoint::from_settings(keys, "resultInfo")?,
            locales: Locales::from_settings(keys)?,
            null_bill_fields: keys.word("bill_fields", &[("omit", false), ("null", true)], false)?,
            end_date_as_number: keys.word("end_date_as", &[("string", false), ("number", true)], false)?,
            code_info: keys.flag("code_info", false)?,
            data_names_number: data::numbers_from_settings(keys)?,
            extras: extra::from_settings(keys, &body::MEMBERS, |name| columns::column(name).is_some())?,
        })
    }
}

impl Form for AlipayHkCard {
    const NAME: &'static str = "alipayhk-card";
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
