//! Rows, bodies and calls of the dialect, from the job's settings on.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::model::{LocalTime, Reject, Rule, Status};
use crate::wire::Dialect as _;
use crate::wire::setting::no_vault;

fn dialect(settings: &str) -> Pass<AlipayHkCard> {
    try_dialect(settings).unwrap()
}

fn try_dialect(settings: &str) -> Result<Pass<AlipayHkCard>, SettingFault> {
    let table = format!("merchant_id = 'm1'\nclient_id = 'c1'\n{settings}").parse().unwrap();
    AlipayHkCard::from_settings(&Keys::gateway(&table, &no_vault)).map(Pass)
}

fn rules() -> RowRules {
    RowRules {
        bill_key: vec!["bill_no".into()],
        require_bill_no: false,
        negative_points: false,
        times: LocalTime { zone: TimeZone::get("Asia/Hong_Kong").unwrap() },
    }
}

/// A row as `column=cell` words over a card and a user; an empty cell is absent.
fn read(dialect: &Pass<AlipayHkCard>, row: &[(&str, &str)]) -> Result<Delta, Reject> {
    read_by(&rules(), dialect, row)
}

fn read_by(rules: &RowRules, dialect: &Pass<AlipayHkCard>, row: &[(&str, &str)]) -> Result<Delta, Reject> {
    let row: Vec<_> = [("pass_id", "p1"), ("user_id", "u1")].iter().chain(row).collect();
    let columns: Vec<String> = row.iter().map(|(column, _)| (*column).to_owned()).collect();
    let cells: Vec<_> = row.iter().map(|(_, cell)| (!cell.is_empty()).then_some(Cow::Borrowed(*cell))).collect();
    dialect.reader(&columns, rules).unwrap().read(&cells)
}

fn body(dialect: &Pass<AlipayHkCard>, row: &[(&str, &str)], drop: u64) -> String {
    String::from_utf8(dialect.body(&read(dialect, row).unwrap(), drop)).unwrap()
}

fn names(delta: &Delta) -> Vec<&str> {
    delta.members.iter().map(|field| field.name.as_str()).collect()
}

const HEAD: &str =
    r#"{"merchantId":"m1","userId":"u1","passId":"p1","status":"UPDATE","updateDetailType":"UPDATE_MEMBER_CARD""#;

#[test]
fn another_locale_in_the_settings_is_no_other_content() {
    let content = |locales: &str, row: &[(&str, &str)]| {
        read(&dialect(&format!("locales = {locales}")), row).unwrap().content_digest()
    };
    let (two, three) = ("['zh_HK', 'en_US']", "['en_US', 'pt_PT', 'zh_HK']");
    for row in [&[("level", "Gold")][..], &[("level", "Gold"), ("level.zh_HK", "金卡")], &[("points", "7")]] {
        assert_eq!(content(two, row), content(three, row), "{row:?}");
    }
    let gold = content(two, &[("level", "Gold")]);
    assert_ne!(gold, content(two, &[("level", "Silver")]));
    assert_ne!(gold, content(two, &[("level", "Gold"), ("level.zh_HK", "金卡")]));
    assert_ne!(gold, content(two, &[("level.zh_HK", "Gold")]));
}

#[test]
fn level_fills_every_locale_that_has_none_of_its_own() {
    let hk = dialect("locales = ['zh_HK', 'en_US', 'pt_PT']");
    let delta = read(&hk, &[("level", "Gold"), ("level.zh_HK", "金卡"), ("level.pt_PT", "")]).unwrap();
    assert_eq!(names(&delta), ["level.en_US", "level.pt_PT", "level.zh_HK"]);
    let data = r#","dataInfo":{"$level_zh_HK$":"金卡","$level_en_US$":"Gold","$level_pt_PT$":"Gold"}}"#;
    assert_eq!(String::from_utf8(hk.body(&delta, 0)).unwrap(), format!("{HEAD}{data}"));
}

#[test]
fn a_row_says_the_same_whatever_the_order_of_columns_and_locales() {
    let (one, other) = (dialect("locales = ['zh_HK', 'en_US']"), dialect("locales = ['en_US', 'zh_HK']"));
    let mut row =
        vec![("data.b", "2"), ("level", "Gold"), ("data.a", "1"), ("points", "7"), ("end_date", "2026-12-31")];
    let forth = read(&one, &row).unwrap();
    row.reverse();
    let back = read(&other, &row).unwrap();
    assert_eq!(forth, back);
    assert_eq!(names(&forth), ["end_date", "points", "level.en_US", "level.zh_HK", "data.a", "data.b"]);
}

