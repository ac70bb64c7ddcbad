//! `passync wire` over every vector that no one here made, through the real binary. Skipped, visibly, where
//! `../shared` is absent.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use passync::wire::crypto::Signer;
use serde_json::{Value, json};

use super::wire::shared;

fn passync(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_passync"));
    command.env_clear().args(words).output().expect("the binary was built with the tests")
}

/// What a command printed as JSON, with its exit code.
fn report(words: &[&str]) -> (Value, i32) {
    let output = passync(&[words, &["--json"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    let object = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{words:?}: {said}"));
    (object, output.status.code().unwrap())
}

/// Every case of a folder of vectors, with its `meta.json`.
fn cases(folder: &str) -> Option<Vec<(PathBuf, Value)>> {
    let mut cases: Vec<_> = fs::read_dir(shared(folder)?).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    Some(cases.into_iter().map(|path| (path.clone(), meta(&path))).collect())
}

fn meta(case: &Path) -> Value {
    serde_json::from_slice(&fs::read(case.join("meta.json")).unwrap()).unwrap()
}

fn key(name: &str) -> String {
    shared("vectors/keys").unwrap().join(name).to_str().unwrap().to_owned()
}

fn text(case: &Path, file: &str) -> String {
    fs::read_to_string(case.join(file)).unwrap()
}

/// The arguments that a case of `vectors/hk` gives.
fn head<'a>(meta: &'a Value, body: &'a str) -> Vec<&'a str> {
    let of = |name: &str| meta[name].as_str().unwrap();
    let dialect = if of("case").starts_with('b') { "intl-pass" } else { "alipayhk-card" };
    vec![
        "--dialect",
        dialect,
        "--method",
        of("method"),
        "--path",
        of("uri"),
        "--client-id",
        of("client_id"),
        "--time",
        of("time"),
        "--body",
        body,
    ]
}

#[test]
fn calls_of_update_pass_are_signed_and_verified() {
    let Some(cases) = cases("vectors/hk") else { return };
    for (case, meta) in cases.iter().filter(|(_, meta)| meta["kind"] == "request") {
        let body = case.join("body.bin").to_str().unwrap().to_owned();
        let expected = text(case, "signature_header.txt");
        let algorithm = expected.split([',', '=']).nth(1).unwrap();
        let version = expected.split("keyVersion=").nth(1).unwrap().split(',').next().unwrap();
        for form in ["pkcs8.pem", "pkcs1.pem", "pkcs8.b64", "pkcs1.b64"] {
            let key = key(&format!("merchant.{form}"));
            let words = [
                &["wire", "sign", "--key", &key, "--algorithm", algorithm, "--key-version", version],
                &head(meta, &body)[..],
            ];
            let (signed, exit) = report(&words.concat());
            let case = case.display();
            assert_eq!(exit, 0, "{case}");
            assert_eq!(
                signed["signing_input"].as_str().unwrap(),
                fs::read_to_string(format!("{case}/content_to_sign.bin")).unwrap(),
                "{case}"
            );
            assert_eq!(signed["signature_header"].as_str().unwrap(), expected.trim_end().replace(", ", ","), "{case}");
            let percent =
                signed["signature"].as_str().unwrap().replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
            assert_eq!(percent, expected.trim_end().split("signature=").nth(1).unwrap(), "{case}");
        }
        let key = key("merchant.spki.pem");
        let words =
            [&["wire", "verify", "--key", &key, "--signature-header", expected.trim_end()], &head(meta, &body)[..]];
        let (verified, exit) = report(&words.concat());
        assert_eq!((&verified["verified"], &verified["verdict"], exit), (&json!(true), &Value::Null, 0), "{case:?}");
    }
}

#[test]
fn replies_of_update_pass_are_verified_and_read() {
    let Some(cases) = cases("vectors/hk") else { return };
    let expected: BTreeMap<&str, (Value, &str, &str)> = [
        ("r01_ok_result", (json!(true), "applied", "SUCCESS")),
        ("r02_ok_resultInfo", (json!(true), "applied", "SUCCESS")),
        ("r03_unknown", (json!(true), "in_doubt", "UNKNOWN_EXCEPTION")),
        ("r05_pretty", (json!(true), "applied", "SUCCESS")),
        ("r07_unsigned_fail", (Value::Null, "misconfigured", "INVALID_SIGNATURE")),
        ("r08_tampered", (json!(false), "in_doubt", "SUCCESS")),
        ("r09_wrong_key", (json!(false), "in_doubt", "SUCCESS")),
        ("r14_traffic_limit", (json!(true), "throttled", "REQUEST_TRAFFIC_EXCEED_LIMIT")),
    ]
    .into();
    let key = key("platform.spki.pem");
    let mut seen = 0;
    for (case, meta) in cases.iter().filter(|(_, meta)| meta["kind"] == "response") {
        let body = case.join("body.bin").to_str().unwrap().to_owned();
        let header = fs::read_to_string(case.join("signature_header.txt")).unwrap_or_default();
        let mut words = [&["wire", "verify", "--key", &key], &head(meta, &body)[..]].concat();
        if !header.is_empty() {
            words.extend(["--signature-header", header.trim_end()]);
        }
        let (found, exit) = report(&words);
        let name = meta["case"].as_str().unwrap();
        if let Some((verified, verdict, code)) = expected.get(name) {
            assert_eq!(
                (&found["verified"], found["verdict"].as_str(), found["code"].as_str()),
                (verified, Some(*verdict), Some(*code)),
                "{name}: {found}"
            );
            seen += 1;
        }
        assert_eq!(exit == 0, found["verified"] == true, "{name}");
    }
    assert_eq!(seen, expected.len());
}

#[test]
fn an_empty_body_with_a_status_is_a_reply() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("key.pem"), Signer::generate(2048).unwrap().public_pem()).unwrap();
    fs::write(path("body"), "").unwrap();
    let (key, body) = (path("key.pem"), path("body"));
    let words = ["wire", "verify", "--key", &key, "--dialect", "alipayhk-card", "--body", &body, "--client-id", "1"];
    let words = [&words[..], &["--time", "2026-01-01T00:00:00Z", "--path", "/a"]].concat();
    for (status, verdict) in [("429", json!("throttled")), ("503", json!("in_doubt")), ("200", Value::Null)] {
        assert_eq!(report(&[&words[..], &["--status", status]].concat()).0["verdict"], verdict, "{status}");
    }
}

/// A query or form as pairs, decoded to bytes.
fn pairs(text: &str) -> BTreeMap<String, Vec<u8>> {
    passync::wire::form::decode(text.trim_end().as_bytes()).unwrap().into_iter().collect()
}

#[test]
fn calls_of_marketing_card_are_signed_as_the_vendors_clients_sign_them() {
    let Some(cases) = cases("vectors/gw_req") else { return };
    let folder = tempfile::tempdir().unwrap();
    let params = folder.path().join("params.json");
    let words = [
        "wire",
        "sign",
        "--dialect",
        "marketing-card",
        "--key",
        &key("merchant.pkcs8.pem"),
        "--params",
        params.to_str().unwrap(),
    ];
    for (case, meta) in cases.iter().filter(|(_, meta)| meta["params"].is_object()) {
        fs::write(&params, meta["params"].to_string()).unwrap();
        let (signed, exit) = report(&words);
        let name = meta["case"].as_str().unwrap();
        assert_eq!(exit, 0, "{name}");
        let charset = passync::wire::charset::Charset::parse(meta["charset"].as_str().unwrap()).unwrap();
        let input = signed["signing_input"].as_str().unwrap();
        assert_eq!(
            charset.encode(input).unwrap(),
            fs::read(case.join("sign_content.bin")).unwrap(),
            "{name}: string to sign"
        );
        assert_eq!(signed["sign"].as_str().unwrap(), text(case, "sign.b64").trim_end(), "{name}: signature");
        // Each client has a placement of its own; together they send the same parameters, byte for byte.
        let (query, form) = (pairs(signed["query"].as_str().unwrap()), pairs(signed["form"].as_str().unwrap()));
        assert_eq!(form.keys().collect::<Vec<_>>(), ["biz_content"], "{name}");
        assert!(query.contains_key("charset") && query.contains_key("sign"), "{name}");
        let theirs: BTreeMap<_, _> =
            pairs(&text(case, "query.txt")).into_iter().chain(pairs(&text(case, "form.txt"))).collect();
        assert_eq!(query.into_iter().chain(form).collect::<BTreeMap<_, _>>(), theirs, "{name}");
    }
    let refused = json!({ "app_id": "1", "charset": "GB2312", "sign_type": "RSA2", "biz_content": "鑽石卡" });
    fs::write(&params, refused.to_string()).unwrap();
    let output = passync(&words);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert!(said.contains("`biz_content`: '鑽' (U+947D) cannot be written in GB2312"), "{said}");
}

#[test]
fn parameters_that_cannot_be_meant_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    let signer = passync::wire::crypto::Signer::generate(2048).unwrap();
    fs::write(&key, signer.private_pem().as_bytes()).unwrap();
    let params = folder.path().join("params.json");
    for (text, expected) in [
        ("[]", "expected a JSON object of strings"),
        (r#"{"charset":"utf-8","sign_type":"RSA2","app_id":1}"#, "`app_id` is no string"),
        (r#"{"charset":"utf-8","charset":"gbk","sign_type":"RSA2"}"#, "`charset` stands twice"),
        (r#"{"charset":"utf-8","sign_type":"RSA2","sign":"x"}"#, "`sign` is what is made"),
        (r#"{"sign_type":"RSA2"}"#, "`charset` is missing"),
        (r#"{"charset":"big5","sign_type":"RSA2"}"#, "expected UTF-8, GBK or GB2312"),
        (r#"{"charset":"utf-8"}"#, "`sign_type` is missing"),
        ("{", "not JSON from byte"),
    ] {
        fs::write(&params, text).unwrap();
        let output = passync(&[
            "wire",
            "sign",
            "--dialect",
            "marketing-card",
            "--key",
            key.to_str().unwrap(),
            "--params",
            params.to_str().unwrap(),
        ]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(said.contains(expected), "{text}: {said}");
    }
    let output = passync(&["wire", "sign", "--dialect", "intl-pass", "--key", key.to_str().unwrap()]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("--path is missing"));
}

#[test]
fn replies_of_marketing_card_are_verified_and_read() {
    let Some(cases) = cases("vectors/gw_resp") else { return };
    for (case, meta) in &cases {
        let of = |name: &str| meta[name].as_str().unwrap();
        let name = of("case");
        let (aes, response) = (key("aes_gateway.b64"), case.join("response.bin"));
        for platform in ["platform.spki.pem", "platform.spki.b64", "platform.pkcs1pub.pem", "alipay.crt"] {
            let key = key(platform);
            let mut words = vec!["wire", "verify", "--dialect", "marketing-card", "--key", &key];
            words.extend([
                "--charset",
                of("charset"),
                "--sign-type",
                of("sign_type"),
                "--response",
                response.to_str().unwrap(),
            ]);
            if name.contains("aes") {
                words.extend(["--aes-key", aes.as_str()]);
            }
            let (found, exit) = report(&words);
            // A success without a signature is "false" for the SDKs; here null says that there is none.
            let verified = if meta["unsigned"] == true { &Value::Null } else { &meta["expect"]["verify"] };
            assert_eq!(&found["verified"], verified, "{name} {platform}: {found}");
            assert_eq!(exit == 0, found["verified"] == true, "{name}");
            let verdict = match of_expect(meta) {
                "success" => "applied",
                "business-failure" => "refused",
                "config-failure" => "misconfigured",
                "throttled" => "throttled",
                "retryable" | "untrusted" => "in_doubt",
                other => panic!("{name}: {other}"),
            };
            assert_eq!(found["verdict"], verdict, "{name}: {found}");
            assert!(found["code"].is_string(), "{name}: {found}");
        }
    }
}

fn of_expect(meta: &Value) -> &str {
    meta["expect"]["outcome"].as_str().unwrap()
}

#[test]
fn an_encrypted_reply_without_its_key_is_in_doubt() {
    let Some(folder) = shared("vectors/gw_resp/d24_aes_response") else { return };
    let (key, response) = (key("platform.spki.pem"), folder.join("response.bin"));
    let words =
        ["wire", "verify", "--dialect", "marketing-card", "--key", &key, "--response", response.to_str().unwrap()];
    let (found, exit) = report(&words);
    assert_eq!(
        (&found["verified"], &found["verdict"], &found["code"], exit),
        (&json!(true), &json!("in_doubt"), &Value::Null, 0)
    );
}

#[test]
fn explain_shows_the_string_the_digest_and_the_first_difference() {
    let Some(case) = shared("vectors/gw_req/c01_utf8_rsa2") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("params.json"), meta(&case)["params"].to_string()).unwrap();
    let signed = text(&case, "sign_content.bin");
    let echo = |text: &str| format!("验签出错，网关生成的验签字符串为：{}", text.replace('&', "&amp;"));
    fs::write(at("same"), echo(&signed)).unwrap();
    fs::write(at("other"), echo(&signed.replace("金卡", "金 卡"))).unwrap();
    let words = ["wire", "explain", "--dialect", "marketing-card", "--params", &at("params.json"), "--against"];
    let (same, exit) = report(&[&words[..], &[&at("same")]].concat());
    assert_eq!((&same["difference"], exit), (&json!({ "same": true }), 0));
    assert_eq!(same["signing_input"], signed.as_str());
    assert_eq!(same["digest"], passync::wire::crypto::Hash::Sha256.hex(signed.as_bytes()));
    let reply = json!({ "error_response": { "code": "40002", "sub_msg": echo(&signed) }, "sign": "AA==" });
    fs::write(at("reply"), reply.to_string()).unwrap();
    assert_eq!(report(&[&words[..], &[&at("reply")]].concat()).0["difference"], json!({ "same": true }));
    let (other, exit) = report(&[&words[..], &[&at("other")]].concat());
    assert_eq!((&other["difference"]["part"], exit), (&json!("biz_content"), 1));
    assert!(other["difference"]["ours"].as_str().unwrap().starts_with("卡\""), "{}", other["difference"]);
    assert!(
        other["difference"]["theirs"].as_str().unwrap().starts_with("\\u{20}卡\"")
            || other["difference"]["theirs"].as_str().unwrap().starts_with(" 卡\"")
    );
}

#[test]
fn explain_finds_the_line_break_that_an_editor_added() {
    let Some(case) = shared("vectors/hk/a01_full_zh_hk") else { return };
    let folder = tempfile::tempdir().unwrap();
    let body = folder.path().join("body.json");
    fs::write(&body, [&fs::read(case.join("body.bin")).unwrap()[..], b"\n"].concat()).unwrap();
    let (meta, key, header) = (meta(&case), key("merchant.spki.pem"), text(&case, "signature_header.txt"));
    let words = [
        &["wire", "explain", "--key", &key, "--signature-header", header.trim_end()][..],
        &head(&meta, body.to_str().unwrap()),
    ];
    let output = passync(&words.concat());
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{shown}");
    for expected in [
        "updatePass\\n2110200000000044.2023-12-18T02:33:31Z.{",
        "note: the body ends with a line break, which is signed",
        "verified  false",
        "it was made without the line break at the body's end",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
}

/// A marketing-card reply, signed by `key` over `signed` bytes, judged by `wire verify`.
fn judged(folder: &Path, key: &Signer, reply: impl Fn(&str) -> String, signed: &[u8]) -> (Value, i32) {
    use base64::Engine as _;
    let sign = base64::engine::general_purpose::STANDARD.encode(key.sign(signed));
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    fs::write(at("platform.pem"), key.public_pem()).unwrap();
    fs::write(at("reply"), reply(&sign)).unwrap();
    let (key, response) = (at("platform.pem"), at("reply"));
    report(&["wire", "verify", "--dialect", "marketing-card", "--key", &key, "--response", &response])
}

#[test]
fn odd_replies_are_proved_by_their_bytes_and_read_by_what_they_say() {
    let (folder, key) = (tempfile::tempdir().unwrap(), Signer::generate(2048).unwrap());
    let node = "alipay_marketing_card_update_response";
    let json = |inner: &str| {
        judged(folder.path(), &key, |sign| format!(r#"{{"{node}":{inner},"sign":"{sign}"}}"#), inner.as_bytes())
    };
    let xml = |inner: &str| {
        judged(folder.path(), &key, |sign| format!("<{node}>{inner}<sign>{sign}</sign></{node}>"), inner.as_bytes())
    };
    for (what, (found, exit), verified, verdict) in [
        ("half a surrogate pair", json(r#"{"code":"10000","msg":"\ud83d"}"#), json!(true), "applied"),
        ("a raw NUL", json("{\"code\":\"10000\",\"msg\":\"\0\"}"), json!(true), "in_doubt"),
        ("a key twice", json(r#"{"code":"40004","code":"10000"}"#), json!(true), "in_doubt"),
        ("no code", json(r#"{"msg":"Success"}"#), json!(true), "in_doubt"),
        (
            "too deep",
            json(&format!(r#"{{"code":"10000","x":{}{}}}"#, "[".repeat(99), "]".repeat(99))),
            json!(true),
            "in_doubt",
        ),
        ("empty elements", xml("<code>10000</code><msg/><sub_code />"), json!(true), "applied"),
        (
            "a byte order mark",
            judged(
                folder.path(),
                &key,
                |sign| format!("\u{feff}{{\"{node}\":{{\"code\":10000}},\"sign\":\"{sign}\"}}"),
                b"{\"code\":10000}",
            ),
            json!(true),
            "applied",
        ),
        (
            "something behind it",
            judged(
                folder.path(),
                &key,
                |sign| format!("{{\"{node}\":{{\"code\":10000}},\"sign\":\"{sign}\"}}}}"),
                b"{\"code\":10000}",
            ),
            Value::Null,
            "in_doubt",
        ),
    ] {
        assert_eq!((&found["verified"], &found["verdict"]), (&verified, &json!(verdict)), "{what}: {found}");
        assert_eq!(exit == 0, verified == true, "{what}");
        if verified.is_null() {
            let reason = found["reason"].as_str().unwrap();
            assert!(reason.starts_with("there is no signature to be found: not JSON from byte"), "{reason}");
        }
    }
}

#[test]
fn flags_of_another_wire_form_are_refused() {
    let (folder, key) = (tempfile::tempdir().unwrap(), Signer::generate(2048).unwrap());
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("own.pem"), key.private_pem().as_bytes()).unwrap();
    fs::write(at("pub.pem"), key.public_pem()).unwrap();
    fs::write(at("body"), "{}").unwrap();
    let (own, public, body) = (at("own.pem"), at("pub.pem"), at("body"));
    let pass = ["--dialect", "intl-pass", "--path", "/", "--client-id", "c", "--time", "t", "--body", &body];
    let card = ["--dialect", "marketing-card", "--response", &body];
    for (command, words, flag, value) in [
        ("verify", &pass[..], "--response", body.as_str()),
        ("verify", &pass, "--charset", "gbk"),
        ("verify", &pass, "--sign-type", "RSA"),
        ("verify", &pass, "--aes-key", &body),
        ("verify", &card, "--method", "POST"),
        ("verify", &card, "--signature-header", "signature=AA"),
        ("explain", &pass, "--params", &body),
        ("explain", &card, "--time", "t"),
        ("sign", &pass, "--params", &body),
        ("sign", &card[..2], "--path", "/"),
        ("sign", &card[..2], "--key-version", "2"),
    ] {
        let key = if command == "sign" { &own } else { &public };
        let mut all = vec!["wire", command, "--key", key];
        all.extend(words.iter().chain(&[flag, value]));
        if command == "sign" && words.len() == 2 {
            all.extend(["--params", &body]);
        }
        let output = passync(&all);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{all:?}: {said}");
        assert!(said.contains(&format!("{flag} does nothing with --dialect")), "{all:?}: {said}");
    }
}
