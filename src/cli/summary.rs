//! The last screen of a run, as text: what happened to how many rows, why, and where it is written.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::figures::{self, count, grouped};
use crate::model::{Exit, Outcome};
use crate::run::{Change, Manifest, Sum, Versus, meaning};
use crate::wire::Code;

/// Codes shown; the rest is in the failure file.
const CODES_SHOWN: usize = 10;

/// One run. `table`: the dialect's codes.
pub fn of(manifest: &Manifest, table: &[Code]) -> String {
    let mut text = format!("{}\n{}\n\n", headline(manifest), subline(manifest));
    outcomes(&mut text, manifest);
    codes(&mut text, manifest, table);
    text.push('\n');
    facts(&mut text, manifest);
    text
}

/// What is otherwise than in the run before: what a person who sees this screen every morning would want to be shown.
pub fn versus(versus: &Versus) -> String {
    if versus.changes.is_empty() {
        return format!("  {:<10}as in run {}\n", "before", versus.run);
    }
    let mut text = format!("  {:<10}run {} had\n", "before", versus.run);
    for Change { what, unit, before, now } in &versus.changes {
        let shown = |value: u64| match *unit {
            "ms" => figures::span(Duration::from_millis(value)),
            _ => grouped(&value),
        };
        let by = share(*before, *now).map(|by| format!("  ({by})")).unwrap_or_default();
        let _ = writeln!(text, "{:12}{what:<12}{:>14}, now {}{by}", "", shown(*before), shown(*now));
    }
    text
}

/// `+12%`, where there was enough before for a share to mean something.
fn share(before: u64, now: u64) -> Option<String> {
    const ENOUGH: u64 = 20;
    (before >= ENOUGH).then(|| format!("{:+.0}%", (now as f64 / before as f64 - 1.0) * 100.0))
}

/// How it ended, in a sentence.
fn headline(manifest: &Manifest) -> String {
    let (job, rows) = (&manifest.job, count(manifest.rows.read.rows - manifest.rows.passed_over.rows, "row"));
    let failures = grouped(&manifest.rows.failures());
    match (Exit::of_code(manifest.exit), &manifest.stopped) {
        (Some(Exit::Halted), Some(why)) => {
            format!("{job}: HALTED: {}; {failures} of {rows} did not end well", why.message)
        }
        (_, Some(why)) => format!("{job}: {}; {failures} of {rows} did not end well", why.message),
        (Some(Exit::Clean), None) => format!("{job}: all is well, {rows} settled"),
        _ => format!("{job}: {failures} of {rows} did not end well"),
    }
}

fn subline(manifest: &Manifest) -> String {
    let took = manifest.durations_ms;
    let span = |ms| figures::span(Duration::from_millis(ms));
    format!(
        "{} {}, exit {}; {} reading, {} sending, {} writing",
        manifest.kind,
        manifest.run,
        manifest.exit,
        span(took.survey),
        span(took.apply),
        span(took.finish)
    )
}

fn outcomes(text: &mut String, manifest: &Manifest) {
    let rows = &manifest.rows;
    let mut line = |name: &str, sum: Sum, note: &str| {
        let points = grouped(&sum.points);
        let _ = writeln!(text, "{}", format!("  {name:<16}{:>12}{points:>18}  {note}", grouped(&sum.rows)).trim_end());
    };
    let note = |outcome: Outcome| match outcome {
        Outcome::Unknown => "may or may not be applied",
        Outcome::Held | Outcome::Unsent => "not applied",
        Outcome::Rejected | Outcome::Conflict => "never sent",
        Outcome::Refused => "the gateway's final no",
        _ => "",
    };
    for (outcome, sum) in &rows.outcomes {
        line(outcome.as_str(), *sum, note(*outcome));
    }
    if rows.passed_over.rows > 0 {
        line("passed over", rows.passed_over, "not of the classes that were asked for");
    }
    line("rows read", rows.read, "with the sum of last_changed_points");
    if rows.unsummed > 0 {
        let _ = writeln!(text, "  {} whose last_changed_points is no number: in no sum", count(rows.unsummed, "row"));
    }
}

fn codes(text: &mut String, manifest: &Manifest, table: &[Code]) {
    let codes = manifest.rows.failure_codes.ranked();
    if codes.is_empty() {
        return;
    }
    text.push_str("\nwhy they did not end well\n");
    for (code, rows) in codes.iter().take(CODES_SHOWN) {
        let rows = grouped(&rows);
        match meaning::of(code, table) {
            Some(meaning) => {
                let _ = writeln!(text, "  {code:<28}{rows:>9}  {}\n{:41}{}", meaning.what, "", meaning.advice);
            }
            None => {
                let _ = writeln!(
                    text,
                    "  {code:<28}{rows:>9}  not on the vendor's pages; the failure file has what it said"
                );
            }
        }
    }
    if codes.len() > CODES_SHOWN {
        let _ = writeln!(text, "  and {} more codes: see the failure file", codes.len() - CODES_SHOWN);
    }
}

/// The most frequent codes that are on no page, with how often each was met.
pub fn unlisted(manifest: &Manifest) -> impl Iterator<Item = String> {
    let codes = manifest.calls.unlisted_codes.ranked().into_iter().take(CODES_SHOWN);
    codes.map(|(code, times)| {
        format!("{code}, {}: on none of the vendor's pages; read by its status", count(times, "time"))
    })
}

