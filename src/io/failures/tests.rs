use std::convert::Infallible;
use std::fs::{self, File};
use std::sync::Arc;

use ::arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, DictionaryArray, Int64Array, LargeStringArray, ListArray,
    RecordBatchReader, StringArray,
};
use ::arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;
use crate::io::job::settings::FormatChoice;
use crate::io::source::limits::ROW_VALUES_MAX;
use crate::io::source::parquet::tests::write as write_parquet;
use crate::io::source::tests::{Seen, put, read, row, rules, settings, suite};
use crate::model::Rule;

fn tail(source: &str, line: u64) -> Tail {
    Tail {
        outcome: "rejected",
        code: "R001".to_owned(),
        message: "found 2, \"expected\"\n3".to_owned(),
        attempts: 2,
        run: "run-1".to_owned(),
        source: source.to_owned(),
        line,
    }
}

type Tails = Vec<(Seat, Tail)>;

fn write_all(
    dir: &Path,
    inputs: &[Input],
    rules: &ReadRules,
    tails: Tails,
) -> Result<Vec<PathBuf>, FailureError<Infallible>> {
    let written = write(dir, inputs, rules, &mut tails.into_iter().map(Ok))?;
    assert_eq!(written.left_out, Vec::<String>::new());
    Ok(written.files)
}

/// Every row of the inputs fails.
fn all(inputs: &[Input], rules: &ReadRules) -> Tails {
    let mut tails = Vec::new();
    for (ordinal, input) in inputs.iter().enumerate() {
        for (line, _) in read(input, rules).unwrap() {
            tails.push((Seat { source: ordinal as u16, line }, tail(&input.name, line)));
        }
    }
    tails
}

fn open(path: &Path) -> Input {
    Input::new(path.file_name().unwrap().to_str().unwrap().to_owned(), path.to_owned(), FormatChoice::Auto, None)
        .unwrap()
}

/// The own cells of a failure file's rows, and what their `_source` and `_line` say.
fn replayed(path: &Path, rules: &ReadRules) -> Vec<Seen> {
    let mut reader = Reader::open(&open(path), rules).unwrap();
    let own = reader.header().len() - 8;
    assert_eq!(reader.header()[own..], TailColumn::ALL.map(|column| column.name().to_owned()));
    let mut seen = Vec::new();
    while let Some(row) = reader.next().unwrap() {
        let line = row.marks.get(own + 6).unwrap().parse().unwrap();
        let cells = row.cells.map(|cells| cells.iter().take(own).map(|cell| cell.map(str::to_owned)).collect());
        seen.push((line, cells.map_err(|reject| reject.rule)));
    }
    seen
}

#[test]
fn fields_keep_their_bytes_and_the_tail_tells_whose_row_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let input = put(dir.path(), "a.csv", "pass_id;level\r\n\"007\";\"a\"\"b;\r\n\"\r\n8;金卡\r\n");
    let tails = vec![(Seat { source: 0, line: 2 }, tail("a.csv", 2))];
    let paths = write_all(dir.path(), &[input], &rules(), tails).unwrap();
    assert_eq!(paths, [dir.path().join("failures.csv")]);
    assert_eq!(
        fs::read_to_string(&paths[0]).unwrap(),
        "pass_id;level;_outcome;_code;_message;_attempts;_run;_source;_line;_raw\n\
         \"007\";\"a\"\"b;\r\n\";rejected;R001;\"found 2, \"\"expected\"\"\n3\";2;run-1;a.csv;2;\n"
    );
}

