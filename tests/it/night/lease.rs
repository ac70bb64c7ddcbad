//! Two jobs of one client on one ledger: one applies at a time, whatever becomes of the other, and the quota is that of
//! both. Seen from the gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use passync::sandbox::Config;
use rustix::process::{Pid, Signal, kill_process};

use super::stops::wait_for;
use super::{Delta, Night, as_csv, deltas};

/// Calls in any window, for the client and so for both jobs.
const QUOTA: &str = "60/500ms";

/// A gateway that counts, and two jobs of the client that keep to what it permits.
fn night() -> Night {
    let config = Config { quota: Some(QUOTA.parse().unwrap()), enforce_quota: false, ..Config::default() };
    let night = Night::new(config, "gateway.request_timeout = '1s'");
    let job = fs::read_to_string(night.path("job.toml")).unwrap();
    let job = job.replace("gateway.request_timeout = \"2s\"\n", "").replace("2000/1s", QUOTA);
    night.write("job.toml", &job);
    night.second_job();
    night
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// The first job's rows, and the second's: some bills of the first, older and newer rows of its cards, cards of its own.
fn overlapping() -> (Vec<Delta>, Vec<Delta>, Vec<Delta>) {
    let first = deltas(50, 2);
    let known = first[..20].iter().cloned();
    let card = |card: u64| format!("0029{card:06}");
    let older = (10..30).map(|at| Delta::new(&format!("older-{at}"), &card(at), 500, at * 2 - 1));
    let newer = (20..60).map(|at| Delta::new(&format!("newer-{at}"), &card(at), 5_000, 100_000 + at));
    let second: Vec<Delta> = known.chain(older).chain(newer.clone()).collect();
    let newest = first.iter().cloned().chain(newer).collect();
    (first, second, newest)
}

/// Every bill was told once, and each job's calls are on one side of the other's.
#[track_caller]
fn took_turns(night: &Night, first: &[Delta]) {
    let of_first: BTreeSet<&str> = first.iter().map(|row| &row.bill[..]).collect();
    let mut spans: BTreeMap<bool, (u64, u64)> = BTreeMap::new();
    let mut bills = BTreeSet::new();
    for line in night.exchanges() {
        let bill = line["bill_no"].as_str().unwrap().to_owned();
        let (arrived, finished) = (line["arrived_ns"].as_u64().unwrap(), line["finished_ns"].as_u64().unwrap());
        let span = spans.entry(of_first.contains(&bill[..])).or_insert((arrived, finished));
        *span = (span.0.min(arrived), span.1.max(finished));
        assert!(bills.insert(bill.clone()), "{bill} was told twice");
    }
    let (a, b) = (spans[&true], spans[&false]);
    assert!(a.1 < b.0 || b.1 < a.0, "one between {a:?}, the other between {b:?}");
}

#[test]
fn the_second_waits_and_then_looks_up_afresh() {
    let night = night();
    let (first, second, newest) = overlapping();
    night.write("in.csv", &as_csv(&first));
    night.write("other.csv", &as_csv(&second));
    let mut one = night.start(&["run", "job.toml"]);
    wait_for(|| night.calls() > 3);
    night.expect(75, &["run", "other.toml"]);
    night.expect(0, &["run", "other.toml", "--wait", "60s"]);
    assert_eq!(one.wait().unwrap().code(), Some(0));
    let counts = [("already_applied", 20), ("applied", 40), ("superseded", 20)];
    assert_eq!(night.counts_of("other"), counts.map(|(outcome, rows)| (outcome.to_owned(), rows)).into());
    took_turns(&night, &first);
    night.is_well(&newest);
}

#[test]
fn started_at_once_they_agree_on_who_is_first() {
    let night = night();
    let (first, second, newest) = overlapping();
    night.write("in.csv", &as_csv(&first));
    night.write("other.csv", &as_csv(&second));
    let start = |job: &str| night.start(&["run", job, "--wait", "60s"]);
    for mut job in [start("job.toml"), start("other.toml")] {
        assert_eq!(job.wait().unwrap().code(), Some(0));
    }
    // Whoever came second knows what the first one applied, and what it overtook.
    let of = |job: &str, outcome: &str| night.counts_of(job).get(outcome).copied().unwrap_or(0);
    assert_eq!(of("night", "already_applied") + of("other", "already_applied"), 20);
    assert_eq!(
        of("night", "applied") + of("other", "applied") + of("night", "superseded") + of("other", "superseded"),
        160
    );
    night.is_well(&newest);
}

#[test]
fn no_window_holds_more_than_the_quota_when_one_job_ends_or_dies_and_another_begins() {
    let night = night();
    let rows = |from: usize| deltas(250, 1)[from..from + 45].to_vec();
    night.write("in.csv", &as_csv(&rows(0)));
    night.expect(0, &["run", "job.toml"]);
    night.write("other.csv", &as_csv(&rows(50)));
    night.expect(0, &["run", "other.toml"]);
    // Killed amid its calls, and the other starts at once.
    night.write("in.csv", &as_csv(&rows(100)));
    let before = night.calls();
    let mut one = night.start(&["run", "job.toml"]);
    wait_for(|| night.calls() > before + 20);
    one.kill().unwrap();
    one.wait().unwrap();
    night.write("other.csv", &as_csv(&rows(150)));
    night.expect(0, &["run", "other.toml"]);
    night.expect(0, &["run", "job.toml"]);
    // The judge holds a breach of the quota against us, too.
    night.is_well_after(&deltas(250, 1)[..0], 32);
    assert!(night.server.look(|gateway| gateway.summary().peak) <= 60);
}

/// Runs the first job, and stops it (SIGSTOP) amid its calls.
fn paused(night: &Night, rows: &[Delta]) -> Child {
    night.write("in.csv", &as_csv(rows));
    let child = night.start(&["run", "job.toml"]);
    wait_for(|| night.calls() > 20);
    send(&child, Signal::STOP);
    // What was on its way when it stopped arrives.
    std::thread::sleep(Duration::from_millis(300));
    child
}

#[test]
fn a_paused_process_keeps_the_lease_and_does_no_harm_when_it_wakes() {
    let night = night();
    let (first, second, newest) = overlapping();
    night.write("other.csv", &as_csv(&second));
    let mut one = paused(&night, &first);
    let calls = night.calls();
    // Longer than a window, than a timeout, than the rest behind another process.
    let said = night.expect(75, &["run", "other.toml", "--wait", "3s"]);
    assert!(said.contains(&format!("process {}, job night", one.id())), "{said}");
    // Somebody thinks that the lock is stale, and removes it: the ledger's own is still there.
    fs::remove_file(night.path("state/ledger.db.lock")).unwrap();
    let said = night.expect(75, &["run", "other.toml"]);
    assert!(said.contains("state/ledger.db") && said.contains("whose lock file is gone"), "{said}");
    night.expect(75, &["ledger", "settle", "newer-20", "--as", "applied", "--reason", "seen", "--state", "state"]);
    let mut other = night.start(&["run", "other.toml", "--wait", "60s"]);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(night.calls(), calls, "nobody calls while the holder sleeps");
    send(&one, Signal::CONT);
    assert_eq!(one.wait().unwrap().code(), Some(0));
    assert_eq!(other.wait().unwrap().code(), Some(0));
    // What was under way when it stopped is in doubt for it, though the reply was there: those rows may come twice.
    night.is_well_after(&newest, 32);
    assert_eq!(night.counts_of("other")["already_applied"], 20);
}

#[test]
fn a_paused_process_that_is_killed_lets_the_second_go_on() {
    let night = night();
    let (first, second, newest) = overlapping();
    night.write("other.csv", &as_csv(&second));
    let mut one = paused(&night, &first);
    let mut other = night.start(&["run", "other.toml", "--wait", "60s"]);
    std::thread::sleep(Duration::from_millis(300));
    assert!(other.try_wait().unwrap().is_none(), "it waits");
    let calls = night.calls();
    let killed = Instant::now();
    one.kill().unwrap();
    one.wait().unwrap();
    wait_for(|| night.calls() > calls);
    assert!(killed.elapsed() >= Duration::from_secs(1), "what the dead one had under way is waited for");
    let (code, known) = (other.wait().unwrap().code(), night.counts_of("other"));
    assert!(matches!(code, Some(0 | 1)), "{code:?} {known:?}");
    // The first one's own rows are finished by its own job; what the other left open, by a replay.
    night.expect(0, &["run", "job.toml"]);
    if code == Some(1) {
        night.expect(0, &["replay", "other.toml", "out/other/latest"]);
    }
    night.is_well_after(&newest, 32);
}

/// Cards are of merchants, not of clients: who died calling some of them is waited for under any name of the gateway.
#[test]
fn a_job_that_calls_the_gateway_by_another_name_waits_for_what_a_killed_one_had_under_way() {
    let night = night();
    let (first, second, newest) = overlapping();
    night.write("in.csv", &as_csv(&first));
    night.write("other.csv", &as_csv(&second));
    let mut one = night.start(&["run", "job.toml"]);
    wait_for(|| night.calls() > 20);
    one.kill().unwrap();
    one.wait().unwrap();
    let url = format!("gateway.url=http://localhost:{}", night.server.addr().port());
    let (calls, began) = (night.calls(), Instant::now());
    let mut other = night.start(&["run", "other.toml", "--set", &url]);
    wait_for(|| night.calls() > calls);
    assert!(began.elapsed() >= Duration::from_secs(1), "it called after {:?}", began.elapsed());
    other.wait().unwrap();
    // That was waited for once: the first one's own rows go out behind a rest of the quota.
    night.expect(0, &["run", "job.toml"]);
    night.is_well_after(&newest, 32);
}

#[test]
fn a_run_abandoned_behind_another_that_went_on_from_it_is_proved_too() {
    let night = night();
    let (first, _, newest) = overlapping();
    night.write("in.csv", &as_csv(&first));
    let mut one = night.start(&["run", "job.toml"]);
    wait_for(|| night.calls() > 20);
    one.kill().unwrap();
    one.wait().unwrap();
    // The other job has the same bills: those in doubt and those that were still to come are settled by it.
    night.write("other.csv", &as_csv(&newest));
    night.expect(0, &["run", "other.toml"]);
    night.is_sound();
    let (code, _) = night.passync(&["resume", "job.toml", "--abandon"]);
    assert!(matches!(code, 0 | 1));
    night.is_well_after(&newest, 32);
    night.expect(0, &["reconcile", "out/night/latest"]);
    let written = || fs::read_to_string(night.path("out/night/latest/outcomes.csv")).unwrap();
    let before = written();
    night.expect(0, &["report", "out/night/latest"]);
    assert_eq!(written(), before, "byte for byte");
}

#[test]
fn another_path_to_the_ledger_leads_to_the_same_lease() {
    let night = night();
    let rows = deltas(90, 1);
    night.write("in.csv", &as_csv(&rows));
    night.write("other.csv", &as_csv(&deltas(91, 1)[90..]));
    let mut one = night.start(&["run", "job.toml"]);
    wait_for(|| night.calls() > 3);
    fs::create_dir(night.path("elsewhere")).unwrap();
    symlink("../state/ledger.db", night.path("elsewhere/ledger.db")).unwrap();
    symlink("state", night.path("linked")).unwrap();
    night.expect(75, &["run", "other.toml", "--state", "elsewhere"]);
    night.expect(75, &["run", "other.toml", "--state", "linked"]);
    fs::create_dir(night.path("twin")).unwrap();
    fs::hard_link(night.path("state/ledger.db"), night.path("twin/ledger.db")).unwrap();
    // SQLite would begin a second log there: this is refused before anybody asks for the lease.
    night.expect(6, &["run", "other.toml", "--state", "twin"]);
    assert_eq!(one.wait().unwrap().code(), Some(0));
    let calls = night.calls();
    for state in ["state", "twin"] {
        let said = night.expect(6, &["run", "other.toml", "--state", state]);
        assert!(said.contains("2 names (hard links)") && said.contains("was not touched"), "{said}");
    }
    fs::remove_dir_all(night.path("twin")).unwrap();
    assert_eq!(night.calls(), calls);
    night.expect(0, &["run", "other.toml", "--state", "elsewhere"]);
    assert!(!night.path("elsewhere/runs").exists() && !night.path("elsewhere/ledger.db.lock").exists());
    night.is_well(&deltas(91, 1));
}

#[test]
fn a_ledger_mounted_without_its_folder_is_refused() {
    let night = night();
    night.write("in.csv", &as_csv(&deltas(9, 1)));
    night.expect(0, &["run", "job.toml"]);
    night.write("other.csv", &as_csv(&deltas(10, 1)));
    fs::create_dir(night.path("alone")).unwrap();
    night.write("alone/ledger.db", "");
    let (ledger, alone) = (night.path("state/ledger.db"), night.path("alone/ledger.db"));
    let mounted = Command::new("mount").arg("--bind").args([&ledger, &alone]).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: only root can mount a file here");
        return;
    }
    let (code, output) = night.passync(&["run", "other.toml", "--state", "alone"]);
    Command::new("umount").arg(&alone).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(code, 6, "{said}");
    assert!(said.contains("mounted without its folder") && said.contains("mount the folder"), "{said}");
}
