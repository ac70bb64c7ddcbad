//! Everything in `jobs/` is what it says: job files load, and every command line in them parses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use passync::cli::Cli;
use passync::io::job::settings::{GatewayUrl, Secret, Settings};
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

#[test]
fn the_settings_in_the_runbook_load() {
    let runbook = read("README.md");
    let blocks: Vec<&str> = runbook.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 1);
    let job = tempfile::NamedTempFile::new().unwrap();
    fs::write(job.path(), read("nightly.toml") + "\n" + blocks[0]).unwrap();
    let settings =
        job::load(job.path(), &Overrides::default()).unwrap_or_else(|fault| panic!("{}", fault.render(false)));
    assert!(settings.metrics_textfile.is_some() && settings.metrics_otlp.is_some() && settings.notify_url.is_some());
    assert_eq!(settings.notify_on, load("nightly.toml").notify_on, "what is shown is the default");
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
        let may_be_empty = key == "CapabilityBoundingSet"; // none at all
        assert!(!section.is_empty() && !key.is_empty() && (may_be_empty || !value.is_empty()), "{name}: {line}");
        entries.push((section.clone(), key.to_owned(), value.to_owned()));
    }
    entries
}

#[test]
fn the_systemd_units_parse() {
    let service = unit("passync-nightly.service");
    let values = |section: &str, key: &str| {
        let found = service.iter().filter(|entry| entry.0 == section && entry.1 == key);
        found.map(|entry| entry.2.clone()).collect::<Vec<_>>()
    };
    let value = |section: &str, key: &str| {
        let mut found = values(section, key);
        assert_eq!(found.len(), 1, "{key} in [{section}]");
        found.remove(0)
    };
    let command = value("Service", "ExecStart");
    parses(&command);
    let words: Vec<&str> = command.split(' ').collect();
    let sets = sets(&words).join(" ");
    for credential in values("Service", "LoadCredential") {
        let (name, _) = credential.split_once(':').unwrap();
        assert!(sets.contains(&format!("=cred:{name}")), "{name}: {sets}");
    }
    assert_eq!(sets.matches("cred:").count(), 2);
    assert_eq!(value("Service", "SuccessExitStatus"), "1");
    assert_eq!((value("Service", "DynamicUser"), value("Service", "ProtectSystem")), ("yes".into(), "strict".into()));
    let timeout = load("nightly.toml").gateway.request_timeout.as_secs();
    assert!(value("Service", "TimeoutStopSec").parse::<u64>().unwrap() > 2 * timeout);
    let alert = value("Unit", "OnFailure");
    assert_eq!(alert, "passync-alert@%n.service");
    assert!(unit("passync-alert@.service").iter().any(|entry| entry.1 == "ExecStart" && entry.2.contains("%i")));

    let timer = unit("passync-nightly.timer");
    let calendar = &timer.iter().find(|entry| entry.0 == "Timer" && entry.1 == "OnCalendar").expect("OnCalendar").2;
    let parts = calendar.split(' ').collect::<Vec<_>>();
    assert_eq!(parts[0], "*-*-*");
    assert!(jiff::civil::Time::strptime("%H:%M:%S", parts[1]).is_ok(), "{calendar}");
    assert!(jiff::tz::TimeZone::get(parts[2]).is_ok(), "{calendar}");
}

#[test]
fn systemd_itself_finds_nothing_in_the_units() {
    let units = tempfile::tempdir().unwrap();
    let names = ["passync-nightly.service", "passync-nightly.timer", "passync-alert@.service"];
    for name in names {
        // It looks whether programs are there: ours is not installed here.
        let text = read(name).replace("/usr/local/bin/passync", env!("CARGO_BIN_EXE_passync"));
        fs::write(units.path().join(name), text.replace("/usr/bin/logger", "/bin/true")).unwrap();
    }
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--man=no"]).args(names.map(|name| units.path().join(name.replace("@.", "@x."))));
    fs::copy(units.path().join("passync-alert@.service"), units.path().join("passync-alert@x.service")).unwrap();
    match command.output() {
        Err(_) => eprintln!("skipped: there is no systemd-analyze here"),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.trim().is_empty(), "{said}");
        }
    }
}

/// The one document of a YAML file.
fn yaml(name: &str) -> Yaml {
    let mut documents = YamlLoader::load_from_str(&read(name)).unwrap();
    assert_eq!(documents.len(), 1, "{name}");
    documents.remove(0)
}

/// The words of a list.
fn words(list: &Yaml) -> Vec<&str> {
    list.as_vec().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}

