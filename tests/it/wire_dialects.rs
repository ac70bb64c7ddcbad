//! The whole job, by the real binary against a gateway that misbehaves, over the table of dialects and their forms:
//! what holds for one wire form holds for all.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use passync::wire::DIALECTS;
use passync::wire::crypto::Signer;

use super::sandbox::Sandbox;

const ROWS: usize = 40;

/// Every signed and unsigned lie that a reply can tell, and every way to lose one; all heal within the attempts.
const FAULTS: &str = "unknown=4%,unknown-applied=4%,system-error=3%,system-error-applied=3%,drop-before=2%,\
                      drop-after=4%,garbage=3%,garbage-applied=3%,html=2%,forged=4%,forged-applied=3%,unsigned=4%,\
                      unsigned-applied=3%,503=3%,half=3%,close=3%,limit=3%,heal=3";

/// A dialect in one of its forms.
struct Form {
    dialect: &'static str,
    settings: &'static str,
    header: &'static str,
    /// What follows the bill and the card in a row.
    cells: &'static str,
}

const PASS: &str = "merchant_id = 'M1'\nclient_id = '2110200000000044'";
const PASS_SEALED: &str = "merchant_id = 'M1'\nclient_id = '2110200000000044'\n\
                           [gateway.encryption]\npeer_key = 'file:own.pub.pem'\nprivate_key = 'file:own.pem'";
const CARD_HEADER: &str = "bill_no,card_no,open_date,valid_date,level,occurred_at,points";
const CARD_CELLS: &str = "2014-02-20 21:20:46,2030-02-20 21:20:46,金卡";

const FORMS: [Form; 8] = [
    Form {
        dialect: "alipayhk-card",
        settings: PASS,
        header: "bill_no,pass_id,user_id,level,occurred_at,points",
        cells: "U1,金卡",
    },
    Form {
        dialect: "alipayhk-card",
        settings: PASS_SEALED,
        header: "bill_no,pass_id,user_id,level,occurred_at,points",
        cells: "U1,金卡",
    },
    Form {
        dialect: "intl-pass",
        settings: "merchant_id = 'M1'\nclient_id = '2110200000000044'\nallow_update = true\nfield_names = 'sample'",
        header: "bill_no,pass_id,user_id,status,occurred_at,points",
        cells: "U1,UPDATE",
    },
    Form { dialect: "marketing-card", settings: "app_id = '2014072300007148'", header: CARD_HEADER, cells: CARD_CELLS },
    Form {
        dialect: "marketing-card",
        settings: "app_id = '2014072300007148'\ncharset = 'GBK'\nformat = 'xml'\nsign_type = 'RSA'",
        header: CARD_HEADER,
        cells: CARD_CELLS,
    },
    Form {
        dialect: "marketing-card",
        settings: "app_id = '2014072300007148'\ncharset = 'GB2312'\nformat = ''\napp_auth_token = 'file:token'",
        header: CARD_HEADER,
        cells: CARD_CELLS,
    },
    Form {
        dialect: "marketing-card",
        settings: "app_id = '2014072300007148'\naes_key = 'file:aes'",
        header: CARD_HEADER,
        cells: CARD_CELLS,
    },
    Form {
        dialect: "marketing-card",
        settings: "app_id = '2014072300007148'\ncharset = 'GBK'\naes_key = 'file:aes'\nencrypt_type = 'AES_V2'",
        header: CARD_HEADER,
        cells: CARD_CELLS,
    },
];

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Four cards get a quarter each of the rows, with rising points, newest first. `prefix` is that of the cards.
fn rows(form: &Form, prefix: &str) -> String {
    let mut rows = format!("{}\n", form.header);
    for row in (0..ROWS).rev() {
        writeln!(rows, "B{row},{prefix}{},{},2026-11-21 10:20:{row:02},{}", row % 4, form.cells, 100 + row).unwrap();
    }
    rows
}

