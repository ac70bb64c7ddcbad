//! Rows, bodies and calls of the dialect, from the job's settings on.

use std::borrow::Cow;

use proptest::prelude::*;

use super::*;
use crate::model::{LocalTime, Reject, Rule, Status};
use crate::wire::Dialect as _;
use crate::wire::setting::no_vault;

fn try_dialect(settings: &str) -> Result<Pass<IntlPass>, SettingFault> {
    let table = format!("merchant_id = 'm1'\nclient_id = 'c1'\n{settings}").parse().unwrap();
    IntlPass::from_settings(&Keys::gateway(&table, &no_vault)).map(Pass)
}

fn dialect(settings: &str) -> Pass<IntlPass> {
    try_dialect(settings).unwrap()
}

fn updating(settings: &str) -> Pass<IntlPass> {
    dialect(&format!("allow_update = true\n{settings}"))
}

fn rules() -> RowRules {
    RowRules {
        bill_key: ["bill_no", "status", "update_type"].map(str::to_owned).to_vec(),
        require_bill_no: false,
        negative_points: false,
        times: LocalTime { zone: TimeZone::get("Asia/Hong_Kong").unwrap() },
    }
}

/// A row of cells over a card and a user; an empty cell is absent.
fn read(dialect: &Pass<IntlPass>, row: &[(&str, &str)]) -> Result<Delta, Reject> {
    let row: Vec<_> = [("pass_id", "p1"), ("user_id", "u1")].iter().chain(row).collect();
    let columns: Vec<String> = row.iter().map(|(column, _)| (*column).to_owned()).collect();
    let cells: Vec<_> = row.iter().map(|(_, cell)| (!cell.is_empty()).then_some(Cow::Borrowed(*cell))).collect();
    dialect.reader(&columns, &rules()).unwrap().read(&cells)
}

fn body(dialect: &Pass<IntlPass>, row: &[(&str, &str)], drop: u64) -> String {
    String::from_utf8(dialect.body(&read(dialect, row).unwrap(), drop)).unwrap()
}

const IDS: &str = r#"{"merchantId":"m1","userId":"u1","passId":"p1","#;

#[test]
fn a_used_row_sends_its_code_under_either_name() {
    let row = [("status", "USED"), ("verify_code", "0012"), ("verify_type", "qrcode"), ("template_code", "t1")];
    let ids = r#"{"merchantId":"m1","userId":"u1","#;
    let table =
        r#""templateCode":"t1","passId":"p1","status":"USED","passVerifyCode":"0012","passVerifyType":"qrcode"}"#;
    assert_eq!(body(&dialect(""), &row, 0), format!("{ids}{table}"));
    let sample = r#""templateId":"t1","passId":"p1","status":"USED","verifyCode":"0012","verifyType":"qrcode"}"#;
    assert_eq!(body(&dialect("field_names = 'sample'"), &row, 0), format!("{ids}{sample}"));
    let delta = read(&dialect(""), &row).unwrap();
    assert_eq!((delta.status, delta.members.len(), delta.members[0].name.as_str()), (Status::Used, 1, "status"));
}

#[test]
fn the_kind_of_update_is_derived_and_stands_in_the_bills_key() {
    for (row, kind) in [
        (&[("points", "7")][..], "UPDATE_SCORE"),
        (&[("level", "Gold"), ("data.en_US.other", "x")], "UPDATE_LEVEL"),
        (&[("end_date", "2026-12-31")], "UPDATE_VALIDITY"),
        (&[("data.en_US.other", "x"), ("update_type", "UPDATE_LEVEL")], "UPDATE_LEVEL"),
        (&[("points", "7"), ("update_type", "UPDATE_SCORE")], "UPDATE_SCORE"),
    ] {
        let row: Vec<_> = row.iter().copied().chain([("status", "UPDATE"), ("bill_no", "b1")]).collect();
        let delta = read(&updating(""), &row).unwrap();
        assert_eq!(delta.id("update_type"), Some(kind));
        assert_eq!(delta.bill_key, ["UPDATE", kind]);
    }
    let used = read(&dialect(""), &[("status", "USED"), ("verify_code", "1")]).unwrap();
    assert_eq!(used.bill_key, ["USED", ""]);
}

