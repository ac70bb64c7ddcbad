//! Rows, contents, calls and replies of the dialect, from the job's settings on.

use std::borrow::Cow;

use jiff::tz::TimeZone;

use super::envelope::Node;
use super::*;
use crate::model::{LocalTime, Reject, Rule, Verdict};
use crate::wire::explain::Subject;

const NOW_MS: i64 = 1_795_227_630_000; // 2026-11-21 10:20:30 in GMT+8

fn vault(place: &str, _: Secrecy) -> Result<Zeroizing<Vec<u8>>, String> {
    let bytes = match place {
        "env:TOKEN" => "202611BBabcdef\n",
        "env:AES" => "AAECAwQFBgcICQoLDA0ODw==",
        "env:SHORT" => "AAEC",
        _ => return Err(format!("{place} is not there")),
    };
    Ok(Zeroizing::new(bytes.into()))
}

fn try_dialect(settings: &str) -> Result<MarketingCard, SettingFault> {
    let table = format!("app_id = '2014072300007148'\n{settings}").parse().unwrap();
    MarketingCard::from_settings(&Keys::gateway(&table, &vault))
}

fn dialect(settings: &str) -> MarketingCard {
    try_dialect(settings).unwrap()
}

const BASE: [(&str, &str); 4] = [
    ("card_no", "000001"),
    ("occurred_at", "2016-06-27T04:12:12Z"),
    ("open_date", "2014-02-20 21:20:46"),
    ("valid_date", "2020-02-20 21:20:46"),
];

/// Reads a row: the four columns that every row has, and these.
fn read(dialect: &MarketingCard, row: &[(&str, &str)]) -> Result<Delta, Reject> {
    let row: Vec<_> = BASE.iter().filter(|(name, _)| !row.iter().any(|(own, _)| own == name)).chain(row).collect();
    let columns: Vec<String> = row.iter().map(|(column, _)| (*column).to_owned()).collect();
    let rules = RowRules {
        bill_key: vec!["bill_no".into()],
        require_bill_no: false,
        negative_points: false,
        times: LocalTime { zone: TimeZone::get("Asia/Shanghai").unwrap() },
    };
    let cells: Vec<_> = row.iter().map(|(_, cell)| (!cell.is_empty()).then_some(Cow::Borrowed(*cell))).collect();
    dialect.reader(&columns, &rules).unwrap().read(&cells)
}

fn content(settings: &str, row: &[(&str, &str)], drop: u64) -> String {
    let dialect = dialect(settings);
    let body = String::from_utf8(dialect.body(&read(&dialect, row).unwrap(), drop)).unwrap();
    body.strip_prefix("UTF-8\n").unwrap().to_owned()
}