/// A job with this gateway; `more` are further lines of its `[gateway]`.
fn job(form: &Form, sandbox: &str, more: &str) -> String {
    format!(
        "name = 'night'\ndialect = '{}'\n[input]\nfiles = ['in.csv']\ntimezone = 'Asia/Hong_Kong'\n\
         [retry]\nattempts_max = 12\nbackoff_base = '5ms'\nbackoff_max = '20ms'\nbudget = '1000%'\n\
         [limits]\nquota = '500/1s'\n{sandbox}[gateway]\n{more}{}\n",
        form.dialect, form.settings
    )
}

fn run(folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_passync"));
    command.current_dir(folder).env_clear().args(["run", "job.toml", "--no-progress"]).output().unwrap()
}

/// How many rows ended how.
fn outcomes(path: &Path) -> BTreeMap<String, usize> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let mut counts = BTreeMap::new();
    for record in reader.records() {
        *counts.entry(record.unwrap()[4].to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn every_dialect_carries_the_job_through_a_bad_night() {
    let own = Signer::generate(2048).unwrap();
    for (at, form) in FORMS.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let (own_pem, public) = (own.private_pem(), own.public_pem());
        for (name, text) in [
            ("own.pem", own_pem.as_str()),
            ("own.pub.pem", public.as_str()),
            ("aes", "AAECAwQFBgcICQoLDA0ODw=="),
            ("token", "202611BBabcdef"),
            ("in.csv", &rows(form, "C")),
        ] {
            write(folder.path(), name, text);
        }
        let sandbox = format!("[sandbox]\nseed = {at}\nfaults = '{FAULTS}'\n");
        write(folder.path(), "job.toml", &job(form, &sandbox, "url = 'sandbox'\n"));
        let run = run(folder.path());
        let said = String::from_utf8_lossy(&run.stderr);
        let what = format!("{} {}", form.dialect, form.settings);
        assert_eq!(run.status.code(), Some(0), "{what}: {said}");
        let counts = outcomes(&folder.path().join("out/night/latest/outcomes.csv"));
        assert_eq!(counts, BTreeMap::from([("applied".to_owned(), ROWS)]), "{what}");
        // Law 11: no secret anywhere but in its file.
        for left in ["out/night/latest/manifest.json", "out/night/latest/outcomes.csv", "out/night/latest/failures.csv"]
        {
            let text = fs::read_to_string(folder.path().join(left)).unwrap();
            for secret in ["202611BBabcdef", "AAECAwQFBgcICQoLDA0ODw==", "PRIVATE KEY"] {
                assert!(!text.contains(secret) && !said.contains(secret), "{what}: {left}");
            }
        }
    }
    for entry in DIALECTS {
        assert!(FORMS.iter().any(|form| form.dialect == entry.name), "{} is not tested", entry.name);
    }
}

#[test]
fn one_sandbox_serves_every_dialect_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("calls.jsonl");
    let faults = ["--faults", FAULTS, "--seed", "7", "--slow", "1s", "--log", log.to_str().unwrap()];
    let sandbox = Sandbox::start(folder.path(), &faults);
    let more = format!(
        "url = 'http://{}'\nallow_insecure_loopback = true\nprivate_key = 'file:../keys/client.pem'\n\
         platform_keys = ['file:../keys/platform.pub.pem']\n",
        sandbox.addr
    );
    let forms = || FORMS.iter().enumerate().filter(|(_, form)| !form.settings.contains("file:"));
    std::thread::scope(|scope| {
        for (at, form) in forms() {
            let own = folder.path().join(at.to_string());
            fs::create_dir(&own).unwrap();
            write(&own, "in.csv", &rows(form, &format!("F{at}C")));
            write(&own, "job.toml", &job(form, "", &more));
            scope.spawn(move || {
                let run = run(&own);
                let what = format!("{} {}", form.dialect, form.settings);
                assert_eq!(run.status.code(), Some(0), "{what}: {}", String::from_utf8_lossy(&run.stderr));
                let counts = outcomes(&own.join("out/night/latest/outcomes.csv"));
                assert_eq!(counts, BTreeMap::from([("applied".to_owned(), ROWS)]), "{what}");
            });
        }
    });
    let summary = sandbox.end();
    assert_eq!(summary["breaches"], serde_json::json!({}), "{summary}");
    assert!(summary["faults"].as_object().unwrap().len() > 10, "{summary}");
    let log = fs::read_to_string(log).unwrap();
    for entry in DIALECTS {
        let said = format!("\"dialect\":\"{}\"", entry.name);
        assert!(log.lines().filter(|line| line.contains(&said)).count() >= ROWS, "{} was not spoken", entry.name);
    }
}