#[test]
fn records_that_could_not_be_split_come_in_base64_and_stay_as_they_are_in_a_replay() {
    let dir = tempfile::tempdir().unwrap();
    let input = put(dir.path(), "a.csv", "a,b\n1,2,3\n4,\"5\n6,7\n8,\"9\n1,2\n");
    let inputs = [input];
    let first = write_all(dir.path(), &inputs, &rules(), all(&inputs, &rules())).unwrap();
    let text = fs::read_to_string(&first[0]).unwrap();
    let raw = |record: &str| format!(",{}\n", STANDARD.encode(record));
    assert!(["1,2,3", "4,\"5", "6,7"].into_iter().all(|record| text.contains(&raw(record))), "{text}");
    assert!(text.contains("\n,,rejected"), "{text}");
    let expected = [
        (2, Err(Rule::RecordWidth)),
        (3, Err(Rule::RecordWidth)),
        (4, Err(Rule::RecordWidth)),
        (5, Err(Rule::RecordWidth)),
        row(6, &["1", "2"]),
    ];
    assert_eq!(replayed(&first[0], &rules()), expected);

    let again = tempfile::tempdir().unwrap();
    let failures = open(&first[0]);
    let mut reader = Reader::open(&failures, &rules()).unwrap();
    let (mut tails, mut origins) = (Vec::new(), [2, 3, 4, 5, 6].into_iter());
    while let Some(row) = reader.next().unwrap() {
        tails.push((Seat { source: 0, line: row.line }, tail("a.csv", origins.next().unwrap())));
    }
    let second = write_all(again.path(), &[failures], &rules(), tails).unwrap();
    assert_eq!(fs::read_to_string(&second[0]).unwrap(), text, "nothing is doubled, nothing is lost");
}

#[test]
fn undecodable_rows_keep_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let input = put(dir.path(), "a.csv", b"a,b\n1,x\xffy\n2,z\0\n");
    let inputs = [input];
    let paths = write_all(dir.path(), &inputs, &rules(), all(&inputs, &rules())).unwrap();
    let bytes = fs::read(&paths[0]).unwrap();
    assert!(bytes.windows(6).any(|window| window == b"1,x\xffy,"));
    assert_eq!(replayed(&paths[0], &rules()), [(2, Err(Rule::Encoding)), (3, Err(Rule::NulByte))]);
}

#[test]
fn encodings_and_delimiters_are_the_inputs() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.encoding = "gbk".to_owned();
    let gbk = ReadRules::new(&settings).unwrap();
    // The second row ends within a character: the delimiter behind it would be swallowed.
    let inputs = [put(dir.path(), "a.csv", b"a|b\n\x81||\xbd\xf0\n1|x\x81\n")];
    let mut tails = all(&inputs, &gbk);
    tails[0].1.message = "金 😀".to_owned();
    let paths = write_all(dir.path(), &inputs, &gbk, tails).unwrap();
    assert_eq!(replayed(&paths[0], &gbk), [row(2, &["亅", "金"]), (3, Err(Rule::RecordWidth))]);
    let bytes = fs::read(&paths[0]).unwrap();
    assert!(bytes.windows(4).any(|window| window == b"\xbd\xf0 &"), "the message is GBK too");

    let wide: Vec<u8> = "\u{feff}a\tb\n1\t金\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let inputs = [put(dir.path(), "w.csv", wide)];
    let paths = write_all(dir.path(), &inputs, &rules(), all(&inputs, &rules())).unwrap();
    assert_eq!(replayed(&paths[0], &rules()), [row(2, &["1", "金"])]);
}

#[test]
fn inputs_of_another_shape_get_another_file() {
    let dir = tempfile::tempdir().unwrap();
    let inputs = [
        put(dir.path(), "a.csv", "a,b\n1,2\n"),
        put(dir.path(), "b.csv", "a;b\n3;4\n"),
        put(dir.path(), "c.csv", "a,b\n5,6\n7,8\n"),
        write_parquet(dir.path(), "d.parquet", vec![("a", Arc::new(Int64Array::from(vec![9])) as ArrayRef)], 10),
    ];
    let paths = write_all(dir.path(), &inputs, &rules(), all(&inputs, &rules())).unwrap();
    let names: Vec<_> = paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["failures.csv", "failures-2.csv", "failures-3.parquet"]);
    assert_eq!(replayed(&paths[0], &rules()), [row(2, &["1", "2"]), row(2, &["5", "6"]), row(3, &["7", "8"])]);
    assert_eq!(replayed(&paths[1], &rules()), [row(2, &["3", "4"])]);
    assert_eq!(replayed(&paths[2], &rules()), [row(1, &["9"])]);
}

