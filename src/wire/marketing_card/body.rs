//! The content of a call (`biz_content`), in the order of the page: out of a delta, and into a call as a gateway reads
//! it.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use super::MarketingCard;
use super::cells::{MESSAGE_TYPES, TIME, canonical};
use crate::model::{Amount, Delta, Field, Status, Value, moment};
use crate::wire::json::{Json, Object};
use crate::wire::pass::{Members, parameter};
use crate::wire::{Call, CallFault};

/// The only type of card number.
const CARD_TYPE: &str = "BIZ_CARD";
/// Where the times of the wire are, whatever zone the machine is in.
const GMT8: Offset = Offset::constant(8);
/// The page's limit for a card number, in characters.
const CARD_CHARS_MAX: usize = 32;

/// The members of `card_info`, as columns and as they are sent, in the page's order.
const CARD_INFO: [(&str, &str); 7] = [
    ("level", "level"),
    ("points", "point"),
    ("balance", "balance"),
    ("template_id", "template_id"),
    ("mdcode_info", "mdcode_info"),
    ("front_text_list", "front_text_list"),
    ("front_image_id", "front_image_id"),
];
const STYLE: &str = "mcard_style_info";
const NOTICES: &str = "notify_messages";
const MESSAGE_INFO: &str = "merchant_card_msg_info";

/// The zone in which the wire writes instants.
pub const ZONE: TimeZone = TimeZone::fixed(GMT8);

/// An instant as the wire writes it.
pub fn time(ms: i64) -> String {
    moment::format_in(ms, &ZONE, TIME)
}

/// The content as text.
pub fn write(dialect: &MarketingCard, delta: &Delta, drop: u64) -> Vec<u8> {
    let carried: Vec<&Field> = delta.carried(drop).collect();
    let gone = |member: &str| delta.member(member).is_some() && !carried.iter().any(|field| field.name == member);
    let mut content = Object::new();
    content.text("target_card_no", &delta.card).text("target_card_no_type", CARD_TYPE);
    content.text("occur_time", &time(delta.occurred_ms.expect("a row without it was rejected")));
    content.object("card_info", card_info(delta, &carried));
    if let Some(text) = delta.id("ext_info") {
        content.text("ext_info", text);
    }
    let kept: Vec<String> =
        notices(delta).into_iter().filter(|(member, _)| !gone(member)).map(|(_, entry)| entry).collect();
    if !kept.is_empty() {
        content.raw(NOTICES, format!("[{}]", kept.join(",")).as_bytes());
    }
    if let Some(style) = carried.iter().find(|field| field.name == STYLE) {
        content.value(STYLE, &style.value);
    }
    if !gone("points") {
        if let Some(info) = rider(delta, MESSAGE_INFO) {
            content.value(MESSAGE_INFO, info);
        } else if let Some(change) =
            delta.last_changed_points.filter(|_| dialect.tells_change && delta.member("points").is_some())
        {
            let mut info = Object::new();
            info.text("changed_point", &change.to_string());
            content.object(MESSAGE_INFO, info);
        }
    }
    content.finish()
}

fn card_info(delta: &Delta, carried: &[&Field]) -> Object {
    let mut info = Object::new();
    for date in ["open_date", "valid_date"] {
        if let Some(Value::Time(ms)) = delta.ids.iter().find(|id| id.name == date).map(|id| &id.value) {
            info.text(date, &time(*ms));
        }
    }
    for (column, key) in CARD_INFO {
        match carried.iter().find(|field| field.name == column).map(|field| &field.value) {
            None => {}
            Some(Value::Number(amount)) if column == "balance" => {
                info.text(key, &amount.with_scale(2).expect("a row with more decimals was rejected"));
            }
            Some(Value::Number(amount)) => {
                info.text(key, &amount.to_string());
            }
            Some(value) => {
                info.value(key, value);
            }
        }
    }
    info
}

