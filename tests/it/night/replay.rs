//! Replays: which rows they take, behind what, and what they leave of the files that they read.

use passync::sandbox::Config;
use serde_json::Value;

use super::{Night, as_csv, deltas, scripted, wait_for};

/// A night with one card whose first row is in doubt, so that the next two are held.
fn held() -> Night {
    let mut night = Night::new(scripted(&[("CARD-1", "unknown-applied")]), "retry.attempts_max = 1");
    night.write(
        "in.csv",
        "bill_no,pass_id,user_id,points,occurred_at\n\
         b1,CARD-1,u1,1001,2026-01-01 10:00:00\n\
         b2,CARD-1,u1,1002,2026-01-01 11:00:00\n\
         b3,CARD-1,u1,1003,2026-01-01 12:00:00\n",
    );
    night.expect(1, &["run", "job.toml"]);
    night.reopen_gateway(Config::default());
    night
}

#[test]
fn an_answer_about_a_card_is_none_about_rows_that_were_never_sent() {
    let night = held();
    let settle = |exit: i32, key: &str| {
        night.expect(exit, &["ledger", "settle", key, "--as", "applied", "--reason", "seen", "--state", "state"])
    };
    settle(0, "CARD-1");
    let open = night.open();
    let bills: Vec<_> = open.iter().map(|row| row["bill_no"].as_str().unwrap()).collect();
    assert_eq!(bills, ["b2", "b3"], "{open:?}");
    let said = settle(2, "CARD-1");
    assert!(said.contains("2 open bills that were never sent"), "{said}");
    night.expect(0, &["replay", "job.toml", "out/night/latest"]);
    assert_eq!(night.points("CARD-1").as_deref(), Some("1003"));
    assert!(settle(2, "CARD-2").contains("neither a bill nor a card"));
}

#[test]
fn an_answer_waits_for_a_run_that_was_cut_off_with_another_content_of_the_bill() {
    let night = held();
    let tonight = as_csv(&deltas(60, 1)) + "b2,CARD-1,u1,2000,,,1767300000000\n";
    night.write("tonight.csv", &tonight);
    let run = ["run", "job.toml", "--input", "tonight.csv"];
    let calls = night.calls();
    let mut child = night.start(&[&run[..], &["--set", "limits.quota=50/1s"]].concat());
    wait_for(|| night.calls() > calls + 10);
    child.kill().unwrap();
    child.wait().unwrap();
    let settle = ["ledger", "settle", "b2", "--as", "applied", "--reason", "seen", "--state", "state"];
    let said = night.expect(2, &settle);
    assert!(said.contains("has bill b2 with another content") && said.contains("passync resume"), "{said}");
    night.expect(0, &["resume", "job.toml"]);
    assert!(!night.expect(2, &settle).contains("another content"), "its run has settled it");
    night.is_sound();
}

#[test]
fn open_rows_wait_until_the_night_behind_them_is_known_to_be_good() {
    let night = held();
    let tonight = ["run", "job.toml", "--input", "tonight.csv", "--set", "run.replay_open=true"];
    let calls = night.calls();
    night.write("tonight.csv", "bill_no,pass_id,user_id,points,occurred_at\nx1,CARD-9,u1,many,2026-01-02 10:00:00\n");
    let strict = [&tonight[..], &["--set", "input.rejects_max=0"]].concat();
    assert!(night.expect(3, &strict).contains("rows are not valid"));
    // The bill of an open row with another content, which is in conflict once that row is applied: not yet.
    night.write("tonight.csv", "bill_no,pass_id,user_id,points,occurred_at\nb1,CARD-1,u1,5,2026-01-01 10:00:00\n");
    assert!(night.expect(3, &strict).contains("in conflict"));
    assert_eq!(night.calls(), calls, "nothing was sent");
    night.write("tonight.csv", "bill_no,pass_id,user_id,points,occurred_at\nb3,CARD-1,u1,1004,2026-01-01 13:00:00\n");
    assert_eq!(night.passync(&strict).0, 1, "a conflict that the replay made refuses no night behind it");
}

#[test]
fn a_run_that_is_reopened_sends_its_own_open_rows() {
    let night = Night::new(Config::default(), "run.replay_open = true");
    night.write("in.csv", &as_csv(&deltas(5, 1)));
    night.expect(5, &["run", "job.toml", "--canary", "1"]);
    night.expect(0, &["run", "job.toml"]);
    assert_eq!(
        (night.calls(), std::fs::read_dir(night.path("out/night")).unwrap().count()),
        (5, 2),
        "a run and a link"
    );
    assert_eq!(night.json(0, &["reconcile", "out/night/latest"])["proved"], true);
}

