//! The wire against vectors and suites that no one here wrote, step by step: a failure names the first step that
//! differs. Skipped, visibly, where `../shared` is absent.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use passync::model::{Delta, Field, LocalTime, Value, Verdict};
use passync::wire::crypto::{Aes, Certificate, Signer, Verifier};
use passync::wire::json::Json;
use passync::wire::marketing_card::params::Params;
use passync::wire::marketing_card::seal::EncryptType;
use passync::wire::pass::head;
use passync::wire::{self, Answer, CallFault, Dialect, Reply, Request, RowRules, header};

const UPDATE_PASS: &str = "/api/open/alipay/v1/ipass/pass/manage/updatePass";

/// A folder of `../shared`; `None`, with a notice, where it is absent.
pub fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")).join(folder);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is absent, nothing of it was tested", path.display());
    None
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// One case of `vectors/hk`.
struct Case {
    name: String,
    body: Vec<u8>,
    content_to_sign: Vec<u8>,
    /// The whole header; `None` where the case has none.
    signature_header: Option<String>,
    client_id: String,
    time: String,
}

impl Case {
    fn read(name: &str) -> Option<Case> {
        let folder = shared("vectors/hk")?.join(name);
        if !folder.exists() {
            eprintln!("SKIPPED: case {name} is absent");
            return None;
        }
        let meta = json(&folder.join("meta.json"));
        let text = |key: &str| meta[key].as_str().unwrap().to_owned();
        assert_eq!(text("uri"), UPDATE_PASS);
        Some(Case {
            name: name.to_owned(),
            body: fs::read(folder.join("body.bin")).unwrap(),
            content_to_sign: fs::read(folder.join("content_to_sign.bin")).unwrap(),
            signature_header: fs::read_to_string(folder.join("signature_header.txt")).ok(),
            client_id: text("client_id"),
            time: text("time"),
        })
    }

    fn time_ms(&self) -> i64 {
        self.time.parse::<jiff::Timestamp>().unwrap().as_millisecond()
    }

    fn as_reply(&self) -> Reply {
        let mut headers =
            vec![("client-id".into(), self.client_id.clone()), ("response-time".into(), self.time.clone())];
        headers.extend(self.signature_header.clone().map(|value| ("signature".into(), value)));
        Reply { status: 200, headers, body: self.body.clone() }
    }
}

fn key_file(name: &str) -> Option<Vec<u8>> {
    Some(fs::read(shared("vectors/keys")?.join(name)).unwrap())
}

fn merchant() -> Option<Signer> {
    Some(Signer::parse(&key_file("merchant.pkcs8.pem")?).unwrap())
}

fn platform() -> Option<Verifier> {
    Some(Verifier::parse(&key_file("platform.spki.pem")?).unwrap())
}

fn dialect(name: &str, settings: &str) -> Box<dyn Dialect> {
    let table = format!("client_id = '2110200000000044'\n{settings}").parse().unwrap();
    wire::entry(name).unwrap().open(&table, &wire::setting::no_vault).unwrap()
}

fn hk(settings: &str) -> Box<dyn Dialect> {
    let merchant = if settings.contains("merchant_id") { "" } else { "merchant_id = '2160120036095023'\n" };
    dialect("alipayhk-card", &format!("{merchant}{settings}"))
}

/// Reads one row, given as `column=cell` pairs.
fn delta(dialect: &dyn Dialect, row: &[(&str, &str)]) -> Delta {
    let columns: Vec<String> = row.iter().map(|(column, _)| (*column).to_owned()).collect();
    let rules = RowRules {
        bill_key: vec!["bill_no".into()],
        require_bill_no: false,
        negative_points: false,
        times: LocalTime { zone: jiff::tz::TimeZone::get("Asia/Hong_Kong").unwrap() },
    };
    let cells: Vec<_> = row.iter().map(|(_, cell)| Some(Cow::Borrowed(*cell))).collect();
    dialect.reader(&columns, &rules).unwrap().read(&cells).unwrap()
}

