//! The bytes of a control file -> what it states. Pure; nothing in it is guessed.

use std::fmt;

use super::{Control, SIZE_MAX, Stated};
use crate::model::reject::visible;
use crate::model::{HashTotal, Total};
use crate::wire::json::Json;

/// Why bytes are no control file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlFault {
    /// The line, from 1, where that is known.
    pub line: Option<usize>,
    /// What was found, what was expected, what to do.
    pub text: String,
}

impl fmt::Display for ControlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl std::error::Error for ControlFault {}

fn fault<T>(line: Option<usize>, text: impl Into<String>) -> Result<T, ControlFault> {
    Err(ControlFault { line, text: text.into() })
}

/// Reads a control file: JSON, `key=value`, or CSV with a header.
pub fn parse(bytes: &[u8]) -> Result<Control, ControlFault> {
    if bytes.len() as u64 > SIZE_MAX {
        return fault(None, format!("it has {} bytes, more than a control file ever needs", bytes.len()));
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return fault(None, "it is not UTF-8 text; export it as plain text");
    };
    let text = text.trim_start_matches('\u{feff}');
    let first = lines(text).next();
    let mut reading = Reading::default();
    match first {
        None => return fault(None, "it is empty; expected rows=..., or JSON, or CSV with a header"),
        Some((_, line)) if line.starts_with(['{', '[']) => reading.json(text)?,
        Some((_, line)) if line.contains('=') => reading.pairs(text)?,
        Some(_) => reading.csv(text)?,
    }
    reading.finish()
}

/// Lines with something in them, trimmed, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

#[derive(Default)]
struct Reading {
    control: Control,
}

impl Reading {
    fn pairs(&mut self, text: &str) -> Result<(), ControlFault> {
        let mut stated = Stated::default();
        for (line, text) in lines(text) {
            let Some((key, value)) = text.split_once('=') else {
                return fault(Some(line), format!("found {}, expected key=value", visible(text)));
            };
            self.set(&mut stated, Some(line), key.trim(), unquoted(value.trim()))?;
        }
        self.control.entries.push(stated);
        Ok(())
    }

    fn csv(&mut self, text: &str) -> Result<(), ControlFault> {
        let (_, header) = lines(text).next().expect("a file that is not empty");
        let delimiter = [',', ';', '\t', '|'].into_iter().find(|delimiter| header.contains(*delimiter)).unwrap_or(',');
        let mut reader = csv::ReaderBuilder::new();
        reader.has_headers(false).delimiter(delimiter as u8).comment(Some(b'#')).trim(csv::Trim::All);
        let mut records = reader.from_reader(text.as_bytes()).into_records();
        let at = |record: &csv::StringRecord| record.position().map(|position| position.line() as usize);
        let unreadable = |error: csv::Error| ControlFault {
            line: error.position().map(|position| position.line() as usize),
            text: "the line has another number of fields than the header".to_owned(),
        };
        let header = records.next().transpose().map_err(unreadable)?.unwrap_or_default();
        for record in records {
            let record = record.map_err(unreadable)?;
            let mut stated = Stated::default();
            for (key, value) in header.iter().zip(record.iter()) {
                self.set(&mut stated, at(&record), key, value)?;
            }
            self.control.entries.push(stated);
        }
        if self.control.entries.is_empty() {
            return fault(None, "it has one line; expected key=value, or a CSV header with a line of values below it");
        }
        Ok(())
    }

    fn json(&mut self, text: &str) -> Result<(), ControlFault> {
        let value = match Json::parse(text.trim().as_bytes()) {
            Ok(value) => value,
            Err(error) => return fault(None, format!("it begins as JSON, and is {error}")),
        };
        let entries = if let Json::List(entries) = value { entries } else { vec![value] };
        for entry in entries {
            let Json::Object(members) = entry else { return fault(None, "expected a JSON object, or a list of them") };
            let mut stated = Stated::default();
            for (key, value) in &members {
                match value.scalar() {
                    Some(value) => self.set(&mut stated, None, key, value)?,
                    None if Key::of(key).is_some() && *value != Json::Null => {
                        return fault(None, format!("{key}: expected text or a number"));
                    }
                    None => self.unknown(key),
                }
            }
            self.control.entries.push(stated);
        }
        Ok(())
    }

    fn unknown(&mut self, key: &str) {
        if Key::of(key).is_none() && !self.control.unknown.iter().any(|known| known == key) {
            self.control.unknown.push(key.to_owned());
        }
    }

