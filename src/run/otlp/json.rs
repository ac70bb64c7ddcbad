//! The JSON of OTLP 1.x: `ExportMetricsServiceRequest` and `ExportTraceServiceRequest`. Ids are hex, 64-bit integers
//! are text, as its mapping wants it.

use serde_json::{Value as Json, json};

use super::super::latency::BOUNDS_US;
use super::super::metrics::{Family, Kind, Value};

/// Whose metrics and spans they are.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The job's name.
    pub job: String,
    /// Its dialect.
    pub dialect: String,
    /// When this process began to count; nanoseconds since 1970.
    pub since_ns: i64,
}

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// Text.
    Text(String),
    /// A whole number.
    Whole(u64),
}

/// Something that took time.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// What it was: `run` or `attempt`.
    pub name: &'static str,
    /// The run's trace.
    pub trace: u128,
    /// Its own id.
    pub id: u64,
    /// The span within which it was.
    pub parent: Option<u64>,
    /// Nanoseconds since 1970.
    pub start_ns: i64,
    /// Nanoseconds since 1970.
    pub end_ns: i64,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// Why it did not end well, if it did not.
    pub error: Option<String>,
}

/// `about` without host and process: where a job runs is its owner's to add at the collector.
fn resource(about: &About) -> Json {
    let text = |value: &str| Attribute::Text(value.to_owned());
    let attributes = [
        ("service.name", text("passync")),
        ("service.version", text(env!("CARGO_PKG_VERSION"))),
        ("passync.job", text(&about.job)),
        ("passync.dialect", text(&about.dialect)),
    ];
    json!({ "attributes": attributes.iter().map(attribute).collect::<Json>() })
}

fn scope() -> Json {
    json!({ "name": "passync", "version": env!("CARGO_PKG_VERSION") })
}

