//! Charts as shapes. Labels are not in the drawing: it is stretched to the width there is, and text beside it stays as
//! large as text is.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::clock;
use super::scale::{Scale, Tick};
use crate::run::figures::{Histogram, Slot, Timeline};
use crate::run::numbers::{grouped, latency, rate};

/// A drawing with its axes, and what it shows in words.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Tells it from the others of the page.
    pub id: &'static str,
    /// What is drawn.
    pub title: &'static str,
    /// What it shows, for who cannot see it.
    pub says: String,
    /// How wide the drawing is; it is 100 high.
    pub width: usize,
    /// In the order in which they are drawn.
    pub shapes: Vec<Shape>,
    /// Labels at the left.
    pub y: Vec<Tick>,
    /// Labels below.
    pub x: Vec<Tick>,
}

/// One series of a chart.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Its look.
    pub class: &'static str,
    /// Its name in the legend.
    pub name: String,
    /// SVG path data.
    pub path: String,
}

/// What the quota permits, and what was measured; calls a second.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// The quota.
    pub quota: f64,
    /// In the fullest window.
    pub peak: f64,
}

/// Calls a second against the quota.
pub fn calls(timeline: &Timeline, rates: Rates, zone: &TimeZone) -> Chart {
    let seconds = timeline.width_ms() as f64 / 1_000.0;
    let values: Vec<f64> = timeline.slots().map(|(_, slot)| slot.calls as f64 / seconds).collect();
    let most = values.iter().copied().fold(0.0, f64::max);
    let scale = Scale::linear(most.max(rates.quota).max(rates.peak));
    let level = |class, name: &str, value: f64| Shape {
        class,
        name: name.to_owned(),
        path: format!("M0 {:.2}H{}", scale.down(value), values.len()),
    };
    let of_quota = most / rates.quota * 100.0;
    Chart {
        id: "calls",
        title: "Calls per second against the quota",
        says: format!(
            "At most {} calls per second, {of_quota:.0} % of the quota of {}.",
            rate(most),
            rate(rates.quota)
        ),
        width: values.len(),
        shapes: vec![
            Shape { class: "area", name: "calls per second".to_owned(), path: bars(&values, &scale) },
            level("line peak", "fullest window measured", rates.peak),
            level("line quota", "quota", rates.quota),
        ],
        y: scale.ticks(),
        x: times(timeline, zone),
    }
}

/// A look, a name, and what is counted of a slot.
type Kind = (&'static str, &'static str, fn(&Slot) -> u64);

/// What did not go at once.
pub fn trouble(timeline: &Timeline, zone: &TimeZone) -> Chart {
    let kinds: [Kind; 4] = [
        ("line a", "retries", |slot| slot.retries),
        ("line b", "in doubt", |slot| slot.in_doubt),
        ("line c", "throttled", |slot| slot.throttled),
        ("line d", "not sent", |slot| slot.not_sent),
    ];
    let most = kinds.iter().flat_map(|(.., of)| timeline.slots().map(|(_, slot)| of(slot))).max().unwrap_or_default();
    let scale = Scale::linear((most as f64).max(4.0)); // whole numbers: no labels between 0 and 1
    let total = timeline.total();
    let told = kinds.map(|(_, name, of)| format!("{} {name}", grouped(&of(&total))));
    Chart {
        id: "trouble",
        title: "Retries and doubt over time",
        says: format!("In all: {}.", told.join(", ")),
        width: timeline.slots().len(),
        shapes: kinds
            .iter()
            .map(|(class, name, of)| Shape {
                class,
                name: (*name).to_owned(),
                path: steps(timeline.slots().map(|(_, slot)| Some(of(slot) as f64)), &scale),
            })
            .collect(),
        y: scale.ticks(),
        x: times(timeline, zone),
    }
}

/// How the latency drifts.
pub fn drift(timeline: &Timeline, zone: &TimeZone) -> Chart {
    let quantiles = |permille| timeline.slots().map(move |(_, slot)| slot.latency.quantile(permille));
    let least = quantiles(500).flatten().min().unwrap_or_default();
    let most = quantiles(990).flatten().max().unwrap_or_default();
    let scale = Scale::decades(least, most);
    let between = |permille| {
        let (least, most) = (quantiles(permille).flatten().min(), quantiles(permille).flatten().max());
        format!("{} to {}", latency(least.unwrap_or_default()), latency(most.unwrap_or_default()))
    };
    let line = |class, name: &str, permille| Shape {
        class,
        name: name.to_owned(),
        path: steps(quantiles(permille).map(|us| us.map(|us| us as f64)), &scale),
    };
    Chart {
        id: "drift",
        title: "Latency over time",
        says: format!("Over the run p50 was {}, p95 {}, p99 {}.", between(500), between(950), between(990)),
        width: timeline.slots().len(),
        shapes: vec![
            line("line b", "p99", 990),
            line("line c", "p95", 950),
            line("line a", "p50: half the calls are faster", 500),
        ],
        y: scale.ticks(),
        x: times(timeline, zone),
    }
}

