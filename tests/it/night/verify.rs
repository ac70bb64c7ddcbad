//! `ledger verify`: what is tampered with is found, and only that.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use passync::sandbox::Config;
use serde_json::Value;

use super::stops::wait_for;
use super::{Night, as_csv, deltas, open_ledger, scripted};

/// A ledger with everything: a closed run with applied, unknown, held and settled rows, and one that was cut off.
fn night() -> Night {
    let rows = deltas(60, 3);
    let doubtful = [&rows[15].bill[..], &rows[21].bill];
    let night = Night::new(scripted(&doubtful.map(|bill| (bill, "unknown"))), "retry.attempts_max = 2");
    night.write("in.csv", &as_csv(&rows[..30]));
    night.expect(1, &["run", "job.toml"]);
    night.expect(0, &["ledger", "settle", doubtful[1], "--as", "applied", "--reason", "seen", "--state", "state"]);
    night.write("in.csv", &as_csv(&rows[30..]));
    let calls = night.calls();
    let args = ["run", "job.toml", "--set", "limits.concurrency=4", "--set", "limits.quota=100/1s"];
    let mut child = night.start(&args);
    wait_for(|| night.calls() > calls + 60);
    child.kill().unwrap();
    child.wait().unwrap();
    night
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, to).unwrap();
        }
    }
}

