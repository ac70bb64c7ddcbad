//! From values to places on a chart, with the labels that a person expects beside its axes.

use crate::run::numbers::latency;

/// A label on an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// Percent of the axis, from below or from the left.
    pub at: f64,
    /// What stands there.
    pub label: String,
}

/// A vertical axis. Charts are 100 high.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    /// From 0 to the top.
    Linear {
        /// A round number, at least as high as everything.
        top: f64,
        /// Between labels.
        step: f64,
    },
    /// From a power of ten to another.
    Decades {
        /// The exponent below.
        low: i32,
        /// The exponent above.
        high: i32,
    },
}

impl Scale {
    /// For values from 0 to `most`.
    pub fn linear(most: f64) -> Scale {
        let most = if most > 0.0 && most.is_finite() { most } else { 1.0 };
        let magnitude = 10_f64.powf((most / 4.0).log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * magnitude);
        let step = steps.into_iter().find(|step| most / step <= 5.0).unwrap_or(steps[3]);
        Scale::Linear { top: (most / step).ceil() * step, step }
    }

    /// For latencies between these; microseconds.
    pub fn decades(least_us: u64, most_us: u64) -> Scale {
        let low = least_us.max(1).ilog10() as i32;
        let high = most_us.max(1).ilog10() as i32 + 1;
        Scale::Decades { low, high }
    }

    /// How far a value lies below the upper edge.
    pub fn down(&self, value: f64) -> f64 {
        let share = match self {
            Scale::Linear { top, .. } => value / top,
            Scale::Decades { low, high } => (value.max(1.0).log10() - f64::from(*low)) / f64::from(high - low),
        };
        100.0 - share.clamp(0.0, 1.0) * 100.0
    }

    /// Its labels, the lowest first.
    pub fn ticks(&self) -> Vec<Tick> {
        match self {
            Scale::Linear { top, step } => {
                let digits = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
                let marks = (top / step).round() as u32;
                let tick = |mark: u32| Tick {
                    at: f64::from(mark) / f64::from(marks) * 100.0,
                    label: format!("{:.digits$}", f64::from(mark) * step),
                };
                (0..=marks).map(tick).collect()
            }
            Scale::Decades { low, high } => {
                let tick = |exponent: i32| Tick {
                    at: f64::from(exponent - low) / f64::from(high - low) * 100.0,
                    label: decade(exponent),
                };
                (*low..=*high).map(tick).collect()
            }
        }
    }
}

/// `10 ms`: without the digits that a latency has.
fn decade(exponent: i32) -> String {
    let label = latency(10_u64.pow(exponent.unsigned_abs()));
    match label.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => label,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_axis_is_round_and_holds_everything() {
        for most in [0.0, 0.03, 1.0, 7.0, 50.0, 51.0, 999.0, 123_456.0] {
            let scale = Scale::linear(most);
            let Scale::Linear { top, step } = scale else { unreachable!() };
            assert!(top >= most && top / step <= 6.0, "{most}: {scale:?}");
            let ticks = scale.ticks();
            assert!((2..=6).contains(&ticks.len()), "{most}: {ticks:?}");
            assert_eq!((ticks[0].at, ticks.last().unwrap().at), (0.0, 100.0));
        }
        let labels = |most| Scale::linear(most).ticks().into_iter().map(|tick| tick.label).collect::<Vec<_>>();
        assert_eq!(labels(50.0), ["0", "10", "20", "30", "40", "50"]);
        assert_eq!(labels(0.8), ["0.0", "0.2", "0.4", "0.6", "0.8"]);
    }

    #[test]
    fn an_axis_of_latencies_has_a_label_each_decade() {
        let scale = Scale::decades(850, 15_000_000);
        let labels: Vec<_> = scale.ticks().into_iter().map(|tick| tick.label).collect();
        assert_eq!(labels, ["100 µs", "1 ms", "10 ms", "100 ms", "1 s", "10 s", "100 s"]);
        assert_eq!((scale.down(100.0), scale.down(1e8)), (100.0, 0.0));
        assert!((scale.down(1e5) - 50.0).abs() < 1e-9);
        assert_eq!(Scale::decades(0, 0), Scale::Decades { low: 0, high: 1 });
    }
}