    fn set(&mut self, stated: &mut Stated, line: Option<usize>, key: &str, value: &str) -> Result<(), ControlFault> {
        let Some(known) = Key::of(key) else {
            if let Some(near) = Key::near(key) {
                return fault(line, format!("found the key {}; did you mean `{near}`?", visible(key)));
            }
            self.unknown(key);
            return Ok(());
        };
        if value.is_empty() {
            return Ok(()); // stated for other files of the list, not for this one
        }
        let twice = match known {
            Key::File => stated.file.replace(value.to_owned()).is_some(),
            Key::Rows => stated.rows.replace(read(line, known, value, |text| text.parse().ok())?).is_some(),
            Key::Sum => stated.sum.replace(read(line, known, value, Total::parse)?).is_some(),
            Key::HashTotal => stated.hash_total.replace(read(line, known, value, HashTotal::parse)?).is_some(),
            Key::Size => stated.size.replace(read(line, known, value, |text| text.parse().ok())?).is_some(),
            Key::Sha256 => stated.sha256.replace(read(line, known, value, sha256)?).is_some(),
        };
        if twice { fault(line, format!("`{}` is stated twice", known.name())) } else { Ok(()) }
    }

    fn finish(self) -> Result<Control, ControlFault> {
        if self.control.entries.iter().all(Stated::is_empty) {
            let unknown: Vec<_> = self.control.unknown.iter().take(10).map(|key| visible(key)).collect();
            let found = if unknown.is_empty() { "nothing".to_owned() } else { unknown.join(", ") };
            let known: Vec<_> = Key::ALL.iter().map(|(key, _)| key.name()).collect();
            return fault(None, format!("it states {found}, expected some of {}", known.join(", ")));
        }
        Ok(self.control)
    }
}

fn read<T>(
    line: Option<usize>,
    key: Key,
    value: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, ControlFault> {
    let expected = match key {
        Key::Rows | Key::Size | Key::File => "a whole number such as 5000, without separators",
        Key::Sum => "an exact decimal such as 123456.50, without separators or exponent",
        Key::HashTotal => "up to 18 digits: the sum of the last 18 digits of each bill_no, modulo 10^18",
        Key::Sha256 => "64 hexadecimal digits",
    };
    let wrong =
        || ControlFault { line, text: format!("{}: found {}, expected {expected}", key.name(), visible(value)) };
    parse(value).ok_or_else(wrong)
}

fn sha256(text: &str) -> Option<String> {
    let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| text.to_ascii_lowercase())
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}

/// What a control file can state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    File,
    Rows,
    Sum,
    HashTotal,
    Size,
    Sha256,
}

impl Key {
    /// Each with the other names that exporters have for it, without case and separators.
    const ALL: [(Key, &[&str]); 6] = [
        (Key::File, &["file", "filename"]),
        (Key::Rows, &["rows", "rowcount", "records", "recordcount", "count"]),
        (Key::Sum, &["sum", "lastchangedpoints", "sumlastchangedpoints", "sumoflastchangedpoints", "pointssum"]),
        (Key::HashTotal, &["hashtotal", "billnohash", "billnohashtotal", "hashtotalbillno", "hashtotalofbillno"]),
        (Key::Size, &["size", "filesize", "bytes"]),
        (Key::Sha256, &["sha256", "sha256sum"]),
    ];

    fn name(self) -> &'static str {
        match self {
            Key::File => "file",
            Key::Rows => "rows",
            Key::Sum => "sum",
            Key::HashTotal => "hash_total",
            Key::Size => "size",
            Key::Sha256 => "sha256",
        }
    }

    fn of(name: &str) -> Option<Key> {
        let folded = folded(name);
        Key::ALL.iter().find(|(_, names)| names.contains(&folded.as_str())).map(|(key, _)| *key)
    }

    /// A key that this is nearly: a guard that is misspelt must not go unnoticed.
    fn near(name: &str) -> Option<&'static str> {
        let folded = folded(name);
        let is_near = |known: &&str| strsim::osa_distance(&folded, known) <= usize::from(known.len() > 5) + 1;
        Key::ALL.iter().find(|(_, names)| names.iter().any(is_near)).map(|(key, _)| key.name())
    }
}

