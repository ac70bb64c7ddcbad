//! Snapshots and tables: `diff` against what the loyalty system says, and what other programs get of the ledger.

use std::collections::BTreeMap;
use std::fs;

use passync::sandbox::Config;
use serde_json::Value;

use super::{Delta, Night, as_csv, deltas, faulty, scripted};

/// Of rows that `stage::deltas` makes: points 1000 and on.
const TAKEN: &str = "2026-01-31T00:00:00Z";

fn snapshot(cards: &[(&str, u64)]) -> String {
    let line = |(card, points): &(&str, u64)| format!("{card},2160220037090534,{points}\n");
    "pass_id,user_id,points\n".to_owned() + &cards.iter().map(line).collect::<String>()
}

/// The lines of a CSV, by column.
fn lines(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

#[test]
fn the_deltas_make_the_cards_what_the_snapshot_says() {
    let doubtful = deltas(5, 1)[4].bill.clone();
    let mut night = Night::new(scripted(&[(&doubtful, "unknown")]), "retry.attempts_max = 1");
    night.write("in.csv", &as_csv(&deltas(5, 1)));
    night.expect(1, &["run", "job.toml"]);
    // 0 agrees, 1 and 2 differ, 3 is missing, 4 is in doubt, 9 was never heard of.
    let cards =
        [("0029000000", 1000), ("0029000009", 7), ("0029000001", 1500), ("0029000002", 900), ("0029000004", 1000)];
    night.write("balances.csv", &snapshot(&cards));
    let diff = ["diff", "job.toml", "balances.csv", "--occurred-at", TAKEN];

    let counts = night.json(1, &diff);
    let expected =
        [("agree", 1), ("differ", 2), ("in_doubt", 1), ("unknown", 1), ("missing", 1), ("newer", 0), ("deltas", 4)];
    for (what, number) in expected {
        assert_eq!(counts[what], number, "{what}: {counts}");
    }
    assert_eq!(counts["first_in_doubt"], serde_json::json!(["balances.csv:6"]));
    let (code, output) = night.passync(&diff);
    let (said, printed) = (String::from_utf8(output.stderr).unwrap(), String::from_utf8(output.stdout).unwrap());
    assert_eq!(code, 1, "{said}");
    for words in ["1  agree", "2  differ", "1  in doubt", "1  unknown to the ledger", "1  missing in the snapshot"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let written = lines(&printed);
    let of = |column: &str| written.iter().map(|line| line[column].as_str()).collect::<Vec<_>>();
    assert_eq!(of("pass_id"), ["0029000009", "0029000001", "0029000002", "0029000004"], "in the snapshot's order");
    assert_eq!(of("_why"), ["unknown", "differs", "differs", "in_doubt"]);
    assert_eq!(of("_ledger"), ["", "points=1000", "points=1000", ""]);
    assert_eq!(of("last_changed_points"), ["", "500", "-100", ""]);
    assert!(of("occurred_at").iter().all(|at| *at == "2026-01-31T00:00:00.000Z"));

    let text = night.expect(1, &[&diff[..], &["--out", "deltas.csv"]].concat());
    assert!(text.contains("passync run job.toml --input deltas.csv"), "{text}");
    assert_eq!(
        fs::read_to_string(night.path("deltas.csv")).unwrap(),
        printed,
        "the same correction has the same bills"
    );
    let known = night.json(1, &[&diff[..], &["--known-only"]].concat());
    assert_eq!((&known["unknown"], &known["deltas"]), (&1.into(), &3.into()));

    let all = night.json(1, &[&diff[..], &["--all"]].concat());
    assert_eq!((&all["agree"], &all["deltas"]), (&1.into(), &5.into()));

    night.reopen_gateway(Config::default());
    night.expect(0, &["run", "job.toml", "--input", "deltas.csv"]);
    for (card, points) in &cards[1..] {
        assert_eq!(night.points(card), Some(points.to_string()), "{card}");
    }
    night.is_sound();
    let agrees = night.json(0, &diff);
    assert_eq!((&agrees["agree"], &agrees["deltas"]), (&5.into(), &0.into()), "a newer value covers what was in doubt");
    night.expect(0, &["replay", "job.toml", "deltas.csv"]);
    assert_eq!(night.calls(), 4, "nothing is sent twice");
}

#[test]
fn what_happened_since_the_snapshot_is_not_rolled_back() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(2, 1)));
    night.expect(0, &["run", "job.toml"]);
    night.write("balances.csv", &snapshot(&[("0029000000", 500), ("0029000001", 500)]));
    // Taken between the rows of the two cards, which are a second apart.
    let diff = ["diff", "job.toml", "balances.csv", "--occurred-at", "1760000000500", "--out", "deltas.csv"];
    let counts = night.json(1, &diff);
    assert_eq!((&counts["differ"], &counts["newer"]), (&1.into(), &1.into()));
    // A delta that comes too late is superseded, by its place.
    night.write("in.csv", &as_csv(&[Delta::new("b9", "0029000000", 2_000, 5)]));
    night.expect(0, &["run", "job.toml"]);
    night.expect(0, &["run", "job.toml", "--input", "deltas.csv"]);
    assert_eq!(night.counts()["superseded"], 1);
}

