use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int64Array,
    ListArray, RecordBatch, StringArray, TimestampMicrosecondArray, TimestampMillisecondArray, UInt8Array,
};
use arrow::datatypes::{Int32Type, Int64Type};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::super::tests::{put, read, row, rules, suite};
use super::super::{Input, InputError, Reader};
use super::*;
use crate::io::job::settings::FormatChoice;

pub(crate) fn write(dir: &Path, name: &str, columns: Vec<(&str, ArrayRef)>, group_rows: usize) -> Input {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
            .unwrap();
    let path = dir.join(name);
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group_rows))
        .set_write_page_header_statistics(true)
        .build();
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    Input::new(name.to_owned(), path, FormatChoice::Auto, None).unwrap()
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn every_type_has_the_text_that_it_has_in_csv() {
    let dir = tempfile::tempdir().unwrap();
    let dictionary: DictionaryArray<Int32Type> = vec!["Gold", "金卡"].into_iter().collect();
    let decimals = Decimal128Array::from(vec![1_999_900, -50]).with_precision_and_scale(20, 2).unwrap();
    let ids =
        Decimal128Array::from(vec![260_601_031_000_003_201_000_103_i128, 7]).with_precision_and_scale(27, 0).unwrap();
    let input = write(
        dir.path(),
        "a.parquet",
        vec![
            ("text", texts(&["007", ""])),
            ("dictionary", Arc::new(dictionary)),
            ("binary", Arc::new(BinaryArray::from_vec(vec![b"x", b"y"]))),
            ("int", Arc::new(Int64Array::from(vec![Some(-9_007_199_254_740_993), None]))),
            ("small", Arc::new(UInt8Array::from(vec![0, 255]))),
            ("decimal", Arc::new(decimals)),
            ("id", Arc::new(ids)),
            ("float", Arc::new(Float64Array::from(vec![19_999.0, 0.25]))),
            ("bool", Arc::new(BooleanArray::from(vec![true, false]))),
            ("date", Arc::new(Date32Array::from(vec![19_709, -1]))),
            (
                "utc",
                Arc::new(
                    TimestampMicrosecondArray::from(vec![1_702_866_811_000_000, 1_702_866_811_000_001])
                        .with_timezone("Asia/Hong_Kong"),
                ),
            ),
            ("local", Arc::new(TimestampMillisecondArray::from(vec![1_702_866_811_000, 1_702_866_811_250]))),
        ],
        100,
    );
    let rows = read(&input, &rules()).unwrap();
    let first = [
        "007",
        "Gold",
        "x",
        "-9007199254740993",
        "0",
        "19999.00",
        "260601031000003201000103",
        "19999",
        "true",
        "2023-12-18",
        "2023-12-18T02:33:31Z",
        "2023-12-18 02:33:31",
    ];
    let second = [
        "",
        "金卡",
        "y",
        "",
        "255",
        "-0.50",
        "7",
        "0.25",
        "false",
        "1969-12-31",
        "2023-12-18T02:33:31.000001Z",
        "2023-12-18 02:33:31.25",
    ];
    assert_eq!(rows, [row(1, &first), row(2, &second)]);
    let reader = Reader::open(&input, &rules()).unwrap();
    let kinds = reader.kinds();
    assert_eq!((&kinds[0], &kinds[5], &kinds[7], &kinds[8]), (&Kind::Text, &Kind::Decimal, &Kind::Float, &Kind::Exact));
}

#[test]
fn rows_come_in_order_across_row_groups_and_only_needed_columns_are_decoded() {
    let dir = tempfile::tempdir().unwrap();
    let numbers: Vec<i64> = (0..3000).collect();
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>(numbers.iter().map(|at| Some(vec![Some(*at)])));
    let columns: Vec<(&str, ArrayRef)> =
        vec![("n", Arc::new(Int64Array::from(numbers))), ("list", Arc::new(list)), ("m", texts(&["x"; 3000]))];
    let input = write(dir.path(), "a.parquet", columns, 700);
    let mut reader = Reader::open(&input, &rules()).unwrap();
    assert_eq!(reader.kinds()[1], Kind::Nested);
    reader.select(&[0]);
    let mut expected = 0;
    while let Some(row) = reader.next().unwrap() {
        let cells = row.cells.unwrap();
        assert_eq!((row.line, cells.len(), cells.get(1), cells.get(2)), (expected + 1, 3, None, None));
        assert_eq!(cells.get(0), Some(expected.to_string().as_str()));
        expected += 1;
    }
    assert_eq!(expected, 3000);
    assert_eq!(reader.stamp().unwrap().sha256.len(), 64);
}