fn rider<'a>(delta: &'a Delta, name: &str) -> Option<&'a Value> {
    delta.riders.iter().find(|rider| rider.name == name).map(|rider| &rider.value)
}

/// The members whose changes are told to the customer.
pub fn messages(delta: &Delta) -> Vec<&'static str> {
    notices(delta).into_iter().map(|(member, _)| member).collect()
}

/// The entries of `notify_messages`, each with the member whose change it tells: where a revision leaves that out, the
/// message would tell of no change, and is left out too.
fn notices(delta: &Delta) -> Vec<(&'static str, String)> {
    let Some(Value::Json(notices)) = rider(delta, NOTICES) else { return Vec::new() };
    let json = Json::parse(notices.as_bytes()).expect("it was read before");
    let Json::List(entries) = json else { return Vec::new() };
    let with_member = |entry: &Json<'_>| {
        let kind = entry.get("message_type").ok().flatten().and_then(Json::as_text);
        let (_, member) = MESSAGE_TYPES.iter().find(|(word, _)| Some(*word) == kind).expect("others were rejected");
        (*member, in_order(entry))
    };
    entries.iter().map(with_member).collect()
}

/// An object as it stands, in its own order.
fn in_order(json: &Json<'_>) -> String {
    let Json::Object(members) = json else { return canonical(json) };
    let mut object = Object::new();
    for (key, value) in members {
        object.raw(key, canonical(value).as_bytes());
    }
    String::from_utf8(object.finish()).expect("JSON made of text is text")
}

/// A call as a gateway that goes by the page reads it.
pub fn read(text: &str, app_id: &str, sent_at: String) -> Result<Call, CallFault> {
    let json = Json::parse(text.as_bytes()).map_err(|fault| parameter("biz_content", &fault.to_string()))?;
    let content = Members(&json);
    let card = content.needed("target_card_no")?;
    if card.chars().count() > CARD_CHARS_MAX {
        return Err(parameter("target_card_no", "has more than 32 characters"));
    }
    if content.needed("target_card_no_type")? != CARD_TYPE {
        return Err(parameter("target_card_no_type", "is not BIZ_CARD"));
    }
    needed_time(content, "occur_time")?;
    let info = content.get("card_info")?.map(Members).ok_or_else(|| parameter("card_info", "is missing"))?;
    needed_time(info, "open_date")?;
    needed_time(info, "valid_date")?;
    let mut members = Vec::new();
    for (column, key) in CARD_INFO {
        if let Some(value) = info.get(key)? {
            members.push((column.to_owned(), member(column, key, value)?));
        }
    }
    if let Some(style) = content.get(STYLE)? {
        members.push((STYLE.to_owned(), canonical(style)));
    }
    Ok(Call {
        merchant: app_id.to_owned(),
        card: card.to_owned(),
        bill_no: None,
        status: Status::Update,
        members,
        sent_at,
        body: text.as_bytes().to_vec(),
    })
}

fn needed_time(members: Members<'_>, key: &str) -> Result<(), CallFault> {
    let time = members.needed(key)?;
    DateTime::strptime(TIME, time).map(drop).map_err(|_| parameter(key, "is not yyyy-MM-dd HH:mm:ss"))
}

fn member(column: &str, key: &str, value: &Json<'_>) -> Result<String, CallFault> {
    match (column, value) {
        ("points" | "balance", Json::Text(text)) => {
            let amount = Amount::parse(text).map_err(|fault| parameter(key, &format!("is not {fault}")))?;
            if amount.scale() > 2 { Err(parameter(key, "has more than two decimals")) } else { Ok(amount.to_string()) }
        }
        ("level" | "template_id" | "front_image_id", Json::Text(text)) => Ok(text.to_string()),
        ("mdcode_info", Json::Object(_)) | ("front_text_list", Json::List(_)) => Ok(canonical(value)),
        _ => Err(parameter(key, "is of another type than the page says")),
    }
}
