//! Patterns and dates -> the input files of a run, in the order in which they are read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};
use jiff::civil::Date;

use super::error::{Missing, has_wildcard};
use super::limits::INPUTS_MAX;
use super::{Format, Input, InputError};
use crate::io::job::settings::{self, FormatChoice};

/// The name of standard input, in `input.files` and in `_source`.
pub const STANDARD_INPUT: &str = "-";

/// A star does not cross folders, and a file that is still being written often begins with a dot.
const MATCHING: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// The files that `settings.files` names, each date of `dates` put into `{date}`; in the order of dates, then names.
/// A pattern (a date of it) that matches no file is [`InputError::Missing`], all of them together.
///
/// `base` is the folder of the job file: names are relative to it where they can be. Standard input comes back with
/// the path "-", to be [spooled](super::spool) by the caller.
pub fn resolve(settings: &settings::Input, base: &Path, dates: &[Date]) -> Result<Vec<Input>, InputError> {
    let mut found: BTreeMap<(Option<Date>, String), PathBuf> = BTreeMap::new();
    let mut missing = Vec::new();
    for pattern in &settings.files {
        if pattern == STANDARD_INPUT {
            found.insert((None, STANDARD_INPUT.to_owned()), PathBuf::from(STANDARD_INPUT));
            continue;
        }
        let expanded: Vec<(Option<Date>, String)> = if pattern.contains("{date}") {
            dates.iter().map(|date| (Some(*date), pattern.replace("{date}", &date.to_string()))).collect()
        } else {
            vec![(None, pattern.clone())]
        };
        for (date, pattern) in expanded {
            let paths = matches(&pattern, base)?;
            if paths.is_empty() {
                missing.push(Missing::look(&pattern, base));
            }
            found.extend(paths.into_iter().map(|path| ((date, name_of(&path, base)), path)));
        }
    }
    if !missing.is_empty() {
        return Err(InputError::Missing(missing));
    }
    if found.len() > INPUTS_MAX {
        return Err(InputError::TooMany(found.len()));
    }
    found.into_iter().map(|((date, name), path)| Input::new(name, path, settings.format, date)).collect()
}