#[test]
fn a_header_is_always_there() {
    let dir = tempfile::tempdir().unwrap();
    let inputs = [put(dir.path(), "a.csv", "a,b,\n1,2,\n")];
    let paths = write_all(dir.path(), &inputs, &rules(), Vec::new()).unwrap();
    assert_eq!(
        fs::read_to_string(&paths[0]).unwrap(),
        "a,b,_outcome,_code,_message,_attempts,_run,_source,_line,_raw\n"
    );
    let paths = write_all(dir.path(), &[], &rules(), Vec::new()).unwrap();
    assert_eq!(fs::read_to_string(&paths[0]).unwrap(), "_outcome,_code,_message,_attempts,_run,_source,_line,_raw\n");
}

#[test]
fn a_row_that_is_gone_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let inputs = [put(dir.path(), "a.csv", "a,b\n1,2\n3,4\n")];
    for seat in [Seat { source: 0, line: 9 }, Seat { source: 0, line: 1 }, Seat { source: 3, line: 2 }] {
        let lost = write_all(dir.path(), &inputs, &rules(), vec![(seat, tail("a.csv", seat.line))]);
        assert!(matches!(lost, Err(FailureError::Lost { line, .. }) if line == seat.line), "{seat:?}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no half-written file is left");
}

#[test]
fn parquet_keeps_all_columns_and_types() {
    let dir = tempfile::tempdir().unwrap();
    let count = 1000;
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>((0..count).map(|at| Some(vec![Some(at), None])));
    let decimals =
        Decimal128Array::from_iter_values((0..count).map(i128::from)).with_precision_and_scale(30, 4).unwrap();
    let names: Vec<String> = (0..count).map(|at| format!("0{at}")).collect();
    let columns: Vec<(&str, ArrayRef)> =
        vec![("pass_id", Arc::new(StringArray::from(names))), ("tags", Arc::new(list)), ("points", Arc::new(decimals))];
    let inputs = [write_parquet(dir.path(), "a.parquet", columns, 300)];
    let lines = [1, 256, 257, 650, 1000];
    let tails = |of: &[u64]| {
        of.iter().map(|line| (Seat { source: 0, line: *line }, tail("a.parquet", *line))).collect::<Tails>()
    };
    let paths = write_all(dir.path(), &inputs, &rules(), tails(&lines)).unwrap();

    let batch = Batches::open(&open(&paths[0])).unwrap().next().unwrap().unwrap();
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let ids: Vec<_> = column("pass_id").as_string_view().iter().map(Option::unwrap).collect();
    assert_eq!(ids, ["00", "0255", "0256", "0649", "0999"]);
    assert_eq!(column("tags").as_list::<i32>().value(3).as_primitive::<Int64Type>().value(0), 649);
    assert_eq!(column("points").data_type(), &DataType::Decimal128(30, 4));
    assert_eq!(column("_attempts").as_primitive::<Int32Type>().value(0), 2);
    assert_eq!(column("_line").as_primitive::<Int64Type>().values(), &[1, 256, 257, 650, 1000]);
    assert_eq!(column("_raw").null_count(), 5);

    let again = tempfile::tempdir().unwrap();
    let second = write_all(again.path(), &[open(&paths[0])], &rules(), tails(&[2, 5])).unwrap();
    let batch = Batches::open(&open(&second[0])).unwrap().next().unwrap().unwrap();
    assert_eq!((batch.num_rows(), batch.num_columns()), (2, 3 + 8), "our columns are replaced, not doubled");
    let gone = write_all(again.path(), &inputs, &rules(), tails(&[1001]));
    assert!(matches!(gone, Err(FailureError::Lost { line: 1001, .. })));
}

#[test]
fn a_column_that_cannot_be_read_is_left_out_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let lengths = [3, i64::try_from(ROW_VALUES_MAX).unwrap() + 1];
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>(lengths.map(|length| Some((0..length).map(Some))));
    let columns: Vec<(&str, ArrayRef)> =
        vec![("embedding", Arc::new(list)), ("pass_id", Arc::new(StringArray::from(vec!["1", "2"])))];
    let inputs = [write_parquet(dir.path(), "a.parquet", columns, 300)];
    let tails: Tails = vec![(Seat { source: 0, line: 2 }, tail("a.parquet", 2))];
    let written = write::<Infallible>(dir.path(), &inputs, &rules(), &mut tails.into_iter().map(Ok)).unwrap();
    let [told] = &written.left_out[..] else { panic!("{:?}", written.left_out) };
    for part in ["a.parquet: row group 0, column `embedding`: ", "more than 4096 values", "goes without this column"] {
        assert!(told.contains(part), "{told}");
    }
    let batch = Batches::open(&open(&written.files[0])).unwrap().next().unwrap().unwrap();
    assert_eq!((batch.num_columns(), batch.column(0).as_string_view().value(0)), (1 + 8, "2"));
    // Without a failing row nobody asks.
    let written = write::<Infallible>(dir.path(), &inputs, &rules(), &mut std::iter::empty()).unwrap();
    assert_eq!(written.left_out, Vec::<String>::new());
}

