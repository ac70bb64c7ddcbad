//! The text format of Prometheus (version 0.0.4), both ways: as far as we write it, we read it.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::{Counters, Family, Kind, LastRun, Moment, Value, families};
use crate::model::Outcome;
use crate::run::latency::{BOUNDS_US, Spread};

/// Every metric at one moment.
pub fn render(now: &Moment) -> String {
    let mut text = String::new();
    for family in families(now) {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(text, "# HELP {} {}\n# TYPE {} {kind}", family.name, family.help, family.name);
        for (label, value) in &family.series {
            series(&mut text, now, &family, label, value);
        }
    }
    text
}

fn series(text: &mut String, now: &Moment, family: &Family, label: &str, value: &Value) {
    let name = family.name;
    match value {
        Value::Number(number) => {
            let more = family.label.map(|name| (name, label));
            let _ = writeln!(text, "{} {number}", key(&now.job, &now.dialect, name, more));
        }
        Value::Spread(spread) => {
            let of = |end: &str, more| key(&now.job, &now.dialect, &format!("{name}_{end}"), more);
            let (bounds, mut so_far) = (bounds(), 0.0);
            for (bound, count) in bounds.iter().zip(spread.buckets) {
                so_far += count;
                let _ = writeln!(text, "{} {so_far}", of("bucket", Some(("le", bound))));
            }
            let _ = writeln!(text, "{} {}\n{} {so_far}", of("sum", None), spread.sum_s, of("count", None));
        }
    }
}

/// The bounds in seconds, as `le` has them.
fn bounds() -> Vec<String> {
    let finite = BOUNDS_US.iter().map(|us| (*us as f64 / 1e6).to_string());
    finite.chain(["+Inf".to_owned()]).collect()
}

/// A series, as it stands before its value.
fn key(job: &str, dialect: &str, name: &str, more: Option<(&str, &str)>) -> String {
    let mut key = format!("{name}{{job=\"{}\",dialect=\"{}\"", escaped(job), escaped(dialect));
    if let Some((label, value)) = more {
        let _ = write!(key, ",{label}=\"{}\"", escaped(value));
    }
    key + "}"
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// What an earlier file says of a job: from there it goes on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Earlier {
    /// Where counters stood.
    pub counters: Counters,
    /// The last run that ended.
    pub last: Option<LastRun>,
    /// When a run was last complete; seconds since 1970.
    pub success_s: Option<f64>,
}

impl Earlier {
    /// Reads a file of ours. What is not there, or is no number that we would write, is as if it had never been.
    pub fn of(text: &str, job: &str, dialect: &str) -> Earlier {
        let known = Known::of(text, job, dialect);
        let counter = |name: &str| known.at(name, None).unwrap_or_default();
        let mut rows = [0.0; Outcome::ALL.len()];
        for outcome in Outcome::ALL {
            let of_outcome = known.at("passync_rows_total", Some(("outcome", outcome.as_str())));
            rows[outcome as usize] = of_outcome.unwrap_or_default();
        }
        Earlier {
            counters: Counters {
                attempts: counter("passync_attempts_total"),
                retries: counter("passync_retries_total"),
                throttles: counter("passync_throttles_total"),
                in_doubt: counter("passync_in_doubt_attempts_total"),
                rows,
                latencies: known.spread().unwrap_or_default(),
            },
            last: known.last(),
            success_s: known.at("passync_last_success_timestamp_seconds", None),
        }
    }
}

/// The series of a file, by what stands before their values.
struct Known<'a> {
    job: &'a str,
    dialect: &'a str,
    values: HashMap<&'a str, f64>,
}

