//! Everything in `jobs/` is what it says: job files load, and every command line in them parses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use passync::cli::Cli;
use passync::io::job::settings::{GatewayUrl, Settings};
use passync::io::job::{self, Overrides};
use passync::wire::{DIALECTS, setting};
use yaml_rust2::{Yaml, YamlLoader};

use super::sandbox::Sandbox;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs")
}

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("jobs/{name}: {error}"))
}

fn load(name: &str) -> Settings {
    let path = folder().join(name);
    job::load(&path, &Overrides::default()).unwrap_or_else(|fault| panic!("{}", fault.render(false)))
}

/// Parses a command line as a shell and then the program would.
fn parses(line: &str) {
    let mut words = vec![String::new()];
    for (at, part) in line.split('"').enumerate() {
        let quoted = at % 2 == 1;
        for (index, piece) in part.split(|c: char| !quoted && c == ' ').enumerate() {
            if index > 0 {
                words.push(String::new());
            }
            words.last_mut().expect("there is one from the start").push_str(piece);
        }
    }
    words.retain(|word| !word.is_empty());
    assert_eq!(words[0].rsplit('/').next(), Some("passync"), "{line}");
    if let Err(error) = Cli::try_parse_from(&words) {
        panic!("{line}\n{error}");
    }
}

#[test]
fn the_commands_in_the_readme_parse_and_their_jobs_exist() {
    let readme = read("../README.md");
    assert!(readme.lines().count() <= 150, "the README is one page");
    assert!(commands(&readme) >= 12);
}

#[test]
fn the_commands_in_the_runbook_parse_and_their_jobs_exist() {
    assert!(commands(&read("README.md")) >= 15);
}

/// Parses every command line of a page, and counts them.
fn commands(page: &str) -> usize {
    let lines = page.lines().map(|line| line.split(" #").next().unwrap().trim());
    let commands =
        lines.filter_map(|line| line.strip_prefix("cargo run --release -- ").or(line.strip_prefix("passync ")));
    let mut count = 0;
    for command in commands {
        parses(&format!("passync {command}"));
        let jobs = command.split(' ').filter_map(|word| word.strip_prefix("jobs/"));
        for job in jobs.filter(|job| Path::new(job).extension().is_some_and(|end| end == "toml")) {
            assert!(folder().join(job).exists(), "{command}");
        }
        count += 1;
    }
    count
}

#[test]
fn every_job_file_loads() {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let jobs = files.filter(|name| Path::new(name).extension().is_some_and(|end| end == "toml")).collect::<Vec<_>>();
    assert!(jobs.len() >= 5, "{jobs:?}");
    for name in jobs {
        let file = read(&name);
        if file.contains("files = []") {
            let path = folder().join(&name);
            let overrides = Overrides { inputs: vec!["failures.csv".to_owned()], ..Overrides::default() };
            job::load(&path, &overrides).unwrap_or_else(|fault| panic!("{}", fault.render(false)));
        } else {
            load(&name);
        }
    }
}

/// The example of each dialect.
const EXAMPLES: [(&str, &str); 3] =
    [("alipayhk-card", "nightly.toml"), ("intl-pass", "intl-pass.toml"), ("marketing-card", "marketing-card.toml")];

/// A job file with all that is commented out in it.
fn with_comments(name: &str) -> String {
    let is_setting = |line: &str| {
        let key = line.split_once(" = ").map_or("", |(key, _)| key);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.\"".contains(&byte);
        line.starts_with('[') || !key.is_empty() && key.bytes().all(plain)
    };
    let uncommented = |line: &str| match line.strip_prefix("# ") {
        Some(setting) if is_setting(setting) => format!("{setting}\n"),
        _ => format!("{line}\n"),
    };
    read(name).lines().map(uncommented).collect()
}

