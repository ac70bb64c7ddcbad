//! What a value must look like: one function a kind, from a [`Node`] to a typed value or to what was expected.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use toml::Value as Leaf;

use super::fault::Spot;
use super::settings::{Secret, Share};
use super::tree::{Node, Value};
use crate::model::{Amount, Status};

/// Why a value is not what its key needs.
#[derive(Clone, Debug)]
pub struct Wrong {
    /// Where, when it is a part of the value (an item of a list).
    pub spot: Spot,
    /// What was expected.
    pub expected: String,
    /// What was found; `None` where it may be a secret.
    pub found: Option<String>,
    /// What to do.
    pub help: Option<String>,
}

/// A value, or why it is none.
pub type Parsed<T> = Result<T, Wrong>;

/// A value of a kind that is not expected.
pub fn wrong<T>(node: &Node, expected: impl Into<String>) -> Parsed<T> {
    Err(Wrong { spot: node.spot, expected: expected.into(), found: Some(found(node)), help: None })
}

/// The same, with what to do.
pub fn wrong_so<T>(node: &Node, expected: impl Into<String>, help: impl Into<String>) -> Parsed<T> {
    wrong(node, expected).map_err(|wrong| Wrong { help: Some(help.into()), ..wrong })
}

/// The same, without what was found: it may be a secret.
pub fn wrong_secret<T>(node: &Node, expected: impl Into<String>, help: impl Into<String>) -> Parsed<T> {
    wrong_so(node, expected, help).map_err(|wrong| Wrong { found: None, ..wrong })
}

fn found(node: &Node) -> String {
    const SHOWN: usize = 60;
    match &node.value {
        Value::Table(_) => "a table".to_owned(),
        Value::List(_) => "a list".to_owned(),
        Value::Leaf(Leaf::String(text)) if text.chars().count() > SHOWN => {
            format!("{:?}...", text.chars().take(SHOWN).collect::<String>())
        }
        Value::Leaf(Leaf::String(text)) => format!("{text:?}"),
        Value::Leaf(leaf) => leaf.to_string(),
    }
}

/// Text.
pub fn text(node: &Node) -> Parsed<String> {
    node.text().map_or_else(|| wrong_so(node, "text", "put it in quotes"), |text| Ok(text.to_owned()))
}

/// `true` or `false`.
pub fn flag(node: &Node) -> Parsed<bool> {
    if let Value::Leaf(Leaf::Boolean(flag)) = node.value { Ok(flag) } else { wrong(node, "true or false") }
}

/// A whole number in a range.
pub fn whole<T: TryFrom<i64> + Copy>(range: RangeInclusive<i64>) -> impl Fn(&Node) -> Parsed<T> {
    move |node| {
        let value = if let Value::Leaf(Leaf::Integer(value)) = node.value { Some(value) } else { None };
        let value = value.filter(|value| range.contains(value)).and_then(|value| T::try_from(value).ok());
        let most = if *range.end() == i64::MAX { "up".to_owned() } else { format!("to {}", range.end()) };
        value.map_or_else(|| wrong(node, format!("a whole number from {} {most}", range.start())), Ok)
    }
}

/// One of these words.
pub fn word<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&Node) -> Parsed<T> {
    move |node| {
        let known = words.iter().find(|(word, _)| Some(*word) == node.text());
        let list = || words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ");
        known.map_or_else(|| wrong(node, list()), |(_, value)| Ok(*value))
    }
}

/// A list.
pub fn list<T>(item: impl Fn(&Node) -> Parsed<T>) -> impl Fn(&Node) -> Parsed<Vec<T>> {
    move |node| match &node.value {
        Value::List(items) => items.iter().map(&item).collect(),
        _ => wrong_so(node, "a list", "put it in [brackets]"),
    }
}

/// A list of at least one.
pub fn some<T>(item: impl Fn(&Node) -> Parsed<T>) -> impl Fn(&Node) -> Parsed<Vec<T>> {
    let list = list(item);
    move |node| list(node).and_then(|items| if items.is_empty() { wrong(node, "at least one item") } else { Ok(items) })
}

