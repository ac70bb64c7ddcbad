//! What can go wrong, how often, and how it is written: `unknown=3%,drop-after=1%,refuse:PASS_STATUS_ILLEGAL=0.5%,heal=3`.

use std::fmt;
use std::str::FromStr;

use super::dice::Dice;

/// One thing that goes wrong with one call. `applied`: whether the card changes all the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A signed "result unknown".
    Unknown {
        /// Whether the card changes all the same.
        applied: bool,
    },
    /// A signed "internal error".
    SystemError {
        /// Whether the card changes all the same.
        applied: bool,
    },
    /// The connection is cut without a byte of reply.
    Drop {
        /// Whether the card changes all the same.
        applied: bool,
    },
    /// Bytes that are no reply, with status 200.
    Garbage {
        /// Whether the card changes all the same.
        applied: bool,
    },
    /// A proxy's page, with status 200.
    Html {
        /// Whether the card changes all the same.
        applied: bool,
    },
    /// A success under the signature of another key.
    Forged {
        /// Whether the card changes all the same.
        applied: bool,
    },
    /// A success without a signature.
    Unsigned {
        /// Whether the card changes all the same.
        applied: bool,
    },
    /// A bare HTTP error.
    Http {
        /// 500 to 599.
        status: u16,
        /// Whether the card changes all the same.
        applied: bool,
    },
    /// A bare 429; never applied.
    TooMany {
        /// The seconds of its `Retry-After`.
        retry_after_s: Option<u32>,
    },
    /// A signed traffic-limit code; never applied.
    Limit,
    /// Applied; half of the signed success, then a cut.
    Half,
    /// Applied; the signed success comes after [`Config::slow`](super::Config::slow).
    Slow,
    /// Not applied; silence for [`Config::slow`](super::Config::slow), then a cut.
    Hang,
    /// Applied; the whole signed success, then the connection is closed without a word.
    Close,
    /// A signed final no with this code; never applied.
    Refuse(String),
}

/// The faults whose word has no parameter; [`Fault::from_str`] and [`fmt::Display`] both read this table.
const WORDS: [(&str, Fault); 19] = [
    ("unknown", Fault::Unknown { applied: false }),
    ("unknown-applied", Fault::Unknown { applied: true }),
    ("system-error", Fault::SystemError { applied: false }),
    ("system-error-applied", Fault::SystemError { applied: true }),
    ("drop-before", Fault::Drop { applied: false }),
    ("drop-after", Fault::Drop { applied: true }),
    ("garbage", Fault::Garbage { applied: false }),
    ("garbage-applied", Fault::Garbage { applied: true }),
    ("html", Fault::Html { applied: false }),
    ("html-applied", Fault::Html { applied: true }),
    ("forged", Fault::Forged { applied: false }),
    ("forged-applied", Fault::Forged { applied: true }),
    ("unsigned", Fault::Unsigned { applied: false }),
    ("unsigned-applied", Fault::Unsigned { applied: true }),
    ("limit", Fault::Limit),
    ("half", Fault::Half),
    ("slow", Fault::Slow),
    ("hang", Fault::Hang),
    ("close", Fault::Close),
];

/// An item of a fault table that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("faults: `{item}`: {text}")]
pub struct FaultsError {
    /// The item as it was found.
    pub item: String,
    /// What was expected.
    pub text: String,
}

impl FaultsError {
    fn new(item: &str, text: impl Into<String>) -> Self {
        FaultsError { item: item.to_owned(), text: text.into() }
    }
}

impl FromStr for Fault {
    type Err = FaultsError;

