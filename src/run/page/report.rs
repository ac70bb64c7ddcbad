//! `report.html`: the page of a run.

use std::cmp::Reverse;
use std::time::Duration;

use askama::Template;
use serde_json::Value;

use super::chart::{self, Chart, Rates};
use super::failing::FailingRow;
use super::{Fact, Failing, Ground, clock, fact, html};
use crate::model::reject::shown;
use crate::model::{Exit, moment};
use crate::run::InputFact;
use crate::run::figures::{Figures, Slow};
use crate::run::manifest::{Manifest, Sum};
use crate::run::meaning;
use crate::run::next::Next;
use crate::run::numbers::{count, grouped, latency, rate, span};

/// Lines of the tables of codes and answers.
const CODES_SHOWN: usize = 40;
/// Lines of the table of the run in time.
const LINES_SHOWN: usize = 24;
/// Characters of a name, a path or a setting.
const TEXT_MAX: usize = 300;
/// Characters of a command: a job file, a state and a run's folder, each as long as a path may be.
const COMMAND_MAX: usize = 3 * 4_096;

/// What a page is made of.
pub struct Told<'a> {
    /// The run's manifest; of its files, the others.
    pub manifest: &'a Manifest,
    /// Its calls.
    pub figures: &'a Figures,
    /// Rows that did not end well.
    pub failing: &'a Failing,
    /// The slowest calls.
    pub slowest: &'a [SlowCall],
    /// What the job says.
    pub ground: &'a Ground,
}

/// A slow call with what its row is known by.
#[derive(Clone, Debug)]
pub struct SlowCall {
    /// The call.
    pub call: Slow,
    /// `source:line`.
    pub place: String,
    /// Its bill, where it has one.
    pub bill: String,
    /// Its card, veiled.
    pub card: String,
}

#[derive(Template)]
#[template(path = "report.html", config = "src/run/page/askama.toml")]
struct Page<'a> {
    job: String,
    run: &'a str,
    kind: &'a str,
    version: &'a str,
    zone: String,
    started: String,
    closed: String,
    verdict: Verdict,
    next: Vec<Next>,
    key: Vec<Fact>,
    warnings: Vec<String>,
    conserved: String,
    outcomes: Vec<OutcomeLine>,
    read: OutcomeLine,
    notes: Vec<String>,
    codes: Vec<CodeLine>,
    more_codes: usize,
    failing: Vec<FailingGroup<'a>>,
    calls: Option<CallsPart>,
    call_notes: Vec<String>,
    inputs: Vec<InputPart>,
    files: Vec<Fact>,
    facts: Vec<Fact>,
    settings: Vec<Fact>,
}

struct Verdict {
    class: &'static str,
    exit: u8,
    what: &'static str,
    stopped: Option<String>,
    advice: Option<&'static str>,
}

struct OutcomeLine {
    name: String,
    rows: String,
    points: String,
    percent: String,
    failed: bool,
    means: &'static str,
}

struct CodeLine {
    code: String,
    rows: String,
    means: &'static str,
    advice: &'static str,
}

struct FailingGroup<'a> {
    outcome: &'static str,
    rows: &'a [FailingRow],
    more: Option<String>,
}

struct CallsPart {
    charts: Vec<Chart>,
    quantiles: Vec<Fact>,
    lines: Vec<TimeLine>,
    answers: Vec<AnswerLine>,
    more_answers: Option<String>,
    slowest: Vec<SlowLine>,
}

struct TimeLine {
    from: String,
    cells: Vec<String>,
}

struct AnswerLine {
    meant: &'static str,
    code: String,
    calls: String,
    means: &'static str,
}

struct SlowLine {
    took: String,
    sent: String,
    place: String,
    bill: String,
    card: String,
    meant: &'static str,
    code: String,
    http: String,
    trace_id: String,
}

struct InputPart {
    name: String,
    facts: Vec<Fact>,
}

/// The page of a run.
pub fn report(told: &Told<'_>) -> String {
    let Told { manifest, ground, .. } = told;
    let zone = &ground.zone;
    let (codes, more_codes) = codes(told);
    html(&Page {
        job: shown(&manifest.job, TEXT_MAX),
        run: &manifest.run,
        kind: &manifest.kind,
        version: &manifest.version,
        zone: zone.iana_name().unwrap_or("UTC").to_owned(),
        started: clock::of_manifest(&manifest.started_at, zone),
        closed: clock::of_manifest(&manifest.closed_at, zone),
        verdict: verdict(manifest),
        next: next(told),
        key: key(manifest),
        warnings: manifest.warnings.iter().map(|warning| shown(warning, 2 * TEXT_MAX)).collect(),
        conserved: conserved(manifest),
        outcomes: outcomes(manifest),
        read: outcome_line("rows read", manifest.rows.read, manifest.rows.read.rows),
        notes: notes(manifest),
        codes,
        more_codes,
        failing: failing(told),
        calls: calls(told),
        call_notes: call_notes(told),
        inputs: manifest.inputs.iter().map(|input| input_part(input, ground)).collect(),
        files: files(manifest),
        facts: facts(manifest, ground),
        settings: settings(&manifest.settings),
    })
}

