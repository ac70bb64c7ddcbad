//! A ledger of an older program: the next run brings it up to date, and no bill is forgotten.

use std::path::Path;

use passync::sandbox::Config;

use super::{Night, as_csv, deltas, open_ledger, scripted};

/// Makes it what schema 2 was: the states of cards as JSON.
fn as_schema_2(state: &Path) {
    open_ledger(state)
        .execute_batch(
            "ALTER TABLE cards RENAME TO own; \
             CREATE TABLE cards (key BLOB PRIMARY KEY, card_no TEXT NOT NULL, state TEXT NOT NULL) WITHOUT ROWID; \
             INSERT INTO cards SELECT key, card_no, card_json(state) FROM own; DROP TABLE own; PRAGMA user_version = 2",
        )
        .unwrap();
}

/// Makes it what schema 1 was: bills and answers by the digests of bills alone, too.
fn as_schema_1(state: &Path) {
    as_schema_2(state);
    let db = open_ledger(state);
    db.execute_batch(
        "DROP INDEX bills_unproved; UPDATE bills SET key = substr(key, 9); UPDATE answers SET bill = substr(bill, 9); \
         CREATE INDEX bills_unproved ON bills (card) WHERE past IN (1, 2, 4); PRAGMA user_version = 1",
    )
    .unwrap();
}

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[test]
fn the_next_run_knows_every_bill_of_an_older_ledger() {
    knows_every_bill(as_schema_1);
    knows_every_bill(as_schema_2);
}

fn knows_every_bill(make_older: fn(&Path)) {
    let rows = deltas(10, 3);
    let doubtful = rows[15].bill.as_str();
    let night = Night::new(scripted(&[(doubtful, "unknown")]), "retry.attempts_max = 1");
    night.write("in.csv", &as_csv(&rows[..20]));
    night.expect(1, &["run", "job.toml"]);
    let (applied, calls) = (night.counts()["applied"], night.calls());
    night.expect(0, &["ledger", "backup", "safe/ledger.db", "--state", "state"]);
    make_older(&night.path("state"));
    make_older(&night.path("safe"));

    let prune = ["ledger", "prune", "--older-than", "90d", "--state", "state"];
    for looking in
        [&["check", "job.toml"][..], &["ledger", "verify", "--state", "state"], &["open", "job.toml"], &prune]
    {
        let (code, output) = night.passync(looking);
        assert_eq!(code, 6, "{looking:?}: {}", said(&output));
        assert!(said(&output).contains("the job's next run brings it up to date"), "{}", said(&output));
    }
    let (_, output) = night.passync(&["doctor", "job.toml", "--offline"]);
    assert!(said(&output).contains("an older program made it"), "{}", said(&output));

    let surveys = || std::fs::read_dir(night.path("state/runs")).unwrap().map(|entry| entry.unwrap().file_name());
    let of_older = surveys().next().expect("the survey of a closed run is kept");
    // All bills of the older ledger again, and ten new ones.
    night.write("in.csv", &as_csv(&rows));
    night.expect(1, &["run", "job.toml"]);
    assert_eq!(night.counts()["already_applied"], applied);
    assert!(surveys().all(|name| name != of_older), "it is in the older program's form");
    let sent = night.calls() - calls;
    assert!(sent <= (rows.len() - applied) as u64, "{sent} calls, and {applied} bills were applied before");
    night.expect(0, &["ledger", "verify", "--state", "state"]);
    night.expect(0, &["ledger", "backup", "safe/ledger.db", "--state", "state"]); // in place of the old program's
    assert!(night.expect(0, &["ledger", "show", doubtful, "--state", "state"]).contains(doubtful));
}

#[test]
fn resume_brings_it_up_without_a_call_and_cards_show_what_they_showed() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(3, 4)));
    night.expect(0, &["run", "job.toml"]);
    let calls = night.calls();
    let cards = || {
        night.expect(0, &["ledger", "export", "cards.csv", "--only", "cards", "--state", "state", "--log-pii"]);
        std::fs::read_to_string(night.path("cards.csv")).unwrap()
    };
    let shown = cards();
    for make_older in [as_schema_1, as_schema_2] {
        make_older(&night.path("state"));
        let (_, output) = night.passync(&["resume", "job.toml"]);
        assert!(said(&output).contains("no interrupted run"), "{}", said(&output));
        night.expect(0, &["ledger", "verify", "--state", "state"]);
        assert_eq!(cards(), shown);
    }
    assert_eq!(night.calls(), calls);
}

#[test]
fn one_that_cannot_be_brought_up_stays_as_it_was() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(3, 1)));
    night.expect(0, &["run", "job.toml"]);
    as_schema_2(&night.path("state"));
    open_ledger(&night.path("state")).execute_batch("UPDATE cards SET state = '{' WHERE card_no LIKE '%2'").unwrap();
    let before = std::fs::read(night.path("state/ledger.db")).unwrap();
    let surveys = || std::fs::read_dir(night.path("state/runs")).unwrap().count();
    let kept = surveys();
    let (code, output) = night.passync(&["run", "job.toml", "--again"]);
    assert_eq!((code, surveys()), (6, kept));
    assert!(
        said(&output).contains("the file is damaged") && said(&output).contains("restore a backup"),
        "{}",
        said(&output)
    );
    assert_eq!(std::fs::read(night.path("state/ledger.db")).unwrap(), before);
}

#[test]
fn an_older_programs_interrupted_run_is_left_to_it() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(10, 3)));
    night.expect(0, &["run", "job.toml"]);
    let calls = night.calls();
    as_schema_1(&night.path("state"));
    let db = open_ledger(&night.path("state"));
    db.execute_batch("UPDATE runs SET state = 'interrupted'").unwrap();
    drop(db);
    let before = std::fs::read(night.path("state").join("ledger.db")).unwrap();
    for refused in [&["run", "job.toml", "--again"][..], &["ledger", "verify", "--state", "state"]] {
        let (code, output) = night.passync(refused);
        assert_eq!(code, 6);
        assert!(said(&output).contains("finish it with that program"), "{}", said(&output));
    }
    let (_, output) = night.passync(&["doctor", "job.toml", "--offline"]);
    assert!(said(&output).contains("finish it with that program"), "{}", said(&output));
    assert_eq!(night.calls(), calls);
    assert_eq!(std::fs::read(night.path("state").join("ledger.db")).unwrap(), before, "it was not touched");
}
