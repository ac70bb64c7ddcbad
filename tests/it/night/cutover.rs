//! The cut-over from another program: what it has applied is made known without a call.

use passync::sandbox::Config;

use super::{Night, as_csv, deltas, scripted};

#[test]
fn what_another_program_applied_is_never_sent_and_nothing_older_is() {
    let night = Night::new(Config::default(), "");
    let rows = deltas(6, 3);
    let (old, new): (Vec<_>, Vec<_>) = rows.iter().cloned().partition(|row| row.points < 1_002);
    night.write("sent.csv", &as_csv(&old));
    night.write("in.csv", &as_csv(&rows));
    let empty = night.expect(0, &["check", "job.toml"]);
    assert!(!empty.contains("ledger import"), "{empty}");

    let dry = night.json(0, &["ledger", "import", "sent.csv", "--job", "job.toml"]);
    assert_eq!((&dry["ended"]["applied"]["rows"], &dry["run"]), (&12.into(), &serde_json::Value::Null));
    assert!(!night.path("state").exists(), "nothing is booked without --apply, and nothing left");

    let text = night.expect(0, &["ledger", "import", "sent.csv", "--job", "job.toml", "--apply"]);
    assert!(text.contains("Booked as run") && text.contains("points 12"), "{text}");
    assert_eq!(night.counts()["applied"], 12);
    night.is_sound();
    night.expect(0, &["reconcile", "out/night/latest"]);

    // The newest row of each card is new; the two before it are known.
    night.expect(0, &["run", "job.toml"]);
    assert_eq!((night.counts()["applied"], night.counts()["already_applied"]), (6, 12));
    assert_eq!(night.calls(), 6);
    night.is_well(&new);

    // Known already, and said again: nothing new.
    let again = night.json(0, &["ledger", "import", "sent.csv", "--job", "job.toml", "--apply"]);
    assert_eq!(again["ended"]["already_applied"]["rows"], 12);
    night.is_sound();
}

#[test]
fn a_row_older_than_an_imported_one_is_not_sent() {
    let night = Night::new(Config::default(), "");
    let rows = deltas(1, 3);
    night.write("sent.csv", &as_csv(&rows[2..]));
    night.expect(0, &["ledger", "import", "sent.csv", "--job", "job.toml", "--apply"]);
    night.write("in.csv", &as_csv(&rows[..2]));
    night.expect(0, &["run", "job.toml"]);
    assert_eq!((night.counts()["superseded"], night.calls()), (2, 0));

    // The other way round: an older bill is booked, and the card goes on showing the newer value.
    night.write("older.csv", &as_csv(&deltas(1, 3)[..1]).replace("00000,", "00077,"));
    night.expect(0, &["ledger", "import", "older.csv", "--job", "job.toml", "--apply"]);
    let card = night.json(0, &["ledger", "show", "0029000000", "--state", "state"]);
    assert_eq!(card["cards"][0]["members"]["points"]["value"], "1002");
    night.is_sound();
}

#[test]
fn what_contradicts_the_ledger_is_refused_as_a_whole() {
    let night = Night::new(scripted(&[(&deltas(3, 1)[1].bill, "unknown")]), "retry.attempts_max = 1");
    night.write("in.csv", &as_csv(&deltas(3, 1)));
    night.expect(1, &["run", "job.toml"]);
    let before = night.json(0, &["ledger", "stats", "--state", "state"]);

    let mut sent = as_csv(&deltas(5, 1));
    for (why, changed) in [
        ("other content", sent.replace(",1000,ALIPAYHK,1,1760000000000", ",999,ALIPAYHK,1,1760000000000")),
        ("in doubt", std::mem::take(&mut sent)),
    ] {
        night.write("sent.csv", &changed);
        let text = night.expect(3, &["ledger", "import", "sent.csv", "--job", "job.toml"]);
        assert!(text.contains("CONFLICT_LEDGER") && text.contains("sent.csv:"), "{why}: {text}");
        night.expect(3, &["ledger", "import", "sent.csv", "--job", "job.toml", "--apply"]);
    }
    let after = night.json(0, &["ledger", "stats", "--state", "state"]);
    assert_eq!((&before["bills"], &before["runs"]), (&after["bills"], &after["runs"]));
}

#[test]
fn rows_without_a_time_need_to_be_told_one_and_bad_ones_are_refused() {
    let night = Night::new(Config::default(), "");
    night.write("sent.csv", "pass_id,user_id,points\n0029000001,2160220037090534,5\n");
    let text = night.expect(3, &["ledger", "import", "sent.csv", "--job", "job.toml", "--apply"]);
    assert!(text.contains("--occurred-at"), "{text}");
    let import =
        ["ledger", "import", "sent.csv", "--job", "job.toml", "--apply", "--occurred-at", "2025-12-31 10:00:00"];
    night.expect(0, &import);
    let card = night.json(0, &["ledger", "show", "0029000001", "--state", "state"]);
    assert_eq!(card["cards"][0]["members"]["points"]["place"]["occurred_at"], "2025-12-31T02:00:00.000Z");
    night.write("sent.csv", "pass_id,user_id,points\n0029000001,2160220037090534,5x\n");
    let text = night.expect(3, &import);
    assert!(text.contains("1 rows are not valid"), "{text}");
}

#[test]
fn a_run_over_an_empty_ledger_names_the_import() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(1, 1)));
    let text = night.expect(0, &["run", "job.toml"]);
    assert!(text.contains("passync ledger import FILE --job job.toml"), "{text}");
    let text = night.expect(0, &["run", "job.toml", "--again"]);
    assert!(!text.contains("ledger import"), "{text}");
}
