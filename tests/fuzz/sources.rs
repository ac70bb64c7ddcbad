//! The front ends of inputs.

use std::convert::Infallible;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{WriterProperties, WriterVersion};
use passync::io::failures::{self, Tail};
use passync::io::job::settings::FormatChoice;
use passync::io::job::{self, Overrides};
use passync::io::source::{Input, InputError, ReadRules, Reader};
use passync::model::Seat;

use super::harness::{Dice, fuzz, kind_of, print_of, suite};

/// Where inputs are put: in memory where the system has such a folder.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Rules of every encoding, by detection and with a delimiter that is set.
fn all_rules(folder: &Path) -> Vec<ReadRules> {
    let file = folder.join("job.toml");
    std::fs::write(&file, "name = 'n'\ndialect = 'alipayhk-card'\ninput.files = ['x']\ngateway = { url = 'sandbox', merchant_id = '1', client_id = '2' }\n").unwrap();
    let rules = |set: &[&str]| {
        let set = set.iter().map(|word| (*word).to_owned()).collect();
        let settings = job::load(&file, &Overrides { set, ..Overrides::default() }).unwrap();
        ReadRules::new(&settings.input).unwrap()
    };
    let mut all: Vec<_> =
        ["utf-8", "gbk", "gb18030", "big5"].iter().map(|label| rules(&[&format!("input.encoding={label}")])).collect();
    all.push(rules(&["input.delimiter=;", "input.null_values=[\"\", \"NULL\"]"]));
    all
}

type Cells = Vec<Option<String>>;

/// The rows of a file: line, and its cells or its rule.
fn rows(input: &Input, rules: &ReadRules) -> Result<Vec<(u64, Result<Cells, &'static str>)>, InputError> {
    let mut reader = Reader::open(input, rules)?;
    let mut rows = Vec::new();
    while let Some(row) = reader.next()? {
        let cells = row.cells.map(|cells| cells.iter().map(|cell| cell.map(str::to_owned)).collect());
        rows.push((row.line, cells.map_err(|reject| reject.rule.code())));
    }
    assert_eq!(reader.stamp()?.rows, rows.len() as u64);
    Ok(rows)
}

/// Every row as if it had failed.
fn write_failures(folder: &Path, input: &Input, rules: &ReadRules, lines: impl Iterator<Item = u64>) -> PathBuf {
    let tail = |line: u64| Tail {
        outcome: "rejected",
        code: "R001".to_owned(),
        message: "found \"x\", expected\n,;|".to_owned(),
        attempts: 0,
        run: "run".to_owned(),
        source: "in".to_owned(),
        line,
    };
    let mut tails = lines.map(|line| Ok::<_, Infallible>((Seat { source: 0, line }, tail(line))));
    failures::write(folder, std::slice::from_ref(input), rules, &mut tails).unwrap().files.remove(0)
}

fn refusal(error: &InputError) -> u64 {
    let text = error.to_string();
    assert!(text.contains("in.x") && text.contains(';'), "an error names the file and what to do: {text}");
    assert!(matches!(error, InputError::Refused { .. }), "{text}");
    print_of(kind_of(&text))
}

/// Ten minutes found nothing that panicked, hung, grew, or changed its cells on the way through a failure file.
#[test]
fn csv() {
    let folder = scratch();
    let rules = all_rules(folder.path());
    let path = folder.path().join("in.x");
    let fixture = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo.csv")).unwrap();
    let mut corpus = suite("suites/csv-spectrum/csvs");
    corpus.push(fixture[..4096].to_vec());
    corpus.push(b"a|b\n\x81||\xbd\xf0\xbf\xa8\n1|x\x81\n".to_vec());
    corpus.push("\u{feff}a\tb\r\n1\t\"金\"\"卡\r\n\"\r2\t3".encode_utf16().flat_map(u16::to_le_bytes).collect());
    corpus.push("\u{feff}a,b\n1,2\n".encode_utf16().flat_map(u16::to_be_bytes).collect());
    corpus.push(b"\xef\xbb\xbfa;b;\r1;\"2\n3\";\r\"4\"\"\";5;\r".to_vec());
    for plain in corpus.clone() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        corpus.push(gzip.finish().unwrap());
        corpus.push(zstd::encode_all(&plain[..], 1).unwrap());
    }
    let words: [&[u8]; 14] = [
        b"\"",
        b"\"\"",
        b"\",\"",
        b"\r\n",
        b"\r",
        b"\n\n",
        b",,,",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xfe\xff",
        b"\0",
        b"\x1f\x8b\x08\0",
        b"\x28\xb5\x2f\xfd",
        b"_raw",
    ];
    fuzz("csv", corpus, &words, |bytes, dice| {
        std::fs::write(&path, bytes).unwrap();
        let rules = dice.pick(&rules);
        let input = Input::new("in.x".to_owned(), path.clone(), FormatChoice::Csv, None).unwrap();
        let rows = match rows(&input, rules) {
            Ok(rows) => rows,
            Err(error) => return refusal(&error),
        };
        assert!(rows.windows(2).all(|pair| pair[0].0 < pair[1].0), "lines rise");
        if dice.below(8) == 0 {
            reads_back(&input, rules, &rows, folder.path());
        }
        let codes: Vec<_> =
            rows.iter().take(6).map(|(_, cells)| cells.as_ref().map(Vec::len).map_err(|rule| *rule)).collect();
        print_of((codes, rows.len().min(20)))
    });
}

