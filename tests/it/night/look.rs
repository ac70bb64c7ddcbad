//! Looking: check before a run, open rows and the ledger after it, and proofs of what was written.

use std::fs;
use std::path::Path;

use passync::sandbox::Config;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::stops::wait_for;
use super::{Night, as_csv, deltas, faulty, scripted};

impl Night {
    /// The JSON that a command prints.
    #[track_caller]
    pub fn json(&self, exit: i32, args: &[&str]) -> Value {
        let (code, output) = self.passync(&[args, &["--json"]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(code, exit, "passync {args:?} said:\n{said}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}"))
    }

    /// The words of a command that a screen printed, without the program.
    fn words(command: &str) -> Vec<&str> {
        command.split(' ').skip(1).collect()
    }
}

const BAD: &str = "\
bill_no,pass_id,user_id,points,last_changed_points,occurred_at
B1,0001,2160220037090534,100,5,2026-01-01 10:00:00
B1,0001,2160220037090534,100,5,2026-01-01 10:00:00
B2,0001,2160220037090534,12a,5,2026-01-01 10:00:00
B3,0002,2160220037090534,120,5,2026-01-01 10:00:00
B3,0002,2160220037090534,130,7,2026-01-01 10:00:00
";

#[test]
fn check_tells_what_a_run_would_do_and_sends_nothing() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(10, 3)));
    let clean = night.json(0, &["check", "job.toml"]);
    assert_eq!((&clean["planned"]["rows"], &clean["cards"]), (&30.into(), &10.into()));

    night.write("bad.csv", BAD);
    let refused = night.json(3, &["check", "job.toml", "--input", "bad.csv"]);
    assert!(
        refused["refused"][0].as_str().unwrap().contains("[input] rejects_max = 1% of 5"),
        "{}",
        refused["refused"]
    );
    let failing = night.json(1, &["check", "job.toml", "--input", "bad.csv", "--set", "input.rejects_max=100%"]);
    let (reject, conflict) = (&failing["first_rejects"][0], &failing["first_conflicts"][1]);
    assert_eq!((&reject["place"], &reject["code"]), (&"bad.csv:4".into(), &"R020".into()));
    assert!(reject["message"].as_str().unwrap().contains("column `points`: found \"12a\", expected"), "{reject}");
    assert_eq!((&conflict["place"], &conflict["other"]), (&"bad.csv:6".into(), &"bad.csv:5".into()));
    assert_eq!(failing["ended"]["duplicate"]["rows"], 1);
    let text = night.expect(3, &["check", "job.toml", "--input", "bad.csv", "--set", "input.rows_min=9"]);
    assert!(text.contains("rows_min") && text.contains("rejects_max"), "every reason, not only the first: {text}");

    assert_eq!(night.calls(), 0);
    assert!(!night.path("state").exists() && !night.path("out").exists());
    night.expect(0, &["run", "job.toml"]);
    let again = night.json(3, &["check", "job.toml"]);
    assert!(again["refused"][0].as_str().unwrap().contains("has read the same inputs"), "{}", again["refused"]);
    assert_eq!(night.json(0, &["check", "job.toml", "--again"])["ended"]["already_applied"]["rows"], 30);
    assert_eq!(night.calls(), 30);
}

/// A night that leaves one row in doubt, and the two behind it held.
fn night_in_doubt() -> (Night, String) {
    let rows = deltas(20, 3);
    let bill = rows[15].bill.clone();
    let night = Night::new(scripted(&[(&bill, "unknown")]), "retry.attempts_max = 2");
    night.write("in.csv", &as_csv(&rows));
    night.expect(1, &["run", "job.toml"]);
    (night, bill)
}

#[test]
fn a_quiet_run_speaks_only_of_what_did_not_end_well() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(5, 1)));
    assert_eq!(night.expect(0, &["run", "job.toml", "-q"]), "");
    let (night, _) = night_in_doubt();
    let said = night.expect(1, &["run", "job.toml", "--again", "-q"]);
    assert!(said.contains("3 of 60 rows did not end well") && said.contains("Next: send what stayed open"), "{said}");
}