#[test]
fn every_form_of_every_key_file_is_read() {
    let Some(merchant) = merchant() else { return };
    for private in ["pkcs1.pem", "pkcs8.pem", "pkcs1.b64", "pkcs8.b64"] {
        let signer = Signer::parse(&key_file(&format!("merchant.{private}")).unwrap()).unwrap();
        assert!(signer.public().same_key(&merchant.public()), "{private}");
    }
    for public in ["spki.pem", "pkcs1pub.pem", "spki.b64"] {
        let verifier = Verifier::parse(&key_file(&format!("merchant.{public}")).unwrap()).unwrap();
        assert!(verifier.same_key(&merchant.public()), "{public}");
        let other = Verifier::parse(&key_file(&format!("platform.{public}")).unwrap()).unwrap();
        assert!(!other.same_key(&merchant.public()), "{public}");
    }
    for (certificate, public) in [("app.crt", "merchant.spki.pem"), ("alipay.crt", "platform.spki.pem")] {
        let inside = Verifier::parse(&key_file(certificate).unwrap()).unwrap();
        assert!(inside.same_key(&Verifier::parse(&key_file(public).unwrap()).unwrap()), "{certificate}");
    }
    let fault = Signer::parse(&key_file("alipay.crt").unwrap()).unwrap_err();
    assert!(fault.to_string().contains("certificate"), "{fault}");
}

#[test]
fn requests_are_signed_as_the_vendors_sdk_signs_them() {
    let Some(signer) = merchant() else { return };
    for (name, settings) in [
        ("a01_full_zh_hk", ""),
        ("a02_pretty_newline", ""),
        ("a04_offset_time", "request_time_format = 'offset'"),
        ("a06_closed", ""),
        ("a07_points_only_null_bill", ""),
        ("a09_header_seed_style", "algorithm = 'sha256withrsa'\nkey_version = 2"),
    ] {
        let Some(case) = Case::read(name) else { continue };
        let request = hk(settings).request(&case.body, case.time_ms(), &signer);
        assert_eq!(header(&request.headers, "request-time"), Some(case.time.as_str()), "{name}: request-time");
        let input = head::signing_input(&request.target, &case.client_id, &case.time, &request.body);
        assert_eq!(input, case.content_to_sign, "{name}: string to sign");
        let expected = case.signature_header.unwrap();
        let read = |value: &str| head::read(value, head::SIGNATURE).unwrap();
        let written = header(&request.headers, "signature").unwrap();
        assert_eq!(read(written), read(&expected), "{name}: signature");
        assert_eq!(written, expected.replace(", ", ","), "{name}: header");
        assert_eq!(request.body, case.body, "{name}: body");
    }
}

const A01: &[(&str, &str)] = &[
    ("template_code", "temlate111001"),
    ("code_value", "81399940"),
    ("code_msg", "81399940"),
    ("level.en_US", "Diamond Card"),
    ("level", "鑽石卡"),
    ("bill_no", "220230343242343442422333222"),
    ("last_changed_points", "1.00"),
    ("points", "19999.00"),
    ("points_provider", "ALIPAYHK"),
    ("user_id", "2160220037090534"),
    ("pass_id", "2995228480402564890018"),
    ("end_date", "2022-01-01 01:01:01"),
];
const A06: &[(&str, &str)] = &[
    ("pass_id", "2995228480402564890018"),
    ("user_id", "2160400000000135"),
    ("template_code", "5228480402564890018"),
    ("status", "CLOSED"),
];
const A07: &[(&str, &str)] = &[
    ("open_id", "fj398457jd8iue98d8w7w93j"),
    ("pass_id", "2995228480402564890018"),
    ("points", "-0"),
    ("bill_no", "1"),
];

