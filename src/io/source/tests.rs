//! What the tests of this floor share, and what holds for every format.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, DictionaryArray, Int64Array, StringArray};
use arrow::datatypes::Int32Type;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::io::job::settings::{FormatChoice, Share};
use crate::model::Rule;

pub(crate) fn settings() -> settings::Input {
    settings::Input {
        files: Vec::new(),
        format: FormatChoice::Auto,
        encoding: "utf-8".to_owned(),
        delimiter: None,
        timezone: TimeZone::UTC,
        timezone_name: "UTC".to_owned(),
        date_offset_days: 0,
        bill_key: vec!["bill_no".to_owned()],
        require_bill_no: false,
        rejects_max: Share::Percent(1.0),
        rows_min: 1,
        control: None,
        ready: None,
        wait_for: Duration::ZERO,
        trailer: None,
        null_values: vec![String::new()],
        defaults_fill_empty: false,
        negative_points: false,
        ignore: Vec::new(),
        verbatim: Vec::new(),
        columns: Vec::new(),
        defaults: Vec::new(),
    }
}

pub(crate) fn rules() -> ReadRules {
    ReadRules::new(&settings()).unwrap()
}

pub(crate) fn put(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) -> Input {
    let path = dir.join(name);
    fs::write(&path, bytes).unwrap();
    Input::new(name.to_owned(), path, FormatChoice::Auto, None).unwrap()
}

/// A row as tests compare it: its line, and its cells or the rule that it broke.
pub(crate) type Seen = (u64, Result<Vec<Option<String>>, Rule>);

pub(crate) fn read(input: &Input, rules: &ReadRules) -> Result<Vec<Seen>, InputError> {
    let mut reader = Reader::open(input, rules)?;
    let mut seen = Vec::new();
    while let Some(row) = reader.next()? {
        let cells = row.cells.map(|cells| cells.iter().map(|cell| cell.map(str::to_owned)).collect());
        seen.push((row.line, cells.map_err(|reject| reject.rule)));
    }
    assert_eq!(reader.stamp()?.rows, seen.len() as u64);
    Ok(seen)
}

pub(crate) fn row(line: u64, cells: &[&str]) -> Seen {
    (line, Ok(cells.iter().map(|cell| Some((*cell).to_owned()).filter(|cell| !cell.is_empty())).collect()))
}

/// A folder of the suites that lie beside the repository; `None`, with a notice, where they are absent.
pub(crate) fn suite(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/suites").join(name);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: no suite at {}", path.display());
    None
}

#[test]
fn a_stamp_tells_bytes_rows_and_hash_and_notices_change() {
    let dir = tempfile::tempdir().unwrap();
    let input = put(dir.path(), "a.csv", "pass_id\n1\n2\n");
    let mut reader = Reader::open(&input, &rules()).unwrap();
    while reader.next().unwrap().is_some() {}
    let stamp = reader.stamp().unwrap();
    assert_eq!((stamp.size, stamp.rows), (12, 2));
    assert_eq!(stamp.sha256, "1b341f12cb11a77ee1bafc8793fcb5ca2d1ba2dfb677be63ed91c3f6ebc22618");
    stamp.unchanged(&input).unwrap();
    fs::write(&input.path, "pass_id\n1\n2\n3\n").unwrap();
    assert!(matches!(stamp.unchanged(&input), Err(InputError::Changed { .. })));
}

#[test]
fn a_file_that_grows_while_it_is_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let input = put(dir.path(), "a.csv", "pass_id\n1\n");
    let mut reader = Reader::open(&input, &rules()).unwrap();
    while reader.next().unwrap().is_some() {}
    fs::write(&input.path, "pass_id\n1\n2\n").unwrap();
    assert!(matches!(reader.stamp(), Err(InputError::Changed { .. })));
}

#[test]
fn what_is_no_file_is_refused_without_waiting() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().to_owned(), PathBuf::from("/dev/zero")] {
        let input = Input { name: "x".to_owned(), path, format: Format::Csv, date: None };
        let error = Reader::open(&input, &rules()).err().unwrap().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }
}

#[test]
fn standard_input_is_spooled_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stdin");
    spool(&mut &b"pass_id\n7\n"[..], &path).unwrap();
    let input = Input::new(STANDARD_INPUT.to_owned(), path, FormatChoice::Auto, None).unwrap();
    assert_eq!(read(&input, &rules()).unwrap(), [row(2, &["7"])]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The same rows as CSV and as Parquet (text, dictionary and integer columns) give the same cells.
    #[test]
    fn csv_and_parquet_of_the_same_rows_are_the_same_cells(
        rows in prop::collection::vec(("[0-9]{1,27}", "[a-zA-Z金卡 ,\"']{0,9}", prop::option::of(any::<i64>())), 1..60),
        group_rows in 1_usize..40,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        writer.write_record(["bill_no", "level", "points"]).unwrap();
        for (bill, level, points) in &rows {
            writer.write_record([bill.as_str(), level, &points.map(|points| points.to_string()).unwrap_or_default()]).unwrap();
        }
        let csv = put(dir.path(), "a.csv", writer.into_inner().unwrap());
        let levels: DictionaryArray<Int32Type> = rows.iter().map(|(_, level, _)| level.as_str()).collect();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("bill_no", Arc::new(rows.iter().map(|(bill, ..)| Some(bill.as_str())).collect::<StringArray>())),
            ("level", Arc::new(levels)),
            ("points", Arc::new(rows.iter().map(|(.., points)| *points).collect::<Int64Array>())),
        ];
        let parquet = parquet::tests::write(dir.path(), "a.parquet", columns, group_rows);
        let cells = |input: &Input| read(input, &rules()).unwrap().into_iter().map(|(_, cells)| cells).collect::<Vec<_>>();
        prop_assert_eq!(cells(&csv), cells(&parquet));
    }
}