fn matches(pattern: &str, base: &Path) -> Result<Vec<PathBuf>, InputError> {
    // The job's own folder may bear a wildcard's name; only what the job file says is a pattern.
    let base = base.to_string_lossy();
    let own = pattern.strip_prefix(base.as_ref()).unwrap_or(pattern);
    if !has_wildcard(own) {
        let path = PathBuf::from(pattern);
        return Ok(if path.exists() { vec![path] } else { Vec::new() });
    }
    let prefix = if own.len() == pattern.len() { String::new() } else { Pattern::escape(&base) };
    let paths = glob::glob_with(&format!("{prefix}{own}"), MATCHING)
        .map_err(|error| InputError::Pattern { pattern: pattern.to_owned(), text: error.msg.to_owned() })?;
    let mut files = Vec::new();
    for path in paths {
        let path = path.map_err(|error| {
            InputError::io(
                &error.path().display().to_string(),
                "look into it",
                std::io::Error::other(error.to_string()),
            )
        })?;
        if path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

fn name_of(path: &Path, base: &Path) -> String {
    let below = path.strip_prefix(base).ok().filter(|below| !below.as_os_str().is_empty());
    below.unwrap_or(path).to_string_lossy().into_owned()
}

impl Input {
    /// An input whose format is told by `choice`, by the first bytes, or by the name. Bytes go before names, since a
    /// renamed archive is still an archive.
    pub fn new(name: String, path: PathBuf, choice: FormatChoice, date: Option<Date>) -> Result<Input, InputError> {
        let unopened = Input { name, path, format: Format::Csv, date };
        if unopened.name == STANDARD_INPUT && unopened.path == Path::new(STANDARD_INPUT) {
            return Ok(unopened);
        }
        let format = match choice {
            FormatChoice::Parquet => Format::Parquet,
            FormatChoice::Csv => match detect(&unopened)? {
                Format::Parquet => Format::Csv,
                format => format,
            },
            FormatChoice::Auto => detect(&unopened)?,
        };
        Ok(Input { format, ..unopened })
    }
}

fn detect(input: &Input) -> Result<Format, InputError> {
    // Opening a pipe would block; what is no regular file is refused when it is read.
    if input.path.is_file() {
        let at = |error| InputError::io(&input.name, "read its first bytes", error);
        let mut first = Vec::with_capacity(4);
        File::open(&input.path).map_err(at)?.take(4).read_to_end(&mut first).map_err(at)?;
        match first[..] {
            [0x1f, 0x8b, ..] => return Ok(Format::CsvGz),
            [0x28, 0xb5, 0x2f, 0xfd] => return Ok(Format::CsvZst),
            [b'P', b'A', b'R', b'1' | b'E'] => return Ok(Format::Parquet),
            _ => {}
        }
    }
    Ok(match input.path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => Format::CsvGz,
        Some("zst") => Format::CsvZst,
        Some("parquet") => Format::Parquet,
        _ => Format::Csv,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;

    fn days(texts: &[&str]) -> Vec<Date> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::Builder::new().prefix("job[1]").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("inbox")).unwrap();
        for name in names {
            std::fs::write(dir.path().join("inbox").join(name), "pass_id\n").unwrap();
        }
        dir
    }

    fn names(dir: &Path, pattern: &str, dates: &[Date]) -> Result<Vec<String>, InputError> {
        let mut settings = settings();
        settings.files = vec![dir.join("inbox").join(pattern).to_str().unwrap().to_owned()];
        Ok(resolve(&settings, dir, dates)?.into_iter().map(|input| input.name).collect())
    }

    #[test]
    fn globs_and_dates_come_in_the_order_of_dates_then_names() {
        let dir = folder(&["b-2026-01-02.csv", "a-2026-01-02.csv", "z-2026-01-01.csv", ".a-2026-01-02.csv", "x.txt"]);
        let range = days(&["2026-01-02", "2026-01-01"]);
        assert_eq!(
            names(dir.path(), "*-{date}.csv", &range).unwrap(),
            ["inbox/z-2026-01-01.csv", "inbox/a-2026-01-02.csv", "inbox/b-2026-01-02.csv"]
        );
        assert_eq!(names(dir.path(), "x.txt", &range).unwrap(), ["inbox/x.txt"]);
    }

    #[test]
    fn what_is_missing_names_the_folder_and_its_newest_files() {
        let dir = folder(&["points-2026-01-01.csv"]);
        let error =
            names(dir.path(), "points-{date}.csv", &days(&["2026-01-01", "2026-01-02", "2026-01-03"])).unwrap_err();
        let InputError::Missing(missing) = &error else { panic!("{error}") };
        assert_eq!(missing.len(), 2);
        let text = error.to_string();
        assert!(text.contains("points-2026-01-02.csv") && text.contains("points-2026-01-03.csv"), "{text}");
        assert!(text.contains("newest files") && text.contains("points-2026-01-01.csv"), "{text}");
        let text = names(&dir.path().join("no"), "*.csv", &[]).unwrap_err().to_string();
        assert!(text.contains("there is no folder"), "{text}");
    }

    #[test]
    fn first_bytes_tell_the_format_before_the_name() {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes, choice, format) in [
            ("a.csv", &b"PAR1...."[..], FormatChoice::Auto, Format::Parquet),
            ("a.csv", b"PAR1....", FormatChoice::Csv, Format::Csv),
            ("b.csv", b"\x1f\x8b\x08\0", FormatChoice::Csv, Format::CsvGz),
            ("c", b"\x28\xb5\x2f\xfd", FormatChoice::Auto, Format::CsvZst),
            ("d.csv.zst", b"", FormatChoice::Auto, Format::CsvZst),
            ("e.parquet", b"nonsense", FormatChoice::Auto, Format::Parquet),
            ("f.txt", b"pass_id", FormatChoice::Auto, Format::Csv),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(Input::new(name.to_owned(), path, choice, None).unwrap().format, format, "{name}");
        }
    }
}
