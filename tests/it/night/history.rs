//! When a bill or a card comes again in a later run.

use super::{Delta, Night, as_csv, scripted};
use passync::sandbox::Config;

fn codes(night: &Night) -> Vec<(String, String)> {
    night.outcomes().iter().map(|line| (line["outcome"].to_owned(), line["code"].to_owned())).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(outcome, code)| ((*outcome).to_owned(), (*code).to_owned())).collect()
}

#[test]
fn a_second_file_sends_only_what_the_table_says() {
    let night = Night::new(Config::default(), "input.rejects_max = '100%'");
    let first = [Delta::new("b1", "card-1", 10, 10), Delta::new("b2", "card-2", 20, 20)];
    night.write("in.csv", &as_csv(&first));
    night.expect(0, &["run", "job.toml"]);
    let calls = night.calls();
    let second = [
        Delta::new("b1", "card-1", 10, 10), // known
        Delta::new("b2", "card-2", 21, 21), // clashes
        Delta::new("b3", "card-1", 30, 30), // new
        Delta::new("b4", "card-2", 15, 15), // older than what its card shows
        Delta::new("b5", "card-3", 50, 50), // two rows of one bill, the same
        Delta::new("b5", "card-3", 50, 50),
        Delta::new("b6", "card-3", 60, 60), // two rows of one bill, not the same
        Delta::new("b6", "card-3", 61, 61),
    ];
    night.write("in.csv", &as_csv(&second));
    night.expect(1, &["run", "job.toml"]);
    let expected = [
        ("already_applied", "ALREADY_APPLIED"),
        ("conflict", "CONFLICT_LEDGER"),
        ("applied", "SUCCESS"),
        ("superseded", "SUPERSEDED"),
        ("applied", "SUCCESS"),
        ("duplicate", "DUPLICATE"),
        ("conflict", "CONFLICT_IN_RUN"),
        ("conflict", "CONFLICT_IN_RUN"),
    ];
    assert_eq!(codes(&night), pairs(&expected));
    assert_eq!(night.calls() - calls, 2);
    assert_eq!(night.outcomes()[5]["carried_by"], *"in.csv:6");
    night.is_well(&[first[1].clone(), second[2].clone(), second[4].clone()]);
}

#[test]
fn an_older_row_keeps_only_the_members_that_nobody_newer_gave() {
    let night = Night::new(Config::default(), "");
    let header = "bill_no,pass_id,user_id,points,level.zh_HK,level.en_US,occurred_at\n";
    night.write("in.csv", &format!("{header}b1,card-1,u1,100,,,2026-01-02 00:00:00\n"));
    night.expect(0, &["run", "job.toml"]);
    night.write("in.csv", &format!("{header}b2,card-1,u1,50,金卡,Gold,2026-01-01 00:00:00\n"));
    night.expect(0, &["run", "job.toml"]);
    assert_eq!(codes(&night), pairs(&[("applied", "TRIMMED")]));
    assert!(night.outcomes()[0]["message"].contains("points"));
    assert_eq!(night.points("card-1").as_deref(), Some("100"));
    let level = night.server.look(|gateway| gateway.card("M1", "card-1").unwrap().members["level.zh_HK"].value.clone());
    assert_eq!(level, "金卡");
    assert_eq!(night.manifest()["rows"]["not_told"]["rows"], 1);
}

#[test]
fn an_older_row_waits_while_a_newer_one_is_in_doubt() {
    let night = Night::new(scripted(&[("b1", "unknown-applied")]), "retry.attempts_max = 2");
    night.write("in.csv", &as_csv(&[Delta::new("b1", "card-1", 20, 20)]));
    night.expect(1, &["run", "job.toml"]);
    night.write("older.csv", &as_csv(&[Delta::new("b0", "card-1", 10, 10)]));
    night.expect(1, &["run", "job.toml", "--input", "older.csv"]);
    assert_eq!(codes(&night), pairs(&[("held", "NEWER_IN_DOUBT")]));
    // A newer row is not held up by the open one, and overtakes both.
    night.write("newer.csv", &as_csv(&[Delta::new("b2", "card-1", 30, 30)]));
    night.expect(0, &["run", "job.toml", "--input", "newer.csv"]);
    assert_eq!(codes(&night), pairs(&[("applied", "SUCCESS")]));
    night.expect(0, &["run", "job.toml", "--input", "older.csv", "--again"]);
    assert_eq!(codes(&night), pairs(&[("superseded", "SUPERSEDED")]));
    night.expect(0, &["run", "job.toml", "--again"]);
    assert_eq!(codes(&night), pairs(&[("superseded", "SUPERSEDED")]));
    assert_eq!(night.points("card-1").as_deref(), Some("30"));
}

