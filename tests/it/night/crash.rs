//! `kill -9` at any moment: the next run goes on from disk, and no card is the worse for it. Kills at each durable step are
//! in tests/faults.

use std::time::Duration;

use super::stops::wait_for;
use super::{Night, as_csv, deltas, faulty};

#[cfg(not(feature = "faults"))]
#[test]
fn without_the_feature_faults_no_point_can_be_armed_and_tests_faults_is_skipped() {
    eprintln!("skipped: tests/faults, which kills at every durable step, wants `--features faults`");
    let night = Night::new(passync::sandbox::Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(1, 1)));
    let output = night.command(&["run", "job.toml"]).env("PASSYNC_FAULT", "plan.sync.before:1:kill").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("PASSYNC_FAULT") && said.contains("--features faults"), "{said}");
    assert_eq!(night.calls(), 0);
}

#[test]
fn a_killed_run_is_finished_by_the_next_one() {
    let night = Night::new(faulty("unknown=3%,unknown-applied=3%,drop-after=1%,503=1%,heal=2"), "");
    let args = ["run", "job.toml", "--set", "limits.quota=300/1s", "--set", "gateway.request_timeout=500ms"];
    let rows = deltas(100, 3);
    night.write("in.csv", &as_csv(&rows));
    let mut resent = Vec::new();
    for kill in 1..=6 {
        let before = night.calls();
        let mut child = night.start(&args);
        // At the first call, in the thick of it, in the wait for rows in doubt, and before the survey is done.
        match kill % 3 {
            0 => std::thread::sleep(Duration::from_millis(20)),
            _ => wait_for(|| night.calls() > before + 20 * kill || child.try_wait().unwrap().is_some()),
        }
        let _ = child.kill(); // it may have finished
        child.wait().unwrap();
        resent.push(night.calls() - before);
    }
    let (code, output) = night.passync(&args);
    // The last kill may have come after the run was closed: then the same inputs are refused.
    assert!([0, 3].contains(&code), "{resent:?} {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(night.counts(), [("applied".to_owned(), rows.len())].into());
    night.is_well_after(&rows, 6 * 32);
}
