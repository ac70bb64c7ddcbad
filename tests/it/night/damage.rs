//! Files that are not what they should be: they are recognised, left as they are, and not believed.

use std::fs::File;
use std::path::Path;

use passync::sandbox::Config;

use super::stops::wait_for;
use super::{Night, as_csv, deltas};

const LEDGER: &str = "state/ledger.db";

/// A night that has sent 30 rows, each on its own card, and its ledger.
fn after_a_night() -> (Night, Vec<super::Delta>) {
    let night = Night::new(Config::default(), "");
    let rows = deltas(30, 1);
    night.write("in.csv", &as_csv(&rows));
    night.expect(0, &["run", "job.toml"]);
    (night, rows)
}

#[track_caller]
fn is_refused_and_untouched(night: &Night, ledger: &[u8], words: &[&str]) {
    let calls = night.calls();
    night.write("in.csv", &as_csv(&deltas(31, 1)));
    std::fs::write(night.path(LEDGER), ledger).unwrap();
    for args in [&["run", "job.toml"][..], &["open", "job.toml"], &["resume", "job.toml"]] {
        let said = night.expect(6, args);
        assert!(said.contains(LEDGER) && words.iter().all(|word| said.contains(word)), "{args:?}: {said}");
        assert_eq!(std::fs::read(night.path(LEDGER)).unwrap(), ledger, "{args:?} changed it");
    }
    assert_eq!(night.calls(), calls, "nothing is sent");
}

