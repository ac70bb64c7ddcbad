//! The real binary when it is held wrongly: what it says, and that it sends nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn passync(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_passync"));
    command.current_dir(folder).env_clear().env("CREDENTIALS_DIRECTORY", folder).args(words);
    command.output().expect("the binary was built with the tests")
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_fault_of_the_job_file_is_shown_in_place_and_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let job = "name = \"n\"\ndialect = \"alipayhk-card\"\n[input]\nfiles = [\"a.csv\"]\n[gateway]\nurl = \"sandbox\"\n\
               merchant_id = \"1\"\nclient_id = \"2\"\n[limits]\nconcurency = 3\n";
    fs::write(folder.path().join("job.toml"), job).unwrap();
    let expected = "  × limits.concurency: unknown key
    ╭─[job.toml:10:1]
  9 │ [limits]
 10 │ concurency = 3
    · ─────┬────
    ·      ╰── [limits] has no such key
    ╰────
  help: did you mean `concurrency`?
";
    for command in ["run", "check", "resume", "open"] {
        let output = passync(folder.path(), &[command, "job.toml"]);
        assert_eq!(said(&output), expected, "{command}");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{command}");
    }
    let output = passync(folder.path(), &["run", "job.toml", "--log-format", "json"]);
    let line: serde_json::Value = serde_json::from_str(&said(&output)).unwrap();
    assert_eq!(line["message"], "job.toml:10:1: limits.concurency: unknown key; did you mean `concurrency`?");
    assert_eq!(line["exit"], 2);
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "nothing is made before the job is sound");
}

#[test]
fn usage_faults_end_with_2_and_help_with_0() {
    let here = Path::new(".");
    for words in [&["run"][..], &["fly"], &["run", "job.toml", "--date", "tomorrow"], &["ledger", "stats"], &[]] {
        assert_eq!(passync(here, words).status.code(), Some(2), "{words:?}");
    }
    for words in [&["--help"][..], &["run", "--help"], &["--version"]] {
        assert_eq!(passync(here, words).status.code(), Some(0), "{words:?}");
    }
}

#[test]
fn every_word_is_explained() {
    let here = Path::new(".");
    let text = |words: &[&str]| String::from_utf8(passync(here, words).stdout).unwrap();
    let rule = text(&["explain", "R012"]);
    assert!(
        rule.starts_with("R012 id-scientific-notation (rule)\n  means    ") && rule.contains("\n  do       "),
        "{rule}"
    );
    assert!(text(&["explain", "held"]).contains("(outcome)") && text(&["explain", "3"]).contains("(exit)"));
    let json = text(&["explain", "PASS_STATUS_ILLEGAL", "--dialect", "intl-pass", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json.as_array().unwrap().len(), &json[0]["verdict"]), (1, &"refused".into()));
    let unknown = passync(here, &["explain", "id-scientifc-notation"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(said(&unknown).contains("did you mean `id-scientific-notation`?"), "{}", said(&unknown));
}

#[test]
fn keys_are_made_once_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert!(passync(folder.path(), &["keys", "generate"]).status.success());
    assert!(passync(folder.path(), &["keys", "generate", "--name", "platform"]).status.success());
    let private = fs::read(at("keys/merchant.pem")).unwrap();
    let again = passync(folder.path(), &["keys", "generate"]);
    assert_eq!(again.status.code(), Some(2));
    assert_eq!(
        said(&again),
        "error: the key keys/merchant.pem exists; keys are never overwritten\nhelp: give another --name or --out\n"
    );
    assert_eq!(fs::read(at("keys/merchant.pem")).unwrap(), private);

    fs::copy(at("keys/merchant.pem"), at("merchant")).unwrap();
    let job = "name = \"n\"\ndialect = \"alipayhk-card\"\n[input]\nfiles = [\"a.csv\"]\n[gateway]\nurl = \"https://open.alipay.hk\"\n\
               merchant_id = \"1\"\nclient_id = \"2\"\nprivate_key = \"cred:merchant\"\nplatform_keys = [\"file:keys/platform.pub.pem\"]\n";
    fs::write(at("job.toml"), job).unwrap();
    let check = |more: &[&str]| passync(folder.path(), &[&["keys", "check", "job.toml", "--json"], more].concat());
    let report = |output: &Output| serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
    let sound = check(&[]);
    assert_eq!(sound.status.code(), Some(0), "{}", said(&sound));
    assert_eq!(report(&sound)["sound"], true);

    // The mix-up that every integration makes once.
    let own = check(&["--set", "gateway.platform_keys=file:keys/merchant.pub.pem"]);
    assert_eq!(own.status.code(), Some(2));
    assert!(report(&own)["keys"][1]["fault"].as_str().unwrap().starts_with("this is our own public key"));

    fs::set_permissions(at("keys/merchant.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = check(&["--set", "gateway.private_key=file:keys/merchant.pem"]);
    assert!(report(&exposed)["keys"][0]["fault"].as_str().unwrap().contains("run `chmod 600 "));
}