/// The names of a list's items.
fn names(list: &Yaml) -> Vec<&str> {
    list.as_vec().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

/// The values that a command line sets a job's keys to.
fn sets(words: &[&str]) -> Vec<String> {
    words.windows(2).filter(|pair| pair[0] == "--set").map(|pair| pair[1].to_owned()).collect()
}

#[test]
fn the_jobs_of_kubernetes_are_one_pod_at_a_time_that_goes_on_where_it_can() {
    let cronjob = yaml("cronjob.yaml");
    assert_eq!(cronjob["kind"].as_str(), Some("CronJob"));
    assert_eq!(cronjob["spec"]["concurrencyPolicy"].as_str(), Some("Forbid"));
    assert!(jiff::tz::TimeZone::get(cronjob["spec"]["timeZone"].as_str().unwrap()).is_ok());
    is_sound("nightly.toml", &cronjob["spec"]["jobTemplate"]["spec"]);
    let job = yaml("backfill-job.yaml");
    assert_eq!(job["kind"].as_str(), Some("Job"));
    is_sound("backfill.toml", &job["spec"]);
}

/// A job's spec, which runs the job file `name`.
fn is_sound(name: &str, spec: &Yaml) {
    assert_eq!(spec["podReplacementPolicy"].as_str(), Some("Failed"), "two pods would want one ledger");
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["restartPolicy"].as_str(), Some("Never"), "podFailurePolicy needs it");
    let container = &pod["containers"][0];
    let exits = on_exit(&spec["podFailurePolicy"]["rules"], container["name"].as_str().unwrap());
    // 0 is no failure; 6 and 75 may be otherwise a little later, and count towards backoffLimit.
    let others: Vec<i64> = [0, 1, 2, 3, 4, 5, 6, 75].into_iter().filter(|exit| !exits.contains(exit)).collect();
    assert_eq!(others, [0, 6, 75]);
    assert!(spec["backoffLimit"].as_i64().unwrap() > 0);

    let words = words(&container["args"]);
    parses(&format!("passync {}", words.join(" ")));
    assert_eq!(words[1], format!("/etc/passync/{name}"));
    let overrides = Overrides { set: sets(&words), ..Overrides::default() };
    let settings =
        job::load(&folder().join(name), &overrides).unwrap_or_else(|fault| panic!("{}", fault.render(false)));
    let grace_s = pod["terminationGracePeriodSeconds"].as_i64().unwrap() as u64;
    assert!(grace_s > 2 * settings.gateway.request_timeout.as_secs(), "replies on their way are awaited");

    let mounts = names(&container["volumeMounts"]);
    let mut volumes = names(&pod["volumes"]);
    volumes.retain(|volume| !mounts.contains(volume));
    assert_eq!((volumes.len(), mounts.len()), (0, 5), "every volume is mounted, and there is no other mount");
    assert_eq!(names(&container["env"]), ["CREDENTIALS_DIRECTORY"]);
    let keys = container["volumeMounts"].as_vec().unwrap().iter().find(|mount| mount["name"].as_str() == Some("keys"));
    assert_eq!(keys.unwrap()["mountPath"], container["env"][0]["value"], "where cred: looks, the keys are");
    let secrets = [settings.gateway.private_key.as_slice(), &settings.gateway.platform_keys].concat();
    assert!(secrets.iter().all(|secret| matches!(secret, Secret::Cred(_))), "{secrets:?}");

    let security = &container["securityContext"];
    assert_eq!(security["readOnlyRootFilesystem"].as_bool(), Some(true));
    assert_eq!(security["allowPrivilegeEscalation"].as_bool(), Some(false));
    assert_eq!(pod["securityContext"]["runAsNonRoot"].as_bool(), Some(true));
    assert!(!container["resources"]["limits"]["memory"].is_badvalue());
}

/// The exits that end the job for good; a drained node does not.
fn on_exit(rules: &Yaml, container: &str) -> Vec<i64> {
    let [drained, ended] = &rules.as_vec().unwrap()[..] else { panic!("two rules") };
    assert_eq!(drained["action"].as_str(), Some("Ignore"));
    assert_eq!(drained["onPodConditions"][0]["type"].as_str(), Some("DisruptionTarget"));
    assert_eq!(ended["action"].as_str(), Some("FailJob"));
    let exits = &ended["onExitCodes"];
    assert_eq!((exits["containerName"].as_str(), exits["operator"].as_str()), (Some(container), Some("In")));
    exits["values"].as_vec().unwrap().iter().map(|exit| exit.as_i64().unwrap()).collect()
}

#[test]
fn the_trial_of_compose_needs_nothing_configured() {
    let compose = yaml("compose.yaml");
    let trial = &compose["services"]["trial"];
    let words = words(&trial["command"]);
    parses(&format!("passync {}", words.join(" ")));
    assert_eq!((trial["read_only"].as_bool(), trial["restart"].as_str()), (Some(true), Some("no")));
    // What the job file reads is mounted beside it as it lies here.
    let mounts: Vec<_> = trial["volumes"].as_vec().unwrap().iter().map(|mount| mount.as_str().unwrap()).collect();
    assert_eq!(mounts, ["data:/data", "./:/etc/passync:ro", "../fixtures:/etc/fixtures:ro"]);
    assert!(!compose["volumes"]["data"].is_badvalue());
    let inputs = load("demo.toml").input.files;
    let fixtures = folder().join("../fixtures");
    assert!(inputs.iter().all(|input| Path::new(input).starts_with(&fixtures)), "{inputs:?}");
}

#[test]
fn every_file_of_the_folder_is_tested_here() {
    let own = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file!())).unwrap();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            Path::new(&name).extension().is_some_and(|end| end == "toml") || own.contains(&format!("\"{name}\"")),
            "{name}"
        );
    }
}

/// The command by which the image says whether it is well, with another folder in place of its volume.
fn health(volume: &Path) -> Option<i32> {
    let dockerfile = read("../Dockerfile");
    let check =
        dockerfile.split("\nHEALTHCHECK ").nth(1).unwrap().split("CMD ").nth(1).unwrap().lines().next().unwrap();
    assert!(check.contains(" /data "), "{check}");
    let check = check.replace("/data", volume.to_str().unwrap());
    Command::new("sh").args(["-c", &check]).status().unwrap().code()
}

#[test]
fn the_image_is_well_while_something_is_written() {
    let volume = tempfile::tempdir().unwrap();
    let file = volume.path().join("ledger.db-wal");
    fs::write(&file, "").unwrap();
    assert_eq!(health(volume.path()), Some(0));
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(21 * 60);
    for path in [&file, volume.path()] {
        fs::File::open(path).unwrap().set_modified(long_ago).unwrap();
    }
    assert_eq!(health(volume.path()), Some(1));
}
