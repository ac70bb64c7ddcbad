//! What is kept, copied and forgotten: `[output] keep`, `ledger backup`, `ledger prune`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use passync::sandbox::Config;
use rusqlite::Connection;

use super::{Delta, Night, as_csv, deltas, faulty, open_ledger, scripted, wait_for};

impl Night {
    /// A run over so many bills, of a card each: those of earlier runs are among them.
    fn run_over(&self, bills: u64, exit: i32, more: &[&str]) -> PathBuf {
        self.write("in.csv", &as_csv(&deltas(bills, 1)));
        self.expect(exit, &[&["run", "job.toml"], more].concat());
        fs::canonicalize(self.path("out/night/latest")).unwrap()
    }

    /// Makes every run look as if it had been closed a hundred days ago.
    fn age(&self) {
        let ledger = Connection::open(self.path("state/ledger.db")).unwrap();
        ledger.execute("UPDATE runs SET closed_ms = closed_ms - 8640000000", []).unwrap();
    }
}

#[test]
fn old_runs_go_and_what_is_still_needed_stays() {
    let keep = ["--set", "output.keep=90d"];
    let doubtful = &deltas(1, 1)[0].bill;
    let night = Night::new(scripted(&[(doubtful, "unknown")]), "retry.attempts_max = 1");
    let first = night.run_over(1, 1, &[]);
    let noted = night.run_over(2, 1, &[]);
    let stranger = first.parent().unwrap().join("20200101T000000Z-00001");
    fs::create_dir(&stranger).unwrap();
    fs::write(stranger.join("manifest.json"), "{}").unwrap();
    night.age();

    // All of them have the row that is open.
    let third = night.run_over(3, 1, &keep);
    for kept in [&first, &noted, &third] {
        assert!(kept.join("manifest.json").exists(), "{}", kept.display());
    }
    night.expect(0, &["ledger", "settle", doubtful, "--as", "applied", "--reason", "seen", "--state", "state"]);
    fs::write(noted.join("note.txt"), "looked at it").unwrap();
    night.age();
    night.run_over(3, 3, &keep);
    assert!(first.exists(), "a run that was refused removes nothing");

    let newest = night.run_over(4, 0, &keep);
    assert!(!first.exists() && !third.exists(), "nothing of them is open any more");
    assert!(noted.join("note.txt").exists() && !noted.join("manifest.json").exists(), "the note is no run's");
    assert!(newest.join("report.html").exists() && stranger.join("manifest.json").exists());
    night.age();
    let last = night.run_over(5, 0, &[]);
    assert!(newest.exists() && last.exists(), "without the setting nothing goes");
    night.is_sound();
}