impl<'a> Known<'a> {
    fn of(text: &'a str, job: &'a str, dialect: &'a str) -> Known<'a> {
        let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        Known { job, dialect, values: lines.filter_map(|(key, value)| Some((key, sane(value)?))).collect() }
    }

    fn at(&self, name: &str, more: Option<(&str, &str)>) -> Option<f64> {
        self.values.get(key(self.job, self.dialect, name, more).as_str()).copied()
    }

    fn last(&self) -> Option<LastRun> {
        let end_s = self.at("passync_last_run_end_timestamp_seconds", None)?;
        let took_s = self.at("passync_last_run_duration_seconds", None)?;
        Some(LastRun { start_s: end_s - took_s, end_s, exit: self.at("passync_last_run_exit_code", None)? })
    }

    /// A histogram whose buckets rise; nothing of one that was made with other bounds.
    fn spread(&self) -> Option<Spread> {
        let mut spread = Spread::default();
        let mut before = 0.0;
        for (bucket, bound) in spread.buckets.iter_mut().zip(bounds()) {
            let so_far = self.at("passync_attempt_duration_seconds_bucket", Some(("le", &bound)))?;
            *bucket = so_far - before;
            before = so_far;
        }
        spread.sum_s = self.at("passync_attempt_duration_seconds_sum", None)?;
        spread.buckets.iter().all(|count| *count >= 0.0).then_some(spread)
    }
}

fn sane(value: &str) -> Option<f64> {
    value.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::*;
    use crate::run::latency::Latencies;

    fn moment() -> Moment {
        let latencies = Latencies::default();
        [3, 70, 70, 40_000].into_iter().for_each(|ms| latencies.add(Duration::from_millis(ms)));
        let mut rows = [0.0; Outcome::ALL.len()];
        rows[Outcome::Applied as usize] = 4_990.0;
        rows[Outcome::Unknown as usize] = 10.0;
        let latencies = latencies.read();
        let counters = Counters { attempts: 5_003.0, retries: 3.0, throttles: 2.0, in_doubt: 1.0, rows, latencies };
        Moment {
            job: "nightly \"points\"\\".to_owned(),
            dialect: "alipayhk-card".to_owned(),
            counters,
            last: Some(LastRun { start_s: 1_700_000_000.5, end_s: 1_700_000_060.75, exit: 1.0 }),
            success_s: Some(1_700_000_060.75),
            planned: 5_000.0,
            rows,
            pace: 1.0,
            quota: 50.0,
            quota_window_s: 1.0,
            quota_peak: 49.0,
            open_rows: Some(10.0),
            ledger_bytes: Some(1_048_576.0),
            ..Moment::default()
        }
    }

    /// What `promtool check metrics` complains of, as far as its rules can be broken here.
    fn lint(text: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut kinds: Vec<(&str, &str)> = Vec::new();
        let mut helped = HashSet::new();
        let mut series = HashSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
                let sound = !help.trim().is_empty() && helped.insert(name);
                wrong.extend((!sound).then(|| format!("{name}: no help, or twice")));
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                wrong.extend((!helped.contains(name)).then(|| format!("{name}: no help before its type")));
                wrong.extend(kinds.iter().any(|(known, _)| *known == name).then(|| format!("{name}: two types")));
                wrong.extend(((kind == "counter") != name.ends_with("_total")).then(|| format!("{name}: _total")));
                let bad = |part: &str| {
                    let units = ["ms", "milliseconds", "minutes", "hours", "days", "percent", "kb", "mb", "kilobytes"];
                    let kinds = ["counter", "gauge", "histogram", "summary"];
                    units.contains(&part) || kinds.contains(&part)
                };
                wrong.extend(name.split('_').any(bad).then(|| format!("{name}: unit or type in its name")));
                let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
                wrong.extend((!plain || !name.starts_with("passync_")).then(|| format!("{name}: its letters")));
                let reserved = ["_count", "_sum", "_bucket"].iter().any(|end| name.ends_with(end));
                wrong.extend(reserved.then(|| format!("{name}: a reserved end")));
                kinds.push((name, kind));
            } else {
                let (key, value) = line.rsplit_once(' ').unwrap();
                wrong.extend((!series.insert(key)).then(|| format!("{key}: twice")));
                wrong.extend(value.parse::<f64>().is_err().then(|| format!("{key}: {value}")));
                // Series stand behind their own type, and belong to it.
                let (name, labels) = key.split_once('{').unwrap();
                let (family, kind) = kinds.last().copied().unwrap_or_default();
                let own = match kind {
                    "histogram" => ["_bucket", "_sum", "_count"].iter().any(|end| name == format!("{family}{end}")),
                    _ => name == family && !labels.contains("le=\""),
                };
                wrong.extend((!own).then(|| format!("{key}: not of {family}")));
            }
        }
        for (name, _) in kinds.iter().filter(|(_, kind)| *kind == "histogram") {
            wrong.extend(of_histogram(text, name));
        }
        wrong.extend((!text.ends_with('\n')).then(|| "no line end at the end".to_owned()));
        wrong
    }

    fn of_histogram(text: &str, name: &str) -> Option<String> {
        let value = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap();
        let buckets = text.lines().filter(|line| line.starts_with(&format!("{name}_bucket{{"))).collect::<Vec<_>>();
        let count = text.lines().find(|line| line.starts_with(&format!("{name}_count{{"))).map(value);
        let rises = buckets.windows(2).all(|pair| value(pair[0]) <= value(pair[1]));
        let last = buckets.last().filter(|line| line.contains("le=\"+Inf\"")).map(|line| value(line));
        (!rises || last.is_none() || last != count).then(|| format!("{name}: its buckets"))
    }

    #[test]
    fn promtool_has_nothing_to_say() {
        let text = render(&moment());
        assert_eq!(lint(&text), Vec::<String>::new(), "{text}");
        assert_eq!(lint(&render(&Moment::default())), Vec::<String>::new());
        for line in [
            "passync_attempts_total{job=\"nightly \\\"points\\\"\\\\\",dialect=\"alipayhk-card\"} 5003\n",
            "dialect=\"alipayhk-card\",outcome=\"unknown\"} 10\n",
            "dialect=\"alipayhk-card\",le=\"0.1\"} 3\n",
            "dialect=\"alipayhk-card\",le=\"+Inf\"} 4\n",
            "passync_last_run_end_timestamp_seconds{job=\"nightly \\\"points\\\"\\\\\",dialect=\"alipayhk-card\"} 1700000060.75\n",
            "passync_quota_used_ratio{job=\"nightly \\\"points\\\"\\\\\",dialect=\"alipayhk-card\"} 0.98\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn the_lint_can_complain() {
        for (text, complaint) in [
            ("# HELP passync_a A.\n# TYPE passync_a counter\npassync_a{} 1\n", "_total"),
            ("# HELP passync_a_total A.\n# TYPE passync_a_total gauge\npassync_a_total{} 1\n", "_total"),
            ("# TYPE passync_a gauge\npassync_a{} 1\n", "no help"),
            ("# HELP passync_a_ms A.\n# TYPE passync_a_ms gauge\npassync_a_ms{} 1\n", "unit"),
            ("# HELP passync_a A.\n# TYPE passync_a gauge\npassync_a{} 1\npassync_a{} 2\n", "twice"),
            ("# HELP passync_a A.\n# TYPE passync_a gauge\npassync_a{} 1", "no line end"),
            ("# HELP passync_a A.\n# TYPE passync_a gauge\npassync_b{} 1\n", "not of"),
            (
                "# HELP passync_a A.\n# TYPE passync_a histogram\npassync_a_bucket{le=\"1\"} 1\npassync_a_sum{} 1\npassync_a_count{} 1\n",
                "buckets",
            ),
        ] {
            assert!(lint(text).iter().any(|wrong| wrong.contains(complaint)), "{text}: {:?}", lint(text));
        }
    }

    #[test]
    fn a_file_of_ours_is_read_back_as_it_was_and_another_one_not_at_all() {
        let moment = moment();
        let earlier = Earlier::of(&render(&moment), &moment.job, &moment.dialect);
        assert_eq!(earlier.counters, moment.counters);
        assert_eq!(earlier.last, moment.last);
        assert_eq!(earlier.success_s, moment.success_s);
        assert_eq!(Earlier::of(&render(&moment), "other", &moment.dialect), Earlier::default());
        for text in ["", "passync_attempts_total", "passync_attempts_total{job=\"j\",dialect=\"d\"} NaN", "\u{0} \u{0}"]
        {
            assert_eq!(Earlier::of(text, "j", "d"), Earlier::default(), "{text}");
        }
        let cut = render(&moment).replace("le=\"0.1\"", "le=\"0.2\"");
        let earlier = Earlier::of(&cut, &moment.job, &moment.dialect);
        assert_eq!(earlier.counters.latencies, Spread::default(), "other bounds are no base");
    }
}
