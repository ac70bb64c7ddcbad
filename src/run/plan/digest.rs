//! What a person agrees to with `run --plan DIGEST`: one digest over all that decides what is sent.
//!
//! ```text
//! inputs     the sha256 of each, in their order
//! settings   dialect, [gateway], [limits], [retry], and of [run] what shapes calls
//! rows       of each, in input order: its end and why; or its content, its place in time, its doubt
//! plan       the order of sending, the members left out, which rows absorb or wait for which
//! ```
//! The same inputs, ledger and settings have the same digest. Left out is what a later start or another machine
//! changes without changing a call: names and ordinals of runs, the start as the time of rows that have none, folders,
//! timeouts, the proxy, and where keys lie (they may be rotated).

use serde_json::Value;

use crate::model::{Digest, Digester, Place};
use crate::run::detail::InputFact;
use crate::run::stored::{Fate, PlanRecord, RowFacts};

/// The digest in the making.
pub struct PlanDigester {
    digester: Digester,
    own: Own,
}

/// What belongs to this run alone.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// Its ordinal in the ledger.
    pub ordinal: u32,
    /// Its start, which is the time of rows that have none; milliseconds since 1970.
    pub started_ms: i64,
}

impl PlanDigester {
    /// Begins with what is known before any row. `settings`: those in force.
    pub fn new(inputs: &[InputFact], settings: &Value, members: &[String], own: Own) -> PlanDigester {
        let mut digester = Digester::new("plan/1");
        for input in inputs {
            digester.part(input.sha256.as_bytes());
        }
        let mut text = String::new();
        canonical(&relevant(settings), &mut text);
        digester.part(text.as_bytes());
        for member in members {
            digester.part(member.as_bytes());
        }
        PlanDigester { digester, own }
    }

    /// The next row's fate.
    pub fn fate(&mut self, fate: &Fate) {
        match fate {
            Fate::Send(facts) => {
                self.digester.part(b"send");
                self.facts(facts);
            }
            Fate::End { outcome, code, by, .. } => {
                let by = by.map_or(u64::MAX, |by| by);
                self.digester.part(outcome.as_str().as_bytes()).part(code.as_bytes()).part(&by.to_le_bytes());
            }
            Fate::Keep { .. } => drop(self.digester.part(b"keep")),
        }
    }

    /// The next row of the plan.
    pub fn record(&mut self, record: &PlanRecord) {
        let PlanRecord { id, drop, cover, absorbed, watched, adopted, doubt, .. } = record;
        let gates = record.gates.iter().flat_map(|gate| [gate.id, gate.shared]);
        let adopted = adopted.map_or([0, 0], |dropped| [1, dropped]);
        let shape = [*id, *drop, u64::from(*cover), u64::from(*absorbed), u64::from(*watched), u64::from(*doubt)];
        for number in shape.into_iter().chain(adopted).chain(gates) {
            self.digester.part(&number.to_le_bytes());
        }
    }

    /// The digest.
    pub fn finish(self) -> Digest {
        self.digester.finish()
    }

    fn facts(&mut self, facts: &RowFacts) {
        let Place { occurred_ms, sequence, run, seat } = facts.place;
        let is_own = run == self.own.ordinal;
        let when = if is_own && occurred_ms == self.own.started_ms { i64::MAX } else { occurred_ms };
        let run = if is_own { 0 } else { run };
        self.digester.part(&facts.content.0).part(&when.to_le_bytes()).part(&sequence.to_le_bytes());
        for number in [u64::from(run), u64::from(seat.source), seat.line, u64::from(facts.doubt)] {
            self.digester.part(&number.to_le_bytes());
        }
    }
}

/// Keys of `[gateway]` that shape no call: how it is carried, and where its secrets lie.
const CARRIAGE: [&str; 11] = [
    "aes_key",
    "allow_insecure_loopback",
    "app_auth_token",
    "ca_file",
    "certificates",
    "connect_timeout",
    "max_skew",
    "platform_keys",
    "private_key",
    "proxy",
    "request_timeout",
];

/// Keys of `[run]` that decide about calls.
const DECIDING: [&str; 4] = ["on_in_doubt", "coalesce", "coalesce_bills", "halt_after_errors"];