#[test]
fn what_is_no_ledger_is_left_as_it_is() {
    let night = Night::new(Config::default(), "");
    std::fs::create_dir(night.path("state")).unwrap();
    let noise: Vec<u8> = (0..20_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    is_refused_and_untouched(&night, &noise, &["not a ledger", "restore a backup"]);
    is_refused_and_untouched(&night, b"", &["is empty", "restore a backup"]);
    is_refused_and_untouched(&night, b"bill_no,points\n", &["not a ledger"]);

    let other = night.path("other.db");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE payroll (id, salary);").unwrap();
    is_refused_and_untouched(&night, &std::fs::read(other).unwrap(), &["another program"]);
}

#[test]
fn a_ledger_that_was_cut_or_is_newer_is_left_as_it_is() {
    let (night, _) = after_a_night();
    let whole = std::fs::read(night.path(LEDGER)).unwrap();
    is_refused_and_untouched(&night, &whole[..whole.len() / 2], &["cut short", "restore a backup"]);
    is_refused_and_untouched(&night, &whole[..whole.len() - 1], &["cut short"]);
    is_refused_and_untouched(&night, &whole[..60], &["not a ledger"]);
    // Offset 60 of the header: user_version.
    let mut newer = whole.clone();
    newer[60..64].copy_from_slice(&99_u32.to_be_bytes());
    is_refused_and_untouched(&night, &newer, &["schema 99", "upgrade"]);
}

/// A run over this ledger, with this log beside it, ends before its first call, and leaves both as they are.
#[track_caller]
fn a_run_refuses(night: &Night, ledger: &[u8], log: Option<&[u8]>, words: &[&str]) {
    let calls = night.calls();
    let mut rows = deltas(31, 1);
    rows.push(super::Delta::new("220230343242343442433399999", &rows[0].card, 5_000, 1_000));
    night.write("in.csv", &as_csv(&rows));
    std::fs::write(night.path(LEDGER), ledger).unwrap();
    log.into_iter().for_each(|log| std::fs::write(night.path("state/ledger.db-wal"), log).unwrap());
    let said = night.expect(6, &["run", "job.toml"]);
    assert!(said.contains(LEDGER) && words.iter().all(|word| said.contains(word)), "{said}");
    assert!(std::fs::read(night.path(LEDGER)).unwrap() == ledger, "it was changed");
    assert!(log.is_none_or(|log| std::fs::read(night.path("state/ledger.db-wal")).unwrap() == log));
    assert_eq!(night.calls(), calls);
}

#[test]
fn a_ledger_damaged_inside_stops_the_run_before_it_sends() {
    let (night, _) = after_a_night();
    let whole = std::fs::read(night.path(LEDGER)).unwrap();
    let with = |change: fn(&mut Vec<u8>)| {
        let mut damaged = whole.clone();
        change(&mut damaged);
        damaged
    };
    let words = ["damaged", "restore a backup"];
    a_run_refuses(&night, &with(|bytes| bytes[4096..].fill(0xa5)), None, &words);
    a_run_refuses(&night, &with(|bytes| bytes[5 * 4096] ^= 0x08), None, &words);
    a_run_refuses(&night, &with(|bytes| bytes[18] ^= 0x01), None, &words); // who may write
    a_run_refuses(&night, &with(|bytes| bytes[18..20].fill(1)), None, &words); // no log
    a_run_refuses(&night, &with(|bytes| bytes[16] ^= 0x40), None, &["cut short"]); // the size of a page
    a_run_refuses(&night, &with(|bytes| bytes[69] ^= 0x01), None, &["another program"]); // whose it is
    std::fs::write(night.path(LEDGER), whole).unwrap();
    night.expect(0, &["run", "job.toml"]);
}

#[test]
fn a_row_of_the_ledger_that_cannot_be_read_is_not_taken_for_nothing() {
    let (night, _) = after_a_night();
    let whole = std::fs::read(night.path(LEDGER)).unwrap();
    for (damage, fault) in [
        ("UPDATE cards SET state = substr(state, 1, 9)", "look a card up"),
        ("UPDATE bills SET past = 9", "look bills up"),
        ("UPDATE bills SET outcome = 'maybe'", "look bills up"),
        ("UPDATE runs SET state = 'clo'", "read the runs"),
    ] {
        std::fs::write(night.path(LEDGER), &whole).unwrap();
        let db = rusqlite::Connection::open(night.path(LEDGER)).unwrap();
        db.execute(damage, []).unwrap();
        db.close().unwrap();
        let ledger = std::fs::read(night.path(LEDGER)).unwrap();
        a_run_refuses(&night, &ledger, None, &[fault, "damaged", "passync ledger verify"]);
    }
}

#[test]
fn the_log_of_another_ledger_is_not_played_into_this_one() {
    let cut_off = |rows: &[super::Delta]| {
        let night = Night::new(Config::default(), "");
        night.write("in.csv", &as_csv(&rows[..30]));
        night.expect(0, &["run", "job.toml"]);
        night.write("in.csv", &as_csv(rows));
        let mut child = night.start(&["run", "job.toml", "--set", "limits.quota=100/1s"]);
        let calls = night.calls();
        wait_for(|| night.calls() > calls + 10);
        child.kill().unwrap();
        child.wait().unwrap();
        night
    };
    let (here, there) = (cut_off(&deltas(90, 1)), cut_off(&deltas(80, 1)));
    let file = |night: &Night, name: &str| std::fs::read(night.path(name)).unwrap();
    let (own, foreign) = (file(&here, "state/ledger.db-wal"), file(&there, "state/ledger.db-wal"));
    a_run_refuses(&here, &file(&here, LEDGER), Some(&foreign), &["of another ledger", "ledger.db-wal"]);
    let text = b"bill_no,points\n".repeat(100);
    a_run_refuses(&here, &file(&here, LEDGER), Some(&text), &["no write-ahead log"]);
    std::fs::write(here.path("state/ledger.db-wal"), own).unwrap();
    here.write("in.csv", &as_csv(&deltas(90, 1)));
    here.expect(0, &["run", "job.toml"]);
    here.is_well_after(&deltas(90, 1), 32);
}

#[test]
fn a_folder_in_the_place_of_the_ledger_is_refused() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(3, 1)));
    std::fs::create_dir_all(night.path(LEDGER)).unwrap();
    let said = night.expect(6, &["run", "job.toml"]);
    assert!(said.contains(LEDGER) && said.contains("a folder or a device"), "{said}");
    assert_eq!(night.calls(), 0);
}