#[test]
fn a_revision_without_points_leaves_out_what_rides_with_them() {
    let row = [
        ("points", "7.50"),
        ("level.en_US", "Gold"),
        ("bill_no", "b1"),
        ("last_changed_points", "-2"),
        ("points_provider", "ALIPAYCN"),
    ];
    for setting in ["omit", "null"] {
        let hk = dialect(&format!("bill_fields = '{setting}'"));
        let points = r#""$points_zh_HK$":7.5,"$points_en_US$":7.5"#;
        let bill = r#""billNo":"b1","lastChangedPoints":"-2","pointsProvider":"ALIPAYCN""#;
        let whole = format!(r#"{HEAD},"dataInfo":{{{points},"$level_en_US$":"Gold",{bill}}}}}"#);
        assert_eq!(body(&hk, &row, 0), whole);
        assert_eq!(body(&hk, &row, 0b01), format!(r#"{HEAD},"dataInfo":{{"$level_en_US$":"Gold"}}}}"#));
        let points = body(&hk, &row, 0b10);
        assert!(!points.contains("level") && points.contains("billNo"), "{points}");
    }
}

#[test]
fn bill_fields_of_other_transactions_are_absent_or_null() {
    let row = [("points", "7"), ("bill_no", "b1"), ("last_changed_points", "1"), ("level.en_US", "Gold")];
    assert!(!body(&dialect(""), &row, 0).contains("billNo"));
    let null = dialect("bill_fields = 'null'");
    assert!(body(&null, &row, 0).ends_with(r#""billNo":null,"lastChangedPoints":null,"pointsProvider":null}}"#));
    assert!(!body(&null, &row, 0b01).contains("billNo"), "without points there is no bill to speak of");
}

#[test]
fn members_beside_data_info() {
    let hk = dialect("code_info = true\nend_date_as = 'number'\ndata_names_number = ['n']");
    let row = [("end_date", "1640970061000"), ("code_msg", "00\"1"), ("code_value", "002"), ("data.n", "01.0")];
    let whole =
        r#","endDate":1640970061000,"dataInfo":{"$n$":1},"codeInfo":{"$codemsg$":"00\"1","$codevalue$":"002"}}"#;
    assert_eq!(body(&hk, &row, 0), format!("{HEAD}{whole}"));
    assert_eq!(body(&hk, &row, 0b011), format!(r#"{HEAD},"codeInfo":{{"$codemsg$":"00\"1","$codevalue$":"002"}}}}"#));
    assert_eq!(body(&hk, &row, 0b110), format!(r#"{HEAD},"endDate":1640970061000}}"#));
    let extra = dialect("[extra]\nbizSerialId = { column = 'serial' }\ntype = { value = 'CARD' }");
    let tail = r#""bizSerialId":"007","type":"CARD"}"#;
    assert!(body(&extra, &[("points", "1"), ("serial", "007")], 0).ends_with(tail));
    assert!(!body(&extra, &[("status", "CLOSED"), ("serial", "007")], 0).contains("CARD"));
}

#[test]
fn closed_rows_carry_their_status_alone() {
    let hk = dialect("");
    let delta = read(&hk, &[("status", "CLOSED"), ("bill_no", "b1"), ("points", "")]).unwrap();
    assert_eq!((delta.status, names(&delta)), (Status::Closed, vec!["status"]));
    let expected = r#"{"merchantId":"m1","userId":"u1","passId":"p1","status":"CLOSED"}"#;
    assert_eq!(String::from_utf8(hk.body(&delta, 0)).unwrap(), expected);
    assert_eq!(names(&read(&hk, &[("status", "UPDATE"), ("points", "1")]).unwrap()), ["points"]);
}

#[test]
fn rows_that_break_a_rule() {
    let long = "x".repeat(33);
    for (row, rule, column) in [
        (&[("pass_id ", "")][..], Rule::NoChange, ""),
        (&[("points", "1"), ("template_code", &long)], Rule::TooLong, "template_code"),
        (&[("points", "-1")], Rule::Negative, "points"),
        (&[("points", "1,000")], Rule::NotANumber, "points"),
        (&[("status", "USED")], Rule::NotAWord, "status"),
        (&[("status", "closed")], Rule::NotAWord, "status"),
        (&[("status", "CLOSED"), ("points", "1")], Rule::Combination, "points"),
        (&[("status", "CLOSED"), ("level", "Gold")], Rule::Combination, "level"),
        (&[("status", "CLOSED"), ("data.x", "1")], Rule::Combination, "data.x"),
        (&[("status", "CLOSED"), ("points_provider", "ALIPAYHK")], Rule::Combination, "points_provider"),
        (&[("bill_no", "b1"), ("last_changed_points", "1")], Rule::NoChange, ""),
        (&[("end_date", "soon")], Rule::NotATime, "end_date"),
        (&[("points", "1"), ("points_provider", "ALIPAYHK")], Rule::MissingBill, "bill_no"),
        (&[("points", "1"), ("bill_no", "b"), ("points_provider", "ALIPAY")], Rule::NotAWord, "points_provider"),
        (&[("level", "1"), ("bill_no", "b"), ("points_provider", "ALIPAYHK")], Rule::Combination, "points_provider"),
        (&[("points", "1"), ("code_msg", "1")], Rule::Combination, "code_value"),
        (&[("points", "1"), ("code_msg", "1"), ("code_value", "1")], Rule::Combination, "code_value"),
        (&[("points", "1"), ("merchant_id", "m2")], Rule::Merchant, "merchant_id"),
    ] {
        let row: Vec<_> = row.iter().filter(|(column, _)| !column.ends_with(' ')).copied().collect();
        let reject = read(&dialect(""), &row).unwrap_err();
        assert_eq!((reject.rule, reject.column.as_str()), (rule, column), "{row:?}: {reject}");
    }
}

#[test]
fn ids_are_checked_in_characters() {
    let hk = dialect("");
    let columns = ["pass_id".to_owned(), "open_id".into(), "points".into()];
    let reader = hk.reader(&columns, &rules()).unwrap();
    let row = |pass: &str, open: &str| {
        let cell = |text: &str| (!text.is_empty()).then(|| Cow::Owned(text.to_owned()));
        reader.read(&[cell(pass), cell(open), cell("1")]).map_err(|reject| (reject.rule, reject.column))
    };
    assert!(row(&"卡".repeat(32), "o1").is_ok());
    assert_eq!(row(&"卡".repeat(33), "o1"), Err((Rule::TooLong, "pass_id".into())));
    assert_eq!(row("", "o1"), Err((Rule::Missing, "pass_id".into())));
    assert_eq!(row("p1", ""), Err((Rule::Missing, "user_id".into())));
}

#[test]
fn columns_that_cannot_be_read() {
    let too_many: Vec<_> = (0..60).map(|n| format!("data.n{n:02}")).collect();
    let mut too_many: Vec<_> = too_many.iter().map(String::as_str).collect();
    too_many.extend(["pass_id", "user_id"]);
    for (columns, column) in [
        (&["user_id", "points"][..], "pass_id"),
        (&["pass_id", "points"], "user_id"),
        (&["pass_id", "user_id", "level.fr_FR"], "level.fr_FR"),
        (&["pass_id", "user_id", "data."], "data."),
        (&["pass_id", "user_id", "data.a$b"], "data.a$b"),
        (&["pass_id", "user_id", "data.points_en_US"], "data.points_en_US"),
        (&["pass_id", "user_id", "balance"], "balance"),
        (&["pass_id", "user_id", "points", "points"], "points"),
        (&too_many, "data.n59"),
    ] {
        let columns: Vec<_> = columns.iter().map(|column| (*column).to_owned()).collect();
        let fault = dialect("").reader(&columns, &rules()).err().unwrap();
        assert_eq!(fault.column, column, "{fault}");
    }
}

#[test]
fn settings_that_cannot_be_meant() {
    for (setting, key) in [
        ("locales = []", "locales"),
        ("locales = ['zh-HK']", "locales"),
        ("bill_fields = 'empty'", "bill_fields"),
        ("end_date_as = 'ms'", "end_date_as"),
        ("code_info = 1", "code_info"),
        ("path = 'api'", "path"),
        ("path = '/api/../updatePass'", "path"),
        ("path = '/api/%2E./updatePass'", "path"),
        ("path = '/updatePass#v1'", "path"),
        ("path = '/updatePass?v=1'", "path"),
        ("path = '/update{Pass}'", "path"),
        ("algorithm = 'a,b'", "algorithm"),
        ("key_version = '1'", "key_version"),
        ("request_time_format = 'epoch'", "request_time_format"),
        ("merchants = 'm2'", "merchants"),
        ("encryption = {}", "encryption.peer_key"),
        ("[extra]\nendDate = { value = 'x' }", "extra.endDate"),
        ("[extra]\nx = { column = 'data.x' }", "extra.x.column"),
    ] {
        assert_eq!(try_dialect(setting).err().unwrap().key, key, "{setting}");
    }
    assert_eq!(
        AlipayHkCard::from_settings(&Keys::gateway(&toml::Table::new(), &no_vault))
            .err()
            .unwrap()
            .to_string()
            .split(':')
            .next(),
        Some("gateway.merchant_id")
    );
    assert_eq!(dialect("").scope(), "alipayhk-card/c1");
}

#[test]
fn the_table_of_columns_and_the_dialect_agree() {
    let hk = dialect("[extra]\nserial = { column = 'serial' }");
    for name in columns::COLUMNS.iter() {
        let name = name.replace("<locale>", "en_US").replace("<name>", "x");
        assert!(hk.column(&name).is_some(), "{name}");
    }
    assert!(hk.column("serial").is_some_and(|column| column.id));
    for name in ["balance", "notify", "verify_code", "_run", "Points"] {
        assert_eq!(hk.column(name), None, "{name}");
    }
    assert_eq!(hk.column("pass_id"), Some(Column { required: true, id: true }));
    assert_eq!(hk.column("points"), Some(Column { required: false, id: false }));
}

#[test]
fn calls_that_the_page_does_not_allow() {
    let hk = dialect("");
    let update =
        r#""merchantId":"m1","userId":"u1","passId":"p1","status":"UPDATE","updateDetailType":"UPDATE_MEMBER_CARD""#;
    for (text, found) in [
        ("", "not JSON"),
        ("{}", "merchantId"),
        (r#"{"merchantId":"m1","passId":"p1","status":"CLOSED"}"#, "userId"),
        (r#"{"merchantId":"m1","userId":"u1","status":"CLOSED"}"#, "passId"),
        (r#"{"merchantId":"m1","userId":"u1","passId":"p1"}"#, "status"),
        (r#"{"merchantId":"m1","userId":"u1","passId":"p1","status":"USED"}"#, "status"),
        (r#"{"merchantId":"m1","userId":"u1","passId":"p1","status":"UPDATE"}"#, "updateDetailType"),
        (r#"{"merchantId":"m1","userId":"u1","passId":"p1","status":"CLOSED","endDate":"1"}"#, "endDate"),
        (&format!("{{{update}}}"), "missing"),
        (&format!(r#"{{{update},"endDate":"2026-12-31"}}"#), "endDate"),
        (&format!(r#"{{{update},"dataInfo":{{"$points_zh_HK$":"1"}}}}"#), "not a number"),
        (&format!(r#"{{{update},"dataInfo":{{"$points_zh_HK$":1,"$points_en_US$":2}}}}"#), "another language"),
        (&format!(r#"{{{update},"dataInfo":{{"$points_zh_HK$":1,"$points_zh_HK$":1}}}}"#), "twice"),
        (&format!(r#"{{{update},"dataInfo":{{"$points_zh_HK$":1,"pointsProvider":"ALIPAYHK"}}}}"#), "billNo"),
        (&format!(r#"{{{update},"dataInfo":{{"$points_zh_HK$":1,"billNo":1}}}}"#), "billNo"),
        (&format!(r#"{{{update},"codeInfo":{{"$codemsg$":"1"}}}}"#), "codevalue"),
        (&format!(r#"{{{update},"passId":"p2","endDate":"1"}}"#), "twice"),
    ] {
        let fault = body::read(&hk.0, text.as_bytes(), String::new()).unwrap_err().to_string();
        assert!(fault.contains(found), "{text}: {fault}");
    }
}

/// Any cell: Chinese, quotes, controls, or absent.
fn cell() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[ -~]{1,8}", "[鑽石卡\"\\\\\u{1}\u{2028}😀]{1,6}"]
}

proptest! {
    #[test]
    fn a_gateway_reads_what_a_row_says(
        points in proptest::option::of("-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,4})?"),
        level in cell(),
        level_en in cell(),
        data in cell(),
        bill_no in "[0-9]{0,36}",
        end_date in proptest::option::of(10_000_000_000_i64..253_402_300_799_999),
        drop in any::<u64>(),
    ) {
        let hk = dialect("locales = ['zh_HK', 'en_US']");
        let end_date = end_date.map(|ms| ms.to_string()).unwrap_or_default();
        let points = points.unwrap_or_default();
        let provider = if bill_no.is_empty() || points.is_empty() { "" } else { "ALIPAYHK" };
        let row = [
            ("points", points.as_str()), ("level", &level), ("level.en_US", &level_en), ("data.x", &data),
            ("bill_no", &bill_no), ("end_date", &end_date), ("points_provider", provider),
        ];
        let lenient = RowRules { negative_points: true, ..rules() };
        let delta = read_by(&lenient, &hk, &row);
        prop_assume!(delta.is_ok());
        let delta = delta.unwrap();
        prop_assume!(delta.carried(drop).next().is_some());
        let mut carried: Vec<_> = delta.carried(drop).map(|field| (field.name.to_string(), field.value.text())).collect();
        let call = body::read(&hk.0, &hk.body(&delta, drop), "t".into()).unwrap();
        let tells_bill = carried.iter().any(|(name, _)| name == "points") && provider == "ALIPAYHK";
        prop_assert_eq!(call.bill_no, tells_bill.then_some(bill_no));
        prop_assert_eq!((call.merchant, call.card, call.status), ("m1".to_owned(), "p1".to_owned(), Status::Update));
        let mut members = call.members;
        members.sort();
        carried.sort();
        prop_assert_eq!(members, carried);
    }
}
