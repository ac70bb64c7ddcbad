//! How a run stops: signals, the deadline, halts, the lock; and how it goes on.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::stage::finish_by_in;
use super::{Night, as_csv, deltas, faulty, scripted};
use passync::sandbox::Config;

#[test]
fn a_signal_stops_cleanly_and_the_same_inputs_reopen_the_run() {
    let night = Night::new(Config::default(), "");
    let rows = deltas(150, 3);
    night.write("in.csv", &as_csv(&rows));
    let mut child = night.start(&["run", "job.toml", "--set", "limits.quota=100/1s"]);
    wait_for(|| night.calls() > 60);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
    let manifest = night.manifest();
    let counts = night.counts();
    assert_eq!(counts["applied"] + counts["unsent"], rows.len(), "{counts:?}");
    assert_eq!(night.failures(), counts["unsent"]);
    night.expect(0, &["run", "job.toml"]);
    assert_eq!(night.manifest()["run"], manifest["run"], "the same run, reopened");
    assert_eq!(night.counts(), [("applied".to_owned(), rows.len())].into());
    night.is_well(&rows);
}

#[test]
fn a_verified_configuration_code_halts_and_books_nothing_as_a_failure_of_rows() {
    let night =
        Night::new(scripted(&[("2202303432423434424333 00010".replace(' ', "").as_str(), "refuse:KEY_NOT_FOUND")]), "");
    let rows = deltas(100, 2);
    night.write("in.csv", &as_csv(&rows));
    night.expect(4, &["run", "job.toml", "--set", "limits.concurrency=4"]);
    let counts = night.counts();
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["applied", "unsent"], "{counts:?}");
    assert!(night.manifest()["stopped"].to_string().contains("KEY_NOT_FOUND"));
}

#[test]
fn too_many_errors_halt_the_run() {
    let night = Night::new(faulty("refuse:PASS_STATUS_ILLEGAL=30%"), "");
    night.write("in.csv", &as_csv(&deltas(300, 1)));
    night.expect(4, &["run", "job.toml"]);
    let counts = night.counts();
    assert!(counts["unsent"] > 50, "{counts:?}");
}

#[test]
fn no_attempt_starts_after_finish_by() {
    let night = Night::new(Config::default(), "input.timezone = 'UTC'");
    night.write("in.csv", &as_csv(&deltas(400, 1)));
    let began = Instant::now();
    night.expect(5, &["run", "job.toml", "--set", "limits.quota=20/1s", "--set", &finish_by_in(3)]);
    assert!(began.elapsed() < Duration::from_secs(15));
    let counts = night.counts();
    assert!(counts["unsent"] > 0 && counts.contains_key("applied"), "{counts:?}");
}

#[test]
fn one_run_per_ledger() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(100, 1)));
    night.write("other.csv", &as_csv(&deltas(101, 1)[100..]));
    let mut child = night.start(&["run", "job.toml", "--set", "limits.quota=40/1s"]);
    wait_for(|| night.calls() > 3);
    night.expect(75, &["run", "job.toml", "--input", "other.csv"]);
    night.expect(0, &["run", "job.toml", "--input", "other.csv", "--wait", "60s"]);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_abandoned_run_leaves_doubt_and_unsent_rows() {
    let night = Night::new(Config::default(), "");
    let rows = deltas(100, 2);
    night.write("in.csv", &as_csv(&rows));
    let mut child = night.start(&["run", "job.toml", "--set", "limits.quota=50/1s"]);
    wait_for(|| night.calls() > 30);
    child.kill().unwrap();
    child.wait().unwrap();
    night.write("in.csv", &as_csv(&rows[1..]));
    let said = night.expect(3, &["run", "job.toml"]);
    assert!(said.contains("--input PATH") && said.contains("--abandon"), "{said}");
    night.write("in.csv", &as_csv(&rows));
    night.expect(1, &["resume", "job.toml", "--abandon"]);
    let counts = night.counts();
    assert_eq!(counts.values().sum::<usize>(), rows.len());
    assert!(counts["applied"] > 0 && counts["unsent"] > 0, "{counts:?}");
    // What the dead process had under way is not this run's to know: its cards are left alone for a request timeout.
    let began = Instant::now();
    night.expect(0, &["replay", "job.toml", "out/night/latest", "--set", "gateway.request_timeout=4s"]);
    assert!(began.elapsed() >= Duration::from_secs(4), "sent after {:?}", began.elapsed());
    night.is_well_after(&rows, 32);
}