#[test]
fn the_timestamps_of_spark_keep_their_years() {
    let Some(suite) = suite("parquet-testing") else { return };
    let inputs = [open(&suite.join("data/int96_from_spark.parquet"))];
    let dir = tempfile::tempdir().unwrap();
    let paths = write_all(dir.path(), &inputs, &rules(), all(&inputs, &rules())).unwrap();
    let batch = Batches::open(&open(&paths[0])).unwrap().next().unwrap().unwrap();
    let column = batch.column(0).as_primitive::<TimestampMicrosecondType>();
    let times: Vec<_> = (0..3).map(|row| column.value_as_datetime(row).unwrap().to_string()).collect();
    assert_eq!(times, ["2024-01-01 20:34:56.123456", "2024-01-01 01:00:00", "9999-12-31 03:00:00"]);
}

#[test]
fn parquet_keeps_what_its_writer_had_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let words: DictionaryArray<Int32Type> = ["gold", "silver"].into_iter().collect();
    let columns: Vec<(&str, ArrayRef)> =
        vec![("pass_id", Arc::new(LargeStringArray::from(vec!["1", "2"]))), ("level", Arc::new(words))];
    let inputs = [write_parquet(dir.path(), "a.parquet", columns, 300)];
    let of = |line| [(Seat { source: 0, line }, tail("a.parquet", line))].into_iter().collect::<Tails>();
    let path = write_all(dir.path(), &inputs, &rules(), of(2)).unwrap().remove(0);
    let again = tempfile::tempdir().unwrap();
    let second = write_all(again.path(), &[open(&path)], &rules(), of(1)).unwrap().remove(0);
    for path in [path, second] {
        // As Arrow reads it elsewhere, by the advice in it.
        let reader = ParquetRecordBatchReader::try_new(File::open(path).unwrap(), 10).unwrap();
        let (schema, rows) = (reader.schema(), reader.map(Result::unwrap).map(|batch| batch.num_rows()).sum::<usize>());
        let kind = |name: &str| schema.field_with_name(name).unwrap().data_type().clone();
        assert_eq!((kind("pass_id"), kind("_code"), rows), (DataType::LargeUtf8, DataType::Utf8, 1));
        assert!(matches!(kind("level"), DataType::Dictionary(..)), "{:?}", kind("level"));
    }
}

#[test]
fn the_largest_record_still_replays() {
    let dir = tempfile::tempdir().unwrap();
    let largest = "x".repeat(crate::io::source::limits::RECORD_MAX - 2);
    let oversized = "y".repeat(3 * crate::io::source::limits::RECORD_MAX);
    let inputs = [put(dir.path(), "a.csv", format!("a,b\n1,{largest}\n2,{oversized}\n"))];
    let mut tails = all(&inputs, &rules());
    for (_, tail) in &mut tails {
        tail.message = "\"".repeat(100_000);
        tail.code = "R003".to_owned();
    }
    let paths = write_all(dir.path(), &inputs, &rules(), tails).unwrap();
    assert_eq!(replayed(&paths[0], &rules()), [row(2, &["1", &largest]), (3, Err(Rule::RecordSize))]);
}

/// The bytes of a file in a form that a byte order mark announces, or as they are.
fn in_form(form: &str, bytes: Vec<u8>) -> Vec<u8> {
    let units = |bytes: &[u8]| String::from_utf8_lossy(bytes).encode_utf16().collect::<Vec<u16>>();
    match form {
        "utf-8" => [b"\xEF\xBB\xBF".as_slice(), &bytes].concat(),
        "utf-16le" => [0xFEFF].into_iter().chain(units(&bytes)).flat_map(u16::to_le_bytes).collect(),
        "utf-16be" => [0xFEFF].into_iter().chain(units(&bytes)).flat_map(u16::to_be_bytes).collect(),
        _ => bytes,
    }
}