#[test]
fn values_without_an_exact_text_cost_their_row() {
    let dir = tempfile::tempdir().unwrap();
    let input = write(
        dir.path(),
        "a.parquet",
        vec![
            ("points", Arc::new(Float64Array::from(vec![0.1 + 0.2, f64::NAN, 5.0, 5.0, 5.0]))),
            ("raw", Arc::new(BinaryArray::from_vec(vec![b"x", b"x", b"\xff", b"a\0", b"x"]))),
        ],
        100,
    );
    let rules_seen: Vec<_> = read(&input, &rules()).unwrap().into_iter().map(|(_, cells)| cells.err()).collect();
    let expected = [Some(Rule::NotANumber), Some(Rule::NotANumber), Some(Rule::Encoding), Some(Rule::NulByte), None];
    assert_eq!(rules_seen, expected);
}

#[test]
fn a_damaged_file_names_its_row_group_and_column() {
    let dir = tempfile::tempdir().unwrap();
    let words: Vec<String> = (0..500).map(|at| format!("word-{at}")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let input = write(dir.path(), "a.parquet", vec![("a", texts(&words)), ("b", texts(&words))], 250);
    let whole = fs::read(&input.path).unwrap();
    let error = |bytes: &[u8]| match read(&put(dir.path(), "b.parquet", bytes), &rules()) {
        Ok(rows) => panic!("{} rows were read", rows.len()),
        Err(error) => error.to_string(),
    };

    assert!(error(&whole[..whole.len() - 1]).contains("does not end as a Parquet file ends"));
    assert!(error(b"PAR1").contains("no Parquet file"));
    assert!(error(b"PAR1........PARE").contains("encrypted"));
    let mut footer = whole.clone();
    let at = footer.len() - 8;
    footer[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(error(&footer).contains("a footer of 4294967295 bytes"));

    // The last "word-497" stands in the second column of the second row group; make it no UTF-8.
    let at = whole.windows(8).rposition(|bytes| bytes == b"word-497").unwrap();
    let mut text = whole.clone();
    text[at] = 0xff;
    let error = error(&text);
    assert!(error.starts_with("b.parquet: row group 1, column `b`"), "{error}");
}

/// Reads a file to its end or to its refusal.
fn smoke(path: &Path) -> Result<u64, InputError> {
    let input = Input::new(path.display().to_string(), path.to_owned(), FormatChoice::Parquet, None)?;
    let mut reader = Reader::open(&input, &rules())?;
    while reader.next()?.is_some() {}
    Ok(reader.stamp()?.rows)
}

fn parquet_files(folder: &str) -> Vec<std::path::PathBuf> {
    let Some(suite) = suite("parquet-testing") else { return Vec::new() };
    let mut files: Vec<_> = fs::read_dir(suite.join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "parquet" || extension == "encrypted"))
        .collect();
    files.sort();
    files
}

/// The names of the files that are refused. Any other error, and every panic, fails the test.
fn refused(files: &[std::path::PathBuf]) -> Vec<String> {
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let is_refused = |path: &&std::path::PathBuf| match smoke(path) {
        Ok(_) => false,
        Err(InputError::Refused { found, .. }) => {
            assert!(found.contains("encrypted") || !name(path).ends_with(".encrypted"), "{found}");
            true
        }
        Err(error) => panic!("{error}"),
    };
    files.iter().filter(is_refused).map(|path| name(path)).filter(|name| !name.ends_with(".encrypted")).collect()
}

#[test]
fn the_official_files_are_read_or_refused_with_a_reason() {
    let files = parquet_files("data");
    if files.is_empty() {
        return;
    }
    assert_eq!(
        refused(&files),
        [
            "datapage_v1-corrupt-checksum.parquet",
            "dict-page-offset-zero.parquet",   // its footer does not parse
            "large_string_map.brotli.parquet", // a page of 1 GiB
            "nation.dict-malformed.parquet",   // a page that overruns its column chunk
            "repeated_no_annotation.parquet",  // 0 rows in the file, 6 in its row group
            "rle-dict-uncompressed-corrupt-checksum.parquet",
        ]
    );
}

#[test]
fn the_official_bad_files_do_no_harm() {
    let files = parquet_files("bad_data");
    if files.is_empty() {
        return;
    }
    // The other two are bad in a way that leaves the values clear.
    assert_eq!(
        refused(&files),
        [
            "ARROW-GH-41317.parquet",
            "ARROW-GH-41321.parquet",
            "ARROW-GH-45185.parquet",
            "ARROW-RS-GH-6229-DICTHEADER.parquet",
            "ARROW-RS-GH-6229-LEVELS.parquet",
            "PARQUET-1481.parquet",
        ]
    );
}

#[test]
fn delta_encodings_hold_what_their_csv_twins_hold() {
    let Some(suite) = suite("parquet-testing") else { return };
    for name in
        ["delta_binary_packed", "delta_byte_array", "delta_encoding_required_column", "delta_encoding_optional_column"]
    {
        let open = |file: String| {
            Input::new(name.to_owned(), suite.join("data").join(file), FormatChoice::Auto, None).unwrap()
        };
        let cells =
            |input: Input| -> Vec<_> { read(&input, &rules()).unwrap().into_iter().map(|(_, cells)| cells).collect() };
        let (parquet, csv) = (cells(open(format!("{name}.parquet"))), cells(open(format!("{name}_expect.csv"))));
        assert_eq!(parquet.len(), csv.len(), "{name}");
        for (row, (parquet, csv)) in parquet.into_iter().zip(csv).enumerate() {
            assert_eq!(parquet, csv, "{name}, row {row}");
        }
    }
}

#[test]
fn copies_with_flipped_bytes_are_read_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let words: Vec<String> = (0..300).map(|at| format!("w{}", at % 50)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let numbers: ArrayRef = Arc::new((0..300).map(|at| (at % 7 != 0).then_some(at)).collect::<Int64Array>());
    let whole = fs::read(write(dir.path(), "a.parquet", vec![("a", texts(&words)), ("n", numbers)], 100).path).unwrap();
    // A fixed walk through positions and values: the same copies every time.
    let mut state = 1_u64;
    for _ in 0..1500 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut copy = whole.clone();
        let at = (state >> 33) as usize % copy.len();
        copy[at] ^= ((state >> 25) as u8).max(1);
        let input = Input { format: super::super::Format::Parquet, ..put(dir.path(), "b.parquet", &copy) };
        if let Ok(rows) = smoke(&input.path) {
            assert_eq!(rows, 300, "byte {at}");
        }
    }
}

