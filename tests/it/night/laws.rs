//! The laws on a bad night: nothing lost, nothing stale, nothing sent twice without a real doubt.

use super::{Delta, Night, as_csv, deltas, faulty, scripted};
use passync::sandbox::Config;

const HOSTILE: &str = "unknown=3%,unknown-applied=3%,system-error=1%,drop-before=1%,drop-after=1%,503=1%,503-applied=1%,\
                       429=1%,limit=1%,html=1%,garbage-applied=1%,half=1%,forged=1%,unsigned=1%,close=1%,heal=3";

#[test]
fn every_order_of_the_file_gives_the_same_cards() {
    let sorted = deltas(60, 3);
    let newest_first: Vec<Delta> = sorted.iter().rev().cloned().collect();
    let mut shuffled = sorted.clone();
    shuffled.sort_by_key(|row| row.bill.bytes().rev().collect::<Vec<_>>());
    for rows in [sorted, newest_first, shuffled] {
        let night = Night::new(faulty(HOSTILE), "");
        night.write("in.csv", &as_csv(&rows));
        night.expect(0, &["run", "job.toml"]);
        assert_eq!(night.counts(), [("applied".to_owned(), rows.len())].into());
        assert_eq!(night.failures(), 0);
        night.is_well(&rows);
        let calls = night.calls();
        night.expect(3, &["run", "job.toml"]);
        night.expect(0, &["run", "job.toml", "--again"]);
        assert_eq!(night.counts(), [("already_applied".to_owned(), rows.len())].into());
        assert_eq!(night.calls(), calls, "what was applied is not sent again");
    }
}

#[test]
fn replays_converge_and_a_second_replay_sends_nothing() {
    let rows = deltas(40, 3);
    let night = Night::new(faulty(HOSTILE.replace("heal=3", "heal=2").as_str()), "retry.attempts_max = 2");
    night.write("in.csv", &as_csv(&rows));
    night.expect(1, &["run", "job.toml", "--set", "run.halt_after_errors=off"]);
    let manifest = night.manifest();
    assert!(night.failures() > 0);
    assert_eq!(manifest["exit"], 1);
    for _ in 0..6 {
        if night.failures() == 0 {
            break;
        }
        night.passync(&["replay", "job.toml", "out/night/latest", "--set", "retry.attempts_max=6"]);
    }
    assert_eq!(night.failures(), 0, "{:?}", night.counts());
    night.is_well(&rows);
    let calls = night.calls();
    let first = format!("out/night/{}", manifest["run"].as_str().unwrap());
    night.expect(0, &["replay", "job.toml", &first]);
    assert_eq!(night.calls(), calls);
    night.is_well(&rows);
}

#[test]
fn a_strict_quota_holds_as_the_gateway_sees_it() {
    let config = Config { quota: Some("80/1s".parse().unwrap()), enforce_quota: false, ..Config::default() };
    let night = Night::new(config, "");
    let rows = deltas(120, 2);
    night.write("in.csv", &as_csv(&rows));
    night.expect(0, &["run", "job.toml", "--set", "limits.quota=80/1s"]);
    let peak = night.server.look(|gateway| gateway.summary().peak);
    assert!(peak <= 80, "{peak} arrivals in one second");
    assert!(peak >= 70, "the quota is used: {peak}");
    night.is_well(&rows);
}

#[test]
fn a_doubt_that_stays_holds_its_card_or_lets_it_go_on() {
    let rows = [Delta::new("b1", "card-1", 1, 1), Delta::new("b2", "card-1", 2, 2), Delta::new("b3", "card-2", 3, 3)];
    let words =
        |night: &Night| -> Vec<String> { night.outcomes().iter().map(|line| line["outcome"].to_owned()).collect() };
    let night = Night::new(scripted(&[("b1", "unknown")]), "retry.attempts_max = 2");
    night.write("in.csv", &as_csv(&rows));
    night.expect(1, &["run", "job.toml"]);
    assert_eq!(words(&night), ["unknown", "held", "applied"]);
    assert_eq!(night.outcomes()[0]["in_doubt"], *"2");

    let night = Night::new(scripted(&[("b1", "unknown")]), "retry.attempts_max = 2\nrun.on_in_doubt = 'continue'");
    night.write("in.csv", &as_csv(&rows));
    night.expect(1, &["run", "job.toml"]);
    assert_eq!(words(&night), ["unknown", "applied", "applied"]);
    // The doubtful row is older than what the card shows now.
    night.expect(0, &["replay", "job.toml", "out/night/latest"]);
    assert_eq!(words(&night), ["superseded"]);
    night.is_well(&rows);
}

#[test]
fn the_newest_row_carries_the_older_ones() {
    let rows = deltas(20, 3);
    let night = Night::new(faulty(HOSTILE), "run.coalesce = true\nrun.coalesce_bills = true");
    night.write("in.csv", &as_csv(&rows));
    night.expect(0, &["run", "job.toml"]);
    assert_eq!(night.counts(), [("applied".to_owned(), 20), ("coalesced".to_owned(), 40)].into());
    for (at, line) in night.outcomes().iter().enumerate().filter(|(at, _)| at % 3 != 2) {
        assert_eq!(line["carried_by"], format!("in.csv:{}", at / 3 * 3 + 4), "{line:?}");
    }
    assert_eq!(night.manifest()["rows"]["not_told"]["rows"], 40);
    night.is_well(&rows);
}

#[test]
fn a_refused_carrier_is_replaced_by_the_newest_row_that_it_absorbed() {
    let rows = [Delta::new("b1", "card-1", 1, 1), Delta::new("b2", "card-1", 2, 2), Delta::new("b3", "card-1", 3, 3)];
    let night =
        Night::new(scripted(&[("b3", "refuse:PASS_STATUS_ILLEGAL")]), "run.coalesce = true\nrun.coalesce_bills = true");
    night.write("in.csv", &as_csv(&rows));
    night.expect(1, &["run", "job.toml"]);
    let lines = night.outcomes();
    let words: Vec<&str> = lines.iter().map(|line| &line["outcome"]).collect();
    assert_eq!(words, ["coalesced", "applied", "refused"]);
    assert_eq!(lines[0]["carried_by"], *"in.csv:3");
    assert_eq!(night.points("card-1").as_deref(), Some("2"));
}