#[test]
fn a_page_has_the_next_command_and_it_works_from_any_folder() {
    let (night, _) = night_in_doubt();
    let page_of = |dir: &str| fs::read_to_string(night.path(dir).join("report.html")).unwrap();
    let page = page_of("out/night/latest");
    let command = page.split_once("<pre><code><bdi>").and_then(|(_, rest)| rest.split_once("</bdi>"));
    let words = Night::words(command.expect("a command").0);
    let replayed = std::process::Command::new(env!("CARGO_BIN_EXE_passync")).args(&words).current_dir("/").output();
    let replayed = replayed.unwrap();
    assert_eq!(replayed.status.code(), Some(1), "{words:?}: {}", String::from_utf8_lossy(&replayed.stderr));
    assert_eq!(night.manifest()["kind"], "replay");

    // What is written again is the same.
    let dir = night.path("out/night").join(words[2].rsplit('/').next().unwrap());
    night.expect(0, &["report", dir.to_str().unwrap()]);
    assert_eq!(page_of(dir.to_str().unwrap()), page);
}

#[test]
fn open_rows_are_listed_with_the_command_that_closes_them() {
    let (night, bill) = night_in_doubt();
    let open = night.json(0, &["open", "job.toml"]);
    let classes: Vec<&str> = open.as_array().unwrap().iter().map(|row| row["class"].as_str().unwrap()).collect();
    assert_eq!(classes, ["unknown", "held", "held"]);
    assert_eq!((&open[0]["bill_no"], &open[0]["code"]), (&bill.as_str().into(), &"UNKNOWN_EXCEPTION".into()));
    let manifest = night.manifest();
    let close = open[0]["close"].as_str().unwrap();
    assert_eq!(
        Night::words(close),
        ["replay", "job.toml", &format!("out/night/{}", manifest["run"].as_str().unwrap())]
    );
    night.expect(1, &["open", "job.toml", "--max-age", "0s"]);
    night.expect(0, &["open", "job.toml", "--max-age", "1d"]);
    let text = night.expect(0, &["open", "job.toml"]);
    assert!(text.contains("3 open rows") && text.contains(close), "{text}");
}

#[test]
fn the_ledger_shows_all_it_knows_and_takes_an_answer() {
    let (night, bill) = night_in_doubt();
    let at = ["--state", "state"];
    let show = |exit: i32, key: &str| night.json(exit, &[&["ledger", "show", key, "--log-pii"], &at[..]].concat());
    let shown = show(0, &bill)["bills"][0].clone();
    assert_eq!(shown["state"], "open, possibly applied");
    assert_eq!(shown["place"]["at"], "in.csv:17");
    let meant: Vec<&str> =
        shown["attempts"].as_array().unwrap().iter().map(|one| one["meant"].as_str().unwrap()).collect();
    assert_eq!(meant, ["in_doubt", "unknown"]);
    assert!(shown["attempts"][0]["trace_id"].as_str().unwrap().starts_with("sandbox-"), "{shown}");
    let card = shown["card"].as_str().unwrap().to_owned();
    let state = show(0, &card)["cards"][0].clone();
    assert_eq!(state["bills"].as_array().unwrap().len(), 3, "{state}");
    assert!(
        night.expect(0, &["ledger", "show", &bill, "--job", "job.toml"]).contains("in doubt"),
        "as text, by the job"
    );
    assert!(night.expect(2, &["ledger", "show", "nobody", "--state", "state"]).contains("neither a bill nor a card"));

    let settle = |exit: i32, words: &[&str]| night.expect(exit, &[&["ledger", "settle"], words, &at[..]].concat());
    settle(0, &[&bill, "--as", "applied", "--reason", "seen in the console"]);
    let again = settle(2, &[&bill, "--as", "applied", "--reason", "seen"]);
    assert!(again.contains("is applied: there is nothing to settle"), "{again}");
    let settled = show(0, &bill)["bills"][0].clone();
    assert_eq!(
        (&settled["state"], &settled["answers"][0]["reason"]),
        (&"applied".into(), &"seen in the console".into())
    );
    assert_eq!(show(0, &card)["cards"][0]["members"]["points"]["value"], "1000", "the card shows what the person saw");
    assert_eq!(night.json(0, &["ledger", "stats", "--state", "state"])["open_rows"], 2);

    let open = night.open();
    let answer = |row: &serde_json::Value| format!("{},not-applied,never arrived\n", row["bill_no"].as_str().unwrap());
    let answers = "bill_no,as,reason\n".to_owned() + &open.iter().map(answer).collect::<String>();
    night.write("answers.csv", &(answers.clone() + "B0,applied,typo\n"));
    let refused = settle(3, &["--file", "answers.csv"]);
    assert!(refused.contains("answers.csv:4: nothing was booked: B0 is neither a bill nor a card"), "{refused}");
    assert_eq!(night.json(0, &["ledger", "stats", "--state", "state"])["open_rows"], 2, "all or none");
    night.write("answers.csv", &answers);
    settle(0, &["--file", "answers.csv"]);
    assert_eq!(night.json(0, &["ledger", "stats", "--state", "state"])["open_rows"], 0);
    let forgotten = open[0]["bill_no"].as_str().unwrap();
    let said = night.expect(2, &["ledger", "show", forgotten, "--state", "state"]);
    assert!(said.contains("not applied (never arrived): that one is known again once it is sent"), "{said}");
    assert!(settle(2, &[forgotten, "--as", "applied", "--reason", "twice"]).contains("(never arrived)"));
    // What was not applied may be judged afresh; what was is not sent again.
    night.expect(0, &["replay", "job.toml", "out/night/latest"]);
    assert_eq!(night.counts(), [("already_applied".to_owned(), 1), ("applied".to_owned(), 2)].into());
}