/// Absent when it is this word (`""` or `"off"`).
pub fn unless<T>(absent: &'static str, parse: impl Fn(&Node) -> Parsed<T>) -> impl Fn(&Node) -> Parsed<Option<T>> {
    move |node| {
        if node.text() == Some(absent) {
            return Ok(None);
        }
        parse(node).map(Some).map_err(|wrong| Wrong { expected: format!("{}, or {absent:?}", wrong.expected), ..wrong })
    }
}

/// A duration: a whole number and `ms`, `s`, `m`, `h` or `d`.
pub fn duration(range: RangeInclusive<Duration>) -> impl Fn(&Node) -> Parsed<Duration> {
    move |node| {
        let parsed = node.text().and_then(parse_duration);
        let Some(duration) = parsed else {
            return wrong(node, "a duration such as \"500ms\", \"5s\", \"10m\", \"2h\" or \"90d\"");
        };
        if range.contains(&duration) {
            return Ok(duration);
        }
        wrong(node, format!("a duration from {} to {}", show_duration(*range.start()), show_duration(*range.end())))
    }
}

/// Reads `500ms`, `5s`, `10m`, `2h`, `90d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let count: u64 = text[..digits].parse().ok()?;
    let unit_ms = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    count.checked_mul(unit_ms).map(Duration::from_millis)
}

/// Writes a duration as the job file would.
pub fn show_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms == 0 {
        return "0s".to_owned();
    }
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let (unit_ms, unit) = units.into_iter().find(|(unit_ms, _)| ms.is_multiple_of(*unit_ms)).expect("1 divides all");
    format!("{}{unit}", ms / unit_ms)
}

/// Whole days, signed: `"-1d"`.
pub fn days(node: &Node) -> Parsed<i32> {
    let days = node.text().and_then(|text| text.strip_suffix('d')).and_then(|days| days.parse::<i32>().ok());
    days.filter(|days| days.abs() <= 3_660).map_or_else(|| wrong(node, "days such as \"0d\" or \"-1d\""), Ok)
}

/// Percent: `"5%"`, `"0.5%"`.
pub fn percent(node: &Node) -> Parsed<f64> {
    let digits = node.text().and_then(|text| text.strip_suffix('%')).filter(|text| {
        text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && text.bytes().any(|byte| byte.is_ascii_digit())
    });
    digits.and_then(|text| text.parse().ok()).map_or_else(|| wrong(node, "a percentage such as \"5%\""), Ok)
}

/// A percentage, or a number.
pub fn share(node: &Node) -> Parsed<Share> {
    let count = match &node.value {
        Value::Leaf(Leaf::Integer(count)) => u64::try_from(*count).ok(),
        Value::Leaf(Leaf::String(text)) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    };
    if let Some(count) = count {
        return Ok(Share::Count(count));
    }
    percent(node).map(Share::Percent).or_else(|_| wrong(node, "a percentage such as \"5%\", or a whole number"))
}

/// Arrivals in a window: `"50/1s"`.
pub fn quota(node: &Node) -> Parsed<(u32, Duration)> {
    const WINDOW: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3_600);
    // The stamps of a whole window are kept in memory and in the ledger.
    const MOST: u32 = 100_000;
    let parts = node.text().and_then(|text| text.split_once('/'));
    let parsed = parts.and_then(|(count, window)| Some((count.parse::<u32>().ok()?, parse_duration(window)?)));
    match parsed {
        Some((count, window)) if (1..=MOST).contains(&count) && WINDOW.contains(&window) => Ok((count, window)),
        Some(_) => wrong(node, format!("1 to {MOST} calls in a window of 100ms to 1h, such as \"50/1s\"")),
        None => wrong(node, "calls in a window, such as \"50/1s\""),
    }
}

/// Points: `"5000"` or `5000`.
pub fn amount(node: &Node) -> Parsed<Amount> {
    let text = match &node.value {
        Value::Leaf(Leaf::Integer(value)) => Some(value.to_string()),
        _ => node.text().map(str::to_owned),
    };
    let parsed = text.and_then(|text| Amount::parse(&text).ok()).filter(|amount| !amount.is_negative());
    parsed.map_or_else(|| wrong(node, "points such as \"100000\", not negative"), Ok)
}