#[test]
fn a_run_that_is_given_up_without_its_input_says_where_its_rejected_rows_are() {
    let night = Night::new(Config::default(), "input.rejects_max = '100%'");
    night.write("in.csv", &(as_csv(&deltas(100, 2)) + "x\n"));
    let mut child = night.start(&["run", "job.toml", "--set", "limits.quota=50/1s"]);
    wait_for(|| night.calls() > 30);
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_file(night.path("in.csv")).unwrap();
    let said = night.expect(1, &["resume", "job.toml", "--abandon"]);
    for part in
        ["there is no failure file", "a person looks at 1 row that the outcomes in", "run job.toml --input PATH"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// Waits until something is so; a minute is a hang.
pub fn wait_for(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited for a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A person's answer about a row that a cut-off run had still before it is not forgotten when that run is given up.
#[test]
fn an_answer_given_while_a_run_is_cut_off_stands_when_it_is_abandoned() {
    let faults = "unknown=100%".parse().unwrap();
    let night = Night::new(Config { faults, ..Config::default() }, "");
    let rows = deltas(20, 1);
    night.write("in.csv", &as_csv(&rows));
    night.expect(1, &["run", "job.toml", "--set", "retry.attempts_max=1", "--set", "run.halt_after_errors=off"]);
    assert_eq!(night.counts()["unknown"], 20);
    let before = night.calls();
    let mut child = night.start(&[
        "replay",
        "job.toml",
        "out/night/latest",
        "--set",
        "limits.quota=1/5s",
        "--set",
        "limits.concurrency=1",
    ]);
    wait_for(|| night.calls() > before);
    child.kill().unwrap();
    child.wait().unwrap();
    let bill = rows[19].bill.clone();
    let words = ["ledger", "settle", &bill, "--as", "not-applied", "--reason", "seen", "--state", "state"];
    night.expect(0, &words);
    night.expect(1, &["resume", "job.toml", "--abandon"]);
    let outcomes = night.outcomes();
    let answered = outcomes.iter().find(|line| &line["bill_no"] == bill.as_str()).unwrap();
    assert_eq!((&answered["outcome"], &answered["in_doubt"]), ("unsent", "0"));
    assert_eq!(night.counts()["unknown"], 19);
}

/// Nothing is refused any more where calls were made: the run waits for its input, and makes none again.
#[test]
fn an_input_that_vanishes_under_the_run_leaves_it_interrupted() {
    let night = Night::new(Config::default(), "");
    let rows = deltas(40, 1);
    night.write("in.csv", &as_csv(&rows));
    let mut child = night.start(&["run", "job.toml", "--set", "limits.quota=40/1s"]);
    wait_for(|| night.calls() > 5);
    std::fs::rename(night.path("in.csv"), night.path("moved.csv")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(6));
    let calls = night.calls();
    assert_eq!(calls, 40);
    assert!(night.expect(3, &["run", "job.toml"]).contains("--abandon"));
    night.expect(0, &["resume", "job.toml", "--input", "moved.csv"]);
    assert_eq!(night.calls(), calls);
    night.is_well(&rows);
}

/// Where nobody can be told, the exit code tells.
#[test]
fn exit_codes_stand_where_output_cannot_be_written() {
    let night = Night::new(scripted(&[("1-0", "unknown")]), "retry.attempts_max = 1");
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let code = |args: &[&str]| {
        let mut command = night.command(args);
        command.stdout(full()).stderr(full()).status().unwrap().code().unwrap()
    };
    night.write("in.csv", &as_csv(&[super::Delta::new("1-0", "card", 5, 1)]));
    assert_eq!(code(&["run", "job.toml", "--set", "no.key=1"]), 2);
    assert_eq!(code(&["check", "job.toml", "--set", "input.files=['none.csv']"]), 3);
    assert_eq!(code(&["run", "job.toml", "--json"]), 1);
    assert_eq!(night.manifest()["exit"], 1);
    assert_eq!(code(&["open", "job.toml"]), 6, "what was asked for is not there");
}
