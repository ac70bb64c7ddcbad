//! Cells that hold JSON: their parts and limits as the page says, and one canonical form for each, so that what a row
//! says does not depend on how its JSON was written.

use std::fmt::Write as _;

use jiff::civil::DateTime;

use crate::model::{Amount, Reject, Rule};
use crate::wire::json::{Json, Object};
use crate::wire::row::{Cells, Col};

/// The form of the page's times.
pub const TIME: &str = "%Y-%m-%d %H:%M:%S";

/// The page's limit for a cell as a whole, in characters.
const CELL_CHARS_MAX: usize = 1_024;
/// "At most, four lines can be supported."
const FRONT_LINES_MAX: usize = 4;

/// The types of messages, each with the member whose change it tells.
pub const MESSAGE_TYPES: [(&str, &str); 3] =
    [("POINT_UPDATE", "points"), ("BALANCE_UPDATE", "balance"), ("LEVEL_UPDATE", "level")];
/// The reason that a message gives, in characters.
pub const REASON_CHARS_MAX: usize = 64;

/// A part of an object whose form the page gives in full.
struct Part {
    key: &'static str,
    chars_max: usize,
    required: bool,
    kind: Kind,
}

#[derive(PartialEq, Eq)]
enum Kind {
    Text,
    /// Digits, kept as they are.
    Digits,
}

const fn part(key: &'static str, chars_max: usize, required: bool, kind: Kind) -> Part {
    Part { key, chars_max, required, kind }
}

const MDCODE_INFO: [Part; 4] = [
    part("code_status", 14, true, Kind::Text),
    part("code_value", 128, false, Kind::Text),
    part("expire_time", 19, false, Kind::Text),
    part("time_stamp", 20, true, Kind::Digits),
];
const FRONT_TEXT: [Part; 2] = [part("label", 4, false, Kind::Text), part("value", 32, false, Kind::Text)];
const NOTIFY_MESSAGE: [Part; 3] = [
    part("message_type", 32, true, Kind::Text),
    part("change_reason", REASON_CHARS_MAX, false, Kind::Text),
    part("ext_info", 1_024, false, Kind::Text),
];
const CODE_STATUSES: [&str; 3] = ["SUCCESS", "FAIL_RETRY", "FAIL_NOT_RETRY"];

/// Reads a cell as JSON and hands it to `form`; the canonical text has at most `chars_max` characters.
fn read(
    column: &Col,
    cells: &Cells<'_>,
    chars_max: usize,
    form: impl Fn(&Col, &Json<'_>) -> Result<String, Reject>,
) -> Result<Option<String>, Reject> {
    let Some(found) = column.cell(cells) else { return Ok(None) };
    let json = Json::parse(found.as_bytes())
        .map_err(|fault| column.reject(Rule::NotJson, found, format!("JSON; it is {fault}")))?;
    let text = form(column, &json)?;
    if text.chars().count() > chars_max {
        return Err(column.reject(Rule::TooLong, &text, format!("at most {chars_max} characters without blanks")));
    }
    Ok(Some(text))
}

/// `mdcode_info`.
pub fn mdcode_info(column: &Col, cells: &Cells<'_>) -> Result<Option<String>, Reject> {
    read(column, cells, CELL_CHARS_MAX, |column, json| {
        let text = object(column, json, &MDCODE_INFO)?;
        let of = |key| json.get(key).ok().flatten().and_then(Json::as_text);
        let status = of("code_status").unwrap_or_default();
        if !CODE_STATUSES.contains(&status) {
            return Err(column.reject(Rule::NotAWord, status, format!("code_status {}", CODE_STATUSES.join(" or "))));
        }
        if status == "SUCCESS" && (of("code_value").is_none() || of("expire_time").is_none()) {
            return Err(column.reject(Rule::Missing, &text, "code_value and expire_time, as code_status is SUCCESS"));
        }
        match of("expire_time") {
            Some(time) if DateTime::strptime(TIME, time).is_err() => {
                Err(column.reject(Rule::NotATime, time, "expire_time as yyyy-MM-dd HH:mm:ss"))
            }
            _ => Ok(text),
        }
    })
}

/// `front_text_list`.
pub fn front_text_list(column: &Col, cells: &Cells<'_>) -> Result<Option<String>, Reject> {
    read(column, cells, CELL_CHARS_MAX, |column, json| {
        let lines = list(column, json)?;
        if lines.len() > FRONT_LINES_MAX {
            let found = format!("{} lines", lines.len());
            return Err(column.reject(Rule::TooLong, &found, format!("at most {FRONT_LINES_MAX} lines")));
        }
        joined(lines.iter().map(|line| object(column, line, &FRONT_TEXT)))
    })
}

/// `notify_messages`.
pub fn notify_messages(column: &Col, cells: &Cells<'_>) -> Result<Option<String>, Reject> {
    read(column, cells, usize::MAX, |column, json| {
        joined(list(column, json)?.iter().map(|message| {
            let text = object(column, message, &NOTIFY_MESSAGE)?;
            let kind = message.get("message_type").ok().flatten().and_then(Json::as_text).unwrap_or_default();
            if MESSAGE_TYPES.iter().any(|(known, _)| *known == kind) {
                return Ok(text);
            }
            let words = MESSAGE_TYPES.map(|(word, _)| word).join(" or ");
            Err(column.reject(Rule::NotAWord, kind, format!("message_type {words}")))
        }))
    })
}

/// `notify` and `change_reason` as `notify_messages`: an entry a word. A level needs no reason, so it gets none.
pub fn notify(words: &[&str], reason: Option<&str>) -> String {
    let entries = words.iter().filter_map(|word| MESSAGE_TYPES.iter().find(|(_, member)| member == word));
    let entries = entries.map(|(kind, member)| {
        let mut entry = Object::new();
        entry.text("message_type", kind);
        if let Some(reason) = reason.filter(|_| *member != "level") {
            entry.text("change_reason", reason);
        }
        Ok(String::from_utf8(entry.finish()).expect("JSON made of text is text"))
    });
    joined(entries).expect("no entry was refused")
}

/// `mcard_style_info`: the page shows it in its samples alone, so its parts are the caller's affair.
pub fn style(column: &Col, cells: &Cells<'_>) -> Result<Option<String>, Reject> {
    read(column, cells, usize::MAX, free_object)
}

/// `merchant_card_msg_info`, whose `changed_point` is a signed number in quotes: the newer text says that a bad one
/// sends no message, without a word.
pub fn message_info(column: &Col, cells: &Cells<'_>) -> Result<Option<String>, Reject> {
    read(column, cells, usize::MAX, |column, json| {
        let text = free_object(column, json)?;
        match json.get("changed_point") {
            Ok(Some(change)) if change.as_text().and_then(|text| Amount::parse(text).ok()).is_none() => {
                Err(column.reject(Rule::NotANumber, &text, "changed_point as a signed number in quotes, as \"-100\""))
            }
            _ => Ok(text),
        }
    })
}

fn list<'a, 'j>(column: &Col, json: &'a Json<'j>) -> Result<&'a [Json<'j>], Reject> {
    match json {
        Json::List(items) if !items.is_empty() => Ok(items),
        _ => Err(column.reject(Rule::NotJson, &canonical(json), "a list of objects, at least one")),
    }
}