/// What a failure file is for: a replay reads the very cells.
fn reads_back(input: &Input, rules: &ReadRules, rows: &[(u64, Result<Cells, &'static str>)], folder: &Path) {
    let header = Reader::open(input, rules).unwrap().header().to_vec();
    if header.iter().any(|name| name.starts_with('_')) {
        return; // a failure file already: its own tail columns are replaced
    }
    let failures = write_failures(folder, input, rules, rows.iter().map(|(line, _)| *line));
    let again = Input::new("in.x".to_owned(), failures, FormatChoice::Csv, None).unwrap();
    let again = self::rows(&again, rules).unwrap();
    assert_eq!(again.len(), rows.len());
    for ((_, cells), (_, replayed)) in rows.iter().zip(&again) {
        assert_eq!(cells.is_ok(), replayed.is_ok());
        if let (Ok(cells), Ok(replayed)) = (cells, replayed) {
            assert_eq!(cells[..], replayed[..header.len()]);
        }
    }
}

/// A small file in one of the writer's forms.
fn parquet_file(path: &Path, version: WriterVersion, encoding: Encoding, compression: Compression) -> Vec<u8> {
    let words: Vec<String> = (0..200).map(|at| format!("w{}", at % 40)).collect();
    let lists = (0..200).map(|at| (at % 5 > 0).then(|| (0..at % 4).map(|item| Some(at * item)).collect::<Vec<_>>()));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("pass_id", Arc::new(StringArray::from(words))),
        ("points", Arc::new((0..200).map(|at| (at % 7 > 0).then_some(at)).collect::<Int64Array>())),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists))),
    ];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)));
    let properties = WriterProperties::builder()
        .set_writer_version(version)
        .set_compression(compression)
        .set_dictionary_enabled(encoding == Encoding::RLE_DICTIONARY)
        .set_max_row_group_row_count(Some(120))
        .set_data_page_row_count_limit(50)
        .set_write_batch_size(50);
    let properties = match encoding {
        Encoding::RLE_DICTIONARY => properties,
        _ => properties.set_column_encoding("pass_id".into(), encoding),
    };
    let batch = batch.unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    std::fs::read(path).unwrap()
}

/// Before the footer was counted ahead of its decoding (`io::source::parquet::shape`), a flipped byte in
/// `num_children` asked for gibibytes; since then nothing has panicked, hung or grown.
#[test]
fn parquet() {
    let folder = scratch();
    let rules = all_rules(folder.path());
    let path = folder.path().join("in.x");
    let small = |bytes: &Vec<u8>| bytes.len() <= 16 * 1024;
    let mut corpus: Vec<Vec<u8>> =
        [suite("suites/parquet-testing/data"), suite("suites/parquet-testing/bad_data")].concat();
    corpus.retain(small);
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        for encoding in
            [Encoding::RLE_DICTIONARY, Encoding::PLAIN, Encoding::DELTA_BYTE_ARRAY, Encoding::DELTA_LENGTH_BYTE_ARRAY]
        {
            for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY] {
                corpus.push(parquet_file(&path, version, encoding, compression));
            }
        }
    }
    let words: [&[u8]; 7] =
        [b"PAR1", b"PARE", b"\xff\xff\xff\xff\x0f", b"\x15\x00", b"\x00", b"\x19\xfc", b"\x80\x80\x80\x80\x08"];
    fuzz("parquet", corpus, &words, |bytes, _| {
        std::fs::write(&path, bytes).unwrap();
        let input = Input::new("in.x".to_owned(), path.clone(), FormatChoice::Parquet, None).unwrap();
        match rows(&input, &rules[0]) {
            Ok(rows) => print_of((
                rows.len(),
                rows.first().map(|(_, cells)| cells.as_ref().map(Vec::len).map_err(|rule| *rule)),
            )),
            Err(error) => refusal(&error),
        }
    });
}

/// The fixture reads whole: the corpus is not all refusals.
#[test]
fn the_fixtures_are_read() {
    let folder = scratch();
    let rules = all_rules(folder.path());
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    for name in ["demo.csv", "demo.parquet"] {
        let input = Input::new("in.x".to_owned(), fixtures.join(name), FormatChoice::Auto, None).unwrap();
        assert_eq!(rows(&input, &rules[0]).unwrap().len(), 5000);
    }
    let mut dice = Dice::new(1);
    assert!(dice.below(10) < 10);
}
