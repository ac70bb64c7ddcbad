//! The job file as a JSON Schema, for editors: what is there, what it takes, what it is by default.
//!
//! It is made of the same tables as the reader: `defaults.toml` says which keys exist, each dialect which it adds to
//! `[gateway]`. Here stands what they mean.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::fault::Texts;
use super::tree::{Node, join};
use crate::wire::Entry;
use crate::wire::key::{Key, Shape};

/// The schema of job files of these dialects.
pub fn schema(dialects: &[Entry]) -> Value {
    let defaults = Node::document(DEFAULTS, Texts::default().add("defaults", DEFAULTS), &mut Vec::new());
    let mut root = section("", &defaults, dialects);
    root.insert("$schema".to_owned(), "http://json-schema.org/draft-07/schema#".into());
    root.insert("title".to_owned(), "A job of passync".into());
    root.insert("required".to_owned(), json!(["name", "dialect"]));
    root.insert("allOf".to_owned(), dialects.iter().map(|dialect| own_keys(dialect, &defaults)).collect());
    Value::Object(root)
}

const DEFAULTS: &str = include_str!("defaults.toml");

/// A table of keys with its tables below.
fn section(path: &str, defaults: &Node, dialects: &[Entry]) -> Map<String, Value> {
    let table = defaults.table().expect("a section is a table");
    let mut properties = Map::new();
    for (name, member) in table {
        let inner = join(path, name);
        let value = match about(&inner) {
            Some(key) => described(key, Some(&member.node)),
            None => Value::Object(section(&inner, &member.node, dialects)),
        };
        properties.insert(name.clone(), value);
    }
    if path.is_empty() {
        let words = dialects.iter().map(|dialect| dialect.name).collect::<Vec<_>>();
        properties["dialect"]["enum"] = json!(words);
    }
    if path == "gateway" {
        properties.extend(dialect_keys(dialects));
    }
    let mut section = Map::new();
    section.insert("type".to_owned(), "object".into());
    section.insert("additionalProperties".to_owned(), false.into());
    section.insert("properties".to_owned(), Value::Object(properties));
    section
}

/// What the dialects add to `[gateway]`. A name that two of them use means what it says under each.
fn dialect_keys(dialects: &[Entry]) -> Map<String, Value> {
    let mut by_name: BTreeMap<&str, Vec<(&str, &Key)>> = BTreeMap::new();
    for dialect in dialects {
        for key in dialect.keys {
            by_name.entry(key.name).or_default().push((dialect.name, key));
        }
    }
    let told = |(name, keys): (&str, Vec<(&str, &Key)>)| {
        let dialects = keys.iter().map(|(dialect, _)| *dialect).collect::<Vec<_>>().join(", ");
        let mut value = described(keys[0].1, None);
        value["description"] = format!("{dialects}: {}", keys[0].1.about).into();
        (name.to_owned(), value)
    };
    by_name.into_iter().map(told).collect()
}

/// `[gateway]` of a dialect has the common keys and its own.
fn own_keys(dialect: &Entry, defaults: &Node) -> Value {
    let common = defaults.at("gateway").and_then(Node::table).expect("a section of every job");
    let names = common.keys().map(String::as_str).chain(dialect.keys.iter().map(|key| key.name));
    json!({
        "if": { "required": ["dialect"], "properties": { "dialect": { "const": dialect.name } } },
        "then": { "properties": { "gateway": { "propertyNames": { "enum": names.collect::<Vec<_>>() } } } },
    })
}