#[test]
fn what_a_replay_read_may_be_written_anew_by_its_run() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(5, 1)));
    night.expect(5, &["run", "job.toml", "--canary", "1"]);
    let first = night.manifest()["dir"].as_str().unwrap().to_owned();
    night.expect(0, &["replay", "job.toml", "out/night/latest"]);
    let replay = night.manifest()["dir"].as_str().unwrap().to_owned();
    night.expect(0, &["run", "job.toml"]);
    assert_eq!(night.calls(), 5);
    let proof = night.json(0, &["reconcile", &replay]);
    let inputs = proof["checks"].as_array().unwrap().iter().find(|check| check["name"] == "inputs").unwrap();
    assert!(inputs["skipped"].as_str().unwrap().contains("its run was reopened since"), "{inputs}");
    // A digest that was never that of the file is a fault: nobody wrote that anew.
    let again = night.expect(0, &["replay", "job.toml", "out/night/latest"]);
    let path = night.path("out/night/latest/manifest.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let read = night.manifest()["inputs"][0]["sha256"].as_str().unwrap().to_owned();
    std::fs::write(&path, text.replace(&read, &"0".repeat(64))).unwrap();
    assert_eq!(night.json(1, &["reconcile", "out/night/latest"])["proved"], false, "{again}");
    // Changed by anybody else it is a fault.
    std::fs::write(night.path(&format!("{first}/failures.csv")), "bill_no\n").unwrap();
    assert_eq!(night.json(1, &["reconcile", &replay])["proved"], false);
}

#[test]
fn a_replay_of_a_run_that_was_cut_off_finishes_it_first_and_then_reads() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(60, 1)));
    night.expect(5, &["run", "job.toml", "--canary", "1"]);
    let mut child = night.start(&["run", "job.toml", "--set", "limits.quota=50/1s"]);
    wait_for(|| night.calls() > 10);
    child.kill().unwrap();
    child.wait().unwrap();
    night.expect(0, &["replay", "job.toml", "out/night/latest"]);
    assert_eq!(night.open(), Vec::<Value>::new());
    night.is_sound();
}

#[test]
fn a_replay_takes_rows_for_those_of_their_own_merchant() {
    let night = held();
    let calls = night.calls();
    for (setting, key) in [("gateway.merchant_id=M2", "merchant_id"), ("gateway.client_id=C2", "client_id")] {
        let said = night.expect(2, &["replay", "job.toml", "out/night/latest", "--set", setting]);
        assert!(said.contains(key) && said.contains("other bills, on other cards"), "{said}");
    }
    assert_eq!(night.calls(), calls);
    // Where nothing is in doubt, the setting may have been wrong.
    let settle = ["ledger", "settle", "b1", "--as", "not-applied", "--reason", "no such merchant", "--state", "state"];
    night.expect(0, &settle);
    let words = ["replay", "job.toml", "out/night/latest", "--set", "gateway.merchant_id=M2"];
    night.expect(0, &words);
    assert_eq!(night.calls(), calls + 3);
}

#[test]
fn a_run_is_reopened_under_its_own_merchant_alone() {
    for (fault, exit, runs) in [("refuse:PASS_STATUS_ILLEGAL", 0, 2), ("unknown-applied", 2, 1)] {
        let rows = deltas(3, 1);
        let mut night = Night::new(scripted(&[(&rows[0].card, fault)]), "retry.attempts_max = 1");
        night.write("in.csv", &as_csv(&rows));
        night.expect(5, &["run", "job.toml", "--canary", "1"]);
        night.reopen_gateway(Config::default());
        night.expect(exit, &["run", "job.toml", "--set", "gateway.merchant_id=M2"]);
        assert_eq!(std::fs::read_dir(night.path("out/night")).unwrap().count(), runs + 1, "and a link");
        night.is_sound();
    }
}

#[test]
fn open_rows_of_another_merchant_stop_no_night() {
    let night = held();
    night.write("tonight.csv", "bill_no,pass_id,user_id,points,occurred_at\nx1,CARD-9,u1,5,2026-01-02 10:00:00\n");
    let words = ["run", "job.toml", "--input", "tonight.csv", "--set", "run.replay_open=true"];
    let said = night.expect(0, &[&words[..], &["--set", "gateway.merchant_id=M2"]].concat());
    assert!(said.contains("are not replayed: it had gateway.merchant_id = \"M1\""), "{said}");
    assert_eq!(night.open().len(), 3);
}

#[test]
fn carried_by_names_the_row_that_did_the_call() {
    let mut night = Night::new(
        scripted(&[("P1", "unknown")]),
        "retry.attempts_max = 1\nrun.on_in_doubt = 'continue'\ninput.verbatim = ['bill_no', 'pass_id']",
    );
    night.write(
        "in.csv",
        "bill_no,pass_id,user_id,points,level,occurred_at\n\
         a,P1,u1,,L1,2026-01-01 10:00:00\n\
         m,P1,u1,5,L5,2026-01-01 11:00:00\n\
         b,P1,u1,,L2,2026-01-01 12:00:00\n\
         c,P1,u1,7,L3,2026-01-01 13:00:00\n",
    );
    night.expect(1, &["run", "job.toml"]);
    night.reopen_gateway(Config::default());
    night.expect(0, &["replay", "job.toml", "out/night/latest"]);
    let rows = night.outcomes();
    let ends: Vec<_> =
        rows.iter().map(|row| (&row["outcome"], row["carried_by"].rsplit(':').next().unwrap_or_default())).collect();
    assert_eq!(ends, [("superseded", "5"), ("superseded", "5"), ("superseded", "5"), ("applied", "")]);
    assert_eq!(night.json(0, &["reconcile", "out/night/latest"])["proved"], true);
}
