//! The columns of a row, and what they have to do with each other.

use super::{MarketingCard, body, cells};
use crate::model::{Amount, Delta, Field, LocalTime, Reject, Rule, Status, Value};
use crate::wire::charset::Charset;
use crate::wire::row::{self, Cells, Col, Common};
use crate::wire::{Column, ColumnFault, Columns, Dialect as _, RowReader, RowRules};

/// The canonical columns.
pub const COLUMNS: Columns = Columns(&[&row::COMMON_COLUMNS, OWN_COLUMNS]);

const OWN_COLUMNS: &[&str] = &[
    "card_no",
    "open_date",
    "valid_date",
    "level",
    "points",
    "balance",
    "template_id",
    "mdcode_info",
    "front_text_list",
    "front_image_id",
    "mcard_style_info",
    "merchant_card_msg_info",
    "notify_messages",
    "notify",
    "change_reason",
    "ext_info",
];

/// The page's lengths, in characters; its unit is not stated.
const CARD_CHARS_MAX: usize = 32;
const LEVEL_CHARS_MAX: usize = 64;
const TEMPLATE_CHARS_MAX: usize = 32;
const IMAGE_CHARS_MAX: usize = 1_024;
const EXT_INFO_CHARS_MAX: usize = 1_024;
/// "Floats with two decimal places are supported."
const SCALE_MAX: u32 = 2;

/// What is known of a canonical column.
pub fn column(name: &str) -> Option<Column> {
    match name {
        "occurred_at" | "open_date" | "valid_date" => Some(Column { required: true, id: false }),
        "card_no" => Some(Column { required: true, id: true }),
        "template_id" | "front_image_id" => Some(Column { required: false, id: true }),
        _ => row::common_column(name)
            .or_else(|| OWN_COLUMNS.contains(&name).then_some(Column { required: false, id: false })),
    }
}

/// Reads rows.
pub struct Reader {
    common: Common,
    card_no: Col,
    occurred_at: Col,
    /// `open_date` and `valid_date`: sent with every revision, and changed by none.
    dates: [Col; 2],
    level: Col,
    points: Col,
    balance: Col,
    template_id: Col,
    mdcode_info: Col,
    front_text_list: Col,
    front_image_id: Col,
    style: Col,
    message_info: Col,
    notify_messages: Col,
    notify: Col,
    change_reason: Col,
    ext_info: Col,
    negative_points: bool,
    times: LocalTime,
    charset: Charset,
}

impl Reader {
    /// Looks the columns up.
    pub fn new(dialect: &MarketingCard, columns: &[String], rules: &RowRules) -> Result<Reader, ColumnFault> {
        let common = Common::new(columns, rules, &dialect.app, |name| dialect.column(name))?;
        if let Some(missing) = ["card_no", "occurred_at", "open_date", "valid_date"]
            .into_iter()
            .find(|name| !columns.iter().any(|column| column == name))
        {
            let text = "is missing; name the input's own column for it under [input.columns]".to_owned();
            return Err(ColumnFault { column: missing.to_owned(), text });
        }
        let of = |name| Col::of(columns, name);
        Ok(Reader {
            common,
            card_no: Col::personal(columns, "card_no"),
            occurred_at: of("occurred_at"),
            dates: [of("open_date"), of("valid_date")],
            level: of("level"),
            points: of("points"),
            balance: of("balance"),
            template_id: of("template_id"),
            // It holds the code that the card is redeemed by.
            mdcode_info: Col::personal(columns, "mdcode_info"),
            front_text_list: of("front_text_list"),
            front_image_id: of("front_image_id"),
            style: of("mcard_style_info"),
            message_info: of("merchant_card_msg_info"),
            notify_messages: of("notify_messages"),
            notify: of("notify"),
            change_reason: of("change_reason"),
            ext_info: of("ext_info"),
            negative_points: rules.negative_points,
            times: rules.times.clone(),
            charset: dialect.charset,
        })
    }

    /// What stays the same in every revision.
    fn read_ids(&self, cells: &Cells<'_>, delta: &mut Delta) -> Result<(), Reject> {
        for column in &self.dates {
            let date = column.time(cells, &self.times)?;
            let date =
                date.ok_or_else(|| column.reject(Rule::Missing, "", "the value that the card was opened with"))?;
            column.writable(cells, date.ms, &body::ZONE)?;
            delta.ids.push(Field { name: column.name().into(), value: Value::Time(date.ms) });
        }
        let ext_info = self.ext_info.text(cells, EXT_INFO_CHARS_MAX)?;
        delta.ids.extend(ext_info.map(|text| Field::text(self.ext_info.name(), text)));
        Ok(())
    }