fn joined(items: impl Iterator<Item = Result<String, Reject>>) -> Result<String, Reject> {
    Ok(format!("[{}]", items.collect::<Result<Vec<_>, _>>()?.join(",")))
}

/// An object of known parts, written in the page's order.
fn object(column: &Col, json: &Json<'_>, parts: &[Part]) -> Result<String, Reject> {
    let known = || parts.iter().map(|part| part.key).collect::<Vec<_>>().join(", ");
    let Json::Object(members) = json else {
        return Err(column.reject(Rule::NotJson, &canonical(json), format!("an object of {}", known())));
    };
    if let Some((other, _)) = members.iter().find(|(key, _)| parts.iter().all(|part| part.key != key)) {
        return Err(column.reject(Rule::NotJson, other, known()));
    }
    let mut object = Object::new();
    for Part { key, chars_max, required, kind } in parts {
        let value = json.get(key).map_err(|_| column.reject(Rule::NotJson, key, "each key once"))?;
        let value = match value {
            None if *required => return Err(column.reject(Rule::Missing, &canonical(json), format!("`{key}` in it"))),
            None => continue,
            Some(value) => value,
        };
        let text = match (kind, value) {
            (Kind::Text, Json::Text(text)) => text.as_ref(),
            (Kind::Digits, value) => {
                value.scalar().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())).unwrap_or_default()
            }
            (Kind::Text, _) => {
                return Err(column.reject(Rule::NotJson, &canonical(value), format!("{key} as a text in quotes")));
            }
        };
        if text.chars().count() > *chars_max {
            return Err(column.reject(Rule::TooLong, text, format!("{key} of at most {chars_max} characters")));
        }
        match kind {
            Kind::Text => object.text(key, text),
            Kind::Digits if text.is_empty() || (text.len() > 1 && text.starts_with('0')) => {
                return Err(column.reject(Rule::NotANumber, &canonical(value), format!("{key} as a whole number")));
            }
            Kind::Digits => object.raw(key, text.as_bytes()),
        };
    }
    Ok(String::from_utf8(object.finish()).expect("JSON made of text is text"))
}

/// An object of any parts, sorted by key.
fn free_object(column: &Col, json: &Json<'_>) -> Result<String, Reject> {
    match json {
        Json::Object(members) if !members.is_empty() => match twice(json) {
            Some(key) => Err(column.reject(Rule::NotJson, &key, "each key once")),
            None => Ok(canonical(json)),
        },
        _ => Err(column.reject(Rule::NotJson, &canonical(json), "an object with at least one member")),
    }
}

/// A key that stands twice in an object, at any depth.
fn twice(json: &Json<'_>) -> Option<String> {
    match json {
        Json::Object(members) => members.iter().enumerate().find_map(|(at, (key, value))| {
            let before = members[..at].iter().any(|(earlier, _)| earlier == key);
            if before { Some(key.to_string()) } else { twice(value) }
        }),
        Json::List(items) => items.iter().find_map(twice),
        _ => None,
    }
}

/// Any JSON without blanks and needless escapes, keys sorted, numbers digit for digit.
pub fn canonical(json: &Json<'_>) -> String {
    let quoted = |text: &str| serde_json::to_string(text).expect("a text can be written");
    match json {
        Json::Null => "null".to_owned(),
        Json::Bool(flag) => flag.to_string(),
        Json::Number(digits) => (*digits).to_owned(),
        Json::Text(text) => quoted(text),
        Json::List(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Json::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
            let mut text = String::new();
            for (key, value) in sorted {
                let comma = if text.is_empty() { "" } else { "," };
                write!(text, "{comma}{}:{}", quoted(key), canonical(value)).expect("a String takes every character");
            }
            format!("{{{text}}}")
        }
    }
}
