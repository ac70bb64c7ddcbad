//! The body, in the order of the page's table: out of a delta, and into a call as a gateway reads it.

use super::IntlPass;
use super::columns::{STATUSES, UPDATE_TYPES};
use crate::model::{Delta, Field, Status, Value, moment};
use crate::wire::json::{Json, Object};
use crate::wire::pass::{Members, card, extra, member, parameter, value_key};
use crate::wire::{Call, CallFault};

/// The page's table and its samples call four members by different names.
#[derive(Debug)]
pub struct Names {
    template: &'static str,
    update_type: &'static str,
    verify_code: &'static str,
    verify_type: &'static str,
}

/// The table's names.
pub static TABLE_NAMES: Names = Names {
    template: "templateCode",
    update_type: "updateDetailType",
    verify_code: "passVerifyCode",
    verify_type: "passVerifyType",
};

/// The samples' names.
pub static SAMPLE_NAMES: Names =
    Names { template: "templateId", update_type: "updateType", verify_code: "verifyCode", verify_type: "verifyType" };

/// Every name that a body may have; `[gateway.extra]` may have none of them.
pub fn members() -> Vec<&'static str> {
    let renamed = [&TABLE_NAMES, &SAMPLE_NAMES]
        .into_iter()
        .flat_map(|names| [names.template, names.update_type, names.verify_code, names.verify_type]);
    ["merchantId", "userId", "openId", "passId", "status", "endDate", "dataInfo"].into_iter().chain(renamed).collect()
}

/// The bytes of a revision.
pub fn write(dialect: &IntlPass, delta: &Delta, drop: u64) -> Vec<u8> {
    let names = dialect.names;
    let mut body = card::begin_body(delta, names.template);
    body.text("status", delta.status.as_str());
    for (key, id) in
        [(names.update_type, "update_type"), (names.verify_code, "verify_code"), (names.verify_type, "verify_type")]
    {
        if let Some(text) = delta.id(id) {
            body.text(key, text);
        }
    }
    let carried: Vec<&Field> = delta.carried(drop).collect();
    if let Some(Value::Time(ms)) = carried.iter().find(|field| field.name == "end_date").map(|field| &field.value) {
        body.text("endDate", &moment::format_in(*ms, &dialect.end_date_zone, "%Y-%m-%dT%H:%M:%S%:z"));
    }
    let data = data_info(dialect, &carried);
    if dialect.data_info_as_string && !data.is_empty() {
        let json = String::from_utf8(data.finish()).expect("JSON made of text is text");
        body.text("dataInfo", &json);
    } else {
        body.object("dataInfo", data);
    }
    extra::write(&dialect.extras, delta, &mut body);
    body.finish()
}

/// Values by locale; points are a string here.
fn data_info(dialect: &IntlPass, carried: &[&Field]) -> Object {
    let mut data = Object::new();
    for locale in dialect.locales.iter() {
        let mut values = Object::new();
        for field in carried {
            let name = field.name.as_str();
            if name == "points" {
                values.text(&value_key(&dialect.points_member), &field.value.text());
            } else if name.strip_prefix("level.") == Some(locale) {
                values.value("$level$", &field.value);
            } else if let Some(name) = data_name(name, locale) {
                values.value(&value_key(name), &field.value);
            }
        }
        data.object(locale, values);
    }
    data
}

/// The name in `data.<locale>.<name>`, if it is of that locale.
fn data_name<'a>(member: &'a str, locale: &str) -> Option<&'a str> {
    member.strip_prefix("data.")?.strip_prefix(locale)?.strip_prefix('.')
}

/// A call as a gateway that supports updates reads it, under the table's names or the samples'.
pub fn read(dialect: &IntlPass, bytes: &[u8], sent_at: String) -> Result<Call, CallFault> {
    let json = Json::parse(bytes).map_err(|fault| CallFault::Parameter(fault.to_string()))?;
    let body = Members(&json);
    let names = names_of(body)?;
    let mut call = card::begin_call(body, bytes, names.template, &STATUSES, sent_at)?;
    match call.status {
        Status::Update => call.members = read_update(dialect, names, body)?,
        Status::Used | Status::Closed => card::end_call(body, &mut call, &[names.update_type, "endDate", "dataInfo"])?,
    }
    if call.status == Status::Used {
        body.needed(names.verify_code)?;
    }
    Ok(call)
}

/// Whose names a body has: the samples' if it has one of them. Which of the two the vendor prefers is not known.
fn names_of(body: Members<'_>) -> Result<&'static Names, CallFault> {
    let Names { template, update_type, verify_code, verify_type } = &SAMPLE_NAMES;
    for name in [template, update_type, verify_code, verify_type] {
        if body.get(name)?.is_some() {
            return Ok(&SAMPLE_NAMES);
        }
    }
    Ok(&TABLE_NAMES)
}

fn read_update(dialect: &IntlPass, names: &Names, body: Members<'_>) -> Result<Vec<(String, String)>, CallFault> {
    let kind = body.needed(names.update_type)?;
    if !UPDATE_TYPES.contains(&kind) {
        return Err(parameter(names.update_type, "is no kind of update"));
    }
    let mut members = Vec::new();
    if let Some(text) = body.text("endDate")? {
        let ms = moment::instant_ms(text).ok_or_else(|| parameter("endDate", "is no ISO time"))?;
        members.push(("end_date".to_owned(), ms.to_string()));
    }
    match body.get("dataInfo")? {
        None => {}
        Some(Json::Text(text)) => {
            let data = Json::parse(text.as_bytes()).map_err(|fault| parameter("dataInfo", &fault.to_string()))?;
            read_data_info(dialect, &data, &mut members)?;
        }
        Some(data) => read_data_info(dialect, data, &mut members)?,
    }
    if members.is_empty() {
        return Err(parameter("dataInfo", "and endDate are both missing"));
    }
    Ok(members)
}

/// The values of every language that stands there: which of them a template has, the gateway of a sandbox cannot know.
fn read_data_info(dialect: &IntlPass, data: &Json<'_>, members: &mut Vec<(String, String)>) -> Result<(), CallFault> {
    let Json::Object(locales) = data else { return Err(parameter("dataInfo", "is not an object")) };
    for (locale, _) in locales {
        let Some(values) = Members(data).get(locale)? else { continue };
        for (name, value) in Members(values).values(locale)? {
            let text = value.scalar().ok_or_else(|| parameter(name, "is neither a string nor a number"))?;
            if name == dialect.points_member {
                member::read_points(text, members)?;
            } else if name == "level" {
                members.push((format!("level.{locale}"), text.to_owned()));
            } else {
                members.push((format!("data.{locale}.{name}"), text.to_owned()));
            }
        }
    }
    Ok(())
}