#[test]
fn the_plan_states_how_many_messages_customers_get() {
    let folder = tempfile::tempdir().unwrap();
    let form = FORMS.iter().find(|form| form.dialect == "marketing-card").unwrap();
    write(folder.path(), "job.toml", &job(form, "", "url = 'sandbox'\n"));
    let passync = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_passync"));
        let output = command.current_dir(folder.path()).env_clear().args(words).args(["--state", "state"]).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let messages = || {
        let json = passync(&["check", "job.toml", "--json"]);
        serde_json::from_str::<serde_json::Value>(&json).unwrap()["messages"].as_u64().unwrap()
    };
    let rows = |rows: &[&str]| {
        let mut text =
            "bill_no,card_no,open_date,valid_date,occurred_at,points,level,notify,notify_messages\n".to_owned();
        for row in rows {
            let (ids, rest) = row.split_once(';').unwrap();
            writeln!(text, "{ids},2014-02-20 21:20:46,2030-02-20 21:20:46,{rest}").unwrap();
        }
        write(folder.path(), "in.csv", &text);
    };
    rows(&["B1,C1;2026-11-21 10:00:00,100,,,"]);
    assert_eq!(messages(), 0);
    assert!(!passync(&["check", "job.toml"]).contains("customers"));
    passync(&["run", "job.toml", "--no-progress"]);
    let telling = r#""[{""message_type"":""LEVEL_UPDATE""},{""message_type"":""POINT_UPDATE""}]""#;
    rows(&[
        "B2,C2;2026-11-21 10:00:00,7,VIP1,points|level,",
        &format!("B3,C3;2026-11-21 10:00:00,7,VIP1,,{telling}"),
        // Its points are older than what the card was given: they are left out, and their message with them.
        "B4,C1;2026-11-21 09:00:00,90,VIP1,points|level,",
    ]);
    assert_eq!(messages(), 5);
    let said = passync(&["check", "job.toml"]);
    assert!(said.contains("  messages                   5  to customers"), "{said}");
}

#[test]
fn codes_on_no_page_are_counted_and_shown() {
    for (form, code) in [(&FORMS[0], "BRAND_NEW"), (&FORMS[2], "BRAND_NEW"), (&FORMS[4], "40004/BRAND_NEW")] {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = "[sandbox]\nfaults = 'refuse:BRAND_NEW=100%'\n[run]\nhalt_after_errors = 'off'\n";
        write(folder.path(), "job.toml", &job(form, sandbox, "url = 'sandbox'\n"));
        write(folder.path(), "in.csv", &rows(form, "C"));
        let passync = |words: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_passync"));
            command.current_dir(folder.path()).env_clear().args(words).output().unwrap()
        };
        let latest = "out/night/latest";
        for (words, exit) in [
            (&["run", "job.toml", "--no-progress", "--state", "state"][..], 1),
            (&["report", latest, "--state", "state"], 0),
        ] {
            let output = passync(words);
            let (said, fault) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
            assert_eq!(output.status.code(), Some(exit), "{}: {said}{fault}", form.dialect);
            let unlisted = format!("unlisted  {code}, {ROWS} times: on none of the vendor's pages; read by its status");
            assert!(said.contains(&unlisted), "{}: {said}", form.dialect);
            let manifest = fs::read(folder.path().join(latest).join("manifest.json")).unwrap();
            let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
            assert_eq!(manifest["calls"]["unlisted_codes"][code], ROWS, "{}", form.dialect);
            assert_eq!(outcomes(&folder.path().join(latest).join("outcomes.csv"))["refused"], ROWS, "{}", form.dialect);
        }
    }
}