fn verdict(manifest: &Manifest) -> Verdict {
    let exit = Exit::of_code(manifest.exit);
    let meaning = exit.map(meaning::of_exit);
    Verdict {
        class: match exit {
            Some(Exit::Clean) => "good",
            Some(Exit::Failures | Exit::Stopped) => "warn",
            _ => "bad",
        },
        exit: manifest.exit,
        what: meaning.map_or("an exit that this version does not know", |meaning| meaning.what),
        stopped: manifest.stopped.as_ref().map(|stopped| shown(&stopped.message, TEXT_MAX)),
        advice: meaning.map(|meaning| meaning.advice).filter(|_| exit != Some(Exit::Clean)),
    }
}

/// What the last screen said, too; whoever reads the page may be in any folder.
fn next(told: &Told<'_>) -> Vec<Next> {
    let Told { manifest, ground, .. } = told;
    let open = manifest.rows.open();
    let next = ground.called.as_ref().map(|called| called.next(&[manifest], open, |dir| dir.display().to_string()));
    let shown = |next: Next| Next { command: shown(&next.command, COMMAND_MAX), ..next };
    next.into_iter().flatten().map(shown).collect()
}

fn key(manifest: &Manifest) -> Vec<Fact> {
    let (rows, calls, took) = (&manifest.rows, &manifest.calls, manifest.durations_ms);
    let applied = rows.outcomes.get(&crate::model::Outcome::Applied).copied().unwrap_or_default();
    let all_ms = took.survey + took.apply + took.finish;
    vec![
        fact("rows read", grouped(&rows.read.rows)),
        fact("rows applied", grouped(&applied.rows)),
        fact("points applied", grouped(&applied.points)),
        fact("did not end well", grouped(&rows.failures())),
        fact("of these open", grouped(&rows.open())),
        fact("calls", grouped(&calls.attempts)),
        fact("retries", grouped(&calls.retries)),
        fact("calls in doubt", grouped(&calls.in_doubt)),
        fact("took", span(Duration::from_millis(all_ms))),
    ]
}

/// Law 1, in a sentence.
fn conserved(manifest: &Manifest) -> String {
    let rows = &manifest.rows;
    match rows.conserved() {
        Ok(()) => format!(
            "Conserved: every one of {} has one outcome{}, and so has every point of last_changed_points.",
            count(rows.read.rows, "row"),
            if rows.passed_over.rows > 0 { " or was passed over" } else { "" }
        ),
        Err(broken) => broken,
    }
}

fn outcome_line(name: &str, sum: Sum, all: u64) -> OutcomeLine {
    OutcomeLine {
        name: name.to_owned(),
        rows: grouped(&sum.rows),
        points: grouped(&sum.points),
        percent: format!("{:.2}", sum.rows as f64 / all.max(1) as f64 * 100.0),
        failed: false,
        means: "",
    }
}

fn outcomes(manifest: &Manifest) -> Vec<OutcomeLine> {
    let rows = &manifest.rows;
    let line = |name, sum| outcome_line(name, sum, rows.read.rows);
    let ended = rows.outcomes.iter().map(|(outcome, sum)| OutcomeLine {
        failed: outcome.is_failure(),
        means: meaning::of_outcome(*outcome).what,
        ..line(outcome.as_str(), *sum)
    });
    let passed_over = (rows.passed_over.rows > 0).then(|| OutcomeLine {
        means: "not of the classes that the replay asked for",
        ..line("passed over", rows.passed_over)
    });
    ended.chain(passed_over).collect()
}

fn notes(manifest: &Manifest) -> Vec<String> {
    let rows = &manifest.rows;
    let unsummed = (rows.unsummed > 0)
        .then(|| format!("{} whose last_changed_points is no number: in no sum.", count(rows.unsummed, "row")));
    let untold = (rows.not_told.rows > 0).then(|| {
        let (bills, points) = (count(rows.not_told.rows, "bill"), grouped(&rows.not_told.points));
        format!(
            "{bills} with {points} points were not told to the gateway: newer rows of their cards were sent instead."
        )
    });
    unsummed.into_iter().chain(untold).collect()
}