#[test]
fn an_interrupted_run_has_a_block_of_its_own() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(60, 2)));
    let mut child = night.start(&["run", "job.toml", "--set", "limits.quota=50/1s"]);
    wait_for(|| night.calls() > 20);
    child.kill().unwrap();
    child.wait().unwrap();
    night.write("tonight.csv", &as_csv(&deltas(70, 2)[120..]));
    let said =
        night.expect(0, &["run", "job.toml", "--input", "tonight.csv", "--set", "gateway.request_timeout=500ms"]);
    let (first, tonight) = said.split_once("An interrupted run was finished:\n").expect("its own block");
    assert!(first.contains("finishing an interrupted run first"), "{said}");
    let blocks: Vec<&str> = tonight.matches("night: all is well, ").collect();
    assert_eq!(blocks.len(), 2, "{said}");
    assert!(tonight.contains("120 rows settled") && tonight.contains("20 rows settled"), "{said}");
    assert!(tonight.ends_with("The ledger has no open rows.\nNext: nothing, all is done.\n"), "{said}");
}

/// Every file of a folder.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> =
        entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect();
    files.sort();
    files
}

#[test]
fn the_files_of_a_run_can_be_written_again() {
    let (night, bill) = night_in_doubt();
    let latest = night.path("out/night/latest");
    let before = files(&latest);
    for lost in ["outcomes.csv", "failures.csv"] {
        fs::remove_file(latest.join(lost)).unwrap();
    }
    night.expect(0, &["report", "out/night/latest"]);
    assert!(files(&latest) == before, "byte for byte");
    fs::remove_file(latest.join("manifest.json")).unwrap();
    night.expect(2, &["report", "out/night/latest"]);
    night.expect(0, &["report", "out/night/latest", "--state", "state"]);
    assert!(files(&latest) == before, "the ledger knows the manifest, too");
    // What was learnt since is not of that run.
    night.expect(0, &["ledger", "settle", &bill, "--as", "applied", "--reason", "seen", "--state", "state"]);
    let stats = night.json(0, &["ledger", "stats", "--state", "state"]);
    night.expect(0, &["report", "out/night/latest", "--job", "job.toml"]);
    assert!(files(&latest) == before);
    assert_eq!(night.json(0, &["ledger", "stats", "--state", "state"]), stats, "the ledger stays as it is");
}

