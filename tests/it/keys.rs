//! `keys check`: every key and certificate of a job, by the real binary and over the vendor-like certificates of
//! `../shared/vectors/keys`. Skipped, visibly, where that is absent.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use passync::io::credentials;
use passync::io::job::{self, Overrides};
use passync::wire::crypto::Signer;
use serde_json::{Value, json};

use super::wire::shared;

const DAY_MS: i64 = 86_400_000;

/// A folder with the vectors' keys, and a second pair.
fn keys() -> Option<tempfile::TempDir> {
    let from = shared("vectors/keys")?;
    let folder = tempfile::tempdir().unwrap();
    let other = Signer::generate(2048).unwrap();
    for name in [
        "merchant.pkcs8.pem",
        "merchant.spki.pem",
        "platform.spki.b64",
        "app.crt",
        "alipay.crt",
        "root.crt",
        "aes_gateway.b64",
    ] {
        write(folder.path(), name, &fs::read(from.join(name)).unwrap());
    }
    write(folder.path(), "other.pem", other.private_pem().as_bytes());
    write(folder.path(), "other.pub.pem", other.public_pem().as_bytes());
    Some(folder)
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// What `keys check` says of a marketing-card job with these settings: as JSON, as text, and its exit code.
fn check(folder: &Path, settings: &str) -> (Value, String, i32) {
    let job = format!(
        "name = 'k'\ndialect = 'marketing-card'\n[input]\nfiles = ['in.csv']\n[gateway]\nurl = 'https://localhost'\n\
         app_id = '2014072300007148'\n{settings}"
    );
    write(folder, "job.toml", job.as_bytes());
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_passync"));
        // From elsewhere: files are named as the job file has them.
        command
            .current_dir("/")
            .env_clear()
            .args(["keys", "check"])
            .arg(folder.join("job.toml"))
            .args(words)
            .output()
            .unwrap()
    };
    let (json, text) = (run(&["--json"]), run(&[]));
    let report =
        serde_json::from_slice(&json.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&json.stderr)));
    assert_eq!(json.status, text.status);
    (report, String::from_utf8(text.stdout).unwrap(), text.status.code().unwrap())
}

/// The fault of the only key that has one.
fn fault(folder: &Path, settings: &str) -> String {
    let (report, text, exit) = check(folder, settings);
    assert_eq!((exit, &report["sound"]), (2, &json!(false)), "{text}");
    let faults: Vec<&str> = report["keys"].as_array().unwrap().iter().filter_map(|key| key["fault"].as_str()).collect();
    let [fault] = faults[..] else { panic!("{faults:?}") };
    assert!(text.lines().any(|line| line.starts_with("fault") && line.ends_with(fault)), "{text}");
    fault.to_owned()
}

const CERTIFICATES: &str =
    "[gateway.certificates]\napp = 'file:app.crt'\nroot = 'file:root.crt'\nplatform = ['file:alipay.crt']\n";

#[test]
fn every_key_of_certificate_mode_is_shown() {
    let Some(folder) = keys() else { return };
    let settings = format!("private_key = 'file:merchant.pkcs8.pem'\naes_key = 'file:aes_gateway.b64'\n{CERTIFICATES}");
    let (report, text, exit) = check(folder.path(), &settings);
    assert_eq!((exit, &report["sound"]), (0, &json!(true)), "{text}");
    let shown: Vec<_> = report["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| {
            assert_eq!((&key["warnings"], &key["fault"]), (&json!([]), &Value::Null), "{key}");
            (key["setting"].as_str().unwrap(), key["expires"].as_str(), key["serial"].is_string())
        })
        .collect();
    let until = Some("2126-10-28");
    assert_eq!(
        shown,
        [
            ("private_key", None, false),
            ("certificates.app", until, true),
            ("certificates.root", until, true),
            ("certificates.platform", until, true),
            ("aes_key", None, false),
        ]
    );
    let fingerprint = |at: usize| &report["keys"][at]["fingerprint"];
    assert_eq!(fingerprint(0), fingerprint(1), "the certificate is for the private key");
    assert!(text.contains("certificates.app") && text.contains("until 2126-10-28"), "{text}");
}