/// The most frequent codes of rows that did not end well, and how many more there are.
fn codes(told: &Told<'_>) -> (Vec<CodeLine>, usize) {
    let codes = told.manifest.rows.failure_codes.ranked();
    let line = |(code, rows): &(&str, u64)| {
        let meaning = meaning::of(code, told.ground.codes);
        CodeLine {
            code: shown(code, TEXT_MAX),
            rows: grouped(rows),
            means: meaning.map_or(UNLISTED, |meaning| meaning.what),
            advice: meaning
                .map_or("read what the gateway said; show the vendor the trace id", |meaning| meaning.advice),
        }
    };
    (codes.iter().take(CODES_SHOWN).map(line).collect(), codes.len().saturating_sub(CODES_SHOWN))
}

const UNLISTED: &str = "on none of the vendor's pages";

fn failing<'a>(told: &Told<'a>) -> Vec<FailingGroup<'a>> {
    let group = |(outcome, rows): (crate::model::Outcome, &'a [FailingRow])| {
        let more = told.manifest.rows.of(outcome).saturating_sub(rows.len() as u64);
        FailingGroup { outcome: outcome.as_str(), rows, more: (more > 0).then(|| count(more, "row")) }
    };
    told.failing.iter().map(group).collect()
}

fn calls(told: &Told<'_>) -> Option<CallsPart> {
    let (timeline, zone) = (&told.figures.timeline, &told.ground.zone);
    let total = timeline.total();
    if total.calls == 0 {
        return None;
    }
    let a_second = |calls: f64| calls / told.ground.window.as_secs_f64();
    let rates =
        Rates { quota: a_second(f64::from(told.ground.quota)), peak: a_second(told.manifest.calls.quota_peak as f64) };
    let took = |permille| total.latency.quantile(permille).map_or_else(String::new, latency);
    let slowest = told.figures.slowest.iter().next().map_or_else(String::new, |slow| latency(slow.latency_us));
    let mut charts = vec![chart::calls(timeline, rates, zone), chart::trouble(timeline, zone)];
    if total.latency.count() > 0 {
        charts.extend([chart::drift(timeline, zone), chart::distribution(&total.latency)]);
    }
    let by_meaning = told.figures.answers.iter();
    let mut answers: Vec<_> =
        by_meaning.flat_map(|(meant, codes)| codes.iter().map(move |(code, calls)| (meant, code, calls))).collect();
    answers.sort_by_key(|(.., calls)| Reverse(**calls));
    let shown: u64 = answers.iter().take(CODES_SHOWN).map(|(.., calls)| **calls).sum();
    let more = total.calls - shown;
    Some(CallsPart {
        charts,
        quantiles: vec![
            fact("p50", took(500)),
            fact("p75", took(750)),
            fact("p90", took(900)),
            fact("p95", took(950)),
            fact("p99", took(990)),
            fact("p99.9", took(999)),
            fact("slowest", slowest),
        ],
        lines: lines(told),
        answers: answers
            .into_iter()
            .take(CODES_SHOWN)
            .map(|(meant, code, calls)| AnswerLine {
                meant: meant.as_str(),
                code: code.clone(),
                calls: grouped(calls),
                means: meaning::of(code, told.ground.codes).map_or(UNLISTED, |meaning| meaning.what),
            })
            .collect(),
        more_answers: (more > 0).then(|| count(more, "call")),
        slowest: told.slowest.iter().map(|slow| slow_line(slow, told.ground)).collect(),
    })
}

/// The run in time, coarser than the charts have it.
fn lines(told: &Told<'_>) -> Vec<TimeLine> {
    let coarse = told.figures.timeline.coarse(LINES_SHOWN);
    let seconds = coarse.width_ms() as f64 / 1_000.0;
    let line = |(start_ms, slot): (i64, &crate::run::figures::Slot)| {
        let took = |permille| slot.latency.quantile(permille).map_or_else(String::new, latency);
        TimeLine {
            from: clock::long(start_ms, &told.ground.zone),
            cells: vec![
                grouped(&slot.calls),
                rate(slot.calls as f64 / seconds),
                grouped(&slot.retries),
                grouped(&slot.in_doubt),
                grouped(&slot.throttled),
                grouped(&slot.not_sent),
                took(500),
                took(950),
                took(990),
            ],
        }
    };
    coarse.slots().map(line).collect()
}

