//! Signals in every phase of a run. A delay at a durable step holds the run there until the signal has come.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use passync::io::fault::VARIABLE;
use passync::sandbox::Config;
use rustix::process::{Pid, Signal, kill_process};

use super::scenes::with_each;
use super::stage::{Delta, Night, as_csv, deltas};

const SIGNALS: [Signal; 3] = [Signal::TERM, Signal::INT, Signal::HUP];

/// Where the run is when the signal comes, and how it ends then.
const PHASES: [(&str, &str, i32); 4] = [
    ("survey", "rows.sync.before", 5),
    ("plan", "plan.sync.before", 5),
    ("apply", "journal.commit.before", 5),
    ("finish", "outcomes.sync.before", 0),
];

fn night() -> (Night, Vec<Delta>) {
    let night = Night::new(Config::default(), "");
    let rows = deltas(20, 2);
    night.write("in.csv", &as_csv(&rows));
    (night, rows)
}

/// A run that is held at a point, once it is there.
fn held(night: &Night, point: &str, time: &str) -> Child {
    let mut command = night.command(&["run", "job.toml"]);
    command.env(VARIABLE, format!("{point}:1:delay={time}")).stdout(Stdio::null());
    let log = night.path("run.log");
    let child = command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    wait_for(|| std::fs::read_to_string(&log).unwrap().contains("fault point"));
    child
}

pub fn wait_for(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited for a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// The next run, undisturbed, ends what the signal left.
#[track_caller]
fn ends_well(night: &Night, rows: &[Delta], told: &str) {
    let (code, output) = night.passync(&["run", "job.toml"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(code, 0 | 3), "{told}: {code} {said}");
    assert_eq!(night.counts(), [("applied".to_owned(), rows.len())].into(), "{told}");
    night.is_well_after(rows, 32);
}

#[test]
fn one_signal_stops_in_every_phase_and_nothing_is_lost() {
    with_each(PHASES.iter().flat_map(|phase| SIGNALS.map(|signal| (phase, signal))), |(phase, signal)| {
        let (name, point, exit) = phase;
        let told = format!("{signal:?} in {name}");
        let (night, rows) = night();
        let mut child = held(&night, point, "2s");
        let calls = night.calls();
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(*exit), "{told}");
        if ["survey", "plan"].contains(name) {
            assert_eq!(night.calls(), 0, "{told}");
        }
        assert!(night.calls() <= calls + 32, "{told}: what was on its way is awaited, and no more");
        ends_well(&night, &rows, &told);
    });
}

#[test]
fn a_kill_behind_a_signal_costs_nothing() {
    let (night, rows) = night();
    // Rows wait for the quota with their intents when the signal comes; they are `unsent` when the kill does.
    let args = ["run", "job.toml", "--set", "limits.quota=2/500ms"];
    let mut command = night.command(&args);
    command.env(VARIABLE, "outcomes.begin.before:1:kill").stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    wait_for(|| night.calls() > 2);
    send(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), None);
    let (code, output) = night.passync(&args);
    assert_eq!(code, 0, "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(night.counts(), [("applied".to_owned(), rows.len())].into());
    night.is_well_after(&rows, 32);
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    with_each(PHASES.iter().flat_map(|phase| SIGNALS.map(|signal| (phase, signal))), |(phase, signal)| {
        let (name, point, _) = phase;
        let told = format!("two of {signal:?} in {name}");
        let (night, rows) = night();
        let mut child = held(&night, point, "60s");
        send(&child, signal);
        wait_for(|| std::fs::read_to_string(night.path("run.log")).unwrap().contains("A second signal ends"));
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(128 + signal.as_raw()), "{told}");
        ends_well(&night, &rows, &told);
    });
}

#[test]
fn a_signal_ends_the_wait_for_another_run() {
    let (night, _) = night();
    let mut holder = held(&night, "journal.commit.before", "60s");
    let waiter = night.command(&["run", "job.toml", "--wait", "60s"]).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let began = Instant::now();
    send(&waiter, Signal::TERM);
    let output = waiter.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(began.elapsed() < Duration::from_secs(10) && said.contains("stopped while waiting"), "{said}");
    holder.kill().unwrap();
    holder.wait().unwrap();
}

#[test]
fn a_holder_that_sleeps_still_holds_and_one_that_was_killed_does_not() {
    let (night, rows) = night();
    let mut holder = held(&night, "journal.commit.after", "300ms");
    send(&holder, Signal::STOP);
    let calls = night.calls();
    let said = night.expect(75, &["run", "job.toml"]);
    assert!(said.contains(&format!("process {}", holder.id())), "{said}");
    assert_eq!(night.calls(), calls);
    send(&holder, Signal::CONT);
    // Past its pause it goes on where it was; the lock was its own all the while.
    assert_eq!(holder.wait().unwrap().code(), Some(0));
    night.is_well(&rows);

    let more = deltas(30, 2);
    night.write("in.csv", &as_csv(&more));
    let mut holder = held(&night, "journal.commit.after", "60s");
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(night.path("state/ledger.db.lock").exists(), "the file stays, the lock does not");
    night.expect(0, &["run", "job.toml"]);
    night.is_well_after(&more, 32);
}