/// How many calls took how long.
pub fn distribution(histogram: &Histogram) -> Chart {
    let bins: Vec<_> = histogram.bins().collect();
    let values: Vec<f64> = bins.iter().map(|(.., calls)| *calls as f64).collect();
    let scale = Scale::linear(values.iter().copied().fold(4.0, f64::max));
    let edge = |permille| latency(histogram.quantile(permille).unwrap_or_default());
    let label = |quarter: usize| {
        let at = bins.len() * quarter / 4;
        let us = bins.get(at).map(|bin| bin.0).or(bins.last().map(|bin| bin.1));
        Tick { at: at as f64 / bins.len().max(1) as f64 * 100.0, label: latency(us.unwrap_or_default()) }
    };
    Chart {
        id: "distribution",
        title: "How many calls took how long",
        says: format!("p50 {}, p95 {}, p99 {}.", edge(500), edge(950), edge(990)),
        width: bins.len(),
        shapes: vec![Shape { class: "area", name: "calls".to_owned(), path: bars(&values, &scale) }],
        y: scale.ticks(),
        x: (0..=4).map(label).collect(),
    }
}

/// A bar for each value, one wide.
fn bars(values: &[f64], scale: &Scale) -> String {
    let mut path = String::new();
    for (at, value) in values.iter().enumerate().filter(|(_, value)| **value > 0.0) {
        // Whatever happened can be seen: a bar is at least a hundredth high.
        let down = scale.down(*value).min(99.0);
        let _ = write!(path, "M{at} 100V{down:.2}h1V100z");
    }
    path
}

/// A line that keeps each value for its slot, broken where there is none.
fn steps(values: impl Iterator<Item = Option<f64>>, scale: &Scale) -> String {
    let mut path = String::new();
    let mut is_down = true;
    for (at, value) in values.enumerate() {
        if let Some(value) = value {
            let _ = write!(path, "{}{at} {:.2}h1", if is_down { 'M' } else { 'L' }, scale.down(value));
        }
        is_down = value.is_none();
    }
    path
}

/// The times at the quarters of a timeline.
fn times(timeline: &Timeline, zone: &TimeZone) -> Vec<Tick> {
    let Some((start_ms, _)) = timeline.slots().next() else { return Vec::new() };
    let long_ms = timeline.width_ms() * timeline.slots().len() as i64;
    let label = |quarter: i64| Tick {
        at: quarter as f64 * 25.0,
        label: clock::short(start_ms + long_ms / 4 * quarter, long_ms, zone),
    };
    (0..=4).map(label).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn timeline(seconds: &[u64]) -> Timeline {
        let mut timeline = Timeline::new(Duration::from_secs(1));
        for (at, calls) in seconds.iter().enumerate() {
            let slot = timeline.at(at as i64 * 1_000);
            slot.calls += calls;
            (0..*calls).for_each(|_| slot.latency.add(20_000));
        }
        timeline
    }

    #[test]
    fn a_chart_says_what_it_shows() {
        let chart = calls(&timeline(&[50, 25, 0, 50]), Rates { quota: 50.0, peak: 50.0 }, &TimeZone::UTC);
        assert_eq!(chart.says, "At most 50 calls per second, 100 % of the quota of 50.");
        assert_eq!(chart.shapes[0].path, "M0 100V0.00h1V100zM1 100V50.00h1V100zM3 100V0.00h1V100z");
        assert_eq!(chart.shapes[2].path, "M0 0.00H4");
        let labels: Vec<_> = chart.x.iter().map(|tick| tick.label.as_str()).collect();
        assert_eq!(labels, ["00:00:00", "00:00:01", "00:00:02", "00:00:03", "00:00:04"]);
    }

    #[test]
    fn lines_break_where_nothing_was_called() {
        let chart = drift(&timeline(&[1, 0, 1, 1]), &TimeZone::UTC);
        assert_eq!(chart.shapes[2].path.matches('M').count(), 2, "{}", chart.shapes[2].path);
        assert_eq!(chart.shapes[2].path.matches('L').count(), 1);
    }

    #[test]
    fn a_run_without_calls_has_charts_of_nothing() {
        let none = timeline(&[]);
        let rates = Rates { quota: 50.0, peak: 0.0 };
        for chart in [calls(&none, rates, &TimeZone::UTC), trouble(&none, &TimeZone::UTC), drift(&none, &TimeZone::UTC)]
        {
            assert_eq!((chart.width, chart.x.len()), (0, 0), "{}", chart.id);
        }
        assert_eq!(distribution(&Histogram::default()).width, 0);
    }
}
