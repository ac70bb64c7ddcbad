//! Input files of any size, with the columns of `fixtures/demo.csv`: the same rows as CSV and as Parquet.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Date32Array, Decimal128Array, DictionaryArray, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow::datatypes::Int32Type;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

const COLUMNS: [&str; 12] = [
    "bill_no",
    "occurred_at",
    "pass_id",
    "user_id",
    "template_code",
    "points",
    "level.zh_HK",
    "level.en_US",
    "last_changed_points",
    "points_provider",
    "end_date",
    "store",
];
const LEVELS: [(&str, &str); 3] = [("銀卡", "Silver"), ("金卡", "Gold"), ("鑽石卡", "Diamond")];
/// 2026-01-02T00:00:00Z.
const MIDNIGHT_MS: i64 = 1_767_312_000_000;

/// Row `number` of a file of `rows`, by arithmetic alone.
struct Line {
    bill_no: String,
    ms: i64,
    pass_id: String,
    user_id: String,
    points: i64,
    level: usize,
    change: i64,
    provider: Option<&'static str>,
    store: &'static str,
}

fn line(number: u64, rows: u64, night: u64) -> Line {
    // An odd factor: every bill of a file is another one, in no order.
    let dice = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let card = (dice >> 8) % rows.div_ceil(2); // two rows a card on average
    // Prime to ten: again every one is another, and their last digits are not those of rounded ids.
    let bill = (number + 1).wrapping_mul(7_777_777_777) % 10_000_000_000;
    Line {
        bill_no: format!("202601{night:02}{:09}{bill:010}", dice >> 34),
        ms: MIDNIGHT_MS + (number as i64 * 86_400_000 / rows as i64) / 1_000 * 1_000,
        pass_id: format!("{:020}", 20_260_000_000 + card),
        user_id: format!("2088{:012}", 100_000_000 + card),
        points: (number % 1_000_000) as i64,
        level: (dice >> 60) as usize % LEVELS.len(),
        change: ((dice >> 20) % 2_000) as i64 - 300,
        provider: [Some("ALIPAYHK"), Some("ALIPAYCN"), None][((dice >> 50) % 20).min(2) as usize],
        store: ["Causeway Bay, 銅鑼灣", "中環 Central", "Tsim Sha Tsui"][(dice >> 55) as usize % 3],
    }
}

/// Writes `rows` rows of a `night` as CSV.
pub fn csv(path: &Path, rows: u64, night: u64) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    writeln!(file, "{}", COLUMNS.join(",")).unwrap();
    for number in 0..rows {
        let line = line(number, rows, night);
        let local = jiff::Timestamp::from_millisecond(line.ms).unwrap();
        let local = jiff::tz::Offset::constant(8).to_datetime(local).strftime("%Y-%m-%d %H:%M:%S");
        let quote = if line.store.contains(',') { "\"" } else { "" };
        writeln!(
            file,
            "{},{local},{},{},T5228480402,{},{},{},{},{},,{quote}{}{quote}",
            line.bill_no,
            line.pass_id,
            line.user_id,
            line.points,
            LEVELS[line.level].0,
            LEVELS[line.level].1,
            line.change,
            line.provider.unwrap_or_default(),
            line.store,
        )
        .unwrap();
    }
    file.flush().unwrap();
}

/// Writes `rows` rows of mainland cards.
pub fn mainland(path: &Path, rows: u64) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    writeln!(file, "bill_no,occurred_at,card_no,open_date,valid_date,points,level").unwrap();
    for number in 0..rows {
        let Line { bill_no, ms, pass_id, points, level, .. } = line(number, rows, 1);
        let dates = "2020-01-01 00:00:00,2030-01-01 00:00:00";
        writeln!(file, "{bill_no},{ms},{pass_id},{dates},{points},{}", LEVELS[level].0).unwrap();
    }
    file.flush().unwrap();
}

/// Writes `rows` rows that are all of one card, and of one bill too if `bill` says so.
pub fn one_card(path: &Path, rows: u64, bill: bool) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    writeln!(file, "bill_no,occurred_at,pass_id,user_id,template_code,points").unwrap();
    for number in 0..rows {
        let number = if bill { 0 } else { number };
        let ms = MIDNIGHT_MS + number as i64;
        writeln!(file, "2026010200{number:010},{ms},20260000001,2088100000001,T5228480402,{number}").unwrap();
    }
    file.flush().unwrap();
}

/// The same rows as Parquet, with the types that a warehouse gives them.
pub fn parquet(path: &Path, rows: u64, night: u64) {
    const BATCH: u64 = 100_000;
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut writer: Option<ArrowWriter<File>> = None;
    for from in (0..rows).step_by(BATCH as usize) {
        let lines: Vec<Line> = (from..rows.min(from + BATCH)).map(|number| line(number, rows, night)).collect();
        let batch = batch(&lines);
        let writer = writer.get_or_insert_with(|| {
            ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties.clone())).unwrap()
        });
        writer.write(&batch).unwrap();
    }
    writer.unwrap().close().unwrap();
}

fn batch(lines: &[Line]) -> RecordBatch {
    let words = |of: fn(&Line) -> Option<&'static str>| -> ArrayRef {
        Arc::new(lines.iter().map(of).collect::<DictionaryArray<Int32Type>>())
    };
    let texts =
        |of: fn(&Line) -> &str| -> ArrayRef { Arc::new(lines.iter().map(of).map(Some).collect::<StringArray>()) };
    let occurred: TimestampMillisecondArray = lines.iter().map(|line| Some(line.ms)).collect();
    let change: Decimal128Array = lines.iter().map(|line| Some(i128::from(line.change) * 100)).collect();
    let columns: [ArrayRef; 12] = [
        texts(|line| &line.bill_no),
        Arc::new(occurred.with_timezone("UTC")),
        texts(|line| &line.pass_id),
        texts(|line| &line.user_id),
        words(|_| Some("T5228480402")),
        Arc::new(lines.iter().map(|line| Some(line.points)).collect::<Int64Array>()),
        words(|line| Some(LEVELS[line.level].0)),
        words(|line| Some(LEVELS[line.level].1)),
        Arc::new(change.with_precision_and_scale(12, 2).unwrap()),
        words(|line| line.provider),
        Arc::new(lines.iter().map(|_| None::<i32>).collect::<Date32Array>()),
        texts(|line| line.store),
    ];
    let named = COLUMNS.into_iter().zip(columns).map(|(name, column): (_, Arc<dyn Array>)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(named).unwrap()
}