/// A vendor's status.
pub fn status(node: &Node) -> Parsed<Status> {
    let status = node.text().and_then(Status::parse);
    status.map_or_else(|| wrong(node, "\"UPDATE\", \"CLOSED\" or \"USED\""), Ok)
}

/// A local time of day: `"05:30"`.
pub fn time_of_day(node: &Node) -> Parsed<Time> {
    let written = match &node.value {
        // TOML reads a bare 05:30 as a time.
        Value::Leaf(Leaf::Datetime(time)) if time.date.is_none() && time.offset.is_none() => Some(time.to_string()),
        _ => node.text().map(str::to_owned),
    };
    let read = |text: &str| Time::strptime("%H:%M", text).or_else(|_| Time::strptime("%H:%M:%S", text)).ok();
    written.as_deref().and_then(read).map_or_else(|| wrong(node, "a time of day such as \"05:30\""), Ok)
}

/// A zone of the IANA database, with its name.
pub fn zone(node: &Node) -> Parsed<(TimeZone, String)> {
    let name = text(node)?;
    TimeZone::get(&name).map_or_else(
        |_| wrong_so(node, "a time zone", "zones are named as in \"Asia/Hong_Kong\" or \"UTC\""),
        |zone| Ok((zone, name)),
    )
}

/// A name that is a folder's name too.
pub fn name(node: &Node) -> Parsed<String> {
    let text = text(node)?;
    let fits = text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter));
    if fits { Ok(text) } else { wrong(node, "up to 64 letters, digits, `.`, `_` and `-`: it names a folder") }
}

/// Text that is not empty.
pub fn filled(node: &Node) -> Parsed<String> {
    text(node).and_then(|text| if text.trim().is_empty() { wrong(node, "text that is not empty") } else { Ok(text) })
}

/// A path; relative ones start at `base`.
pub fn path(base: &Path) -> impl Fn(&Node) -> Parsed<PathBuf> {
    move |node| {
        let path = filled(node)?;
        if path.contains('\0') { wrong(node, "a path without NUL") } else { Ok(base.join(path)) }
    }
}

/// A pattern of paths; relative ones start at `base`, whose own letters are taken as they are. `{date}` stays.
pub fn pattern(base: &Path) -> impl Fn(&Node) -> Parsed<String> {
    move |node| {
        let pattern = filled(node)?;
        known_braces(node, &pattern, &["{date}"])?;
        if let Err(error) = glob::Pattern::new(&pattern) {
            return wrong_so(node, "a pattern of *, ? and [letters]", error.msg);
        }
        let rooted = Path::new(&glob::Pattern::escape(&base.to_string_lossy())).join(pattern);
        Ok(rooted.to_string_lossy().into_owned())
    }
}

/// As [`pattern`], for a path of one file that is no glob; `known`: the words in braces that it may have.
pub fn path_with(base: &Path, known: &'static [&'static str]) -> impl Fn(&Node) -> Parsed<String> {
    move |node| {
        let path = filled(node)?;
        known_braces(node, &path, known)?;
        Ok(base.join(path).to_string_lossy().into_owned())
    }
}

fn known_braces(node: &Node, pattern: &str, known: &[&str]) -> Parsed<()> {
    let open = pattern.match_indices('{').map(|(at, _)| &pattern[at..]);
    let mut braces = open.map(|rest| &rest[..rest.find('}').map_or(rest.len(), |end| end + 1)]);
    match braces.find(|brace| !known.contains(brace)) {
        None => Ok(()),
        Some(brace) => {
            let list = known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" and ");
            let are = if known.len() == 1 { "is the only word" } else { "are the only words" };
            wrong_so(node, "a path or a pattern", format!("{list} {are} in braces, `{brace}` is not known"))
        }
    }
}

/// Where a secret is. A secret itself is refused, and not shown.
pub fn secret(base: &Path) -> impl Fn(&Node) -> Parsed<Secret> {
    move |node| match Secret::parse(&text(node)?) {
        Some(Secret::File(path)) => Ok(Secret::File(base.join(path))),
        Some(named) => Ok(named),
        None => wrong_secret(
            node,
            "where the secret is: \"file:PATH\", \"env:NAME\" or \"cred:NAME\"",
            "a key never stands in a job file; put it into a file of its own, chmod 600, and write \"file:PATH\"",
        ),
    }
}