/// What `ledger verify` finds in a copy of the state that was tampered with, check by check.
fn found(night: &Night, name: &str, tamper: impl FnOnce(&Path)) -> Vec<(String, String)> {
    let state = night.path(name);
    copy(&night.path("state"), &state);
    tamper(&state);
    let (code, output) = night.passync(&["ledger", "verify", "--state", name, "--json"]);
    let said: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{name}: {error} {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!((code == 0, code <= 1), (said["sound"].as_bool().unwrap(), true), "{name}: {said}");
    let checks = said["checks"].as_array().unwrap().iter();
    let faulty = checks.filter(|check| check["faults"] != Value::Array(Vec::new()));
    faulty.map(|check| (check["name"].as_str().unwrap().to_owned(), check["faults"].to_string())).collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_was_tampered_with_is_found_where_it_is() {
    let night = night();
    assert_eq!(found(&night, "whole", |_| {}), Vec::new());
    // Rows 0 to 2 are of one card, all applied; 15 is unknown, 16 and 17 are held; 21 was settled by a person.
    let ends = "DELETE FROM journal WHERE settled = 1 AND run = 1 AND row =";
    let cut_off = "(SELECT row FROM journal WHERE run = 2 AND settled = 1 AND row % 3 = 0 LIMIT 1)";
    let tampered: Vec<(&str, String, &str)> = vec![
        (
            "pages",
            "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = replace(sql, 'past = 1 ', 'past = 0 ') \
             WHERE name = 'bills_unproved'"
                .to_owned(),
            "index bills_unproved",
        ),
        ("runs", "UPDATE runs SET exit = 0 WHERE ordinal = 1".to_owned(), "its manifest says exit 1"),
        ("runs", "UPDATE runs SET closed_ms = NULL WHERE ordinal = 1".to_owned(), "lacks exit, time or manifest"),
        ("runs", "UPDATE runs SET epoch = 99 WHERE ordinal = 2".to_owned(), "fold 99, which is still to come"),
        ("runs", "UPDATE runs SET inputs = 'other' WHERE ordinal = 2".to_owned(), "it goes by other"),
        (
            "runs",
            "UPDATE runs SET summary = json_set(summary, '$.rows.read.rows', 31) WHERE ordinal = 1".to_owned(),
            "conservation is broken: 31 rows",
        ),
        ("runs", "UPDATE meta SET value = 'many' WHERE key = 'epoch'".to_owned(), "expected a number"),
        ("intents", format!("DELETE FROM intents WHERE row = {cut_off}"), "was sent without an intent"),
        (
            "intents",
            format!("DELETE FROM journal WHERE run = 2 AND settled = 1 AND row = {cut_off}"),
            "of its card, which has no end",
        ),
        ("intents", "UPDATE intents SET body = x'' WHERE seq = (SELECT min(seq) FROM intents)".to_owned(), "no body"),
        (
            "intents",
            "INSERT INTO intents (run, row, dropped, body) VALUES (1, 0, 0, x'7b7d')".to_owned(),
            "is closed",
        ),
        ("journal again", format!("{ends} 15"), "row 15 of run"),
        ("journal bills again", "UPDATE journal SET data = x'ff' WHERE run = 1 AND row = 0".to_owned(),
            "damaged",
        ),
        (
            "journal",
            "UPDATE journal SET seq = seq + 90000 WHERE run = 1 AND settled = 1; \
             INSERT INTO journal SELECT seq + 50000, run, row, settled, data FROM journal WHERE run = 1 AND settled = 0; \
             INSERT INTO journal SELECT seq + 10000, run, row, settled, data FROM journal WHERE run = 1 AND settled = 0"
                .to_owned(),
            "recorded were 4, 4 in doubt",
        ),
        ("intents journal", "UPDATE journal SET run = 7 WHERE run = 2".to_owned(), "run 7 is not in the ledger"),
        (
            "order",
            "UPDATE journal SET row = CASE row WHEN 0 THEN 1 ELSE 0 END WHERE run = 1 AND row IN (0, 1)".to_owned(),
            "row 0 is older than row 1 of its card",
        ),
        ("bills again", format!("{ends} 0"), "has no answer to row 0"),
        ("bills again", "UPDATE bills SET outcome = 'refused' WHERE last_run = 1 AND last_row = 0".to_owned(), "stands as Applied"),
        ("bills again", "UPDATE bills SET code = 'OK' WHERE last_run = 1 AND last_row = 0".to_owned(), "ended applied SUCCESS"),
        ("bills", "UPDATE bills SET body = x'7b7d' WHERE last_run = 1 AND last_row = 0".to_owned(), "though nothing is in doubt"),
        ("bills", "UPDATE bills SET body = NULL WHERE past = 1".to_owned(), "is gone, though it is in doubt"),
        ("bills cards again", "DELETE FROM bills WHERE last_run = 1 AND last_row = 2".to_owned(), "no bill stands for it"),
        ("bills again", "UPDATE bills SET run = 77 WHERE past = 2".to_owned(), "run 77 is not in the ledger"),
        (
            "order twice",
            "INSERT INTO journal (run, row, settled, data) SELECT run, row, settled, data FROM journal WHERE run = 1 AND row = 0"
                .to_owned(),
            "comes behind",
        ),
        (
            "bills twice",
            "UPDATE bills SET last_run = 2, last_row = 1 WHERE last_run = 1 AND last_row = 0".to_owned(),
            "so was row 1 of run 2",
        ),
        (
            "cards again",
            "UPDATE cards SET state = card_state(json_set(card_json(state), '$.members.points.place.occurred_ms', 1))".to_owned(),
            "where no bill of it is applied",
        ),
        (
            "cards",
            "UPDATE cards SET state = card_state(json_set(card_json(state), '$.closed', json_extract(card_json(state), '$.members.points.place')))".to_owned(),
            "its newest applied bill that closes it never",
        ),
        ("cards again", "DELETE FROM cards WHERE card_no = '0029000000'".to_owned(), "nothing is confirmed of it"),
        ("cards again", "UPDATE cards SET state = x'7b' WHERE card_no = '0029000000'".to_owned(), "damaged"),
        ("again", "UPDATE bills SET content = zeroblob(16) WHERE last_run = 1 AND last_row = 0".to_owned(), "these differ: content"),
        (
            "again",
            "UPDATE cards SET state = card_state(json_set(card_json(state), '$.members.points.value', '7')) WHERE card_no = '0029000000'".to_owned(),
            "confirmed points, the card does not show it",
        ),
        ("again", "UPDATE runs SET summary = json_set(summary, '$.rows.unsummed', 1) WHERE ordinal = 1".to_owned(), "its manifest counts"),
        ("answers", "UPDATE answers SET answer = 'perhaps'".to_owned(), "expected applied or not-applied"),
        ("answers", "UPDATE answers SET bill = zeroblob(24)".to_owned(), "the ledger does not say so"),
        ("stamps", "UPDATE quota SET ended_ns = 9000000000000000000".to_owned(), "after the machine's start"),
        ("stamps", "UPDATE quota SET busy = 7".to_owned(), "found busy = 7"),
    ];
    let mut missed = String::new();
    for (at, (checks, tamper, fault)) in tampered.iter().enumerate() {
        let found = found(&night, &format!("tampered-{at}"), |state| {
            let db = open_ledger(state);
            db.execute_batch(tamper).unwrap_or_else(|error| panic!("{tamper}: {error}"));
            assert!(db.total_changes() > 0, "{tamper} does nothing");
        });
        let names = found.iter().map(|(name, _)| name.as_str()).collect::<BTreeSet<_>>();
        if names != checks.split(' ').collect() || !found.iter().any(|(_, faults)| faults.contains(fault)) {
            missed += &format!("{tamper}\n  expected {checks}: {fault}\n  found {found:?}\n");
        }
    }
    assert!(missed.is_empty(), "{missed}");
}

#[test]
fn what_a_run_has_read_is_known_by_its_seals() {
    let night = night();
    for name in ["rows", "rows.index", "fates", "plan"] {
        let found = found(&night, &format!("flipped-{name}"), |state| {
            let run = fs::read_dir(state.join("runs")).unwrap().map(|entry| entry.unwrap().path()).min().unwrap();
            let mut bytes = fs::read(run.join(name)).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(run.join(name), bytes).unwrap();
        });
        let [(check, faults)] = &found[..] else { panic!("{found:?}") };
        assert!(check == "surveys" && faults.contains(&format!("/{name}: found ")), "{found:?}");
    }
    assert_eq!(found(&night, "gone", |state| fs::remove_dir_all(state.join("runs")).unwrap()), Vec::new());
}

#[test]
fn a_ledger_is_proved_while_a_run_is_on_and_nothing_changes() {
    let night = Night::new(Config::default(), "");
    assert!(night.expect(2, &["ledger", "verify", "--state", "state"]).contains("there is none yet"));
    night.write("in.csv", &as_csv(&deltas(60, 2)));
    let mut child = night.start(&["run", "job.toml", "--set", "limits.quota=60/1s"]);
    wait_for(|| night.calls() > 20);
    while child.try_wait().unwrap().is_none() {
        night.is_sound();
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let ledger = fs::read(night.path("state/ledger.db")).unwrap();
    night.is_sound();
    assert!(fs::read(night.path("state/ledger.db")).unwrap() == ledger);
    fs::write(night.path("state/ledger.db"), &ledger[10..]).unwrap();
    assert!(night.expect(6, &["ledger", "verify", "--state", "state"]).contains("not a ledger"));
}
