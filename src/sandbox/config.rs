//! How a gateway behaves, and the texts it is told by.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::faults::{Fault, Faults};
use super::judge::Order;
use crate::io::job::{parse_duration, show_duration};

/// How a gateway behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Faults and delays follow from it, the key and the attempt alone.
    pub seed: u64,
    /// What goes wrong, and how often.
    pub faults: Faults,
    /// What goes wrong with these bills or cards every time, whatever `faults` say.
    pub script: BTreeMap<String, Fault>,
    /// Arrivals permitted; `None`: no limit.
    pub quota: Option<Quota>,
    /// Whether calls over the quota are throttled (and not applied), or only judged.
    pub enforce_quota: bool,
    /// The time to a reply.
    pub delay: Delay,
    /// How long [`Fault::Slow`](super::Fault::Slow) and [`Fault::Hang`](super::Fault::Hang) take: longer than the
    /// caller's patience, of which 15 s are the vendor's custom.
    pub slow: Duration,
    /// How older states are told from newer ones.
    pub order: Order,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            seed: 1,
            faults: Faults::default(),
            script: BTreeMap::new(),
            quota: None,
            enforce_quota: true,
            delay: Delay { min: Duration::from_millis(1), max: Duration::from_millis(30) },
            slow: Duration::from_secs(20),
            order: Order::default(),
        }
    }
}

impl Config {
    /// The gateway of the demo: the faults of a bad night, of which every bill heals within the attempts of a job.
    pub fn demo() -> Config {
        const FAULTS: &str = "unknown=2%,unknown-applied=2%,drop-before=0.5%,drop-after=0.5%,503=1%,503-applied=0.5%,\
                              429=0.5%,limit=0.5%,heal=3";
        Config { faults: FAULTS.parse().expect("the table of the demo is well formed"), ..Config::default() }
    }

    /// The window in which arrivals are counted: the quota's, or a second.
    pub fn window(&self) -> Duration {
        self.quota.map_or(Duration::from_secs(1), |quota| quota.window)
    }
}

/// So many arrivals in any window of that length, as `150/1s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// At least 1.
    pub permits: u32,
    /// More than nothing.
    pub window: Duration,
}

/// From so long to so long, as `1ms..30ms`; `5ms` is always 5 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// The shortest.
    pub min: Duration,
    /// The longest; not less than the shortest.
    pub max: Duration,
}

/// A text that is not a [`Quota`] or [`Delay`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}`: expected {expected}")]
pub struct ConfigFault {
    /// The text.
    pub found: String,
    /// What was expected.
    pub expected: &'static str,
}

impl FromStr for Quota {
    type Err = ConfigFault;

    fn from_str(text: &str) -> Result<Quota, ConfigFault> {
        let quota = text.split_once('/').and_then(|(permits, window)| {
            Some(Quota { permits: permits.parse().ok()?, window: parse_duration(window)? })
        });
        let sound = quota.filter(|quota| quota.permits > 0 && !quota.window.is_zero());
        let expected = "arrivals and a window, such as `150/1s`";
        sound.ok_or_else(|| ConfigFault { found: text.to_owned(), expected })
    }
}

impl FromStr for Delay {
    type Err = ConfigFault;

    fn from_str(text: &str) -> Result<Delay, ConfigFault> {
        let (min, max) = text.split_once("..").unwrap_or((text, text));
        let delay = parse_duration(min).zip(parse_duration(max)).map(|(min, max)| Delay { min, max });
        let expected = "a time or a rising range of times, such as `5ms` or `1ms..30ms`";
        delay.filter(|delay| delay.min <= delay.max).ok_or_else(|| ConfigFault { found: text.to_owned(), expected })
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.permits, show_duration(self.window))
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", show_duration(self.min), show_duration(self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_and_delays_are_read() {
        let quota: Quota = "150/1s".parse().unwrap();
        assert_eq!(quota, Quota { permits: 150, window: Duration::from_secs(1) });
        assert_eq!(quota.to_string(), "150/1s");
        let delay: Delay = "1ms..30ms".parse().unwrap();
        assert_eq!(delay, Delay { min: Duration::from_millis(1), max: Duration::from_millis(30) });
        assert_eq!(delay.to_string(), "1ms..30ms");
        assert_eq!("5ms".parse::<Delay>().unwrap().to_string(), "5ms..5ms");
        for text in ["", "150", "0/1s", "150/0s", "-1/1s", "150/-1s", "150/soon", "1.5/1s"] {
            let fault = text.parse::<Quota>().unwrap_err().to_string();
            assert!(fault.contains("150/1s") && fault.contains(text), "{fault}");
        }
        for text in ["", "30ms..1ms", "-1ms", "1ms..", "fast"] {
            assert!(text.parse::<Delay>().unwrap_err().to_string().contains("1ms..30ms"), "{text}");
        }
    }

    #[test]
    fn the_demo_heals() {
        let faults = Config::demo().faults.to_string();
        assert!(faults.ends_with(",heal=3"), "{faults}");
    }
}