fn facts(text: &mut String, manifest: &Manifest) {
    let calls = &manifest.calls;
    let mut line = |name: &str, fact: String| {
        let _ = writeln!(text, "  {name:<10}{fact}");
    };
    line(
        "calls",
        format!(
            "{}: {}, {} in doubt; at most {} in one window, the quota is {}",
            grouped(&calls.attempts),
            count(calls.retries, "retry"),
            grouped(&calls.in_doubt),
            grouped(&calls.quota_peak),
            calls.quota
        ),
    );
    for fact in unlisted(manifest) {
        line("unlisted", fact);
    }
    let untold = manifest.rows.not_told;
    if untold.rows > 0 {
        let (bills, points) = (count(untold.rows, "bill"), grouped(&untold.points));
        line("not told", format!("{bills} with {points} points: newer rows of their cards were sent instead"));
    }
    for warning in &manifest.warnings {
        line("warning", warning.clone());
    }
    let names: Vec<&str> = manifest.files.keys().map(String::as_str).chain([Manifest::FILE]).collect();
    line("files", format!("{}  ({})", figures::path(Path::new(&manifest.dir)), names.join(", ")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Amount, Total};
    use crate::wire;

    fn sum(rows: u64, points: &str) -> Sum {
        let mut total = Total::default();
        total.add(Amount::parse(points).unwrap());
        Sum { rows, points: total }
    }

    fn manifest() -> Manifest {
        let mut manifest: Manifest = serde_json::from_value(serde_json::json!({
            "version": "0.1.0", "job": "nightly", "run": "20260101T000000Z-00001", "kind": "run",
            "started_at": "", "closed_at": "", "exit": 0, "stopped": null, "dir": "/nowhere/out", "ledger": "",
            "inputs": [],
            "rows": { "read": { "rows": 0, "points": "0" }, "passed_over": { "rows": 0, "points": "0" }, "outcomes": {},
                      "unsummed": 0, "not_told": { "rows": 0, "points": "0" }, "failure_codes": {} },
            "calls": { "attempts": 1, "retries": 1, "in_doubt": 0, "quota": "50/1s", "quota_peak": 50, "unlisted_codes": {} },
            "durations_ms": { "survey": 300, "apply": 64_000, "finish": 0 }, "warnings": [],
            "flags": { "allow_stale": false, "again": false, "include": [], "occurred_at_ms": null },
            "settings": {}, "files": { "outcomes.csv": { "size": 1, "sha256": "" } }
        }))
        .unwrap();
        manifest.rows.read = sum(4_999, "123456.5");
        manifest.rows.outcomes = [(Outcome::Applied, sum(4_999, "123456.5"))].into();
        manifest
    }

    #[test]
    fn a_good_night_is_short() {
        assert_eq!(
            of(&manifest(), &[]),
            "nightly: all is well, 4,999 rows settled
run 20260101T000000Z-00001, exit 0; 0.3 s reading, 1 min 4 s sending, 0.0 s writing

  applied                4,999         123,456.5
  rows read              4,999         123,456.5  with the sum of last_changed_points

  calls     1: 1 retry, 0 in doubt; at most 50 in one window, the quota is 50/1s
  files     /nowhere/out  (outcomes.csv, manifest.json)
"
        );
    }

    #[test]
    fn what_differs_from_the_run_before_is_said_and_nothing_else() {
        let change = |what, unit, before, now| Change { what, unit, before, now };
        let changes =
            vec![change("rows", "", 4_000, 4_999), change("unknown", "", 0, 7), change("sending", "ms", 9_000, 64_000)];
        assert_eq!(
            versus(&Versus { run: "20260101T000000Z-00001".to_owned(), changes }),
            "  before    run 20260101T000000Z-00001 had
            rows                 4,000, now 4,999  (+25%)
            unknown                  0, now 7
            sending              9.0 s, now 1 min 4 s  (+611%)
"
        );
        assert_eq!(versus(&Versus { run: "r".to_owned(), changes: Vec::new() }), "  before    as in run r\n");
    }

    #[test]
    fn a_bad_night_says_what_why_and_what_to_do() {
        let mut manifest = manifest();
        manifest.exit = 4;
        manifest.stopped =
            Some(crate::run::Stopped { code: "HALTED_ERRORS".into(), message: "too many errors".into() });
        manifest.rows.outcomes.insert(Outcome::Unknown, sum(7, "-3"));
        manifest.rows.outcomes.insert(Outcome::Refused, sum(2, "0"));
        manifest.rows.failure_codes = [("PARAM_ILLEGAL".into(), 2), ("TIMEOUT".into(), 7), ("NEW".into(), 1)].into();
        manifest.rows.not_told = sum(1, "30");
        manifest.calls.unlisted_codes = [("NEW".into(), 3)].into();
        let text = of(&manifest, wire::entry("alipayhk-card").unwrap().codes);
        for line in [
            "nightly: HALTED: too many errors; 9 of 4,999 rows did not end well\n",
            "  refused                    2                 0  the gateway's final no\n",
            "  unknown                    7                -3  may or may not be applied\n",
            "  TIMEOUT                             7  no reply within the request timeout\n",
            "  PARAM_ILLEGAL                       2  a field is not valid\n",
            "                                         mend the row at its source, then replay it\n",
            "  NEW                                 1  not on the vendor's pages;",
            "  unlisted  NEW, 3 times:",
            "  not told  1 bill with 30 points:",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(text.find("TIMEOUT").unwrap() < text.find("PARAM_ILLEGAL").unwrap(), "the most frequent first");
    }
}
