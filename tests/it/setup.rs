//! From nothing to a job, as a new user goes: `init`, `doctor`, `check`, `run`; and what the program tells of itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use passync::io::job::{self, Overrides};
use passync::wire::DIALECTS;

fn passync(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_passync"));
    command.current_dir(folder).env_clear().stdin(Stdio::null()).args(words);
    command.output().expect("the binary was built with the tests")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const IDS: [&str; 6] =
    ["--merchant-id", "2160120036095023", "--client-id", "2110200000000044", "--app-id", "2014072300007148"];

#[test]
fn a_new_job_of_each_dialect_is_sound() {
    for dialect in DIALECTS {
        let folder = tempfile::tempdir().unwrap();
        let made = passync(folder.path(), &[&["init", "--dialect", dialect.name, "--name", "n"][..], &IDS].concat());
        assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
        let settings = job::load(&folder.path().join("n.toml"), &Overrides::default());
        let settings = settings.unwrap_or_else(|fault| panic!("{}: {fault}", dialect.name));
        dialect.check(&settings.gateway.table).unwrap();
        let key = fs::metadata(folder.path().join("keys/merchant.pem")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
        let crontab = fs::read_to_string(folder.path().join("n.crontab")).unwrap();
        let line = format!("\n15 2 * * *    {} run /", env!("CARGO_BIN_EXE_passync"));
        assert!(crontab.contains(&line) && crontab.contains("CRON_TZ=Asia/Hong_Kong\n"), "{crontab}");
        assert!(!fs::read_to_string(folder.path().join("n.toml")).unwrap().contains('@'), "every place is filled");

        let again = passync(folder.path(), &[&["init", "--dialect", dialect.name, "--name", "n"][..], &IDS].concat());
        assert_eq!(again.status.code(), Some(2), "nothing is overwritten");
    }
}

#[test]
fn what_nobody_says_is_asked_for_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let silent = passync(folder.path(), &["init", "--name", "n", "--dialect", "alipayhk-card", "--client-id", "2"]);
    assert_eq!(silent.status.code(), Some(2));
    assert!(text(&silent.stderr).contains("--merchant-id is missing"), "{}", text(&silent.stderr));
    let odd =
        passync(folder.path(), &[&["init", "--files", "a\"b.csv", "--dialect", "alipayhk-card"][..], &IDS].concat());
    assert_eq!(odd.status.code(), Some(2));
    for (flag, value, said) in [("--quota", "many", "limits.quota"), ("--timezone", "Mars/Base", "input.timezone")] {
        let words = [&["init", "--name", "n", "--dialect", "alipayhk-card", flag, value][..], &IDS].concat();
        let wrong = passync(folder.path(), &words);
        assert_eq!(wrong.status.code(), Some(2), "{flag}");
        assert!(text(&wrong.stderr).contains(said), "{}", text(&wrong.stderr));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is made before all is known");
}

#[test]
fn from_nothing_to_a_run_on_the_sandbox() {
    let folder = tempfile::tempdir().unwrap();
    let trial = ["init", "--name", "trial", "--dialect", "alipayhk-card", "--url", "sandbox", "--files", "points.csv"];
    assert!(passync(folder.path(), &[&trial[..], &IDS].concat()).status.success());
    let before = passync(folder.path(), &["doctor", "trial.toml", "--json"]);
    assert_eq!(before.status.code(), Some(3), "the input is not there: {}", text(&before.stdout));
    let rows = "bill_no,pass_id,user_id,points\nB1,P1,U1,100\nB2,P2,U2,200\n";
    fs::write(folder.path().join("points.csv"), rows).unwrap();
    let doctor = passync(folder.path(), &["doctor", "trial.toml"]);
    assert_eq!(doctor.status.code(), Some(0), "{}", text(&doctor.stdout));
    let seen = text(&doctor.stdout);
    for subject in ["keys", "gateway", "room", "ledger", "lock", "inputs"] {
        assert!(seen.contains(&format!(" {subject} ")), "{subject}: {seen}");
    }
    assert!(!folder.path().join("state").exists(), "a doctor only looks");
    let crontab = fs::read_to_string(folder.path().join("trial.crontab")).unwrap();
    let command = crontab.lines().last().unwrap().split_once("passync run ").unwrap().1;
    assert!(command.contains(" --state /"), "else every night begins with an empty ledger: {command}");
    let words: Vec<&str> = ["run"].into_iter().chain(command.split_whitespace()).collect();
    assert_eq!(passync(folder.path(), &words).status.code(), Some(0));
    assert!(folder.path().join("state/ledger.db").exists());
}

#[test]
fn a_crontab_keeps_signs_that_mean_something_to_cron() {
    let folder = tempfile::tempdir().unwrap();
    let trial = ["init", "--name", "trial", "--dialect", "alipayhk-card", "--url", "sandbox", "--files", "points.csv"];
    let output = passync(folder.path(), &[&trial[..], &IDS, &["--dir", "my jobs/50% off"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let crontab = fs::read_to_string(folder.path().join("my jobs/50% off/trial.crontab")).unwrap();
    assert!(crontab.lines().last().unwrap().contains(r"/my jobs/50\% off/trial.toml' "), "{crontab}");
}

#[test]
fn a_place_that_takes_no_files_is_told_before_the_first_call() {
    let folder = tempfile::tempdir().unwrap();
    let trial = ["init", "--name", "trial", "--dialect", "alipayhk-card", "--url", "sandbox", "--files", "points.csv"];
    assert!(passync(folder.path(), &[&trial[..], &IDS].concat()).status.success());
    fs::write(folder.path().join("points.csv"), "bill_no,pass_id,user_id,points\nB1,P1,U1,100\n").unwrap();
    fs::write(folder.path().join("taken"), "a file").unwrap();
    let doctor = passync(folder.path(), &["doctor", "trial.toml", "--set", "output.dir=taken"]);
    assert_eq!(doctor.status.code(), Some(6), "{}", text(&doctor.stdout));
    let run = passync(folder.path(), &["run", "trial.toml", "--state", "state", "--out", "taken"]);
    assert_eq!(run.status.code(), Some(6));
    assert!(text(&run.stderr).contains("something else stands at this place"), "{}", text(&run.stderr));
    let stats = passync(folder.path(), &["ledger", "stats", "--state", "state", "--json"]);
    let stats: serde_json::Value = serde_json::from_slice(&stats.stdout).unwrap();
    assert_eq!((&stats["runs"], &stats["cards"]), (&serde_json::json!([]), &0.into()), "no run began");
    assert_eq!(passync(folder.path(), &["run", "trial.toml", "--state", "state", "-q"]).status.code(), Some(0));
}

#[test]
fn a_doctor_says_what_is_wrong_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = ["init", "--name", "n", "--dialect", "alipayhk-card", "--url", "https://127.0.0.1:1"];
    assert!(passync(folder.path(), &[&nobody[..], &IDS].concat()).status.success());
    let nowhere = passync(folder.path(), &["doctor", "n.toml", "--offline"]);
    let said = text(&nowhere.stdout);
    assert!(
        said.contains("keys/platform.pem cannot be read") && said.contains("help: gateway.platform_keys says"),
        "{said}"
    );
    fs::copy(folder.path().join("keys/merchant.pub.pem"), folder.path().join("keys/platform.pem")).unwrap();
    let found = passync(folder.path(), &["doctor", "n.toml", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    let of = |subject: &str| {
        let findings = report["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["subject"] == subject).unwrap_or_else(|| panic!("{report}")).clone()
    };
    assert_eq!(found.status.code(), Some(2));
    assert!(of("keys")["said"].as_str().unwrap().contains("our own public key"), "{report}");
    assert_eq!(of("gateway")["health"], "fault");
    assert!(of("gateway")["help"].as_str().unwrap().contains("firewall"));
    assert_eq!(of("inputs")["health"], "fault");
    let offline = passync(folder.path(), &["doctor", "n.toml", "--json", "--offline"]);
    assert!(!text(&offline.stdout).contains("\"gateway\""));
}

#[test]
fn shells_editors_and_man_know_the_program() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = passync(folder.path(), &["completions", shell]);
        assert!(script.status.success() && text(&script.stdout).contains("passync"), "{shell}");
    }
    assert!(text(&passync(folder.path(), &["man"]).stdout).starts_with(".ie"));
    assert!(passync(folder.path(), &["man", "--out", "man1"]).status.success());
    for page in ["passync.1", "passync-run.1", "passync-ledger-show.1", "passync-wire-sign.1"] {
        let page = fs::read_to_string(folder.path().join("man1").join(page)).unwrap();
        assert!(page.contains(".SH NAME") || page.contains(".SH SYNOPSIS"), "{page}");
    }
    let schema: serde_json::Value = serde_json::from_slice(&passync(folder.path(), &["schema"]).stdout).unwrap();
    assert_eq!(schema["properties"]["limits"]["properties"]["quota"]["default"], "50/1s");
}