#[test]
fn a_backup_is_taken_while_a_run_writes_and_can_be_restored() {
    let night = Night::new(Config::default(), "");
    let rows = deltas(250, 1);
    night.write("in.csv", &as_csv(&rows));
    let mut run = night.start(&["run", "job.toml", "--set", "limits.quota=50/1s"]);
    wait_for(|| night.calls() > 20);
    let backup = ["ledger", "backup", "safe/ledger.db", "--state", "state"];
    fs::create_dir(night.path("safe")).unwrap();
    let made = night.json(0, &backup);
    let state = night.json(0, &["history", "job.toml"])[0]["state"].clone();
    assert!(run.try_wait().unwrap().is_none(), "the run is still on");
    assert_eq!(state, "on");
    assert_eq!(run.wait().unwrap().code(), Some(0));
    let mode = fs::metadata(night.path("safe/ledger.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(made["bytes"], fs::metadata(night.path("safe/ledger.db")).unwrap().len());
    night.expect(0, &["ledger", "verify", "--state", "safe"]);
    let text = night.expect(0, &["ledger", "stats", "--state", "safe"]);
    assert!(text.contains("interrupted"), "it is of the moment when the run was on: {text}");

    // The next one replaces it, and is whole.
    // A look at the older copy that was cut off leaves an empty log.
    std::fs::write(night.path("safe/ledger.db-wal"), "").unwrap();
    let text = night.expect(0, &backup);
    assert!(text.contains("safe/ledger.db: sound") && text.contains("250 bills"), "{text}");
    assert_eq!(fs::read_dir(night.path("safe")).unwrap().count(), 1, "nothing else is left there");

    // The ledger is lost, and restored: what was applied is still known.
    fs::remove_dir_all(night.path("state")).unwrap();
    fs::create_dir(night.path("state")).unwrap();
    fs::copy(night.path("safe/ledger.db"), night.path("state/ledger.db")).unwrap();
    let calls = night.calls();
    night.expect(0, &["run", "job.toml", "--again"]);
    assert_eq!((night.counts()["already_applied"], night.calls()), (rows.len(), calls));
    night.is_well(&rows);
}

#[test]
fn an_older_ledger_sends_nothing_that_newer_files_tell_of() {
    let night = Night::new(Config::default(), "");
    let (first, mut second) = (deltas(60, 1), deltas(60, 1));
    for (at, row) in (0..).zip(&mut second) {
        *row = Delta::new(&format!("later-{at}"), &row.card, 9_000 + at, 50_000 + at);
    }
    night.write("in.csv", &as_csv(&first));
    night.write("second.csv", &as_csv(&second));
    let mut run = night.start(&["run", "job.toml", "--set", "limits.quota=20/1s"]);
    wait_for(|| night.calls() > 20);
    fs::create_dir(night.path("safe")).unwrap();
    night.expect(0, &["ledger", "backup", "safe/during.db", "--state", "state"]);
    assert_eq!(run.wait().unwrap().code(), Some(0));
    night.expect(0, &["ledger", "backup", "safe/between.db", "--state", "state"]);
    night.expect(0, &["run", "job.toml", "--input", "second.csv"]);
    let calls = night.calls();
    let restore = |from: &str| {
        fs::remove_dir_all(night.path("state")).unwrap();
        fs::create_dir(night.path("state")).unwrap();
        fs::copy(night.path(from), night.path("state/ledger.db")).unwrap();
    };
    let import = ["ledger", "import", "second.csv", "--job", "job.toml", "--apply"];
    let is_refused = |args: &[&str]| {
        let text = night.expect(3, args);
        assert!(text.contains("it is older than its files"), "{args:?}: {text}");
        assert_eq!(night.calls(), calls, "{args:?}");
    };

    // A run is missing: nothing is sent until what it applied is made known.
    restore("safe/between.db");
    is_refused(&["run", "job.toml", "--again"]);
    is_refused(&["replay", "job.toml", "in.csv"]);
    night.expect(0, &import);
    night.expect(0, &["run", "job.toml", "--again"]);
    assert_eq!((night.counts()["already_applied"], night.calls()), (60, calls));

    // A rehearsal on a copy at another place is none of its business, nor is it one of the copy's.
    let other = ["run", "job.toml", "--state", "safe/other", "--input", "second.csv", "--again"];
    fs::create_dir(night.path("safe/other")).unwrap();
    fs::copy(night.path("state/ledger.db"), night.path("safe/other/ledger.db")).unwrap();
    night.expect(0, &other);
    night.expect(0, &["run", "job.toml", "--again"]);

    // Another one has ended since: as it stands in the ledger it would roll its cards back.
    restore("safe/during.db");
    is_refused(&["check", "job.toml"]);
    is_refused(&["run", "job.toml"]);
    is_refused(&["resume", "job.toml"]);
    night.expect(1, &["resume", "job.toml", "--abandon"]);
    is_refused(&["replay", "job.toml", "out/night/latest"]);
    let unsent = night.outcomes().into_iter().find(|line| &line["outcome"] == "unsent").unwrap();
    night.expect(
        0,
        &["ledger", "settle", &unsent["bill_no"], "--as", "applied", "--reason", "its own files", "--state", "state"],
    );
    night.expect(0, &import);
    let left = night.path("out/night/latest").canonicalize().unwrap();
    night.expect(0, &["run", "job.toml", "--input", "second.csv", "--again"]);
    assert_ne!(night.path("out/night/latest").canonicalize().unwrap(), left);
    assert_eq!(night.calls(), calls);
    night.is_sound();
}

#[test]
fn an_older_ledger_does_not_reopen_what_was_finished_since() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(9, 1)));
    night.expect(5, &["run", "job.toml", "--canary", "2"]);
    fs::create_dir(night.path("safe")).unwrap();
    night.expect(0, &["ledger", "backup", "safe/ledger.db", "--state", "state"]);
    night.expect(0, &["run", "job.toml"]);
    let calls = night.calls();
    fs::remove_dir_all(night.path("state")).unwrap();
    fs::create_dir(night.path("state")).unwrap();
    fs::copy(night.path("safe/ledger.db"), night.path("state/ledger.db")).unwrap();
    let text = night.expect(3, &["run", "job.toml"]);
    assert!(text.contains("it is older than its files") && night.calls() == calls, "{text}");
}

#[test]
fn a_backup_replaces_nothing_but_a_backup_and_is_no_copy_of_damage() {
    let night = Night::new(Config::default(), "");
    night.run_over(30, 0, &[]);
    night.write("notes.txt", "not a ledger");
    let backup = |to| ["ledger", "backup", to, "--state", "state"];
    for (to, why) in [("notes.txt", "not a ledger"), ("state/ledger.db", "in use"), ("nowhere/../..", "names no file")]
    {
        let text = night.expect(2, &backup(to));
        assert!(text.contains(why), "{to}: {text}");
    }
    assert_eq!(fs::read_to_string(night.path("notes.txt")).unwrap(), "not a ledger");
    let (other, newer) = (Night::new(Config::default(), ""), night.path("newer.db"));
    other.run_over(1, 0, &[]);
    night.expect(0, &backup("newer.db"));
    let text = other.expect(2, &backup(newer.to_str().unwrap()));
    assert!(text.contains("another ledger"), "{text}");

    let before = fs::read(&newer).unwrap();
    let ledger = open_ledger(&night.path("state"));
    ledger
        .execute(
            "UPDATE cards SET state = card_state('{\"members\":{},\"closed\":null}') WHERE card_no = '0029000003'",
            [],
        )
        .unwrap();
    drop(ledger);
    let text = night.expect(6, &backup("newer.db"));
    assert!(text.contains("not sound") && text.contains("0029000003"), "{text}");
    assert_eq!(fs::read(&newer).unwrap(), before, "the older one stays");
}