#[test]
fn an_unproved_row_and_an_older_one_replayed_together_end_in_one_replay() {
    let night = Night::new(
        Config { script: [("b2".to_owned(), "unknown".parse().unwrap())].into(), ..Config::default() },
        "retry.attempts_max = 1",
    );
    night.write("in.csv", &as_csv(&[Delta::new("b2", "card-1", 20, 20)]));
    night.expect(1, &["run", "job.toml"]);
    night.write("older.csv", &as_csv(&[Delta::new("b1", "card-1", 10, 10)]));
    night.expect(1, &["run", "job.toml", "--input", "older.csv"]);
    // Both in one file; the gateway answers b2 now by its card's script: none.
    night.write("both.csv", &as_csv(&[Delta::new("b1", "card-1", 10, 10), Delta::new("b2", "card-1", 20, 20)]));
    night.expect(1, &["run", "job.toml", "--input", "both.csv"]);
    assert_eq!(codes(&night), pairs(&[("held", "NEWER_IN_DOUBT"), ("unknown", "UNKNOWN_EXCEPTION")]));
}

#[test]
fn refused_stays_refused_until_a_person_wants_it_sent() {
    let night = Night::new(scripted(&[("b1", "refuse:PASS_HAS_NOT_EXIST")]), "run.halt_after_errors = 'off'");
    night.write("in.csv", &as_csv(&[Delta::new("b1", "card-1", 10, 10)]));
    night.expect(1, &["run", "job.toml"]);
    assert_eq!(codes(&night), pairs(&[("refused", "PASS_HAS_NOT_EXIST")]));
    let calls = night.calls();
    night.expect(0, &["replay", "job.toml", "out/night/latest"]);
    assert_eq!(night.manifest()["rows"]["passed_over"]["rows"], 1);
    night.expect(1, &["run", "job.toml", "--again"]);
    assert_eq!(codes(&night), pairs(&[("refused", "REFUSED_BEFORE")]));
    assert_eq!(night.calls(), calls);
    // A person's own word is no class that was asked for.
    let failures = std::fs::read_to_string(night.path("out/night/latest/failures.csv")).unwrap();
    for word in ["SKIP", "Refused", ""] {
        night.write("marked.csv", &failures.replace(",refused,", &format!(",{word},")));
        night.expect(0, &["replay", "job.toml", "marked.csv", "--include", "refused"]);
        assert_eq!((&night.manifest()["rows"]["passed_over"]["rows"], night.calls()), (&1.into(), calls), "{word:?}");
    }
    night.write("again.csv", &failures);
    night.expect(1, &["replay", "job.toml", "again.csv", "--include", "refused"]);
    assert_eq!(night.calls(), calls + 1);
}

#[test]
fn rows_without_a_bill_are_known_by_their_time_or_their_place() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", "pass_id,user_id,points\ncard-1,u1,5\ncard-1,u1,5\ncard-1,u1,6\ncard-1,u1,5\n");
    night.expect(0, &["run", "job.toml"]);
    let expected = [("applied", "SUCCESS"), ("duplicate", "DUPLICATE"), ("applied", "SUCCESS"), ("applied", "SUCCESS")];
    assert_eq!(codes(&night), pairs(&expected));
    let header = "pass_id,user_id,points,occurred_at\n";
    night.write("timed.csv", &format!("{header}card-2,u1,7,1760000000000\ncard-2,u1,7,1760000000000\n"));
    night.expect(0, &["run", "job.toml", "--input", "timed.csv"]);
    assert_eq!(codes(&night), pairs(&[("applied", "SUCCESS"), ("duplicate", "DUPLICATE")]));
    let calls = night.calls();
    night.expect(0, &["run", "job.toml", "--input", "timed.csv", "--again"]);
    assert_eq!(night.calls(), calls, "the time makes it known across runs");
}

#[test]
fn bare_rows_of_a_mixed_file_are_rejected() {
    let night = Night::new(Config::default(), "input.rejects_max = '50%'");
    night.write("in.csv", "pass_id,user_id,points,occurred_at\ncard-1,u1,5,1760000000000\ncard-2,u1,6,\n");
    night.expect(1, &["run", "job.toml"]);
    assert_eq!(codes(&night), pairs(&[("applied", "SUCCESS"), ("rejected", "R032")]));
}

#[test]
fn times_that_the_clocks_showed_twice_are_counted() {
    let night = Night::new(Config::default(), "input.timezone = 'Europe/Berlin'");
    let header = "bill_no,pass_id,user_id,points,occurred_at\n";
    night.write("in.csv", &format!("{header}b1,card-1,u1,5,2024-10-27 02:30:00\nb2,card-2,u1,5,2024-10-27 03:30:00\n"));
    night.expect(0, &["run", "job.toml"]);
    let warnings = night.manifest()["warnings"].to_string();
    assert!(warnings.contains("1 rows have an `occurred_at`"), "{warnings}");
}