fn slow_line(slow: &SlowCall, ground: &Ground) -> SlowLine {
    let SlowCall { call, place, bill, card } = slow;
    SlowLine {
        took: latency(call.latency_us),
        sent: clock::long(call.sent_ms, &ground.zone),
        place: place.clone(),
        bill: bill.clone(),
        card: card.clone(),
        meant: call.meant.as_str(),
        code: call.code.clone(),
        http: if call.http_status == 0 { String::new() } else { call.http_status.to_string() },
        trace_id: call.trace_id.clone(),
    }
}

fn call_notes(told: &Told<'_>) -> Vec<String> {
    let calls = &told.manifest.calls;
    let quota = format!(
        "The quota is {}; the fullest window had {} calls, as measured on our side by the process that closed the run.",
        calls.quota,
        grouped(&calls.quota_peak)
    );
    // What a crash cuts off leaves an intent, not the time of a call.
    let lost = calls.attempts.saturating_sub(told.figures.calls());
    let lost = (lost > 0).then(|| {
        let lost = count(lost, "call");
        format!("{lost} of {} may have been under way when the process died: in no figure by time.", calls.attempts)
    });
    let unlisted = calls.unlisted_codes.ranked().into_iter().take(CODES_SHOWN).map(|(code, times)| {
        let (code, times) = (shown(code, TEXT_MAX), count(times, "time"));
        format!("{code}, {times}: {UNLISTED}; read by its status.")
    });
    std::iter::once(quota).chain(lost).chain(unlisted).collect()
}

fn input_part(input: &InputFact, ground: &Ground) -> InputPart {
    InputPart {
        name: shown(&input.name, TEXT_MAX),
        facts: vec![
            fact("read from", shown(&input.path, TEXT_MAX)),
            fact("format", input.format.clone()),
            fact("rows", grouped(&input.rows)),
            fact("bytes", grouped(&input.size)),
            fact("sha256", input.sha256.clone()),
            fact("rows without a time are of", clock::long(input.occurred_default_ms, &ground.zone)),
        ],
    }
}

fn files(manifest: &Manifest) -> Vec<Fact> {
    let line = |(name, file): (&String, &crate::run::FileFact)| {
        fact(name, format!("{}, sha256 {}", count(file.size, "byte"), file.sha256))
    };
    manifest.files.iter().map(line).collect()
}

fn facts(manifest: &Manifest, ground: &Ground) -> Vec<Fact> {
    let took = manifest.durations_ms;
    let ms = |ms| span(Duration::from_millis(ms));
    let mut facts = vec![
        fact("job", shown(&manifest.job, TEXT_MAX)),
        fact("run", manifest.run.clone()),
        fact("kind", manifest.kind.clone()),
        fact("plan", manifest.plan.clone()),
        fact("started", clock::of_manifest(&manifest.started_at, &ground.zone)),
        fact("closed", clock::of_manifest(&manifest.closed_at, &ground.zone)),
        fact("reading", ms(took.survey)),
        fact("sending", ms(took.apply)),
        fact("writing", ms(took.finish)),
        fact("folder", shown(&manifest.dir, TEXT_MAX)),
        fact("ledger", shown(&manifest.ledger, TEXT_MAX)),
        fact("version", manifest.version.clone()),
    ];
    let flags = flags(manifest);
    if !flags.is_empty() {
        facts.push(fact("flags", flags));
    }
    facts
}

/// The flags of the command, as they are given.
fn flags(manifest: &Manifest) -> String {
    let flags = &manifest.flags;
    let words = [
        flags.allow_stale.then(|| "--allow-stale".to_owned()),
        flags.again.then(|| "--again".to_owned()),
        (!flags.include.is_empty()).then(|| format!("--include {}", flags.include.join(","))),
        flags.occurred_at_ms.map(|ms| format!("--occurred-at {}", moment::rfc3339_ms(ms))),
        flags.canary.map(|canary| format!("--canary {}", canary.cards)),
        flags.plan.as_ref().map(|plan| format!("--plan {plan}")),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Settings as `section.key` with their values.
fn settings(settings: &Value) -> Vec<Fact> {
    let mut lines = Vec::new();
    flatten(settings, "", &mut lines);
    lines
}

fn flatten(value: &Value, path: &str, lines: &mut Vec<Fact>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(member, &path, lines);
            }
        }
        Value::Object(_) => {}
        Value::String(text) => lines.push(fact(&shown(path, TEXT_MAX), shown(text, TEXT_MAX))),
        other => lines.push(fact(&shown(path, TEXT_MAX), shown(&other.to_string(), TEXT_MAX))),
    }
}

#[cfg(test)]
mod tests;