#[test]
fn every_run_has_a_page_that_shows_hostile_rows_as_text_and_no_card_whole() {
    let night = Night::new(faulty("refuse:PARAM_ILLEGAL=100%"), "input.rejects_max = '100%'");
    let header = "bill_no,pass_id,user_id,points,last_changed_points,occurred_at\n";
    let row =
        |bill: &str, points: &str| format!("{bill},CardCanary0001,2160220037090534,{points},5,2026-01-01 10:00:00\n");
    let rows =
        [row("B1", "1"), row("<script>alert(1)</script>", "2"), row("B3", "<img src=x>"), row("\u{202e}B4", "x")];
    night.write("in.csv", &(header.to_owned() + &rows.concat()));
    night.expect(1, &["run", "job.toml"]);
    let page = fs::read_to_string(night.path("out/night/latest/report.html")).unwrap();
    for part in
        ["&#60;script&#62;alert(1)", "&#60;img src=x&#62;", "Exit 1:", "PARAM_ILLEGAL", "in.csv:3", "Car…", "rows read"]
    {
        assert!(page.contains(part), "{part}\n{page}");
    }
    for part in ["<script", "<img", "CardCanary0001", "2160220037090534", "\u{202e}"] {
        assert!(!page.contains(part), "{part}");
    }
    assert!(night.manifest()["files"]["report.html"]["sha256"].is_string());

    night.write("in.csv", header);
    night.expect(0, &["run", "job.toml", "--set", "input.rows_min=0"]);
    let page = fs::read_to_string(night.path("out/night/latest/report.html")).unwrap();
    assert!(page.contains("No calls were made.") && page.contains("every one of 0 rows"), "{page}");
    night.expect(0, &["reconcile", "out/night/latest"]);
}

#[test]
fn past_runs_are_told_with_what_is_open_now() {
    let (night, _) = night_in_doubt();
    night.expect(1, &["replay", "job.toml", "out/night/latest"]);
    let runs = night.json(0, &["history", "job.toml"]);
    let told = |run: &Value| {
        Value::from(["kind", "exit", "rows", "applied", "failures", "open_now"].map(|name| run[name].clone()).to_vec())
    };
    assert_eq!(runs.as_array().unwrap().len(), 2, "{runs}");
    // The gateway does not heal: what the first run left open is now the replay's.
    assert_eq!(told(&runs[0]), serde_json::json!(["replay", 1, 3, 0, 3, 3]), "{runs}");
    assert_eq!(told(&runs[1]), serde_json::json!(["run", 1, 60, 57, 3, 0]), "{runs}");
    assert_eq!(night.json(0, &["history", "job.toml", "--limit", "1"]).as_array().unwrap().len(), 1);
    let text = night.expect(0, &["history", "job.toml", "--html", "out/history.html"]);
    assert!(text.contains("the page is ") && text.contains("open now"), "{text}");
    let page = fs::read_to_string(night.path("out/history.html")).unwrap();
    let link = format!("<a href=\"night/{}/report.html\">", runs[1]["run"].as_str().unwrap());
    assert!(page.contains(&link), "{page}");
}

#[test]
fn a_run_that_was_cut_short_is_proved_and_written_again_too() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(100, 2)));
    let stopped = |kill: Signal| {
        let before = night.calls();
        let mut child = night.start(&["run", "job.toml", "--set", "limits.quota=50/1s"]);
        wait_for(|| night.calls() > before + 30);
        kill_process(Pid::from_child(&child), kill).unwrap();
        child.wait().unwrap();
    };
    let proved = || {
        night.expect(0, &["reconcile", "out/night/latest"]);
        let before = files(&night.path("out/night/latest"));
        night.expect(0, &["report", "out/night/latest"]);
        assert!(files(&night.path("out/night/latest")) == before, "byte for byte");
    };
    stopped(Signal::TERM);
    proved();
    stopped(Signal::KILL);
    night.expect(1, &["resume", "job.toml", "--abandon"]);
    let counts = night.counts();
    assert!(counts.contains_key("unsent"), "{counts:?}");
    proved();
    let summary = night.json(0, &["replay", "job.toml", "out/night/latest"]);
    assert_eq!(summary["next"], Value::Array(Vec::new()));
    night.expect(0, &["reconcile", summary["dir"].as_str().unwrap()]);
}
