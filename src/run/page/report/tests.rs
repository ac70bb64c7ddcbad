use super::*;
use crate::model::{Amount, Attempt, Outcome, Reading, Record, Reject, Rule, Seat, Settled, Total, Verdict as Meant};
use crate::run::called::Called;
use crate::run::fold::Ended;
use crate::run::manifest::FileFact;
use crate::run::stored::{Content, StoredRow};
use crate::wire;

fn sum(rows: u64, points: &str) -> Sum {
    let mut total = Total::default();
    total.add(Amount::parse(points).unwrap());
    Sum { rows, points: total }
}

fn manifest() -> Manifest {
    serde_json::from_value(serde_json::json!({
        "version": "0.1.0", "job": "nightly", "run": "20260101T000000Z-00001", "kind": "run",
        "started_at": "2026-01-01T00:00:00.000Z", "closed_at": "2026-01-01T00:01:05.000Z", "exit": 0, "stopped": null,
        "dir": "/data/out", "ledger": "/data/state/ledger.db", "inputs": [], "plan": "abc",
        "rows": { "read": { "rows": 0, "points": "0" }, "passed_over": { "rows": 0, "points": "0" }, "outcomes": {},
                  "unsummed": 0, "not_told": { "rows": 0, "points": "0" }, "failure_codes": {} },
        "calls": { "attempts": 0, "retries": 0, "in_doubt": 0, "quota": "50/1s", "quota_peak": 0, "unlisted_codes": {} },
        "durations_ms": { "survey": 300, "apply": 64_000, "finish": 100 }, "warnings": [],
        "flags": { "allow_stale": false, "again": false, "include": [], "occurred_at_ms": null },
        "settings": { "name": "nightly", "limits": { "quota": "50/1s" }, "gateway": { "private_key": "file:keys/a.pem" } },
        "files": { "outcomes.csv": { "size": 1, "sha256": "ab12" } }
    }))
    .unwrap()
}

fn ground() -> Ground {
    Ground {
        quota: 50,
        window: Duration::from_secs(1),
        zone: jiff::tz::TimeZone::get("Asia/Hong_Kong").unwrap(),
        codes: wire::entry("alipayhk-card").unwrap().codes,
        called: Some(Called { program: "passync".into(), job: "/jobs/<nightly>.toml".into(), ..Called::default() }),
    }
}

fn page(manifest: &Manifest, figures: &Figures, failing: &Failing) -> String {
    let call = |call: &Slow| SlowCall {
        call: call.clone(),
        place: "in.csv:7".into(),
        bill: "B7".into(),
        card: "2160…".into(),
    };
    let slowest: Vec<_> = figures.slowest.iter().map(call).collect();
    report(&Told { manifest, figures, failing, slowest: &slowest, ground: &ground() })
}

/// A day of calls at the quota's pace, some of which do not go well.
fn busy(seconds: u64, code: &str) -> Figures {
    let mut figures = Figures::new(Duration::from_secs(1));
    for row in 0..seconds * 5 {
        let sent_ms = 1_767_225_600_000 + row as i64 * 200;
        let latency_us = 20_000 + row * 7_919 % 30_000 + if row % 97 == 0 { 2_000_000 } else { row / 10 };
        if row % 50 == 0 {
            let reading = Reading::transport(Meant::InDoubt, code, "");
            figures.take(&Record::Attempt(Attempt { row, sent_ms, latency_us, reading }));
        }
        let attempts = if row % 50 == 0 { 2 } else { 1 };
        let end = Settled {
            attempts,
            latency_us: Some(latency_us + 1),
            first_sent_ms: Some(sent_ms),
            trace_id: format!("trace-{row}"),
            ..Settled::local(Outcome::Applied, "SUCCESS", "", sent_ms + 30)
        };
        figures.take(&Record::Settled(row, Box::new(end)));
    }
    figures
}

fn failing(text: &str) -> Failing {
    let mut failing = Failing::default();
    for line in 1..=100 {
        let row = StoredRow {
            seat: Seat { source: 0, line },
            origin: None,
            bill_no: Some(text.into()),
            card_no: text.into(),
            change: None,
            unsummed: false,
            content: Content::Reject(Box::new(Reject::new(Rule::Missing, "points", text, "a number"))),
        };
        let settled = Settled::local(Outcome::Refused, text, text, 0);
        failing.take(&Ended { id: line, row, settled, facts: None, is_news: false, is_found: false, told: 0 }, text);
    }
    failing
}