#[test]
fn pruning_forgets_how_and_keeps_what() {
    let rows = deltas(6, 1);
    let mut night =
        Night::new(scripted(&[(&rows[5].bill, "unknown")]), "retry.attempts_max = 1\nrun.on_in_doubt = 'continue'");
    night.run_over(4, 0, &[]);
    night.run_over(6, 1, &[]);
    night.age();
    let prune = ["ledger", "prune", "--older-than", "90d", "--job", "job.toml"];
    let dry = night.json(0, &prune);
    assert_eq!((&dry["runs"].as_array().unwrap().len(), &dry["applied"]), (&1, &false.into()));
    assert_eq!(dry["kept_for_open_rows"].as_array().unwrap().len(), 1);
    assert!(dry["records"].as_u64().unwrap() >= 4, "{dry}");
    let apply = [&prune[..], &["--apply"]].concat();
    night.expect(0, &apply);
    night.is_sound();
    let again = night.json(0, &prune);
    assert_eq!((again["runs"].as_array().unwrap().len(), &again["records"]), (0, &0.into()));
    let shown = night.json(0, &["ledger", "show", &rows[0].bill, "--state", "state"]);
    assert_eq!(
        (&shown["bills"][0]["state"], &shown["bills"][0]["attempts"]),
        (&"applied".into(), &serde_json::json!([]))
    );
    night.expect(0, &["history", "job.toml"]);

    // What was forgotten is how bills came to be applied, not that they were.
    night.reopen_gateway(Config::default());
    night.run_over(7, 0, &[]);
    assert_eq!(night.counts()["already_applied"], 5);
    night.is_sound();
}

#[test]
fn behind_the_horizon_nothing_is_sent_again() {
    let rows = deltas(6, 2);
    let mut night =
        Night::new(scripted(&[(&rows[3].bill, "unknown")]), "retry.attempts_max = 1\ninput.rejects_max = '100%'");
    let (old, new) = rows.split_at(8);
    night.write("in.csv", &as_csv(&old[..4]));
    night.expect(1, &["run", "job.toml"]);
    night.write("in.csv", &as_csv(&old[4..]));
    night.expect(0, &["run", "job.toml"]);
    night.age();
    let horizon = 1_760_000_000_000_i64 + 7_000; // the newest of the old rows is not before it
    let before = jiff::Timestamp::from_millisecond(horizon).unwrap().to_string();
    let prune = ["ledger", "prune", "--older-than", "90d", "--bills-before", &before, "--job", "job.toml"];
    let dry = night.json(0, &prune);
    assert_eq!((&dry["bills"], dry["runs"].as_array().unwrap().len()), (&3.into(), 1), "the other run has an open row");
    let text = night.expect(0, &[&prune[..], &["--apply"]].concat());
    assert!(text.contains("R044"), "{text}");
    night.is_sound();
    let later = ["ledger", "prune", "--older-than", "90d", "--bills-before", "2999-01-01", "--job", "job.toml"];
    let text = night.expect(2, &later);
    assert!(text.contains("may still come again"), "{text}");

    // Of the old rows those whose bills are known meet them; the others are rejected, as check says.
    let calls = night.calls();
    night.reopen_gateway(Config::default());
    night.write("in.csv", &as_csv(&rows));
    let checked = night.json(1, &["check", "job.toml"]);
    assert_eq!(checked["rejects"]["R044"], 3);
    night.expect(1, &["run", "job.toml"]);
    let ends: Vec<_> = night.outcomes().iter().map(|line| format!("{} {}", &line["outcome"], &line["code"])).collect();
    let known = "already_applied ALREADY_APPLIED";
    let forgotten = "rejected R044";
    assert_eq!(ends[..3], [known; 3]);
    assert_eq!(ends[3], "applied SUCCESS", "an open row is replayed, however old it is");
    assert_eq!(ends[4..8], [forgotten, forgotten, forgotten, known]);
    assert!(ends[8..].iter().all(|end| end == "applied SUCCESS"), "{ends:?}");
    assert_eq!((calls, night.calls()), (8, 1 + new.len() as u64));
    night.is_sound();
    assert!(night.expect(0, &["explain", "R044"]).contains("horizon"));
}

#[test]
fn nothing_is_pruned_while_a_run_is_interrupted() {
    let night = Night::new(faulty("hang=100%"), "retry.attempts_max = 1");
    night.write("in.csv", &as_csv(&deltas(3, 1)));
    let mut run = night.start(&["run", "job.toml"]);
    wait_for(|| night.calls() > 0);
    let text = night.expect(75, &["ledger", "prune", "--older-than", "1d", "--state", "state", "--apply"]);
    assert!(text.contains("night"), "the lease is held: {text}");
    run.kill().unwrap();
    run.wait().unwrap();
    let text = night.expect(3, &["ledger", "prune", "--older-than", "1d", "--state", "state", "--apply"]);
    assert!(text.contains("cut off"), "{text}");
}