#[test]
fn a_snapshot_may_say_itself_when_it_was_taken_and_columns_of_deltas_are_not_missed() {
    let columns = "[input.columns]\nbill_no = 'BILL'\npass_id = 'CARD'\npoints = 'POINTS'\nlast_changed_points = 'CHANGE'\n\
                   occurred_at = 'AT'\n";
    let night = Night::new(Config::default(), columns);
    night.write("balances.csv", "CARD;user_id;POINTS;AT\n0029000000;2160220037090534;77;2026-01-31 10:00:00\n");
    let first = "BILL;CARD;user_id;POINTS;CHANGE;AT\nB1;0029000000;2160220037090534;70;1;2026-01-01 10:00:00\n";
    night.write("in.csv", first);
    night.expect(0, &["run", "job.toml"]);
    let text = night.expect(2, &["diff", "job.toml", "balances.csv", "--out", "./balances.csv"]);
    assert!(text.contains("is the snapshot itself"), "{text}");
    let text = night.expect(2, &["diff", "job.toml", "balances.csv", "--out", "deltas.parquet"]);
    assert!(text.contains("deltas are plain CSV"), "{text}");
    let text = night.expect(1, &["diff", "job.toml", "balances.csv", "--out", "deltas.csv"]);
    assert!(text.contains("compared: points"), "{text}");
    let written = fs::read_to_string(night.path("deltas.csv")).unwrap();
    assert!(written.starts_with("CARD,user_id,POINTS,AT,BILL,CHANGE,_why,_ledger\n"), "{written}");
    assert!(
        written.contains("0029000000,2160220037090534,77,2026-01-31T02:00:00.000Z,diff-20260131T020000Z-"),
        "{written}"
    );
    night.expect(0, &["run", "job.toml", "--input", "deltas.csv", "--set", "input.require_bill_no=true"]);
    assert_eq!(night.points("0029000000").as_deref(), Some("77"));
    night.expect(0, &["diff", "job.toml", "balances.csv"]);
}

#[test]
fn half_a_truth_is_none() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(2, 1)));
    night.expect(0, &["run", "job.toml"]);
    for (text, exit, why) in [
        (snapshot(&[("0029000000", 5), ("0029000001", 6), ("0029000000", 7)]), 3, "stands on line 2, too"),
        (snapshot(&[("0029000000", 5)]) + "0029000001,2160220037090534,1e3\n", 3, "balances.csv:3: R"),
        ("user_id,points\n2160220037090534,5\n".to_owned(), 3, "`pass_id` is missing"),
    ] {
        night.write("balances.csv", &text);
        let said =
            night.expect(exit, &["diff", "job.toml", "balances.csv", "--occurred-at", TAKEN, "--out", "deltas.csv"]);
        assert!(said.contains(why), "{why}: {said}");
        assert!(!night.path("deltas.csv").exists());
    }
    night.write("balances.csv", &snapshot(&[("0029000000", 5)]));
    let said = night.expect(2, &["diff", "job.toml", "balances.csv"]);
    assert!(said.contains("--occurred-at TIME"), "{said}");

    let night = Night::new(faulty("hang=100%"), "");
    night.write("in.csv", &as_csv(&deltas(2, 1)));
    night.write("balances.csv", &snapshot(&[("0029000000", 5)]));
    let mut run = night.start(&["run", "job.toml"]);
    super::wait_for(|| night.calls() > 0);
    let said = night.expect(3, &["diff", "job.toml", "balances.csv", "--occurred-at", TAKEN]);
    assert!(said.contains("is on, or was cut off"), "{said}");
    run.kill().unwrap();
    run.wait().unwrap();
}

#[test]
fn tables_have_every_bill_and_every_value_and_no_whole_card_number() {
    let rows = deltas(4, 2);
    let night = Night::new(scripted(&[(&rows[7].bill, "unknown")]), "retry.attempts_max = 1");
    night.write("in.csv", &as_csv(&rows));
    night.expect(1, &["run", "job.toml"]);
    let text = night.expect(0, &["ledger", "export", "tables", "--state", "state"]);
    assert!(text.contains("tables/bills.csv: 8 rows") && text.contains("tables/cards.csv: 4 rows"), "{text}");
    let bills = lines(&fs::read_to_string(night.path("tables/bills.csv")).unwrap());
    let doubtful = bills.iter().find(|bill| bill["bill_no"] == rows[7].bill).unwrap();
    assert_eq!(doubtful["state"], "open, possibly applied");
    assert_eq!(doubtful["members"], "[[\"points\",\"1001\"]]");
    assert_eq!(bills.iter().filter(|bill| bill["state"] == "applied").count(), 7);
    let cards = lines(&fs::read_to_string(night.path("tables/cards.csv")).unwrap());
    assert_eq!(cards.iter().filter(|card| card["member"] == "points" && card["value"] == "1001").count(), 3);
    assert!(cards.iter().all(|card| card["card"] == "00…"));
    let keys: std::collections::BTreeSet<_> = cards.iter().map(|card| &card["card_key"]).collect();
    assert!(bills.iter().all(|bill| keys.contains(&bill["card_key"])));

    let json =
        night.json(0, &["ledger", "export", "cards.parquet", "--only", "cards", "--state", "state", "--log-pii"]);
    assert_eq!(json[0]["rows"], Value::from(4));
    let found = fs::read(night.path("cards.parquet")).unwrap();
    assert!(found.starts_with(b"PAR1"));
    let whole = night.expect(0, &["ledger", "export", "cards.csv", "--only", "cards", "--state", "state", "--log-pii"]);
    assert!(whole.contains("cards.csv: 4 rows"));
    assert!(fs::read_to_string(night.path("cards.csv")).unwrap().contains("0029000003,points,1000"));
    let text = night.expect(2, &["ledger", "export", "all.csv", "--state", "state"]);
    assert!(text.contains("--only"), "{text}");
}
