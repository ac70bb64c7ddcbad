//! `kill -9` at any moment: the next run goes on from disk, and no card is the worse for it. Kills at each durable step are
//! in tests/faults.

use std::io::Read;
use std::net::TcpListener;
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

/// Keys are those of today, and so is what the gateway knows ours by.
#[test]
fn a_key_that_was_rotated_behind_a_kill_signs_under_its_own_version() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let night = Night::new(passync::sandbox::Config::default(), "retry.attempts_max = 1");
    let job = std::fs::read_to_string(night.path("job.toml")).unwrap();
    let url = format!("gateway.url = \"http://{}\"", listener.local_addr().unwrap());
    let job: String =
        job.lines().map(|line| if line.contains("gateway.url") { &url } else { line }.to_owned() + "\n").collect();
    night.write("in.csv", &as_csv(&deltas(1, 1)));
    // A gateway that hears one request and hangs up.
    let hear = || {
        let mut heard = Vec::new();
        let mut connection = listener.accept().unwrap().0;
        while !heard.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut bytes = [0; 4096];
            let read = connection.read(&mut bytes).unwrap();
            heard.extend_from_slice(&bytes[..read]);
        }
        String::from_utf8_lossy(&heard).into_owned()
    };
    for (version, ends) in [(1, false), (2, true)] {
        night.write("job.toml", &format!("{job}\ngateway.key_version = {version}\n"));
        let mut child = night.start(&["run", "job.toml"]);
        let heard = hear();
        assert!(heard.contains(&format!("keyVersion={version},")), "{heard}");
        if !ends {
            child.kill().unwrap();
        }
        assert_eq!(child.wait().unwrap().code(), ends.then_some(1));
    }
}