/// The cells of an official file, row by row, as text.
fn official(name: &str) -> Option<Vec<Vec<Option<String>>>> {
    let path = suite("parquet-testing")?.join("data").join(name);
    let input = Input::new(name.to_owned(), path, FormatChoice::Auto, None).unwrap();
    let rows = read(&input, &rules()).unwrap().into_iter();
    Some(rows.map(|(line, cells)| cells.unwrap_or_else(|rule| panic!("{name}, row {line}: {rule}"))).collect())
}

/// One column of an official file; a value without an exact text is `None`, as a null is.
fn official_column(name: &str, column: usize) -> Vec<Option<String>> {
    let Some(suite) = suite("parquet-testing") else { return Vec::new() };
    let path = suite.join("data").join(name);
    let input = Input::new(name.to_owned(), path, FormatChoice::Auto, None).unwrap();
    let mut reader = Reader::open(&input, &rules()).unwrap();
    reader.select(&[column]);
    let mut values = Vec::new();
    while let Some(row) = reader.next().unwrap() {
        values.push(row.marks.get(column).map(str::to_owned));
    }
    values
}

fn texts_of<T: ToString>(values: impl IntoIterator<Item = T>) -> Vec<Vec<Option<String>>> {
    values.into_iter().map(|value| vec![Some(value.to_string())]).collect()
}