    fn from_str(word: &str) -> Result<Fault, FaultsError> {
        if let Some((_, fault)) = WORDS.iter().find(|(known, _)| *known == word) {
            return Ok(fault.clone());
        }
        match word.split_once(':').unwrap_or((word, "")) {
            ("429", "") => return Ok(Fault::TooMany { retry_after_s: None }),
            ("429", wait) => {
                let seconds = wait.strip_suffix('s').and_then(|digits| digits.parse().ok());
                let expected = "a wait in whole seconds, such as `429:2s`";
                return seconds
                    .map(|s| Fault::TooMany { retry_after_s: Some(s) })
                    .ok_or_else(|| FaultsError::new(word, format!("expected {expected}")));
            }
            ("refuse", "") => {
                return Err(FaultsError::new(word, "expected a code, such as `refuse:PASS_STATUS_ILLEGAL`"));
            }
            ("refuse", code) => return Ok(Fault::Refuse(code.to_owned())),
            _ => {}
        }
        let (digits, applied) = word.strip_suffix("-applied").map_or((word, false), |digits| (digits, true));
        match digits.parse() {
            Ok(status @ 500..=599) => Ok(Fault::Http { status, applied }),
            _ => Err(FaultsError::new(word, unknown_word(word))),
        }
    }
}

fn unknown_word(word: &str) -> String {
    let nearest = WORDS.iter().map(|(known, _)| (strsim::damerau_levenshtein(word, known), *known)).min();
    let hint = match nearest {
        Some((distance, known)) if distance <= 3 => format!("; did you mean `{known}`?"),
        _ => String::new(),
    };
    let words: Vec<_> = WORDS.iter().map(|(known, _)| *known).collect();
    format!(
        "not a fault{hint} Expected one of {}, 5xx, 5xx-applied, 429, 429:<seconds>s, refuse:<code>",
        words.join(", ")
    )
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Http { status, applied: false } => write!(f, "{status}"),
            Fault::Http { status, applied: true } => write!(f, "{status}-applied"),
            Fault::TooMany { retry_after_s: None } => f.write_str("429"),
            Fault::TooMany { retry_after_s: Some(seconds) } => write!(f, "429:{seconds}s"),
            Fault::Refuse(code) => write!(f, "refuse:{code}"),
            plain => {
                let (word, _) = WORDS.iter().find(|(_, fault)| fault == plain).expect("every other fault has a word");
                f.write_str(word)
            }
        }
    }
}

/// How often each fault is met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Each fault with its share of calls in parts per million; together at most a million.
    rates: Vec<(Fault, u32)>,
    /// A bill's faults stop after so many attempts; `None`: never.
    heal_after: Option<u32>,
}

const WHOLE_PPM: u32 = 1_000_000;

impl Faults {
    /// The fault of a key's `attempt` (from 1), if any.
    pub fn draw(&self, attempt: u32, dice: &mut Dice) -> Option<&Fault> {
        if self.heal_after.is_some_and(|healthy| attempt > healthy) {
            return None;
        }
        let mut left = dice.below(u64::from(WHOLE_PPM)) as u32;
        self.rates.iter().find_map(|(fault, ppm)| {
            let hit = left < *ppm;
            left = left.saturating_sub(*ppm);
            hit.then_some(fault)
        })
    }

    /// Whether some fault signs with another key, so that one must be made.
    pub fn forge(&self) -> bool {
        self.rates.iter().any(|(fault, _)| matches!(fault, Fault::Forged { .. }))
    }

    fn add(&mut self, item: &str) -> Result<(), FaultsError> {
        let Some((word, share)) = item.split_once('=') else {
            return Err(FaultsError::new(item, "expected `<fault>=<share>%` or `heal=<attempts>`"));
        };
        if word == "heal" {
            let attempts = share.parse().ok().filter(|attempts| *attempts > 0);
            let attempts = attempts.ok_or_else(|| FaultsError::new(item, "expected a number of attempts from 1"))?;
            self.heal_after = Some(attempts);
            return Ok(());
        }
        let fault: Fault = word.parse()?;
        if self.rates.iter().any(|(known, _)| *known == fault) {
            return Err(FaultsError::new(item, "this fault stands here twice; keep one"));
        }
        let ppm = parse_percent(share).ok_or_else(|| {
            FaultsError::new(item, "expected a share from 0% to 100% with at most four decimals, such as 0.5%")
        })?;
        self.rates.push((fault, ppm));
        if self.rates.iter().map(|(_, ppm)| u64::from(*ppm)).sum::<u64>() > u64::from(WHOLE_PPM) {
            return Err(FaultsError::new(item, "with it the shares are more than 100% together"));
        }
        Ok(())
    }
}