/// Those of the rows that fail.
fn some_of<T>(rows: Vec<T>, fails: &[bool]) -> Vec<T> {
    rows.into_iter().zip(fails.iter().cycle()).filter(|(_, fails)| **fails).map(|(row, _)| row).collect()
}

/// Lines and cells; of rows that cannot be read, that they cannot.
fn cells_of(rows: Vec<Seen>) -> Vec<(u64, Option<Vec<Option<String>>>)> {
    rows.into_iter().map(|(line, cells)| (line, cells.ok())).collect()
}

fn replay_of(input: &Input, rules: &ReadRules, fails: &[bool]) -> Result<(), TestCaseError> {
    let dir = tempfile::tempdir().unwrap();
    let inputs = std::slice::from_ref(input);
    let expected = cells_of(some_of(read(input, rules).unwrap(), fails));
    let paths = write_all(dir.path(), inputs, rules, some_of(all(inputs, rules), fails)).unwrap();
    prop_assert_eq!(&cells_of(replayed(&paths[0], rules)), &expected);
    // All of the replay fails again, and is replayed.
    let failures = [open(&paths[0])];
    let lines: Vec<u64> = read(&failures[0], rules).unwrap().into_iter().map(|(line, _)| line).collect();
    let tails = lines
        .iter()
        .zip(&expected)
        .map(|(line, (origin, _))| (Seat { source: 0, line: *line }, tail("a.csv", *origin)));
    let again = tempfile::tempdir().unwrap();
    let paths = write_all(again.path(), &failures, rules, tails.collect()).unwrap();
    prop_assert_eq!(cells_of(replayed(&paths[0], rules)), expected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    /// Whatever the bytes of a file are, its failure file reads back the same cells of the rows that failed, and cannot
    /// read the same rows; so does the failure file of a replay.
    #[test]
    fn replays_read_back_the_very_cells(
        bytes in prop::collection::vec(
            prop_oneof![
                Just(b','), Just(b';'), Just(b'\t'), Just(b'"'), Just(b'\n'), Just(b'\r'), Just(b'|'), Just(b'1'),
                any::<u8>(),
            ],
            0..200,
        ),
        encoding in prop_oneof![Just("utf-8"), Just("gbk"), Just("gb18030"), Just("big5")],
        form in prop_oneof![4 => Just(""), 1 => Just("utf-8"), 1 => Just("utf-16le"), 1 => Just("utf-16be")],
        header in prop_oneof![Just("a,b\n"), Just("a|b\n"), Just("a,b,\n"), Just("a;b;c\n"), Just("a\tb\n")],
        fails in prop::collection::vec(any::<bool>(), 1..8),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings();
        settings.encoding = encoding.to_owned();
        let rules = ReadRules::new(&settings).unwrap();
        let bytes = in_form(form, [header.as_bytes(), &bytes].concat());
        replay_of(&put(dir.path(), "a.csv", bytes), &rules, &fails)?;
    }

    /// The same of Parquet: texts, numbers, decimals, dictionaries and nulls, in row groups of any size.
    #[test]
    fn replays_of_parquet_read_back_the_very_cells(
        rows in prop::collection::vec(
            (prop::option::of("[^\u{0}]{0,12}"), prop::option::of(any::<i64>()), prop::option::of(-99_999_i128..99_999)),
            1..40,
        ),
        group_rows in 1_usize..20,
        fails in prop::collection::vec(any::<bool>(), 1..8),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let texts: Vec<Option<&str>> = rows.iter().map(|(text, ..)| text.as_deref()).collect();
        let numbers: Int64Array = rows.iter().map(|(_, number, _)| *number).collect();
        let decimals: Decimal128Array = rows.iter().map(|(.., decimal)| *decimal).collect();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("pass_id", Arc::new(StringArray::from(texts.clone()))),
            ("level", Arc::new(texts.into_iter().collect::<DictionaryArray<Int32Type>>())),
            ("sequence", Arc::new(numbers)),
            ("points", Arc::new(decimals.with_precision_and_scale(20, 2).unwrap())),
        ];
        replay_of(&write_parquet(dir.path(), "a.parquet", columns, group_rows), &rules(), &fails)?;
    }
}