#[test]
fn bodies_made_of_cells_are_the_vectors_bodies() {
    for (name, settings, row) in [
        ("a01_full_zh_hk", "code_info = true", A01),
        ("a06_closed", "merchant_id = '6228480402564890018'", A06),
        ("a07_points_only_null_bill", "bill_fields = 'null'", A07),
    ] {
        let Some(case) = Case::read(name) else { continue };
        let dialect = hk(settings);
        let body = dialect.body(&delta(&*dialect, row), 0);
        assert_eq!(String::from_utf8(body).unwrap(), String::from_utf8(case.body).unwrap(), "{name}");
    }
}

#[test]
fn intl_pass_bodies_and_signatures_are_the_vectors() {
    let Some(signer) = merchant() else { return };
    let merchant = "merchant_id = '6228480402564890018'\nrequest_time_format = 'offset'\nallow_update = true";
    let intl = dialect("intl-pass", merchant);
    let ids = [
        ("user_id", "2160400000000135"),
        ("template_code", "5228480402564890018"),
        ("pass_id", "2995228480402564890018"),
    ];
    let used =
        [("status", "USED"), ("verify_code", "52284804025648900182995228480402564890018"), ("verify_type", "qrcode")];
    let mut level = delta(
        &*intl,
        &[&ids[..], &[("status", "UPDATE"), ("level.zh_HK", "金卡"), ("level.en_US", "gold card")]].concat(),
    );
    // The vector has what no row can say: an end beside a level, and an empty value.
    level.members.push(Field { name: "end_date".into(), value: Value::Time(1_610_294_400_000) });
    level.members.extend([Field::text("data.en_US.orther", "orther"), Field::text("data.zh_HK.orther", "")]);
    for (name, delta) in [("b01_level_nested", level), ("b03_used", delta(&*intl, &[&ids[..], &used].concat()))] {
        let Some(case) = Case::read(name) else { continue };
        let body = intl.body(&delta, 0);
        assert_eq!(String::from_utf8_lossy(&body), String::from_utf8_lossy(&case.body), "{name}: body");
        let request = intl.request(&body, case.time_ms(), &signer);
        assert_eq!(header(&request.headers, "request-time"), Some(case.time.as_str()), "{name}: request-time");
        assert_eq!(header(&request.headers, "signature"), case.signature_header.as_deref(), "{name}: header");
        let call = intl.read_call(&request, &signer.public()).unwrap();
        assert_eq!((call.status, call.sent_at), (delta.status, case.time), "{name}: call");
    }
}

#[test]
fn a_gateway_reads_the_vendors_requests() {
    let Some(signer) = merchant() else { return };
    for (name, settings) in [
        ("a01_full_zh_hk", ""),
        ("a02_pretty_newline", ""),
        ("a04_offset_time", ""),
        ("a06_closed", ""),
        ("a07_points_only_null_bill", ""),
        ("a09_header_seed_style", ""),
    ] {
        let Some(case) = Case::read(name) else { continue };
        let request = Request { target: UPDATE_PASS.into(), headers: as_request(&case), body: case.body.clone() };
        let call = hk(settings).read_call(&request, &signer.public()).unwrap();
        assert_eq!((call.card.as_str(), call.sent_at), ("2995228480402564890018", case.time.clone()), "{name}");
        let changed = Request { body: [&case.body[..], b" "].concat(), ..request };
        let fault = hk(settings).read_call(&changed, &signer.public()).unwrap_err();
        assert!(matches!(fault, CallFault::Signature(_)), "{name}: {fault}");
    }
}

fn as_request(case: &Case) -> Vec<(String, String)> {
    let mut headers = vec![("client-id".into(), case.client_id.clone()), ("request-time".into(), case.time.clone())];
    headers.extend(case.signature_header.clone().map(|value| ("signature".into(), value)));
    headers
}