/// `"0.5%"` as 5,000 parts per million.
fn parse_percent(text: &str) -> Option<u32> {
    let (whole, fraction) = text.strip_suffix('%')?.split_once('.').unwrap_or((text.strip_suffix('%')?, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 3 || fraction.len() > 4 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let ppm = format!("{whole}{fraction:0<4}").parse().ok()?;
    (ppm <= WHOLE_PPM).then_some(ppm)
}

impl FromStr for Faults {
    type Err = FaultsError;

    /// Reads a comma-separated table; an empty text is a gateway without faults.
    fn from_str(text: &str) -> Result<Faults, FaultsError> {
        let mut faults = Faults::default();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            faults.add(item)?;
        }
        Ok(faults)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for (fault, ppm) in &self.rates {
            let fraction = format!("{:04}", ppm % 10_000);
            let fraction = fraction.trim_end_matches('0');
            let point = if fraction.is_empty() { "" } else { "." };
            write!(f, "{comma}{fault}={}{point}{fraction}%", ppm / 10_000)?;
            comma = ",";
        }
        self.heal_after.map_or(Ok(()), |attempts| write!(f, "{comma}heal={attempts}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Digest;

    #[test]
    fn every_word_round_trips() {
        for (word, fault) in &WORDS {
            assert_eq!(word.parse::<Fault>().as_ref(), Ok(fault));
            assert_eq!(fault.to_string(), *word);
        }
        for word in ["500", "503", "599-applied", "429", "429:2s", "refuse:PASS_STATUS_ILLEGAL", "refuse:40004/X"] {
            assert_eq!(word.parse::<Fault>().unwrap().to_string(), word);
        }
    }

    #[test]
    fn a_table_round_trips() {
        let text = "unknown=3%,unknown-applied=2.5%,503=0.0001%,429:2s=1%,refuse:PASS_STATUS_ILLEGAL=0.5%,heal=3";
        let faults: Faults = text.parse().unwrap();
        assert_eq!(faults.to_string(), text);
        assert_eq!(faults.to_string().parse(), Ok(faults));
        assert_eq!("".parse(), Ok(Faults::default()));
        assert_eq!("heal=2, close=100%".parse::<Faults>().unwrap().to_string(), "close=100%,heal=2");
    }

    #[test]
    fn errors_say_which_item_and_what_was_expected() {
        for (text, item, expected) in [
            ("unknwon=3%", "unknwon", "did you mean `unknown`?"),
            ("drop=1%", "drop", "drop-before"),
            ("404=1%", "404", "5xx"),
            ("half-applied=1%", "half-applied", "not a fault"),
            ("unknown=1%,slow", "slow", "<fault>=<share>%"),
            ("unknown=3", "unknown=3", "0% to 100%"),
            ("unknown=-3%", "unknown=-3%", "0% to 100%"),
            ("unknown=101%", "unknown=101%", "0% to 100%"),
            ("unknown=0.00001%", "unknown=0.00001%", "four decimals"),
            ("unknown=%", "unknown=%", "0% to 100%"),
            ("unknown=60%,half=41%", "half=41%", "more than 100%"),
            ("half=1%,half=2%", "half=2%", "twice"),
            ("refuse:=1%", "refuse:", "refuse:PASS_STATUS_ILLEGAL"),
            ("429:soon=1%", "429:soon", "429:2s"),
            ("heal=0", "heal=0", "from 1"),
        ] {
            let error = text.parse::<Faults>().unwrap_err();
            assert_eq!(error.item, item, "{text}");
            assert!(error.to_string().contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn shares_are_met_and_heal_ends_them() {
        let faults: Faults = "unknown=10%,half=30%,heal=2".parse().unwrap();
        let mut met = [0_u32; 3];
        for call in 0..20_000_u32 {
            let mut dice = Dice::new(7, Digest::of("call", &[&call.to_string()]), 1);
            match faults.draw(1, &mut dice) {
                Some(Fault::Unknown { applied: false }) => met[0] += 1,
                Some(Fault::Half) => met[1] += 1,
                None => met[2] += 1,
                other => panic!("{other:?} is not in the table"),
            }
            assert_eq!(faults.draw(3, &mut dice), None);
        }
        assert!((1_850..2_150).contains(&met[0]) && (5_800..6_200).contains(&met[1]), "{met:?}");
    }
}