#[test]
fn keys_that_do_not_belong_together_are_named() {
    let Some(folder) = keys() else { return };
    let fault = |settings: &str| fault(folder.path(), settings);
    let other = fault(&format!("private_key = 'file:other.pem'\n{CERTIFICATES}"));
    assert!(other.starts_with("this certificate is for another key ("), "{other}");
    for settings in [
        "private_key = 'file:other.pem'\nplatform_keys = ['file:other.pub.pem']".to_owned(),
        "private_key = 'file:merchant.pkcs8.pem'\nplatform_keys = ['file:platform.spki.b64', 'file:app.crt']"
            .to_owned(),
        format!("private_key = 'file:merchant.pkcs8.pem'\n{}", CERTIFICATES.replace("alipay.crt", "app.crt")),
    ] {
        assert!(fault(&settings).starts_with("this is our own public key: replies are verified with the platform's"));
    }
    let bare =
        format!("private_key = 'file:merchant.pkcs8.pem'\n{}", CERTIFICATES.replace("app.crt", "merchant.spki.pem"));
    assert_eq!(fault(&bare), "not an X.509 certificate in PEM");
    fs::set_permissions(folder.path().join("other.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let open = fault("private_key = 'file:other.pem'\nplatform_keys = ['file:platform.spki.b64']");
    assert!(open.contains("can be read by others (mode 0644): run `chmod 600"), "{open}");
}

#[test]
fn several_platform_keys_are_looked_at_each() {
    let Some(folder) = keys() else { return };
    let settings = "private_key = 'file:merchant.pkcs8.pem'\n\
                    platform_keys = ['file:platform.spki.b64', 'file:other.pub.pem', 'file:alipay.crt']";
    let (report, text, exit) = check(folder.path(), settings);
    assert_eq!(exit, 0, "{text}");
    let keys = report["keys"].as_array().unwrap();
    assert_eq!(keys.iter().map(|key| key["warnings"].as_array().unwrap().len()).collect::<Vec<_>>(), [0, 0, 0, 1]);
    assert!(keys[3]["warnings"][0].as_str().unwrap().starts_with("the same key as "), "{text}");
    assert_eq!(keys[3]["expires"], "2126-10-28", "a certificate among bare keys");
    assert!(text.lines().any(|line| line.starts_with("warn   platform_keys")), "{text}");
}

#[test]
fn certificates_that_run_out_are_warned_of() {
    let Some(folder) = keys() else { return };
    check(folder.path(), &format!("private_key = 'file:merchant.pkcs8.pem'\n{CERTIFICATES}"));
    let settings = job::load(&folder.path().join("job.toml"), &Overrides::default())
        .unwrap_or_else(|fault| panic!("{}", fault.render(false)));
    let runs_out: i64 = "2126-10-28T18:42:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
    for (now_ms, expected) in [
        (runs_out - 40 * DAY_MS, None),
        (runs_out - 29 * DAY_MS - 1, Some("runs out in 29 days, on 2126-10-28: renew it")),
        (runs_out + 1, Some("ran out on 2126-10-28: get a new one")),
        (0, Some("not valid before 2026-11-21")),
    ] {
        for credential in credentials::inspect(&settings, now_ms) {
            let warnings = credential.found.unwrap().warnings;
            match expected.filter(|_| credential.setting.starts_with("certificates")) {
                None => assert_eq!(warnings, Vec::<String>::new(), "{}", credential.setting),
                Some(expected) => assert!(warnings[0].starts_with(expected), "{}: {warnings:?}", credential.setting),
            }
        }
    }
}

#[test]
fn a_run_refuses_a_certificate_of_another_key() {
    let Some(folder) = keys() else { return };
    check(folder.path(), "private_key = 'file:other.pem'\nplatform_keys = ['file:platform.spki.b64']\n");
    let job = fs::read_to_string(folder.path().join("job.toml")).unwrap();
    write(folder.path(), "job.toml", format!("{job}{CERTIFICATES}").as_bytes());
    write(folder.path(), "in.csv", b"card_no,occurred_at,open_date,valid_date,points\nC1,2026-11-21 10:20:30,2014-02-20 21:20:46,2030-02-20 21:20:46,1\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_passync"));
    let run =
        command.current_dir(folder.path()).env_clear().args(["run", "job.toml", "--no-progress"]).output().unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(2), "{said}");
    assert!(
        said.contains("gateway.certificates.app: this certificate is for another key than gateway.private_key"),
        "{said}"
    );
}