    /// The members of `card_info`, in the page's order, and the style of the card.
    fn read_members(&self, cells: &Cells<'_>, delta: &mut Delta) -> Result<(), Reject> {
        let text = |column: &Col, chars_max| Ok(column.text(cells, chars_max)?.map(|text| Value::Text(text.into())));
        let json = |json: Result<Option<String>, Reject>| Ok(json?.map(Value::Json));
        let members: [(&Col, Result<Option<Value>, Reject>); 8] = [
            (&self.level, text(&self.level, LEVEL_CHARS_MAX)),
            (&self.points, self.points(cells)),
            (&self.balance, Self::amount(&self.balance, self.balance.amount(cells)?)),
            (&self.template_id, text(&self.template_id, TEMPLATE_CHARS_MAX)),
            (&self.mdcode_info, json(cells::mdcode_info(&self.mdcode_info, cells))),
            (&self.front_text_list, json(cells::front_text_list(&self.front_text_list, cells))),
            (&self.front_image_id, text(&self.front_image_id, IMAGE_CHARS_MAX)),
            (&self.style, json(cells::style(&self.style, cells))),
        ];
        for (column, value) in members {
            delta.members.extend(value?.map(|value| Field { name: column.name().into(), value }));
        }
        if delta.members.iter().all(|member| member.name == self.style.name()) {
            let expected = "a change of card_info: level, points, balance, template_id, a code, front text or image";
            return Err(Reject::new(Rule::NoChange, "", "", expected));
        }
        if delta.member(self.template_id.name()).is_some() && delta.member(self.style.name()).is_some() {
            let found = self.style.cell(cells).unwrap_or_default();
            let expected = "an empty cell: it does not go with `template_id`";
            return Err(self.style.reject(Rule::Combination, found, expected));
        }
        Ok(())
    }

    fn points(&self, cells: &Cells<'_>) -> Result<Option<Value>, Reject> {
        Self::amount(&self.points, self.points.points(cells, self.negative_points)?)
    }

    fn amount(column: &Col, amount: Option<Amount>) -> Result<Option<Value>, Reject> {
        match amount {
            Some(amount) if amount.scale() > SCALE_MAX => {
                Err(column.reject(Rule::Scale, &amount.to_string(), format!("at most {SCALE_MAX} decimals")))
            }
            amount => Ok(amount.map(Value::Number)),
        }
    }

    /// What tells people of the change, and leaves with it.
    fn read_riders(&self, cells: &Cells<'_>, delta: &mut Delta) -> Result<(), Reject> {
        let notices = cells::notify_messages(&self.notify_messages, cells)?;
        let reason = self.change_reason.text(cells, cells::REASON_CHARS_MAX)?;
        let notices = match (notices, self.notify.cell(cells), reason) {
            (Some(_), Some(found), _) => {
                return Err(self.notify.reject(Rule::Combination, found, "an empty cell beside `notify_messages`"));
            }
            (_, None, Some(found)) => {
                return Err(self.change_reason.reject(
                    Rule::Combination,
                    found,
                    "`notify` beside it, or an empty cell",
                ));
            }
            (notices, None, None) => notices,
            (None, Some(words), reason) => Some(cells::notify(&self.notify_words(words, delta)?, reason)),
        };
        // Under one name, however they were written.
        let rider = |column: &Col, json| Field { name: column.name().into(), value: Value::Json(json) };
        delta.riders.extend(notices.map(|json| rider(&self.notify_messages, json)));
        let info = cells::message_info(&self.message_info, cells)?;
        delta.riders.extend(info.map(|json| rider(&self.message_info, json)));
        Ok(())
    }

    /// The words of `notify`, parted by `|`; each names a member that the row changes.
    fn notify_words<'w>(&self, found: &'w str, delta: &Delta) -> Result<Vec<&'w str>, Reject> {
        let mut words: Vec<&str> = Vec::new();
        for word in found.split('|') {
            if words.contains(&word) || !cells::MESSAGE_TYPES.iter().any(|(_, member)| *member == word) {
                let expected = "points, balance or level, or several of them parted by |, each once";
                return Err(self.notify.reject(Rule::NotAWord, found, expected));
            }
            if delta.member(word).is_none() {
                return Err(self.notify.reject(Rule::Combination, found, format!("a change of `{word}` beside it")));
            }
            words.push(word);
        }
        Ok(words)
    }

    /// Refuses a character that the charset lacks, while there is still time to mend it.
    fn check_charset(&self, delta: &Delta) -> Result<(), Reject> {
        if self.charset == Charset::Utf8 {
            return Ok(());
        }
        let check = |column: &str, text: &str| match self.charset.encode(text) {
            Ok(_) => Ok(()),
            Err(fault) => {
                let name = fault.charset.name();
                let expected = format!("characters of {name}; or `gateway.charset = \"UTF-8\"`");
                let found = format!("{} (U+{:04X})", fault.character, u32::from(fault.character));
                Err(Reject::new(Rule::Unencodable, column, &found, expected))
            }
        };
        check(self.card_no.name(), &delta.card)?;
        let fields = [&delta.ids, &delta.members, &delta.riders].into_iter().flatten();
        fields.into_iter().try_for_each(|field| check(&field.name, &field.value.text()))
    }
}

impl RowReader for Reader {
    fn read(&self, cells: &Cells<'_>) -> Result<Delta, Reject> {
        let card = self.card_no.needed(cells, CARD_CHARS_MAX)?;
        let mut delta = self.common.begin(cells, card, Status::Update)?;
        match delta.occurred_ms {
            Some(ms) => self.occurred_at.writable(cells, ms, &body::ZONE)?,
            None => {
                return Err(self.occurred_at.reject(Rule::Missing, "", "the time of the change: the call tells it"));
            }
        }
        self.read_ids(cells, &mut delta)?;
        self.read_members(cells, &mut delta)?;
        self.read_riders(cells, &mut delta)?;
        self.check_charset(&delta)?;
        self.common.finish(cells, &mut delta);
        Ok(delta)
    }
}