#[test]
fn a_ledger_that_may_not_be_written_is_told_with_what_to_do() {
    let (night, _) = after_a_night();
    night.write("in.csv", &as_csv(&deltas(31, 1)));
    let (state, calls) = (night.path("state"), night.calls());
    let mount = |args: &[&str]| std::process::Command::new("mount").args(args).arg(&state).output().unwrap();
    let is_mounted = mount(&["--bind", state.to_str().unwrap()]).status.success();
    if is_mounted {
        assert!(mount(&["-o", "remount,ro,bind"]).status.success());
    } else {
        // Not root: then the permissions of files count.
        let read_only = std::os::unix::fs::PermissionsExt::from_mode(0o400);
        std::fs::set_permissions(night.path(LEDGER), read_only).unwrap();
    }
    let (code, output) = night.passync(&["run", "job.toml"]);
    if is_mounted {
        std::process::Command::new("umount").arg(&state).output().unwrap();
    }
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(code, 6, "{said}");
    assert!(said.contains("state/") && said.contains("let the user of the job write to this"), "{said}");
    assert_eq!(night.calls(), calls);
}

#[test]
fn a_ledger_that_left_only_its_log_is_not_begun_anew() {
    let (night, _) = after_a_night();
    std::fs::rename(night.path(LEDGER), night.path("elsewhere.db")).unwrap();
    night.write("state/ledger.db-wal", "the newest pages");
    let said = night.expect(6, &["run", "job.toml"]);
    assert!(said.contains("write-ahead log") && said.contains("restore a backup"), "{said}");
    assert!(!night.path(LEDGER).exists());
}

#[test]
fn a_damaged_survey_is_made_again_and_nothing_is_sent_twice() {
    for (at, name) in ["plan", "fates", "rows", "rows.index", "."].into_iter().enumerate() {
        let night = Night::new(Config::default(), "");
        let rows = deltas(60, 2);
        night.write("in.csv", &as_csv(&rows));
        let args = ["run", "job.toml", "--set", "limits.quota=200/1s", "--set", "gateway.request_timeout=1s"];
        let mut child = night.start(&args);
        wait_for(|| night.calls() > 40);
        child.kill().unwrap();
        child.wait().unwrap();
        damage(&night.path("state/runs"), name, at);
        let said = night.expect(0, &args);
        assert!(said.contains("made again from the inputs"), "{name}: {said}");
        assert_eq!(night.counts(), [("applied".to_owned(), rows.len())].into(), "{name}");
        night.is_well_after(&rows, 32);
    }
}

/// Flips a byte in a file of the only run, or takes the whole folder away.
fn damage(runs: &Path, name: &str, at: usize) {
    let run = std::fs::read_dir(runs).unwrap().map(|entry| entry.unwrap().path()).next().unwrap();
    if name == "." {
        return std::fs::remove_dir_all(run).unwrap();
    }
    let path = run.join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2 + at;
    bytes[middle] ^= 0x10;
    std::fs::write(&path, bytes).unwrap();
    File::open(path).unwrap().sync_all().unwrap();
}

#[test]
fn another_job_does_not_go_on_over_a_run_that_it_cannot_read() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(60, 2)));
    night.second_job();
    night.write("other.csv", &as_csv(&deltas(60, 2)));
    let mut child = night.start(&["run", "job.toml", "--set", "limits.quota=100/1s"]);
    wait_for(|| night.calls() > 30);
    child.kill().unwrap();
    child.wait().unwrap();
    damage(&night.path("state/runs"), "fates", 0);
    let calls = night.calls();
    let said = night.expect(6, &["run", "other.toml"]);
    assert!(said.contains("job night's interrupted run") && said.contains("passync resume"), "{said}");
    assert_eq!(night.calls(), calls);
    night.expect(0, &["resume", "job.toml"]);
    night.expect(0, &["run", "other.toml"]);
    assert_eq!(night.manifest()["exit"], 0);
}