#[test]
fn every_codec_gives_the_same_values() {
    for twins in [
        &["lz4_raw_compressed", "hadoop_lz4_compressed", "non_hadoop_lz4_compressed"][..],
        &["lz4_raw_compressed_larger", "hadoop_lz4_compressed_larger"],
        &["datapage_v1-uncompressed-checksum", "datapage_v1-snappy-compressed-checksum"],
        &[
            "int32_decimal",
            "int64_decimal",
            "fixed_length_decimal",
            "fixed_length_decimal_legacy",
            "byte_array_decimal",
        ],
    ] {
        let all: Vec<_> = twins.iter().map(|name| official(&format!("{name}.parquet"))).collect();
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{twins:?}");
    }
    for (name, column) in [("alltypes_tiny_pages", 0), ("alltypes_tiny_pages", 7), ("alltypes_tiny_pages", 8)] {
        let [one, other] = ["", "_plain"].map(|form| official_column(&format!("{name}{form}.parquet"), column));
        assert_eq!(one, other, "{name}, column {column}");
    }
    if let Some(members) = official("concatenated_gzip_members.parquet") {
        assert_eq!(members, texts_of(1..=513));
    }
    if let Some(decimals) = official("int32_decimal.parquet") {
        assert_eq!(decimals, texts_of((1..=24).map(|number| format!("{number}.00"))));
    }
    // Side by side in one file, plain and as byte streams.
    for (plain, split) in [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (12, 13)] {
        let name = "byte_stream_split_extended.gzip.parquet";
        assert_eq!(official_column(name, plain), official_column(name, split), "columns {plain} and {split}");
    }
}

#[test]
fn every_encoding_gives_the_values_that_were_written() {
    let column = |name: &str, column: usize, shown: usize| -> Vec<String> {
        official_column(name, column).into_iter().take(shown).map(Option::unwrap_or_default).collect()
    };
    for (name, at, values) in [
        ("alltypes_plain.parquet", 0, &["4", "5", "6", "7", "2", "3", "0", "1"][..]),
        ("alltypes_plain.parquet", 7, &["0", "10.1", "0", "10.1", "0", "10.1", "0", "10.1"]),
        ("alltypes_plain.parquet", 8, &["03/01/09", "03/01/09", "04/01/09", "04/01/09"]),
        ("alltypes_plain.snappy.parquet", 0, &["6", "7"]),
        ("alltypes_dictionary.parquet", 0, &["0", "1"]),
        ("datapage_v2.snappy.parquet", 0, &["abc", "abc", "abc", "", "abc"]),
        ("datapage_v2.snappy.parquet", 4, &["[1,2,3]", "", "", "[1,2,3]", "[1,2]"]),
        ("rle_boolean_encoding.parquet", 0, &["true", "false", "", "true", "true", "false"]),
        ("delta_length_byte_array.parquet", 0, &["apple_banana_mango0", "apple_banana_mango1", "apple_banana_mango4"]),
        ("list_columns.parquet", 0, &["[1,2,3]", "[null,1]", "[4]"]),
        ("list_columns.parquet", 1, &[r#"["abc","efg","hij"]"#, "", r#"["efg",null,"hij","xyz"]"#]),
        ("old_list_structure.parquet", 0, &["[[1,2],[3,4]]"]),
        ("nonnullable.impala.parquet", 3, &[r#"{"k1":-1}"#]),
        ("nonnullable.impala.parquet", 5, &[r#"{"a":-1,"B":[-1],"c":{"D":[[{"e":-1,"f":"nonnullable"}]]},"G":{}}"#]),
        ("nested_lists.snappy.parquet", 0, &[r#"[[["a","b"],["c"]],[null,["d"]]]"#]),
        ("float16_nonzeros_and_nans.parquet", 0, &["", "1", "-2", "", "0", "-1", "-0", "2"]),
    ] {
        let found = column(name, at, values.len());
        assert!(found.is_empty() || found == values, "{name}, column {at}: {found:?}");
    }
}

#[test]
fn damaged_copies_of_the_official_files_are_read_or_refused_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = 7_u64;
    let mut next = |end: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % end
    };
    let (mut read, mut refused) = (0, 0);
    for path in [parquet_files("data"), parquet_files("bad_data")].concat() {
        let whole = fs::read(&path).unwrap();
        for copy in 0..if whole.len() < 16 * 1024 { 8 } else { 0 } {
            let mut bytes = whole.clone();
            if copy % 4 == 3 {
                bytes.truncate(next(whole.len()));
            } else {
                (0..=copy).for_each(|_| bytes[next(whole.len())] ^= 1 << next(8));
            }
            let input = put(dir.path(), "in.parquet", &bytes);
            let input = Input { format: super::super::Format::Parquet, name: "in.parquet".to_owned(), ..input };
            match super::super::tests::read(&input, &rules()) {
                Ok(_) => read += 1,
                Err(InputError::Refused { name, place, found, .. }) => {
                    assert_eq!(name, "in.parquet");
                    assert!(place.starts_with("footer") || place.starts_with("row group"), "{place}{found}");
                    refused += 1;
                }
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }
    assert!(read + refused == 0 || read > 50 && refused > 50, "{read} read, {refused} refused");
}
