//! The body, in the order of CONTRACT section 5: out of a delta, and into a call as a gateway reads it.

use super::AlipayHkCard;
use super::columns::{PROVIDERS, STATUSES, code_info};
use crate::model::{Amount, Delta, Field, Status, Value};
use crate::wire::json::{Json, Object};
use crate::wire::pass::{Members, card, extra, member, parameter, value_key};
use crate::wire::{Call, CallFault};

/// The members of the body that the page's table has.
pub const MEMBERS: [&str; 10] = [
    "merchantId",
    "userId",
    "openId",
    "templateCode",
    "passId",
    "status",
    "updateDetailType",
    "endDate",
    "dataInfo",
    "codeInfo",
];

/// The only kind of update that the page allows.
const UPDATE_TYPE: &str = "UPDATE_MEMBER_CARD";

/// The bytes of a revision.
pub fn write(dialect: &AlipayHkCard, delta: &Delta, drop: u64) -> Vec<u8> {
    let mut body = card::begin_body(delta, "templateCode");
    body.text("status", delta.status.as_str());
    // CLOSED sends ids and status only.
    if delta.status == Status::Update {
        body.text("updateDetailType", UPDATE_TYPE);
        write_changes(dialect, delta, &delta.carried(drop).collect::<Vec<_>>(), &mut body);
    }
    body.finish()
}

fn write_changes(dialect: &AlipayHkCard, delta: &Delta, carried: &[&Field], body: &mut Object) {
    match find(carried, "end_date") {
        Some(end_date) if dialect.end_date_as_number => body.raw("endDate", end_date.text().as_bytes()),
        Some(end_date) => body.value("endDate", end_date),
        None => body,
    };
    body.object("dataInfo", data_info(dialect, delta, carried));
    if let Some(code) = find(carried, "code") {
        body.value("codeInfo", code);
    }
    extra::write(&dialect.extras, delta, body);
}

fn find<'a>(fields: &[&'a Field], name: &str) -> Option<&'a Value> {
    fields.iter().find(|field| field.name == name).map(|field| &field.value)
}

fn data_info(dialect: &AlipayHkCard, delta: &Delta, carried: &[&Field]) -> Object {
    let mut data = Object::new();
    let points = find(carried, "points");
    if let Some(points) = points {
        for locale in dialect.locales.iter() {
            data.value(&value_key(&format!("points_{locale}")), points);
        }
    }
    for locale in dialect.locales.iter() {
        if let Some(level) = find(carried, &format!("level.{locale}")) {
            data.value(&value_key(&format!("level_{locale}")), level);
        }
    }
    for field in carried {
        if let Some(name) = field.name.strip_prefix("data.") {
            data.value(&value_key(name), &field.value);
        }
    }
    if points.is_some() {
        write_bill(dialect, delta, &mut data);
    }
    data
}

/// What tells the gateway of the bill: it rides with the points, and leaves with them.
fn write_bill(dialect: &AlipayHkCard, delta: &Delta, data: &mut Object) {
    let Some(provider) = delta.riders.iter().find(|rider| rider.name == "points_provider") else {
        if dialect.null_bill_fields {
            data.raw("billNo", b"null").raw("lastChangedPoints", b"null").raw("pointsProvider", b"null");
        }
        return;
    };
    if let Some(bill_no) = &delta.bill_no {
        data.text("billNo", bill_no);
    }
    if let Some(change) = delta.last_changed_points {
        data.text("lastChangedPoints", &change.to_string());
    }
    data.value("pointsProvider", &provider.value);
}

/// A call as a gateway that goes by the page's table reads it.
pub fn read(dialect: &AlipayHkCard, bytes: &[u8], sent_at: String) -> Result<Call, CallFault> {
    let json = Json::parse(bytes).map_err(|fault| CallFault::Parameter(fault.to_string()))?;
    let body = Members(&json);
    let mut call = card::begin_call(body, bytes, "templateCode", &STATUSES, sent_at)?;
    match call.status {
        Status::Update => read_update(dialect, body, &mut call)?,
        _ => card::end_call(body, &mut call, &["updateDetailType", "endDate", "dataInfo", "codeInfo"])?,
    }
    Ok(call)
}

fn read_update(dialect: &AlipayHkCard, body: Members<'_>, call: &mut Call) -> Result<(), CallFault> {
    if body.needed("updateDetailType")? != UPDATE_TYPE {
        return Err(parameter("updateDetailType", "is not UPDATE_MEMBER_CARD"));
    }
    if let Some(end_date) = body.get("endDate")? {
        let ms = end_date.scalar().filter(|text| text.parse::<i64>().is_ok());
        let ms = ms.ok_or_else(|| parameter("endDate", "is not a millisecond timestamp"))?;
        call.members.push(("end_date".into(), ms.to_owned()));
    }
    if let Some(data) = body.get("dataInfo")?.map(Members) {
        read_data_info(dialect, data, call)?;
        call.bill_no = read_bill(data)?;
    }
    if let Some(code) = body.get("codeInfo")?.map(Members) {
        let json = code_info(code.needed("$codemsg$")?, code.needed("$codevalue$")?);
        call.members.push(("code".into(), String::from_utf8(json).expect("JSON made of text is text")));
    }
    if call.members.is_empty() {
        return Err(parameter("dataInfo", "and all else that could change is missing"));
    }
    Ok(())
}

/// Each `$name$` of `dataInfo`.
fn read_data_info(dialect: &AlipayHkCard, data: Members<'_>, call: &mut Call) -> Result<(), CallFault> {
    for (name, value) in data.values("dataInfo")? {
        let localised = |word: &str| {
            name.strip_prefix(word).and_then(|rest| rest.strip_prefix('_')).filter(|locale| dialect.locales.has(locale))
        };
        if localised("points").is_some() {
            let Json::Number(digits) = value else { return Err(parameter(name, "is not a number")) };
            member::read_points(digits, &mut call.members)?;
            continue;
        }
        let member = localised("level").map_or(format!("data.{name}"), |locale| format!("level.{locale}"));
        let text = value.scalar().ok_or_else(|| parameter(name, "is neither a string nor a number"))?;
        call.members.push((member, text.to_owned()));
    }
    Ok(())
}

/// The bill, where an Alipay transaction tells it.
fn read_bill(data: Members<'_>) -> Result<Option<String>, CallFault> {
    let bill_no = data.text("billNo")?;
    if let Some(change) = data.text("lastChangedPoints")? {
        Amount::parse(change).map_err(|fault| parameter("lastChangedPoints", &format!("is not {fault}")))?;
    }
    match data.text("pointsProvider")? {
        Some(provider) if !PROVIDERS.contains(&provider) => {
            Err(parameter("pointsProvider", "is neither ALIPAYHK nor ALIPAYCN"))
        }
        Some(_) if bill_no.is_none() => Err(parameter("billNo", "is missing beside pointsProvider")),
        _ => Ok(bill_no.map(str::to_owned)),
    }
}