#[test]
fn the_example_of_a_dialect_shows_all_that_it_knows_and_loads_with_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    for entry in DIALECTS {
        let (_, name) = EXAMPLES.iter().find(|(dialect, _)| *dialect == entry.name).expect("every dialect has one");
        let text = with_comments(name);
        let path = folder.path().join(name);
        fs::write(&path, &text).unwrap();
        let settings =
            job::load(&path, &Overrides::default()).unwrap_or_else(|fault| panic!("{}", fault.render(false)));
        for key in entry.keys {
            assert!(settings.gateway.table.contains_key(key.name), "{name}: gateway.{} is not shown", key.name);
        }
        let dialect = entry.open(&load(name).gateway.table, &setting::no_vault).unwrap();
        for column in dialect.columns().iter() {
            let shown = |known: &str| match column.split_once('<') {
                None => known == column,
                Some((start, _)) => known.starts_with(start),
            };
            let input = &settings.input;
            let mapped = input.columns.iter().map(|(canonical, _)| canonical.as_str());
            let known = mapped.chain(input.defaults.iter().map(|(canonical, _)| canonical.as_str()));
            assert!(known.into_iter().any(shown), "{name}: column {column} is not shown");
        }
    }
}

#[test]
fn the_examples_run_on_the_sandbox() {
    for (name, rows) in [
        (
            "nightly.toml",
            "BILL_NO,PASS_ID,USER_ID,POINTS,POINTS_DELTA,TXN_TIME,LEVEL_ZH,LEVEL_EN\n\
             1,P1,U1,19999,+1,2026-11-20 10:00:00,鑽石卡,Diamond Card\n",
        ),
        ("intl-pass.toml", "PASS_ID,USER_ID,STATUS,CODE,CODE_TYPE\nP1,U1,USED,0042,qrcode\nP2,U2,CLOSED,,\n"),
        (
            "marketing-card.toml",
            "CARD_NO,TXN_TIME,OPENED,VALID_TO,POINTS,LEVEL\n\
             000001,2026-11-20 10:00:00,2014-02-20 21:20:46,2030-02-20 21:20:46,88.5,鑽石卡\n",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("in.csv"), rows).unwrap();
        let sandbox = Sandbox::start(folder.path(), &[]);
        let own = |key: &str, value: &str| {
            format!("{key}={}", value.replace("KEYS", &folder.path().join("keys").display().to_string()))
        };
        let sets = [
            own("gateway.url", &format!("http://{}", sandbox.addr)),
            own("gateway.allow_insecure_loopback", "true"),
            own("gateway.private_key", "file:KEYS/client.pem"),
            own("gateway.platform_keys", "[\"file:KEYS/platform.pub.pem\"]"),
            own("run.finish_by", ""),
        ];
        let mut command = Command::new(env!("CARGO_BIN_EXE_passync"));
        command.current_dir(folder.path()).env_clear().arg("run").arg(super::jobs::folder().join(name));
        command.args(["--input", "in.csv", "--out", "out", "--state", "state", "--no-progress"]);
        let output = command.args(sets.iter().flat_map(|set| ["--set", set])).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let summary = sandbox.end();
        assert_eq!(summary["applied"], rows.lines().count() - 1, "{name}: {summary}");
        assert_eq!(summary["breaches"], serde_json::json!({}), "{name}: {summary}");
    }
}

#[test]
fn the_demos_need_nothing_configured() {
    for name in ["demo.toml", "demo-failures.toml"] {
        let settings = load(name);
        assert_eq!(settings.gateway.url, GatewayUrl::Sandbox, "{name}");
        assert_eq!(settings.gateway.private_key, None, "{name}");
        assert!(!settings.sandbox.faults.is_empty(), "{name}");
    }
}