/// Every column at once, as the page's own sample has it but for what its tables forbid.
const FULL: &[(&str, &str)] = &[
    ("bill_no", "B1"),
    ("last_changed_points", "-12.50"),
    ("level", "VIP1"),
    ("points", "88.00"),
    ("balance", "124.9"),
    (
        "mdcode_info",
        r#"{"time_stamp": 14969964590000000001, "code_status":"SUCCESS","code_value":"1KFCDY0002","expire_time":"2017-06-09 16:25:53"}"#,
    ),
    ("front_text_list", r#"[ {"value":"Finance and trading","label":"专业"} ]"#),
    ("front_image_id", "9fxnkgt0QFmqKAl5V2BqxQAAACMAAQED"),
    ("ext_info", r#""""#),
    ("notify", "points|level"),
    ("change_reason", "由于你的消费"),
    ("mcard_style_info", r#"{"logo_id":"1T8","bg_color":"rgb(55,112,179)"}"#),
    ("merchant_card_msg_info", r#"{"changed_point":"-12.5"}"#),
];

const FULL_CONTENT: &str = concat!(
    r#"{"target_card_no":"000001","target_card_no_type":"BIZ_CARD","occur_time":"2016-06-27 12:12:12","#,
    r#""card_info":{"open_date":"2014-02-20 21:20:46","valid_date":"2020-02-20 21:20:46","level":"VIP1","#,
    r#""point":"88","balance":"124.90","mdcode_info":{"code_status":"SUCCESS","code_value":"1KFCDY0002","#,
    r#""expire_time":"2017-06-09 16:25:53","time_stamp":14969964590000000001},"#,
    r#""front_text_list":[{"label":"专业","value":"Finance and trading"}],"#,
    r#""front_image_id":"9fxnkgt0QFmqKAl5V2BqxQAAACMAAQED"},"ext_info":"\"\"","#,
    r#""notify_messages":[{"message_type":"POINT_UPDATE","change_reason":"由于你的消费"},{"message_type":"LEVEL_UPDATE"}],"#,
    r#""mcard_style_info":{"bg_color":"rgb(55,112,179)","logo_id":"1T8"},"#,
    r#""merchant_card_msg_info":{"changed_point":"-12.5"}}"#,
);

#[test]
fn every_field_of_the_page_is_sent_in_its_order() {
    assert_eq!(content("", FULL, 0), FULL_CONTENT);
    let least = content("", &[("template_id", "20170308000000000058101000300045")], 0);
    assert!(
        least.ends_with(r#""valid_date":"2020-02-20 21:20:46","template_id":"20170308000000000058101000300045"}}"#)
    );
}

#[test]
fn times_are_gmt8_whatever_the_zone_of_the_input() {
    let row = [("occurred_at", "2026-01-01T00:00:00-05:00"), ("open_date", "1392902446000"), ("points", "1")];
    let content = content("", &row, 0);
    assert!(content.contains(r#""occur_time":"2026-01-01 13:00:00""#), "{content}");
    assert!(content.contains(r#""open_date":"2014-02-20 21:20:46""#), "{content}");
}

#[test]
fn a_member_that_is_left_out_takes_its_message_along() {
    // level, points, balance, ...: the second bit is the points'.
    let without_points = content("", FULL, 0b10);
    assert!(!without_points.contains("point\"") && !without_points.contains("POINT_UPDATE"), "{without_points}");
    assert!(without_points.contains(r#""notify_messages":[{"message_type":"LEVEL_UPDATE"}]"#), "{without_points}");
    assert!(!content("", FULL, 0b11).contains("notify_messages"));
    assert!(!content("", FULL, 0b100_0000).contains("mcard_style_info"));
}

#[test]
fn the_change_can_be_told_out_of_its_own_column() {
    let row = [("points", "88"), ("last_changed_points", "-100.0")];
    let told = content("changed_point = 'last_changed_points'", &row, 0);
    assert!(told.ends_with(r#","merchant_card_msg_info":{"changed_point":"-100"}}"#), "{told}");
    assert!(!content("", &row, 0).contains("changed_point"));
    assert!(!content("changed_point = 'last_changed_points'", &[("level", "a"), row[1]], 0).contains("changed_point"));
}

#[test]
fn rows_that_the_page_forbids_are_rejected() {
    let long = |chars: usize| "金".repeat(chars);
    let (l33, l65, l1025) = (long(33), long(65), long(1_025));
    let five = format!("[{}]", [r#"{"label":"a"}"#; 5].join(","));
    let wide = format!(r#"[{{"label":"a","value":"{l33}"}}]"#);
    for (column, cell, rule) in [
        ("card_no", "", Rule::Missing),
        ("card_no", l33.as_str(), Rule::TooLong),
        ("occurred_at", "", Rule::Missing),
        ("open_date", "", Rule::Missing),
        ("valid_date", "2020-02-20", Rule::NotATime),
        ("level", &l65, Rule::TooLong),
        ("points", "1.005", Rule::Scale),
        ("points", "-1", Rule::Negative),
        ("balance", "1.001", Rule::Scale),
        ("balance", "1 yuan", Rule::NotANumber),
        ("template_id", &l33, Rule::TooLong),
        ("front_image_id", &l1025, Rule::TooLong),
        ("ext_info", &l1025, Rule::TooLong),
        ("mdcode_info", "{", Rule::NotJson),
        ("mdcode_info", "[]", Rule::NotJson),
        ("mdcode_info", r#"{"code_status":"FAIL_RETRY"}"#, Rule::Missing),
        ("mdcode_info", r#"{"code_status":"SUCCESS","time_stamp":1}"#, Rule::Missing),
        ("mdcode_info", r#"{"code_status":"OK","time_stamp":1}"#, Rule::NotAWord),
        ("mdcode_info", r#"{"code_status":"FAIL_RETRY","time_stamp":1.5}"#, Rule::NotANumber),
        ("mdcode_info", r#"{"code_status":"FAIL_RETRY","time_stamp":1,"expire_time":"soon"}"#, Rule::NotATime),
        ("mdcode_info", r#"{"code_status":"FAIL_RETRY","time_stamp":1,"code_valeu":"x"}"#, Rule::NotJson),
        ("mdcode_info", r#"{"code_status":"FAIL_RETRY","code_status":"FAIL_RETRY","time_stamp":1}"#, Rule::NotJson),
        ("front_text_list", "[]", Rule::NotJson),
        ("front_text_list", &five, Rule::TooLong),
        ("front_text_list", &wide, Rule::TooLong),
        ("front_text_list", r#"[{"label":"abcde"}]"#, Rule::TooLong),
        ("mcard_style_info", "{}", Rule::NotJson),
        ("mcard_style_info", r#"{"a":{"b":1,"b":2}}"#, Rule::NotJson),
        ("merchant_card_msg_info", r#"{"changed_point":"many"}"#, Rule::NotANumber),
        ("notify_messages", r#"[{"message_type":"OPEN_CARD"}]"#, Rule::NotAWord),
        ("notify", "points|points", Rule::NotAWord),
        ("notify", "balance", Rule::Combination),
        ("change_reason", "why", Rule::Combination),
    ] {
        let more = if column == "points" { ("level", "a") } else { ("points", "1") };
        let reject = read(&dialect(""), &[more, (column, cell)]).unwrap_err();
        assert_eq!((reject.rule, reject.column.as_str()), (rule, column), "{column} {cell}: {reject}");
    }
    let both = [("points", "1"), ("notify", "points"), ("notify_messages", r#"[{"message_type":"POINT_UPDATE"}]"#)];
    assert_eq!(read(&dialect(""), &both).unwrap_err().rule, Rule::Combination);
    let looks = [("template_id", "T"), ("mcard_style_info", r#"{"logo_id":"1"}"#)];
    assert_eq!(read(&dialect(""), &looks).unwrap_err().rule, Rule::Combination);
    for nothing in [&[][..], &[("ext_info", "x")], &[("mcard_style_info", r#"{"logo_id":"1"}"#)]] {
        assert_eq!(read(&dialect(""), nothing).unwrap_err().rule, Rule::NoChange);
    }
    let reject = read(&dialect(""), &[("points", "1"), ("card_no", &l33)]).unwrap_err();
    assert!(!reject.to_string().contains(&l33), "a card is shown by its beginning: {reject}");
}

#[test]
fn a_character_that_the_charset_lacks_is_a_reject_and_never_a_question_mark() {
    for (charset, level, found) in
        [("GB2312", "鑽石卡", Some("鑽")), ("GBK", "鑽石卡", None), ("GBK", "😀", Some("😀")), ("UTF-8", "😀", None)]
    {
        let read = read(&dialect(&format!("charset = '{charset}'")), &[("level", level)]);
        match (read, found) {
            (Ok(_), None) => {}
            (Err(reject), Some(found)) => {
                assert_eq!((reject.rule, reject.column.as_str()), (Rule::Unencodable, "level"));
                assert!(reject.found.contains(found), "{reject}");
            }
            (other, _) => panic!("{charset} {level}: {other:?}"),
        }
    }
    for row in [
        &[("points", "1"), ("notify", "points"), ("change_reason", "鑽")][..],
        &[("front_text_list", r#"[{"value":"鑽"}]"#)],
        &[("points", "1"), ("ext_info", "鑽")],
        &[("points", "1"), ("card_no", "鑽")],
    ] {
        let reject = read(&dialect("charset = 'GB2312'"), row).unwrap_err();
        assert_eq!(reject.rule, Rule::Unencodable, "{row:?}");
    }
}

#[test]
fn columns_that_are_missing_or_unknown() {
    let rules = || RowRules {
        bill_key: vec!["bill_no".into()],
        require_bill_no: false,
        negative_points: false,
        times: LocalTime { zone: TimeZone::UTC },
    };
    let fault = |columns: &[&str]| {
        let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        dialect("").reader(&columns, &rules()).err().map(|fault| fault.column)
    };
    assert_eq!(fault(&["card_no", "occurred_at", "open_date", "points"]).as_deref(), Some("valid_date"));
    assert_eq!(fault(&["occurred_at"]).as_deref(), Some("card_no"));
    assert_eq!(fault(&["card_no", "occurred_at", "open_date", "valid_date", "pass_id"]).as_deref(), Some("pass_id"));
    for name in columns::COLUMNS.iter() {
        assert!(dialect("").column(name).is_some(), "{name}");
    }
}

#[test]
fn settings_that_cannot_be_meant() {
    for (settings, key) in [
        ("path = 'gateway.do'", "path"),
        ("path = '/gateway.do?x=1'", "path"),
        ("sign_type = 'RSA256'", "sign_type"),
        ("charset = 'Big5'", "charset"),
        ("format = 'yaml'", "format"),
        ("app_auth_token = 'literal'", "app_auth_token"),
        ("app_auth_token = 'env:NONE'", "app_auth_token"),
        ("aes_key = 'env:SHORT'", "aes_key"),
        ("encrypt_type = 'AES'", "encrypt_type"),
        ("aes_key = 'env:AES'\nformat = 'xml'", "format"),
        ("[certificates]\napp = 'env:A'", "certificates.root"),
        ("[certificates]\napp = 'env:A'\nroot = 'env:R'", "certificates.platform"),
        ("[certificates]\ncrl = 'env:A'", "certificates.crl"),
    ] {
        assert_eq!(try_dialect(settings).err().unwrap().key, key, "{settings}");
    }
    let fault = try_dialect("app_auth_token = 'literal'").err().unwrap().to_string();
    assert!(!fault.contains("literal"), "{fault}");
    let table: toml::Table = "app_id = '1'\naes_key = 'env:NONE'\napp_auth_token = 'env:NONE'".parse().unwrap();
    assert_eq!(ENTRY.check(&table), Ok(()), "checking opens no secret");
}

/// The settings in which calls and replies differ.
const FORMS: [&str; 7] = [
    "",
    "charset = 'GBK'",
    "charset = 'GB2312'\nsign_type = 'RSA'",
    "format = 'xml'\ncharset = 'GBK'",
    "format = ''\napp_auth_token = 'env:TOKEN'",
    "aes_key = 'env:AES'",
    "aes_key = 'env:AES'\nencrypt_type = 'AES_V2'\ncharset = 'GBK'",
];

#[test]
fn a_call_makes_the_round_in_every_form() {
    let signer = Signer::generate(2048).unwrap();
    for settings in FORMS {
        let dialect = dialect(settings);
        let delta = read(&dialect, FULL).unwrap();
        let body = dialect.body(&delta, 0);
        assert_eq!(body, dialect.body(&delta, 0), "{settings}: one revision, one body");
        let request = dialect.request(&body, NOW_MS, &signer);
        assert!(request.target.starts_with("/gateway.do?") && request.target.contains("charset="), "{settings}");
        assert!(request.target.is_ascii() && request.body.starts_with(b"biz_content="), "{settings}");
        let call = dialect.read_call(&request, &signer.public()).unwrap();
        assert_eq!((call.merchant.as_str(), call.card.as_str()), ("2014072300007148", "000001"), "{settings}");
        assert_eq!(call.sent_at, "2026-11-21 10:20:30", "{settings}");
        assert_eq!(String::from_utf8(call.body).unwrap(), FULL_CONTENT, "{settings}");
        let members: Vec<_> = delta.members.iter().map(|field| (field.name.to_string(), field.value.text())).collect();
        assert_eq!(call.members.len(), members.len(), "{settings}");
        for (name, value) in members.iter().filter(|(name, _)| !name.contains("code") && !name.contains("list")) {
            assert!(call.members.contains(&(name.clone(), value.clone())), "{settings}: {name} {value}");
        }
    }
}

#[test]
fn a_revision_means_the_same_under_settings_that_came_later() {
    let signer = Signer::generate(2048).unwrap();
    for (frozen, later) in FORMS.iter().flat_map(|frozen| FORMS.iter().map(move |later| (frozen, later))) {
        let (then, now) = (dialect(frozen), dialect(later));
        let body = then.body(&read(&then, FULL).unwrap(), 0);
        let call = now.read_call(&now.request(&body, NOW_MS, &signer), &signer.public()).unwrap();
        assert_eq!(String::from_utf8(call.body).unwrap(), FULL_CONTENT, "{frozen}; {later}");
        let sent = |dialect: &MarketingCard| dialect.request(&body, NOW_MS, &signer).body;
        if then.seal.is_none() && now.seal.is_none() {
            assert_eq!(sent(&now), sent(&then), "{frozen}; {later}: the same bytes");
        }
    }
}

#[test]
fn a_gateway_turns_away_what_is_not_the_apps() {
    let (signer, dialect) = (Signer::generate(2048).unwrap(), dialect(""));
    let request = dialect.request(&dialect.body(&read(&dialect, FULL).unwrap(), 0), NOW_MS, &signer);
    let key = signer.public();
    let refused = |target: &str, body: &[u8]| {
        let request = Request { target: target.to_owned(), body: body.to_vec(), ..request.clone() };
        dialect.read_call(&request, &key).unwrap_err()
    };
    let (target, body) = (request.target.as_str(), request.body.as_slice());
    assert!(matches!(refused(&target.replace("2014072300007148", "1"), body), CallFault::Client(_)));
    assert!(matches!(refused(&target.replace("10%3A20", "10%3A21"), body), CallFault::Signature(_)));
    assert!(matches!(refused(target, b"biz_content=%7B%7D"), CallFault::Signature(_)));
    assert!(matches!(refused(target.split("&sign=").next().unwrap(), body), CallFault::Signature(_)));
    assert!(matches!(refused(target, b"biz_content=1&app_id=2"), CallFault::Parameter(_)));
    let other = Signer::generate(2048).unwrap().public();
    assert!(matches!(dialect.read_call(&request, &other), Err(CallFault::Signature(_))));
}

fn answer(code: &str) -> Answer {
    Answer { code: code.into(), status: String::new(), message: "说明".into(), trace_id: "t1".into() }
}

#[test]
fn a_reply_makes_the_round_in_every_form() {
    let platform = Signer::generate(2048).unwrap();
    let keys = [platform.public()];
    for settings in FORMS {
        let dialect = dialect(settings);
        let asked = dialect.request(b"{}", NOW_MS, &platform);
        for line in codes::CODES {
            let reply = dialect.write_reply(&asked, &answer(line.code), NOW_MS, Some(&platform));
            let reading = dialect.reply(&reply, &keys);
            let found = (reading.verdict, reading.verified, reading.code.as_str(), reading.listed);
            // Beside success, the detail is a result_code; its message is the code's.
            assert_eq!(found, (line.verdict, Some(true), line.code, true), "{settings}: {}", reading.message);
            assert_eq!(reading.configuration, line.verdict == Verdict::Misconfigured);
            assert_eq!((reading.trace_id.as_str(), reading.http_status), ("t1", 200));
            let echoed = line.code == "40002/isv.invalid-signature";
            if line.code.contains('/') && !line.code.starts_with("10000") && !echoed {
                assert_eq!(reading.message, "说明", "{settings}");
            }
        }
    }
}

#[test]
fn an_answer_has_the_form_that_the_call_asks_for() {
    let (app, platform) = (Signer::generate(2048).unwrap(), Signer::generate(2048).unwrap());
    let gateway = dialect("");
    for settings in FORMS.iter().filter(|settings| !settings.contains("aes_key")) {
        let client = dialect(settings);
        let asked = client.request(&client.body(&read(&client, FULL).unwrap(), 0), NOW_MS, &app);
        assert_eq!(gateway.read_call(&asked, &app.public()).unwrap().card, "000001", "{settings}");
        let reply = gateway.write_reply(&asked, &answer("40004/NO_CARD_TYPE"), NOW_MS, Some(&platform));
        let reading = client.reply(&reply, &[platform.public()]);
        assert_eq!((reading.verified, reading.message.as_str()), (Some(true), "说明"), "{settings}");
        let charset = client.charset.name().to_lowercase();
        assert_eq!(reply.headers[0].1, format!("text/html;charset={charset}"), "{settings}");
        assert_eq!(reply.body[0] == b'<', settings.contains("xml"), "{settings}");
    }
    let garbled = Request { target: "/gateway.do?%".into(), headers: vec![], body: vec![] };
    let reply = gateway.write_reply(&garbled, &answer("40001"), NOW_MS, None);
    assert!(reply.body.starts_with(b"{\"alipay_marketing_card_update_response\":{\"code\":\"40001\""));
}

#[test]
fn a_wrong_signature_is_answered_with_the_string_that_was_verified() {
    let signer = Signer::generate(2048).unwrap();
    for settings in ["", "charset = 'GBK'", "charset = 'GBK'\nformat = 'xml'"] {
        let dialect = dialect(settings);
        let asked = dialect.request(&dialect.body(&read(&dialect, FULL).unwrap(), 0), NOW_MS, &signer);
        let reply = dialect.write_reply(&asked, &answer("40002/isv.invalid-signature"), NOW_MS, None);
        let Ok(Node::Plain(fields)) = parse::read(&reply.body, dialect.charset).unwrap().node else { panic!() };
        let mut params = Params::of_request(&asked.target, &asked.body).unwrap();
        let subject = Subject::of_params(&params, dialect.sign_type, dialect.charset);
        assert_eq!(subject.difference(&fields.sub_msg), None, "{settings}: {}", fields.sub_msg);
        params.push("notify_url", b"x");
        let subject = Subject::of_params(&params, dialect.sign_type, dialect.charset);
        assert_eq!(subject.difference(&fields.sub_msg).unwrap().part, "notify_url", "{settings}");
        let reading = dialect.reply(&reply, &[]);
        assert!(reading.message.contains("left out") && !reading.message.contains("000001"), "{}", reading.message);
    }
}

#[test]
fn a_token_that_is_given_back_is_not_kept() {
    let platform = Signer::generate(2048).unwrap();
    let dialect = dialect("app_auth_token = 'env:TOKEN'");
    let token = dialect.app_auth_token.as_ref().unwrap().to_string();
    let asked = dialect.request(b"{}", NOW_MS, &platform);
    let mut said = answer("20001/aop.invalid-app-auth-token");
    for before in ["", &"x ".repeat(195)] {
        said.message = format!("{before}{token} is invalid"); // which is cut within the token, too
        let reading = dialect.reply(&dialect.write_reply(&asked, &said, NOW_MS, Some(&platform)), &[platform.public()]);
        let expected = format!("{before}[app_auth_token] is invalid");
        assert_eq!(reading.message, expected[..expected.len().min(400)]);
    }
}

#[test]
fn unsigned_and_forged_replies_are_hints_at_most() {
    let (platform, forger) = (Signer::generate(2048).unwrap(), Signer::generate(2048).unwrap());
    let keys = [platform.public()];
    for settings in FORMS {
        let dialect = dialect(settings);
        let asked = dialect.request(b"{}", NOW_MS, &platform);
        let says = |code: &str, signer| {
            let reading = dialect.reply(&dialect.write_reply(&asked, &answer(code), NOW_MS, signer), &keys);
            (reading.verdict, reading.verified, reading.code)
        };
        assert_eq!(says("10000", None), (Verdict::InDoubt, None, "UNSIGNED".into()), "{settings}");
        let hint = says("40002/isv.invalid-signature", None);
        assert_eq!(hint, (Verdict::InDoubt, None, "40002/isv.invalid-signature".into()), "{settings}");
        let forged = says("10000", Some(&forger));
        assert_eq!(forged, (Verdict::InDoubt, Some(false), "BAD_SIGNATURE".into()), "{settings}");
    }
    let page = Reply { status: 502, headers: vec![], body: b"<html>busy</html>".to_vec() };
    assert_eq!(dialect("").reply(&page, &keys).code, "HTTP_502");
    assert_eq!(dialect("").reply(&Reply { status: 429, ..page }, &keys).verdict, Verdict::Throttled);
}

#[test]
fn the_words_of_a_gateway_are_in_the_table() {
    use Said::{
        AlreadyEnded, Applied, BadParameter, BadSignature, NotActive, Refused, SystemError, Throttled, Unknown,
        WrongClient,
    };
    for (said, verdict) in [
        (Applied, Verdict::Applied),
        (Unknown, Verdict::InDoubt),
        (SystemError, Verdict::InDoubt),
        (Throttled, Verdict::Throttled),
        (Refused("NO_CARD_TYPE".into()), Verdict::Refused),
        (Refused("10000/isv.update-usercard-fail".into()), Verdict::Refused),
        (NotActive, Verdict::Refused),
        (AlreadyEnded, Verdict::Refused),
        (BadSignature, Verdict::Misconfigured),
        (WrongClient, Verdict::Misconfigured),
        (BadParameter, Verdict::Refused),
    ] {
        let (code, status) = dialect("").phrase(&said);
        let (code, detail) = code.split_once('/').unwrap_or((&code, ""));
        assert_eq!(
            (codes::find(code, detail).map(|line| line.verdict), status.as_str()),
            (Some(verdict), ""),
            "{said:?}"
        );
    }
}