#[test]
fn replies_of_the_vendors_signer_mean_what_they_say() {
    let Some(platform) = platform() else { return };
    for (name, verdict, verified, code) in [
        ("r01_ok_result", Verdict::Applied, Some(true), "SUCCESS"),
        ("r02_ok_resultInfo", Verdict::Applied, Some(true), "SUCCESS"),
        ("r03_unknown", Verdict::InDoubt, Some(true), "UNKNOWN_EXCEPTION"),
        ("r05_pretty", Verdict::Applied, Some(true), "SUCCESS"),
        ("r07_unsigned_fail", Verdict::InDoubt, None, "INVALID_SIGNATURE"),
        ("r08_tampered", Verdict::InDoubt, Some(false), "BAD_SIGNATURE"),
        ("r09_wrong_key", Verdict::InDoubt, Some(false), "BAD_SIGNATURE"),
        ("r14_traffic_limit", Verdict::Throttled, Some(true), "REQUEST_TRAFFIC_EXCEED_LIMIT"),
    ] {
        let Some(case) = Case::read(name) else { continue };
        let input = head::signing_input(UPDATE_PASS, &case.client_id, &case.time, &case.body);
        // The tampered body is not the one that was signed.
        assert_eq!(input == case.content_to_sign, name != "r08_tampered", "{name}: string that was signed");
        for status in [200, 500] {
            let reading = hk("").reply(&Reply { status, ..case.as_reply() }, std::slice::from_ref(&platform));
            let found = (reading.verdict, reading.verified, reading.code.as_str());
            assert_eq!(found, (verdict, verified, code), "{}, HTTP {status}: {}", case.name, reading.message);
            assert_eq!(reading.result_ms.is_some(), verified == Some(true), "{name}: a time to go by");
        }
    }
}

#[test]
fn a_call_and_its_answer_make_the_round() {
    let (merchant, platform) = (Signer::generate(2048).unwrap(), Signer::generate(2048).unwrap());
    let dialect = hk("");
    let body = dialect.body(&delta(&*dialect, A07), 0);
    let request = dialect.request(&body, 1_702_866_811_000, &merchant);
    let call = dialect.read_call(&request, &merchant.public()).unwrap();
    assert_eq!((call.members, call.bill_no), (vec![("points".to_owned(), "0".to_owned())], None));
    assert!(matches!(dialect.read_call(&request, &platform.public()), Err(CallFault::Signature(_))));

    let answer =
        Answer { code: "SUCCESS".into(), status: "S".into(), message: "成功".into(), trace_id: "trace-1".into() };
    let keys = [platform.public()];
    let signed = dialect.reply(&dialect.write_reply(&request, &answer, 1_702_866_812_000, Some(&platform)), &keys);
    assert_eq!((signed.verdict, signed.verified, signed.message.as_str()), (Verdict::Applied, Some(true), "成功"));
    assert_eq!((signed.trace_id.as_str(), signed.result_ms), ("trace-1", Some(1_702_866_812_000)));
    let unsigned = dialect.reply(&dialect.write_reply(&request, &answer, 1_702_866_812_000, None), &keys);
    assert_eq!((unsigned.verdict, unsigned.verified), (Verdict::InDoubt, None));
}

#[test]
fn json_suite() {
    let Some(folder) = shared("suites/json-test-suite/test_parsing") else { return };
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&path).unwrap();
        for (parsed, reader) in [(Json::parse(&bytes).is_ok(), "cells"), (Json::parse_reply(&bytes).is_ok(), "replies")]
        {
            match name.as_bytes()[0] {
                b'y' => assert!(parsed, "{name} must be read ({reader})"),
                b'n' => assert!(!parsed, "{name} must be refused ({reader})"),
                _ => {}
            }
        }
        seen += 1;
    }
    assert!(seen > 100, "only {seen} files");
}

/// A dialect whose secrets are the files of `vectors/keys`.
fn with_key_files(name: &str, settings: &str) -> Box<dyn Dialect> {
    let vault = |place: &str, _| {
        let bytes = place.strip_prefix("file:").and_then(key_file);
        bytes.map(zeroize::Zeroizing::new).ok_or_else(|| format!("{place} is not there"))
    };
    let table = settings.parse().unwrap();
    wire::entry(name).unwrap().open(&table, &vault).unwrap()
}