#[test]
fn nightly_backfill_and_replay_share_a_ledger_and_a_client() {
    let [nightly, backfill] = ["nightly.toml", "backfill.toml"].map(load);
    assert_eq!(nightly.ledger, backfill.ledger);
    assert_eq!(nightly.gateway.table["client_id"], backfill.gateway.table["client_id"]);
    assert_eq!(nightly.input.date_offset_days, -1);
    let columns =
        |file: &str| file.split("[input.columns]").nth(1).unwrap().split("[input.defaults]").next().unwrap().to_owned();
    let keys = |text: String| {
        text.lines().map(|line| line.split('#').next().unwrap().trim().to_owned()).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(keys(columns(&read("replay.toml"))).trim(), keys(columns(&read("nightly.toml"))).trim());
}

#[test]
fn the_commands_in_comments_parse() {
    for name in ["demo.toml", "demo-failures.toml", "nightly.toml", "backfill.toml", "replay.toml"] {
        let comments = read(name).replace(" \\\n#    ", "");
        let lines = comments.lines().filter_map(|line| line.strip_prefix("#"));
        let commands = lines.filter_map(|line| {
            line.trim().strip_prefix("cargo run --release -- ").or(line.trim().strip_prefix("passync "))
        });
        for command in commands {
            parses(&format!("passync {command}"));
        }
    }
}

#[test]
fn the_crontab_parses() {
    let mut commands = 0;
    for line in read("crontab").lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let words = line.split_whitespace().collect::<Vec<_>>();
        if let [only] = words[..] {
            assert!(only.split_once('=').is_some_and(|(name, value)| !name.is_empty() && !value.is_empty()), "{line}");
            continue;
        }
        let is_field = |field: &&str| field.bytes().all(|byte| byte.is_ascii_digit() || b"*-/,".contains(&byte));
        assert!(words.len() > 6 && words[..5].iter().all(is_field), "{line}");
        assert!(!line.contains('%'), "cron reads % as the end of the line: {line}");
        parses(&words[5..].join(" "));
        commands += 1;
    }
    assert_eq!(commands, 4);
}

/// The sections of a systemd unit: (section, key, value).
fn unit(name: &str) -> Vec<(String, String, String)> {
    let mut section = String::new();
    let mut entries = Vec::new();
    for line in read(name).lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if let Some(head) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            head.clone_into(&mut section);
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{name}: {line}"));
        assert!(!section.is_empty() && !key.is_empty() && !value.is_empty(), "{name}: {line}");
        entries.push((section.clone(), key.to_owned(), value.to_owned()));
    }
    entries
}

#[test]
fn the_systemd_units_parse() {
    let service = unit("passync-nightly.service");
    let value = |section: &str, key: &str| {
        let found = service.iter().find(|entry| entry.0 == section && entry.1 == key);
        found.unwrap_or_else(|| panic!("no {key} in [{section}]")).2.clone()
    };
    let command = value("Service", "ExecStart");
    parses(&command);
    let (credential, _) = value("Service", "LoadCredential")
        .split_once(':')
        .map(|(name, path)| (name.to_owned(), path.to_owned()))
        .unwrap();
    assert!(command.contains(&format!("gateway.private_key=cred:{credential}")), "{command}");
    assert_eq!(value("Service", "SuccessExitStatus"), "1");

    let timer = unit("passync-nightly.timer");
    let calendar = &timer.iter().find(|entry| entry.0 == "Timer" && entry.1 == "OnCalendar").expect("OnCalendar").2;
    let parts = calendar.split(' ').collect::<Vec<_>>();
    assert_eq!(parts[0], "*-*-*");
    assert!(jiff::civil::Time::strptime("%H:%M:%S", parts[1]).is_ok(), "{calendar}");
    assert!(jiff::tz::TimeZone::get(parts[2]).is_ok(), "{calendar}");
}

#[test]
fn the_cronjob_parses() {
    let documents = YamlLoader::load_from_str(&read("cronjob.yaml")).unwrap();
    let [cronjob] = &documents[..] else { panic!("one document") };
    assert_eq!(cronjob["kind"].as_str(), Some("CronJob"));
    assert_eq!(cronjob["spec"]["concurrencyPolicy"].as_str(), Some("Forbid"));
    let pod = &cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    assert_eq!(pod["restartPolicy"].as_str(), Some("Never"));
    let container = &pod["containers"][0];
    let words = container["args"].as_vec().unwrap().iter().map(|word| word.as_str().unwrap()).collect::<Vec<_>>();
    parses(&format!("passync {}", words.join(" ")));

    let names = |list: &Yaml| {
        let items = list.as_vec().unwrap().iter();
        items.map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let volumes = names(&pod["volumes"]);
    assert!(names(&container["volumeMounts"]).iter().all(|mount| volumes.contains(mount)));
    for variable in names(&container["env"]) {
        assert!(words.iter().any(|word| word.ends_with(&format!("env:{variable}"))), "{variable}");
    }
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"].as_bool(), Some(true));
}