/// The settings that a call depends on.
fn relevant(settings: &Value) -> Value {
    let section = |name: &str| settings.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
    let (mut gateway, mut run) = (section("gateway"), section("run"));
    gateway.retain(|key, _| !CARRIAGE.contains(&key.as_str()));
    if let Some(Value::Object(encryption)) = gateway.get_mut("encryption") {
        encryption.retain(|key, _| !key.ends_with("_key"));
    }
    run.retain(|key, _| DECIDING.contains(&key.as_str()));
    serde_json::json!({
        "dialect": settings.get("dialect"), "gateway": gateway, "limits": section("limits"), "retry": section("retry"),
        "run": run,
    })
}

/// JSON with its keys in order: which layer said a setting first must not matter.
fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut names: Vec<_> = members.iter().collect();
            names.sort_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in names {
                *text += &format!("{name:?}:");
                canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        scalar => *text += &scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{BillId, Outcome, Seat};

    fn facts(occurred_ms: i64, run: u32, content: u8) -> RowFacts {
        RowFacts {
            bill: BillId([9; 24]),
            card: Digest([8; 16]),
            content: Digest([content; 16]),
            place: Place { occurred_ms, sequence: 0, run, seat: Seat { source: 0, line: 2 } },
            doubt: 0,
        }
    }

    fn digest(fate: &Fate, settings: &Value, own: Own) -> Digest {
        let mut digester = PlanDigester::new(&[], settings, &[], own);
        digester.fate(fate);
        digester.finish()
    }

    #[test]
    fn a_later_start_is_the_same_plan_and_another_content_is_not() {
        let (tonight, later) = (Own { ordinal: 3, started_ms: 100 }, Own { ordinal: 5, started_ms: 900 });
        let of = |occurred, run, content, own| digest(&Fate::Send(facts(occurred, run, content)), &json!({}), own);
        assert_eq!(of(100, 3, 1, tonight), of(900, 5, 1, later), "the start is the time of a row that has none");
        assert_ne!(of(100, 3, 1, tonight), of(100, 3, 2, tonight), "another content");
        assert_ne!(of(50, 3, 1, tonight), of(51, 3, 1, tonight), "another time of its own");
        assert_ne!(of(50, 1, 1, tonight), of(50, 2, 1, tonight), "another run of the past");
    }

    #[test]
    fn an_end_is_its_outcome_and_its_rule_and_not_its_words() {
        let own = Own { ordinal: 1, started_ms: 0 };
        let end = |outcome, code: &str, message: &str| {
            let (code, message) = (code.to_owned(), message.to_owned());
            digest(&Fate::End { outcome, code, message, by: None, facts: None }, &json!({}), own)
        };
        assert_eq!(end(Outcome::Rejected, "R010", "a"), end(Outcome::Rejected, "R010", "b"));
        assert_ne!(end(Outcome::Rejected, "R010", "a"), end(Outcome::Rejected, "R011", "a"));
        assert_ne!(end(Outcome::Rejected, "R010", "a"), end(Outcome::Conflict, "R010", "a"));
    }

    #[test]
    fn settings_count_where_they_shape_calls() {
        let own = Own { ordinal: 1, started_ms: 0 };
        let of = |settings: &Value| digest(&Fate::Send(facts(0, 1, 1)), settings, own);
        let settings = json!({ "name": "a", "gateway": { "url": "https://x", "private_key": "file:a" },
            "limits": { "quota": "50/1s", "concurrency": 3 }, "output": { "dir": "out" } });
        let moved = json!({ "output": { "dir": "/elsewhere" }, "name": "b", "limits": { "concurrency": 3, "quota": "50/1s" },
            "gateway": { "private_key": "cred:a", "url": "https://x", "request_timeout": "9s" } });
        assert_eq!(of(&settings), of(&moved));
        for (section, key) in [("gateway", "url"), ("limits", "quota"), ("gateway", "path"), ("run", "coalesce")] {
            let mut changed = settings.clone();
            changed[section][key] = json!("other");
            assert_ne!(of(&settings), of(&changed), "{section}.{key}");
        }
    }
}