#[test]
fn certificates_are_named_as_the_vendor_names_them() {
    let Some(signer) = merchant() else { return };
    let certificate = |name: &str| Certificate::parse(&key_file(name).unwrap()).unwrap();
    // MD5 of "CN=Throwaway Test Root R1,OU=Certification Authority,O=Throwaway Test,C=CN" and the number in decimal.
    for (name, sn) in [
        ("alipay.crt", "0b24101f3c696cc432cc4f372282c12a"),
        ("app.crt", "40515be40388123a1522b2d5dd0ed9cb"),
        ("root.crt", "7d63ef59742304df2f04524de07a2f76"),
    ] {
        assert_eq!(certificate(name).sn, sn, "{name}");
    }
    let root = certificate("root.crt");
    let bundle = [root.clone(), root.clone()];
    assert_eq!(Certificate::root_sn(&bundle), Some(format!("{0}_{0}", root.sn)));

    let dialect = with_key_files(
        "marketing-card",
        "app_id = '2014072300007148'\n[certificates]\napp = 'file:app.crt'\nroot = 'file:root.crt'\nplatform = ['file:alipay.crt']",
    );
    let request = dialect.request(b"{}", 1_795_227_630_000, &signer);
    for (name, sn) in [("app_cert_sn", &certificate("app.crt").sn), ("alipay_root_cert_sn", &root.sn)] {
        assert!(request.target.contains(&format!("&{name}={sn}&")), "{name}: {}", request.target);
    }
    let body = fs::read(shared("vectors/gw_resp/d12_cert_sn_between").unwrap().join("response.bin")).unwrap();
    let reading = dialect.reply(&Reply { status: 200, headers: vec![], body }, &dialect.verifiers());
    assert_eq!((reading.verdict, reading.verified), (Verdict::Applied, Some(true)));
}

const CARD: &str = "app_id = '2014072300007148'\n";
/// 2026-11-21 10:20:30 in GMT+8.
const CARD_MS: i64 = 1_795_227_630_000;

#[test]
fn calls_of_marketing_card_are_the_vectors_step_by_step() {
    let Some(signer) = merchant() else { return };
    for (name, settings) in [
        ("c01_utf8_rsa2", ""),
        ("c02_gbk_rsa2", "charset = 'GBK'"),
        ("c04_utf8_rsa1", "sign_type = 'RSA'"),
        ("c10_pretty_biz_content", ""),
        ("c11_merchant_card_msg", ""),
        ("n01_node_utf8_rsa2", "format = ''"),
        ("n03_node_rsa1", "format = ''\nsign_type = 'RSA'"),
        ("n04_node_aes", "format = ''\naes_key = 'file:aes_gateway.b64'"),
    ] {
        let folder = shared("vectors/gw_req").unwrap().join(name);
        let mut content = fs::read(folder.join("biz_content.bin")).unwrap();
        if settings.contains("aes_key") {
            // The program encrypts what it sends; the vector has what was sent.
            let key = Aes::parse(&fs::read(shared("vectors/keys/aes_gateway.b64").unwrap()).unwrap()).unwrap();
            content = EncryptType::Aes.open(&key, &content).unwrap();
        }
        let dialect = with_key_files("marketing-card", &format!("{CARD}{settings}"));
        let request = dialect.request(&content, CARD_MS, &signer);
        let params = Params::of_request(&request.target, &request.body).unwrap();
        // The vectors spell the charset in their own ways.
        let charset = json(&folder.join("meta.json"))["params"]["charset"].as_str().unwrap().to_owned();
        let spelt = |text: Vec<u8>| {
            String::from_utf8_lossy(&text)
                .replace(&format!("charset={charset}"), &format!("charset={}", charset.to_uppercase()))
        };
        assert_eq!(
            spelt(params.signing_input()),
            spelt(fs::read(folder.join("sign_content.bin")).unwrap()),
            "{name}: string to sign"
        );
        if charset == charset.to_uppercase() {
            assert_eq!(
                params.get("sign").unwrap(),
                fs::read(folder.join("sign.b64")).unwrap().trim_ascii(),
                "{name}: signature"
            );
        }
    }
}

