//! The big list of naughty strings, through CSV, ledger, JSON log, failure file and back.

use std::collections::{BTreeMap, BTreeSet};

use super::suite;
use crate::night::stage::{Night, faulty};

fn quoted(cell: &str) -> String {
    format!("\"{}\"", cell.replace('"', "\"\""))
}

/// A record for each string: as bill, as level, and as a column of which nothing is known.
fn records(strings: &[String]) -> Vec<String> {
    let record = |(at, text): (usize, &String)| {
        let cell = quoted(text);
        format!("{cell},{},2160220037090534,{},{cell},{cell},{}", card(at), 100 + at, 1_760_000_000_000 + at)
    };
    strings.iter().enumerate().map(record).collect()
}

fn card(at: usize) -> String {
    format!("card-{at}")
}

#[test]
fn naughty_strings_come_through_every_path_as_they_are() {
    let Some(path) = suite("naughty-strings/blns.json") else { return };
    let all: BTreeSet<String> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let strings: Vec<String> = all.into_iter().filter(|text| !text.is_empty()).collect();
    assert!(strings.len() > 400);
    let records = records(&strings);
    // Every bill is in doubt the first time, and well the second.
    let night = Night::new(
        faulty("unknown=100%,heal=1"),
        "input.rejects_max = '100%'\nretry.attempts_max = 1\nretry.budget = '100%'\nrun.halt_after_errors = 'off'",
    );
    let header = "bill_no,pass_id,user_id,points,level.zh_HK,note,occurred_at\n";
    night.write("in.csv", &format!("{header}{}\n", records.join("\n")));
    let log =
        night.expect(1, &["run", "job.toml", "--log-format", "json", "-v", "--set", "gateway.locales=[\"zh_HK\"]"]);
    for line in log.lines().filter(|line| line.starts_with('{')) {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }

    // Outcomes tell every bill as it is, and failures every record byte by byte.
    let outcomes = night.outcomes();
    assert_eq!(outcomes.len(), strings.len());
    let failures = std::fs::read(night.path("out/night/latest/failures.csv")).unwrap();
    for ((line, text), record) in outcomes.iter().zip(&strings).zip(&records) {
        assert_eq!(line["bill_no"], **text, "{line:?}");
        assert!(["unknown", "rejected"].contains(&&line["outcome"]), "{line:?}");
        let whole = format!("\n{record},{},", &line["outcome"]);
        assert!(failures.windows(whole.len()).any(|window| window == whole.as_bytes()), "{record}");
    }
    // The page for people shows failing rows; what looks like HTML in them is none.
    let page = std::fs::read_to_string(night.path("out/night/latest/report.html")).unwrap();
    for text in strings.iter().filter(|text| text.contains('<') && text.contains('>') && text.len() > 8) {
        assert!(!page.contains(text.as_str()), "{text}");
    }
    let valid: BTreeMap<usize, &String> =
        strings.iter().enumerate().filter(|(at, _)| outcomes[*at]["outcome"] == *"unknown").collect();
    let rejected = strings.len() - valid.len();
    eprintln!("{} naughty strings are sent, {rejected} are rejected as ids or texts", valid.len());
    assert!(valid.len() > 150 && rejected > 50);

    // The ledger knows each bill, and a replay sends it as it was.
    for text in valid.values().take(40) {
        let said = night.expect(0, &["ledger", "show", "--job", "job.toml", "--json", "--", text]);
        assert!(said.contains("unknown"), "{text:?}: {said}");
    }
    night.expect(0, &["replay", "job.toml", "out/night/latest", "--set", "gateway.locales=[\"zh_HK\"]"]);
    assert_eq!(night.counts(), [("applied".to_owned(), valid.len())].into());
    for (at, text) in &valid {
        let shown = night.server.look(|gateway| {
            gateway
                .card("M1", &card(*at))
                .and_then(|card| card.members.get("level.zh_HK").map(|shown| shown.value.clone()))
        });
        assert_eq!(shown.as_ref(), Some(*text), "{}", card(*at));
    }
}