fn attribute((key, value): &(&'static str, Attribute)) -> Json {
    let value = match value {
        Attribute::Text(text) => json!({ "stringValue": text }),
        Attribute::Whole(number) => json!({ "intValue": number.to_string() }),
    };
    json!({ "key": key, "value": value })
}

/// Spans, to be posted.
pub fn traces(about: &About, spans: &[Span]) -> String {
    let spans: Json = spans.iter().map(span).collect();
    let scoped = json!([{ "scope": scope(), "spans": spans }]);
    json!({ "resourceSpans": [{ "resource": resource(about), "scopeSpans": scoped }] }).to_string()
}

fn span(span: &Span) -> Json {
    const INTERNAL: u8 = 1;
    const CLIENT: u8 = 3;
    const ERROR: u8 = 2;
    let mut json = json!({
        "traceId": format!("{:032x}", span.trace),
        "spanId": format!("{:016x}", span.id),
        "name": span.name,
        "kind": if span.parent.is_some() { CLIENT } else { INTERNAL },
        "startTimeUnixNano": span.start_ns.to_string(),
        "endTimeUnixNano": span.end_ns.to_string(),
        "attributes": span.attributes.iter().map(attribute).collect::<Json>(),
        "status": span.error.as_ref().map_or(json!({}), |error| json!({ "code": ERROR, "message": error })),
    });
    if let Some(parent) = span.parent {
        json["parentSpanId"] = format!("{parent:016x}").into();
    }
    json
}

/// Metrics at one moment (`now_ns`: nanoseconds since 1970), to be posted. They are cumulative since the process began.
pub fn metrics(about: &About, families: &[Family], now_ns: i64) -> String {
    let metrics: Json = families.iter().map(|family| metric(about, family, now_ns)).collect();
    let scoped = json!([{ "scope": scope(), "metrics": metrics }]);
    json!({ "resourceMetrics": [{ "resource": resource(about), "scopeMetrics": scoped }] }).to_string()
}

fn metric(about: &About, family: &Family, now_ns: i64) -> Json {
    const CUMULATIVE: u8 = 2;
    let unit = match family.name.trim_end_matches("_total").rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "1",
    };
    let point = |(label, value): &(&'static str, Value)| {
        let labels = family.label.map(|name| (name, Attribute::Text((*label).to_owned())));
        let mut point = json!({
            "attributes": labels.iter().map(attribute).collect::<Json>(),
            "startTimeUnixNano": about.since_ns.to_string(),
            "timeUnixNano": now_ns.to_string(),
        });
        match value {
            Value::Number(number) => point["asDouble"] = json!(number),
            Value::Spread(spread) => {
                let whole = |count: f64| json!((count as u64).to_string());
                point["count"] = whole(spread.count());
                point["sum"] = json!(spread.sum_s);
                point["bucketCounts"] = spread.buckets.iter().map(|count| whole(*count)).collect();
                point["explicitBounds"] = BOUNDS_US.iter().map(|us| *us as f64 / 1e6).collect();
            }
        }
        point
    };
    let points: Json = family.series.iter().map(point).collect();
    let mut json = json!({ "name": family.name, "description": family.help, "unit": unit });
    match family.kind {
        Kind::Counter => {
            json["sum"] = json!({ "aggregationTemporality": CUMULATIVE, "isMonotonic": true, "dataPoints": points });
        }
        Kind::Gauge => json["gauge"] = json!({ "dataPoints": points }),
        Kind::Histogram => {
            json["histogram"] = json!({ "aggregationTemporality": CUMULATIVE, "dataPoints": points });
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::super::super::metrics::{Moment, families};
    use super::*;

    #[test]
    fn spans_are_as_the_mapping_wants_them() {
        let span = Span {
            name: "attempt",
            trace: 0xab,
            id: 0xcd,
            parent: Some(0xef),
            start_ns: 1_700_000_000_000_000_001,
            end_ns: 1_700_000_000_000_000_002,
            attributes: vec![("code", Attribute::Text("TIMEOUT".to_owned())), ("attempt", Attribute::Whole(2))],
            error: Some("in_doubt".to_owned()),
        };
        let about = About { job: "nightly".to_owned(), ..About::default() };
        let json: Json = serde_json::from_str(&traces(&about, std::slice::from_ref(&span))).unwrap();
        let told = &json["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert_eq!(told["traceId"], "000000000000000000000000000000ab");
        assert_eq!((&told["spanId"], &told["parentSpanId"]), (&"00000000000000cd".into(), &"00000000000000ef".into()));
        assert_eq!(told["startTimeUnixNano"], "1700000000000000001");
        assert_eq!(told["attributes"][1], json!({ "key": "attempt", "value": { "intValue": "2" } }));
        assert_eq!(told["status"], json!({ "code": 2, "message": "in_doubt" }));
        let root = Span { parent: None, error: None, ..span };
        let json: Json = serde_json::from_str(&traces(&about, &[root])).unwrap();
        let told = &json["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert!(told.get("parentSpanId").is_none() && told["status"] == json!({}) && told["kind"] == 1);
    }

    #[test]
    fn every_metric_is_told_with_its_kind() {
        let about = About { since_ns: 5, ..About::default() };
        let all = families(&Moment { open_rows: Some(3.0), ..Moment::default() });
        let json: Json = serde_json::from_str(&metrics(&about, &all, 7)).unwrap();
        let told = json["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap();
        assert_eq!(told.len(), all.len());
        let of = |name: &str| told.iter().find(|metric| metric["name"] == name).unwrap();
        let attempts = &of("passync_attempts_total")["sum"];
        assert_eq!((&attempts["isMonotonic"], &attempts["aggregationTemporality"]), (&true.into(), &2.into()));
        assert_eq!(attempts["dataPoints"][0]["startTimeUnixNano"], "5");
        assert_eq!(of("passync_open_rows")["gauge"]["dataPoints"][0]["asDouble"], 3.0);
        let spread = of("passync_attempt_duration_seconds");
        let point = &spread["histogram"]["dataPoints"][0];
        let len = |key: &str| point[key].as_array().unwrap().len();
        assert_eq!((len("bucketCounts"), len("explicitBounds")), (14, 13));
        assert_eq!((&spread["unit"], &point["count"]), (&"s".into(), &"0".into()));
        assert_eq!(of("passync_rows_total")["sum"]["dataPoints"].as_array().unwrap().len(), 11);
    }
}