#[test]
fn a_gateway_reads_the_vendors_calls_of_marketing_card() {
    let Some(signer) = merchant() else { return };
    for (name, settings) in [
        ("c01_utf8_rsa2", ""),
        ("c02_gbk_rsa2", "charset = 'GBK'"),
        ("c09_app_auth_token", ""),
        ("c10_pretty_biz_content", ""),
        ("f01_fzlee_get", ""),
        ("n02_node_app_auth_token", ""),
        ("n03_node_rsa1", ""),
        ("n04_node_aes", "aes_key = 'file:aes_gateway.b64'"),
    ] {
        let folder = shared("vectors/gw_req").unwrap().join(name);
        let read = |file: &str| fs::read(folder.join(file)).unwrap().trim_ascii().to_vec();
        let target = format!("/gateway.do?{}", String::from_utf8(read("query.txt")).unwrap());
        let request = Request { target, headers: vec![], body: read("form.txt") };
        let dialect = with_key_files("marketing-card", &format!("{CARD}{settings}"));
        let call = dialect.read_call(&request, &signer.public()).unwrap();
        assert_eq!((call.card.as_str(), call.sent_at.as_str()), ("000001", "2026-11-21 10:20:30"), "{name}");
        assert!(call.members.contains(&("level".into(), "金卡".into())), "{name}: {:?}", call.members);
        assert!(call.members.contains(&("points".into(), "88".into())), "{name}: {:?}", call.members);
    }
}

#[test]
fn an_encrypted_call_is_read_as_openssl_made_it() {
    let Some(case) = Case::read("e01_encrypted_request") else { return };
    let folder = shared("vectors/hk/e01_encrypted_request").unwrap();
    let settings = |own: &str, peer: &str| {
        format!(
            "merchant_id = '2160120036095023'\nclient_id = '{}'\n[encryption]\nprivate_key = 'file:{own}.pkcs8.pem'\npeer_key = 'file:{peer}.spki.pem'",
            case.client_id
        )
    };
    // The gateway holds the private half of the key that the client wraps for.
    let gateway = with_key_files("alipayhk-card", &settings("platform", "merchant"));
    let client = with_key_files("alipayhk-card", &settings("merchant", "platform"));
    let mut headers = as_request(&case);
    headers.push(("encrypt".into(), fs::read_to_string(folder.join("encrypt_header.txt")).unwrap()));
    let request = Request { target: UPDATE_PASS.into(), headers, body: case.body.clone() };
    let signer = merchant().unwrap();
    let call = gateway.read_call(&request, &signer.public()).unwrap();
    let plain = fs::read(folder.join("plaintext.bin")).unwrap();
    assert_eq!(call.body, plain);

    let ours = client.request(&plain, case.time_ms(), &signer);
    assert_eq!(ours, client.request(&plain, case.time_ms(), &signer), "every attempt sends the same bytes");
    assert_eq!(gateway.read_call(&ours, &signer.public()).unwrap().body, plain);
    assert!(matches!(hk("").read_call(&ours, &signer.public()), Err(CallFault::Parameter(_))));

    let platform = Signer::parse(&key_file("platform.pkcs8.pem").unwrap()).unwrap();
    let answer = Answer { code: "SUCCESS".into(), status: "S".into(), message: "ok".into(), trace_id: String::new() };
    let reply = gateway.write_reply(&ours, &answer, case.time_ms(), Some(&platform));
    let read = |dialect: &dyn Dialect, reply: &Reply| {
        let reading = dialect.reply(reply, &[platform.public()]);
        (reading.verdict, reading.verified, reading.code)
    };
    assert_eq!(read(&*client, &reply), (Verdict::Applied, Some(true), "SUCCESS".into()));
    assert_eq!(read(&*hk(""), &reply), (Verdict::InDoubt, Some(false), "ENCRYPTED_REPLY".into()));
    assert_eq!(read(&*gateway, &reply), (Verdict::InDoubt, Some(true), "GARBAGE".into()), "wrapped for another key");
}