/// Without case and separators.
fn folded(name: &str) -> String {
    name.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn good(text: &str) -> Control {
        parse(text.as_bytes()).unwrap_or_else(|fault| panic!("{text:?}: {fault}"))
    }

    fn bad(text: &str) -> String {
        parse(text.as_bytes()).expect_err(text).to_string()
    }

    fn stated(rows: u64, sum: &str) -> Stated {
        Stated { rows: Some(rows), sum: Total::parse(sum), ..Stated::default() }
    }

    #[test]
    fn three_forms_say_the_same() {
        let digest = "AB".repeat(32);
        let expected = Stated {
            hash_total: HashTotal::parse("12"),
            size: Some(99),
            sha256: Some(digest.to_lowercase()),
            ..stated(3, "-1.50")
        };
        for text in [
            format!(
                "# made by hand\r\nrows = 3\r\nsum=-1.50\r\nHash-Total=\"012\"\r\n\r\nfile_size=99\r\nSHA256={digest}\r\n"
            ),
            format!("\u{feff}rows=3\nsum=-1.5\nhash_total=12\nsize=99\nsha256={digest}"),
            format!(r#"{{"rows": 3, "sum": -1.50, "hash_total": "12", "size": 99, "sha256": "{digest}"}}"#),
            format!("rows,sum,hash_total,size,sha256\n3,-1.5,12,99,{digest}\n"),
            format!("rows|sum|hash_total|size|sha256\n3|-1.5|12|99|{digest}"),
        ] {
            assert_eq!(good(&text).entries, std::slice::from_ref(&expected), "{text}");
        }
    }

    #[test]
    fn a_list_has_an_entry_for_each_file() {
        let entry = |file: &str, rows| Stated { file: Some(file.to_owned()), rows: Some(rows), ..Stated::default() };
        let expected = [entry("a.csv", 1), entry("b.csv", 2)];
        assert_eq!(good("file,rows\na.csv,1\nb.csv,2\n").entries, expected);
        assert_eq!(good(r#"[{"file":"a.csv","rows":1},{"file":"b.csv","rows":"2"}]"#).entries, expected);
    }

    #[test]
    fn keys_that_are_none_of_ours_are_told_and_near_misses_refused() {
        let control = good("rows=1\nexported_at=2026-01-01\nhost=db1\nhost=db2");
        assert_eq!(control.unknown, ["exported_at", "host"]);
        assert_eq!(good(r#"{"rows":1,"by":{"host":"x"},"sum":null}"#).unknown, ["by"]);
        for (text, said) in [
            ("rows=1\nhash_totl=3", "line 2: found the key \"hash_totl\"; did you mean `hash_total`?"),
            ("row=1", "line 1: found the key \"row\"; did you mean `rows`?"),
            (r#"{"sh256":"x"}"#, "found the key \"sh256\"; did you mean `sha256`?"),
        ] {
            assert_eq!(bad(text), said);
        }
    }

    #[test]
    fn what_cannot_be_believed_is_refused_where_it_stands() {
        for (text, said) in [
            ("", "it is empty"),
            ("# nothing\n\n", "it is empty"),
            ("rows=5,000", "line 1: rows: found \"5,000\", expected a whole number"),
            ("rows=-1", "rows: found \"-1\""),
            ("rows=1\nsum=1.2e5", "line 2: sum: found \"1.2e5\", expected an exact decimal"),
            (r#"{"sum":1e5}"#, "sum: found \"1e5\""),
            (r#"{"rows":[1]}"#, "rows: expected text or a number"),
            ("rows=1\nrows=1", "line 2: `rows` is stated twice"),
            (r#"{"rows":1,"rows":2}"#, "`rows` is stated twice"),
            ("rows=1\nhello", "line 2: found \"hello\", expected key=value"),
            ("sha256=abc", "expected 64 hexadecimal digits"),
            ("hash_total=1.5", "hash_total: found \"1.5\""),
            ("5000;123.4", "it has one line"),
            ("5000;123.4\n1;2", "it states \"5000\", \"123.4\", expected some of file, rows"),
            ("a,rows\n1", "line 2: the line has another number of fields"),
            ("{\"rows\":1", "it begins as JSON, and is not JSON from byte"),
            ("file=a.csv", "it states nothing, expected some of"),
        ] {
            assert!(bad(text).contains(said), "{text:?}: {}", bad(text));
        }
        assert!(parse(b"rows=\xff").unwrap_err().text.contains("not UTF-8"));
        assert!(parse(&vec![b'a'; 3 << 20]).unwrap_err().text.contains("more than a control file"));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(text in ".{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(text.as_bytes());
            let _ = parse(&bytes);
        }
    }
}