/// Every element that is opened is closed, in order; there is no script and nothing to fetch.
#[track_caller]
fn is_sound(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    for tag in page.split('<').skip(1) {
        let name = tag.split([' ', '>', '\n', '/']).find(|part| !part.is_empty()).unwrap();
        if let Some(closing) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), closing.split('>').next(), "<{}", &tag[..tag.len().min(80)]);
        } else if !(["!DOCTYPE", "meta", "br"].contains(&name) || tag.split('>').next().unwrap().ends_with('/')) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert!(!page.contains('\0'));
    for forbidden in ["<script", "<link", "<img", "<iframe", "<object", "http://", "https://", "url(", "@import"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn a_night_without_rows_has_a_page() {
    let figures = Figures::new(Duration::from_secs(1));
    let page = page(&manifest(), &figures, &Failing::default());
    is_sound(&page);
    for part in [
        "<title>nightly 20260101T000000Z-00001</title>",
        "Exit 0: every row settled well.",
        "2026-01-01 08:00:00 +08:00 to 2026-01-01 08:01:05 +08:00",
        "every one of 0 rows has one outcome",
        "No calls were made.",
        "<dt>outcomes.csv</dt><dd><code>1 byte, sha256 ab12</code></dd>",
        "<bdi>gateway.private_key</bdi></dt><dd><code><bdi>file:keys/a.pem</bdi>",
        "Times are in Asia/Hong_Kong.",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(!page.contains("What to do") && !page.contains("Next: "), "there is nothing to do");
}

#[test]
fn a_bad_night_shows_what_why_and_when() {
    let mut manifest = manifest();
    manifest.exit = 4;
    manifest.stopped = Some(crate::run::Stopped { code: "HALTED_ERRORS".into(), message: "too many errors".into() });
    manifest.rows.read = sum(5_000, "12345.5");
    manifest.rows.outcomes = [(Outcome::Applied, sum(4_900, "12340.5")), (Outcome::Refused, sum(100, "5"))].into();
    manifest.rows.failure_codes = [("PARAM_ILLEGAL".into(), 70), ("BRAND_NEW".into(), 30)].into();
    manifest.calls.attempts = 5_103;
    manifest.calls.quota_peak = 50;
    manifest.calls.unlisted_codes = [("BRAND_NEW".into(), 31)].into();
    manifest.warnings = vec!["our clock is 90 s behind".into()];
    manifest.files.insert("failures.csv".into(), FileFact { size: 1, sha256: "ab".into() });
    let page = page(&manifest, &busy(1_000, "TIMEOUT"), &failing("PARAM_ILLEGAL"));
    is_sound(&page);
    for part in [
        "<strong>Exit 4: halted:",
        "It stopped early: <bdi>too many errors</bdi>",
        "<li><bdi>our clock is 90 s behind</bdi></li>",
        "<p>Next: a person looks at 100 rows (refused); mended in a copy of the failure file, they are sent by this with the copy&#39;s name:</p>",
        "<bdi>passync replay &#39;/jobs/&#60;nightly&#62;.toml&#39; /data/out --include refused</bdi>",
        "12,345.5",
        "style=\"width:98.00%\"",
        "a field is not valid",
        "And 90 rows: the failure file has them all",
        "aria-label=\"Calls per second against the quota. At most 5.",
        "<dt>calls in doubt</dt>",
        "The quota is 50/1s; the fullest window had 50 calls",
        "3 calls of 5103 may have been under way when the process died",
        "BRAND_NEW, 31 times: on none of the vendor&#39;s pages",
        "no reply within the request timeout",
        "trace-",
        "in.csv:7",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert_eq!(page.matches("<figure>").count(), 4);
    assert!(page.find("PARAM_ILLEGAL").unwrap() < page.find("BRAND_NEW").unwrap(), "the most frequent first");
}

#[test]
fn what_files_and_gateways_say_is_text_and_nothing_else() {
    let naughty = [
        "</td></table><script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "<!-- ",
        "]]>",
        "</style><style>*{display:none}",
        "&lt;b&gt;",
        "{{ 7 * 7 }}{% raw %}",
        "\u{202e}gpj.exe\u{2066}\u{feff}",
        "a\0b\u{1b}[31m\r\n",
        "مرحبا בית 漢字 🏴‍☠️",
        "../../etc/passwd",
    ];
    for text in naughty.map(str::to_owned).into_iter().chain(["x".repeat(1 << 20), "<".repeat(1 << 20)]) {
        let mut manifest = manifest();
        manifest.exit = 1;
        manifest.job.clone_from(&text);
        manifest.dir.clone_from(&text);
        manifest.rows.outcomes = [(Outcome::Unknown, sum(1, "0"))].into();
        manifest.files.insert("failures.csv".into(), FileFact { size: 1, sha256: "ab".into() });
        manifest.warnings = vec![text.clone()];
        manifest.rows.failure_codes = [(text.clone(), 7)].into();
        manifest.calls.unlisted_codes = [(text.clone(), 7)].into();
        manifest.settings = serde_json::json!({ &text: { "key": &text } });
        manifest.stopped = Some(crate::run::Stopped { code: text.clone(), message: text.clone() });
        manifest.inputs = vec![InputFact {
            name: text.clone(),
            path: text.clone(),
            format: "csv".into(),
            size: 1,
            rows: 1,
            sha256: "ab".into(),
            occurred_default_ms: i64::MAX,
        }];
        let page = page(&manifest, &busy(3, &text), &failing(&text));
        // Quotes around the values of attributes are ours; all others are entities.
        is_sound(&page);
        assert!(page.contains("Next: send what stayed open again (1 row):"));
        assert!(page.len() < 400_000, "{} bytes", page.len());
        for invisible in ['\u{202e}', '\u{2066}', '\u{feff}', '\u{1b}', '\r'] {
            assert!(!page.contains(invisible), "{invisible:?}");
        }
        assert!(!page.contains("<b>") && !page.contains("onmouseover='"));
    }
}

#[test]
fn a_page_is_as_large_for_ten_million_calls_as_for_some_and_the_same_again() {
    let mut manifest = manifest();
    manifest.files =
        (0..3).map(|at| (format!("failures-{at}.csv"), FileFact { size: 1, sha256: "ab".into() })).collect();
    let figures = busy(40_000, "TIMEOUT");
    let page_of = || page(&manifest, &figures, &failing("CODE"));
    let first = page_of();
    assert!(first.len() < 150_000, "{} bytes", first.len());
    assert_eq!(first, page_of());
    assert!(figures.timeline.slots().len() > 128, "the charts are fine nevertheless");
}