#[test]
fn values_are_strings_nested_by_locale() {
    let row = [
        ("status", "UPDATE"),
        ("points", "12000.0"),
        ("data.en_US.b", "2"),
        ("data.en_US.a", "1"),
        ("data.zh_HK.n", "3"),
    ];
    let head = format!(r#"{IDS}"status":"UPDATE","updateDetailType":"UPDATE_SCORE","dataInfo":"#);
    let data = r#"{"zh_HK":{"$score$":"12000","$n$":"3"},"en_US":{"$score$":"12000","$a$":"1","$b$":"2"}}"#;
    assert_eq!(body(&updating(""), &row, 0), format!("{head}{data}}}"));
    let quoted = serde_json::to_string(data).unwrap();
    assert_eq!(body(&updating("data_info_as = 'string'"), &row, 0), format!("{head}{quoted}}}"));
    let points = body(&updating("points_member = 'points'\ndata_names_number = ['n']"), &row, 0);
    assert!(points.contains(r#""zh_HK":{"$points$":"12000","$n$":3}"#), "{points}");
    let without_points = body(&updating(""), &row, 0b0001);
    assert!(without_points.ends_with(r#""dataInfo":{"zh_HK":{"$n$":"3"},"en_US":{"$a$":"1","$b$":"2"}}}"#));
    let one_level = body(&updating(""), &[("status", "UPDATE"), ("level.en_US", "Gold")], 0);
    assert!(one_level.ends_with(r#""dataInfo":{"en_US":{"$level$":"Gold"}}}"#), "{one_level}");
}

#[test]
fn end_dates_are_written_in_the_configured_zone() {
    let row = [("status", "UPDATE"), ("end_date", "2021-01-11 00:00:00")];
    for (setting, written) in [
        ("", "2021-01-11T00:00:00+08:00"),
        ("end_date_zone = '+00:00'", "2021-01-10T16:00:00+00:00"),
        ("end_date_zone = '-03:30'", "2021-01-10T12:30:00-03:30"),
    ] {
        let end = format!(r#""updateDetailType":"UPDATE_VALIDITY","endDate":"{written}"}}"#);
        assert!(body(&updating(setting), &row, 0).ends_with(&end), "{setting}");
    }
}

#[test]
fn rows_that_break_a_rule() {
    let long = "x".repeat(129);
    for (row, rule, column) in [
        (&[("status", "")][..], Rule::Missing, "status"),
        (&[("status", "REFUND")], Rule::NotAWord, "status"),
        (&[("status", "USED")], Rule::Missing, "verify_code"),
        (&[("status", "USED"), ("verify_code", &long)], Rule::TooLong, "verify_code"),
        (&[("status", "USED"), ("verify_code", "1"), ("points", "1")], Rule::Combination, "points"),
        (&[("status", "CLOSED"), ("update_type", "UPDATE_SCORE")], Rule::Combination, "update_type"),
        (&[("status", "UPDATE")], Rule::NoChange, ""),
        (&[("status", "UPDATE"), ("end_date", "9999-12-31T16:00:00Z")], Rule::NotATime, "end_date"),
        (&[("status", "UPDATE"), ("points", "1"), ("level", "Gold")], Rule::Combination, "update_type"),
        (&[("status", "UPDATE"), ("points", "1"), ("update_type", "UPDATE_LEVEL")], Rule::Combination, "update_type"),
        (&[("status", "UPDATE"), ("points", "1"), ("update_type", "UPDATE")], Rule::NotAWord, "update_type"),
        (&[("status", "UPDATE"), ("data.en_US.x", "1")], Rule::Missing, "update_type"),
    ] {
        let reject = read(&updating(""), row).unwrap_err();
        assert_eq!((reject.rule, reject.column.as_str()), (rule, column), "{row:?}: {reject}");
    }
    let reject = read(&dialect(""), &[("status", "UPDATE"), ("points", "1")]).unwrap_err();
    assert!(reject.to_string().contains("allow_update"), "{reject}");
}

#[test]
fn columns_and_settings_that_cannot_be_meant() {
    for column in
        ["level.fr_FR", "data.x", "data.fr_FR.x", "data.en_US.", "data.en_US.score", "data.en_US.level", "code_msg"]
    {
        let columns = ["pass_id", "user_id", "status", column].map(str::to_owned);
        assert_eq!(dialect("").reader(&columns, &rules()).err().unwrap().column, column);
    }
    let columns = ["pass_id", "user_id", "points"].map(str::to_owned);
    assert_eq!(dialect("").reader(&columns, &rules()).err().unwrap().column, "status");
    for (setting, key) in [
        ("field_names = 'both'", "field_names"),
        ("data_info_as = 1", "data_info_as"),
        ("end_date_zone = 'Asia/Hong_Kong'", "end_date_zone"),
        ("end_date_zone = '+8:00'", "end_date_zone"),
        ("end_date_zone = '+08:60'", "end_date_zone"),
        ("end_date_zone = '+99:00'", "end_date_zone"),
        ("end_date_zone = '+24:00'", "end_date_zone"),
        ("points_member = 'level'", "points_member"),
        ("[extra]\nverifyCode = { value = 1 }", "extra.verifyCode"),
    ] {
        assert_eq!(try_dialect(setting).err().unwrap().key, key, "{setting}");
    }
    for name in columns::COLUMNS.iter() {
        assert!(dialect("").column(&name.replace("<locale>", "en_US").replace("<name>", "x")).is_some(), "{name}");
    }
}

#[test]
fn calls_that_the_page_does_not_allow() {
    let gateway = updating("");
    for (rest, found) in [
        (r#""status":"REFUND"}"#, "status"),
        (r#""status":"USED"}"#, "passVerifyCode"),
        (r#""status":"CLOSED","endDate":"2021-01-11T00:00:00+08:00"}"#, "endDate"),
        (r#""status":"UPDATE"}"#, "updateDetailType"),
        (r#""status":"UPDATE","updateDetailType":"UPDATE_ALL"}"#, "updateDetailType"),
        (r#""status":"UPDATE","updateDetailType":"UPDATE_SCORE"}"#, "missing"),
        (r#""status":"UPDATE","updateDetailType":"UPDATE_SCORE","dataInfo":"{}"}"#, "missing"),
        (r#""status":"UPDATE","updateDetailType":"UPDATE_SCORE","dataInfo":{"en_US":1}}"#, "not an object"),
        (r#""status":"UPDATE","updateDetailType":"UPDATE_SCORE","dataInfo":{"en_US":{"$score$":"x"}}}"#, "points"),
        (r#""status":"UPDATE","updateDetailType":"UPDATE_VALIDITY","endDate":"1640970061000"}"#, "endDate"),
    ] {
        let fault = body::read(&gateway.0, format!("{IDS}{rest}").as_bytes(), String::new()).unwrap_err().to_string();
        assert!(fault.contains(found), "{rest}: {fault}");
    }
}

proptest! {
    #[test]
    fn a_gateway_reads_what_a_row_says(
        points in proptest::option::of(0_u32..),
        level in "[鑽金\"\\\\a-z]{0,5}",
        end_date in proptest::option::of(10_000_000_i64..253_402_271_999),
        data in "[ -~]{0,8}",
        string: bool,
        drop in 0_u64..4,
    ) {
        let dialect = updating(if string { "data_info_as = 'string'" } else { "" });
        // The wire form has seconds; finer ends are cut.
        let end_date = end_date.map(|seconds| format!("{seconds}000")).unwrap_or_default();
        let points = points.map(|points| points.to_string()).unwrap_or_default();
        let delta = read(&dialect, &[
            ("status", "UPDATE"), ("points", &points), ("level.en_US", &level), ("end_date", &end_date),
            ("data.zh_HK.x", &data), ("data.zh_HK.y", &data),
        ]);
        prop_assume!(delta.is_ok());
        let delta = delta.unwrap();
        prop_assume!(delta.carried(drop).next().is_some());
        let mut carried: Vec<_> = delta.carried(drop).map(|field| (field.name.to_string(), field.value.text())).collect();
        let mut members = body::read(&dialect.0, &dialect.body(&delta, drop), "t".into()).unwrap().members;
        members.sort();
        carried.sort();
        prop_assert_eq!(members, carried);
    }
}