fn described(key: &Key, default: Option<&Node>) -> Value {
    let texts = |form: &Value| json!({ "type": "array", "items": form });
    let mut value = match key.shape {
        Shape::Text => json!({ "type": "string" }),
        Shape::Form(form) => json!({ "type": "string", "pattern": form }),
        Shape::Word(words) => json!({ "type": "string", "enum": words }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Whole(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Texts => texts(&json!({ "type": "string" })),
        Shape::Words(words) => texts(&json!({ "type": "string", "enum": words })),
        Shape::Forms(form) => texts(&json!({ "type": "string", "pattern": form })),
        Shape::Wholes(least, most) => texts(&json!({ "type": "integer", "minimum": least, "maximum": most })),
        Shape::Share => {
            json!({ "type": ["string", "integer"], "pattern": "^([0-9]+(\\.[0-9]+)?%?|off)$", "minimum": 0 })
        }
        Shape::Names => json!({ "type": "object", "additionalProperties": { "type": ["string", "object"] } }),
        Shape::Table => json!({ "type": "object" }),
    };
    value["description"] = key.about.into();
    if let Some(default) = default.filter(|default| default.table().is_none()) {
        value["default"] = serde_json::to_value(default.bare()).expect("a default is plain");
    }
    value
}

fn about(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == path)
}

/// Every key of `defaults.toml`.
const KEYS: &[Key] = &[
    Key::new("name", Shape::Form("^[A-Za-z0-9][A-Za-z0-9._-]*$"), "the job's name: the folder of its runs bears it"),
    Key::new("dialect", Shape::Text, "the wire form of the gateway"),
    Key::new(
        "input.files",
        Shape::Texts,
        "files to read, relative to the job file; globs; {date}; \"-\" is standard input",
    ),
    Key::new("input.format", Shape::Word(&["auto", "csv", "parquet"]), "auto: by name and first bytes"),
    Key::new(
        "input.encoding",
        Shape::Word(&["utf-8", "gbk", "gb18030", "big5"]),
        "of CSV; a byte order mark is honoured",
    ),
    Key::new("input.delimiter", Shape::Text, "of CSV: one of , ; | or a tab; empty: as the header shows"),
    Key::new("input.timezone", Shape::Text, "for {date}, finish_by and times without a zone, as Asia/Hong_Kong"),
    Key::new("input.date_offset", Shape::Form("^-?[0-9]+d$"), "{date} is the day of the start and this"),
    Key::new("input.bill_key", Shape::Texts, "the columns by which a bill is known again; kept in the ledger"),
    Key::new("input.require_bill_no", Shape::Flag, "rows without bill_no are rejected"),
    Key::new("input.rejects_max", Shape::Share, "more rejected rows and conflicts: nothing is sent (exit 3)"),
    Key::new("input.rows_min", Shape::Whole(0, i64::MAX), "fewer rows: nothing is sent (exit 3)"),
    Key::new("input.control", Shape::Text, "control file that must agree before any call"),
    Key::new("input.ready", Shape::Text, "marker file that says that the export is whole"),
    Key::new("input.wait_for", Shape::DURATION, "wait so long for missing files or the marker"),
    Key::new("input.trailer.mark", Shape::Text, "the first field of a record behind the rows that is no row, as TRL"),
    Key::new(
        "input.trailer.rows",
        Shape::Whole(0, 100_000),
        "its field with the number of rows, from 1; 0: it has none",
    ),
    Key::new("input.trailer.sum", Shape::Whole(0, 100_000), "its field with the sum of last_changed_points"),
    Key::new("input.trailer.hash_total", Shape::Whole(0, 100_000), "its field with the hash total of bill_no"),
    Key::new("input.null_values", Shape::Texts, "cells that mean absent"),
    Key::new("input.defaults_fill_empty", Shape::Flag, "a default fills an empty cell too, not only a missing column"),
    Key::new("input.negative_points", Shape::Flag, "totals below zero are valid"),
    Key::new("input.ignore", Shape::Texts, "columns that are known and not wanted"),
    Key::new("input.verbatim", Shape::Texts, "columns whose values look damaged by design: taken as they stand"),
    Key::new("input.columns", Shape::Names, "canonical name = name in the file"),
    Key::new("input.defaults", Shape::Names, "canonical name = value, for columns that the file does not have"),
    Key::new(
        "gateway.url",
        Shape::Form("^(sandbox|https://.+|http://.+)$"),
        "scheme and host; \"sandbox\": one of our own",
    ),
    Key::new("gateway.private_key", Shape::SECRET, "where the key is that signs our calls"),
    Key::new("gateway.platform_keys", Shape::SECRETS, "where the platform's public keys are; any of them verifies"),
    Key::new("gateway.connect_timeout", Shape::DURATION, "how long a connection may take"),
    Key::new("gateway.request_timeout", Shape::DURATION, "how long an exchange may take; then it is in doubt"),
    Key::new("gateway.max_skew", Shape::DURATION_OR_OFF, "how far a response-time may be from the expected"),
    Key::new("gateway.proxy", Shape::Text, "a proxy's URL; \"env\": the environment's; empty: none"),
    Key::new("gateway.ca_file", Shape::Text, "additional roots, PEM"),
    Key::new("gateway.allow_insecure_loopback", Shape::Flag, "http:// to a loopback address, for tests"),
    Key::new(
        "limits.quota",
        Shape::Form("^[0-9]+/[0-9]*(ms|s|m|h|d)$"),
        "never more calls in any window of that length",
    ),
    Key::new(
        "limits.quota_mode",
        Shape::Word(&["strict", "paced"]),
        "strict: proved at the gateway; paced: on our side",
    ),
    Key::new("limits.concurrency", Shape::Whole(1, 4096), "rows between intent and durable outcome"),
    Key::new("retry.attempts_max", Shape::Whole(1, 100), "requests that a row may cost in one run"),
    Key::new("retry.backoff_base", Shape::DURATION, "the first wait's ceiling; full jitter"),
    Key::new("retry.backoff_max", Shape::DURATION, "no wait's ceiling is higher"),
    Key::new("retry.schedule", Shape::Texts, "waits in place of the exponential ones; the last one repeats"),
    Key::new("retry.budget", Shape::Share, "in-doubt retries that a run may spend, of its planned sends"),
    Key::new(
        "run.finish_by",
        Shape::Form("^([0-9]{2}:[0-9]{2}(:[0-9]{2})?)?$"),
        "the next such time behind the start: no call starts later than it less a request timeout",
    ),
    Key::new(
        "run.on_in_doubt",
        Shape::Word(&["hold", "continue"]),
        "what later rows of a card do behind a doubtful one",
    ),
    Key::new("run.coalesce", Shape::Flag, "newer rows absorb older ones of their card"),
    Key::new("run.coalesce_bills", Shape::Flag, "... those of Alipay transactions too"),
    Key::new("run.replay_open", Shape::Flag, "open rows of earlier runs are replayed first"),
    Key::new("run.halt_after_errors", Shape::Share, "more refused or unknown rows than this: halt (exit 4)"),
    Key::new("guard.statuses", Shape::Words(&["UPDATE", "CLOSED", "USED"]), "rows with another status are rejected"),
    Key::new("guard.closing_max", Shape::Whole(0, i64::MAX), "more CLOSED or USED rows: nothing is sent (exit 3)"),
    Key::new("guard.points_max", Shape::Text, "larger totals are rejected"),
    Key::new("guard.change_max", Shape::Text, "larger changes are rejected"),
    Key::new(
        "guard.volume",
        Shape::Form("^(off|[0-9]+(\\.[0-9]+)?%)$"),
        "so far off the last seven runs: nothing is sent",
    ),
    Key::new("output.dir", Shape::Text, "runs go to DIR/<job>/<run>/"),
    Key::new("output.format", Shape::Word(&["csv", "parquet"]), "of the outcomes; failures keep the input's"),
    Key::new("output.keep", Shape::Form("^([0-9]+(h|d))?$"), "older closed runs without open rows are removed"),
    Key::new("ledger.url", Shape::Text, "a file on a local disk; jobs of one client share it"),
    Key::new(
        "metrics.textfile",
        Shape::Form("^(.+\\.prom)?$"),
        "Prometheus text for node_exporter's textfile collector, renamed into place",
    ),
    Key::new("metrics.otlp", Shape::Form("^(https?://.+)?$"), "an OTLP/HTTP endpoint"),
    Key::new(
        "notify.url",
        Shape::Form("^(|https?://.+|(file|env|cred):.+)$"),
        "a webhook that is told how runs end (JSON), or the place of its URL",
    ),
    Key::new("notify.on", Shape::Wholes(0, 75), "the exit codes that it is told: 0 to 6, 75"),
    Key::new("sandbox.seed", Shape::Whole(0, i64::MAX), "the same seed gives the same faults to the same bills"),
    Key::new("sandbox.faults", Shape::Text, "which faults, and how often: `passync sandbox --help`"),
    Key::new("sandbox.quota", Shape::Text, "calls that the sandbox permits in any window"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::DIALECTS;

    /// Every path of a tree that is a key, tables of free names included.
    fn paths(path: &str, node: &Node, into: &mut Vec<String>) {
        for (name, member) in node.table().unwrap() {
            let inner = join(path, name);
            let free = inner == "input.columns" || inner == "input.defaults";
            if member.node.table().is_some() && !free { paths(&inner, &member.node, into) } else { into.push(inner) }
        }
    }

    #[test]
    fn every_key_is_described_and_no_other() {
        let defaults = Node::document(DEFAULTS, Texts::default().add("defaults", DEFAULTS), &mut Vec::new());
        let mut known = Vec::new();
        paths("", &defaults, &mut known);
        let mut described = KEYS.iter().map(|key| key.name.to_owned()).collect::<Vec<_>>();
        described.sort();
        known.sort();
        assert_eq!(described, known);
    }

    #[test]
    fn gateway_has_the_keys_of_all_dialects_and_permits_those_of_one() {
        let schema = schema(DIALECTS);
        let gateway = &schema["properties"]["gateway"]["properties"];
        assert_eq!(gateway["sign_type"]["enum"], json!(["RSA2", "RSA"]));
        assert!(gateway["client_id"]["description"].as_str().unwrap().starts_with("alipayhk-card, intl-pass: "));
        let card = &schema["allOf"][0];
        assert_eq!(card["if"]["properties"]["dialect"]["const"], "alipayhk-card");
        let permitted = card["then"]["properties"]["gateway"]["propertyNames"]["enum"].as_array().unwrap();
        assert!(permitted.contains(&json!("url")) && permitted.contains(&json!("locales")));
        assert!(!permitted.contains(&json!("app_id")));
    }
}
