//! `fixtures/demo.csv` and `fixtures/demo.parquet`: one day of a shop chain, made here and compared with what is
//! committed. `WRITE_FIXTURES=1 cargo test --test it fixtures` writes them anew.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, DictionaryArray, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow::datatypes::Int32Type;
use jiff::civil::{Date, date};
use jiff::{Timestamp, tz::TimeZone};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

const ROWS: usize = 5_000;
const CARDS: u64 = 1_500;
const END_OF_YEAR: Date = date(2027, 12, 31);

/// One line of the files.
#[derive(Clone)]
struct Line {
    bill_no: Option<String>,
    occurred: Timestamp,
    pass_id: String,
    user_id: String,
    points: Option<i64>,
    level: usize,
    change: Option<i64>,
    provider: Option<&'static str>,
    end_date: Option<Date>,
    store: &'static str,
}

const TEMPLATE: &str = "T5228480402";
const LEVELS: [(&str, &str, i64); 4] =
    [("普通卡", "Basic", 0), ("銀卡", "Silver", 2_000), ("金卡", "Gold", 5_000), ("鑽石卡", "Diamond", 12_000)];
const STORES: [&str; 5] = ["中環 Central", "旺角 Mong Kok", "Causeway Bay, 銅鑼灣", "The \"K11\" Store", "網店 online"];
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

/// `SplitMix64`: the same lines on every machine and for ever.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }
}

struct Card {
    number: u64,
    points: i64,
    shown: BTreeSet<i64>,
    corrected: bool,
}

/// A day: three of ten updates meet a card that was just updated; one of a hundred lines stands twice, one is a
/// correction of a level that has no bill; a few come late.
fn day() -> Vec<Line> {
    let mut dice = Dice(2026);
    let mut cards: Vec<Card> = (0..CARDS)
        .map(|number| Card { number, points: dice.below(14_000) as i64, shown: BTreeSet::new(), corrected: false })
        .collect();
    let opening =
        date(2026, 1, 2).at(8, 0, 0, 0).to_zoned(TimeZone::get("Asia/Hong_Kong").unwrap()).unwrap().timestamp();
    let mut recent = [0_u64; 3];
    let mut lines: Vec<Line> = Vec::new();
    let mut second = 0;
    while lines.len() < ROWS {
        if lines.len() > 20 && dice.percent(1) {
            let twice = lines[lines.len() - 1 - dice.below(20) as usize].clone();
            lines.push(twice);
            continue;
        }
        second += 1 + dice.below(15) as i64;
        let card = if dice.percent(30) { recent[dice.below(3) as usize] } else { dice.below(CARDS) };
        recent.rotate_right(1);
        recent[0] = card;
        let occurred = opening + jiff::SignedDuration::from_secs(second);
        let line = update(&mut cards[card as usize], lines.len() as u64, occurred, &mut dice);
        lines.push(line);
    }
    for at in 0..ROWS - 40 {
        if dice.percent(1) {
            let late = lines.remove(at);
            lines.insert(at + 2 + dice.below(30) as usize, late);
        }
    }
    lines
}

fn update(card: &mut Card, number: u64, occurred: Timestamp, dice: &mut Dice) -> Line {
    let level_of = |points: i64| LEVELS.iter().rposition(|level| points >= level.2).unwrap();
    let before = level_of(card.points);
    let store = STORES[dice.below(STORES.len() as u64) as usize];
    let line = Line {
        bill_no: None,
        occurred,
        pass_id: format!("00{:018}", 20_260_000_000 + card.number * 7),
        user_id: format!("20881{:011}", 31_000_000 + card.number * 13),
        points: None,
        level: before,
        change: None,
        provider: None,
        end_date: None,
        store,
    };
    if !card.corrected && dice.percent(1) {
        card.corrected = true;
        return line;
    }
    let change = loop {
        let earned = dice.below(900) as i64 + 1;
        let change = if dice.percent(15) { -earned } else { earned };
        // A card never shows a total twice: the gateway tells repeated bodies apart by nothing else.
        if card.points + change >= 0 && card.shown.insert(card.points + change) {
            break change;
        }
    };
    card.points += change;
    let level = level_of(card.points);
    let provider = match dice.below(20) {
        0 => Some("ALIPAYHK"),
        1 => Some("ALIPAYCN"),
        _ => None,
    };
    Line {
        bill_no: Some(format!("20260102{:09}{number:010}", 310_000_000 + dice.below(1_000_000))),
        points: Some(card.points),
        level,
        change: Some(change),
        provider,
        end_date: (level != before).then_some(END_OF_YEAR),
        ..line
    }
}

fn csv(lines: &[Line]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS).unwrap();
    let zone = TimeZone::get("Asia/Hong_Kong").unwrap();
    let text = |value: Option<String>| value.unwrap_or_default();
    for line in lines {
        let (level_zh, level_en, _) = LEVELS[line.level];
        let occurred = line.occurred.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        writer
            .write_record([
                text(line.bill_no.clone()),
                occurred,
                line.pass_id.clone(),
                line.user_id.clone(),
                TEMPLATE.to_owned(),
                text(line.points.map(|points| points.to_string())),
                level_zh.to_owned(),
                level_en.to_owned(),
                text(line.change.map(|change| change.to_string())),
                text(line.provider.map(str::to_owned)),
                text(line.end_date.map(|day| day.to_string())),
                line.store.to_owned(),
            ])
            .unwrap();
    }
    writer.into_inner().unwrap()
}

/// The same lines with the types that a warehouse gives them.
fn batch(lines: &[Line]) -> RecordBatch {
    let words = |of: fn(&Line) -> Option<&'static str>| -> ArrayRef {
        Arc::new(lines.iter().map(of).collect::<DictionaryArray<Int32Type>>())
    };
    let texts = |of: fn(&Line) -> Option<&str>| -> ArrayRef { Arc::new(lines.iter().map(of).collect::<StringArray>()) };
    let occurred: TimestampMillisecondArray = lines.iter().map(|line| Some(line.occurred.as_millisecond())).collect();
    let change: Decimal128Array = lines.iter().map(|line| line.change.map(|change| i128::from(change) * 100)).collect();
    let days = |day: Date| (day - date(1970, 1, 1)).get_days();
    let columns: [ArrayRef; 12] = [
        texts(|line| line.bill_no.as_deref()),
        Arc::new(occurred.with_timezone("UTC")),
        texts(|line| Some(&line.pass_id)),
        texts(|line| Some(&line.user_id)),
        words(|_| Some(TEMPLATE)),
        Arc::new(lines.iter().map(|line| line.points).collect::<Int64Array>()),
        words(|line| Some(LEVELS[line.level].0)),
        words(|line| Some(LEVELS[line.level].1)),
        Arc::new(change.with_precision_and_scale(12, 2).unwrap()),
        words(|line| line.provider),
        Arc::new(lines.iter().map(|line| line.end_date.map(days)).collect::<Date32Array>()),
        texts(|line| Some(line.store)),
    ];
    RecordBatch::try_from_iter_with_nullable(
        COLUMNS.into_iter().zip(columns).map(|(name, column)| (name, column, true)),
    )
    .unwrap()
}

fn write_parquet(path: &Path, batch: &RecordBatch) {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(2_000))
        .build();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn read_parquet(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let batches: Vec<RecordBatch> = reader.with_batch_size(ROWS).build().unwrap().map(Result::unwrap).collect();
    arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

#[test]
fn the_fixtures_are_what_this_file_makes() {
    let (csv_path, parquet_path) = (fixture("demo.csv"), fixture("demo.parquet"));
    let lines = day();
    if std::env::var_os("WRITE_FIXTURES").is_some() {
        fs::create_dir_all(fixture("")).unwrap();
        fs::write(&csv_path, csv(&lines)).unwrap();
        write_parquet(&parquet_path, &batch(&lines));
    }
    assert_eq!(fs::read(&csv_path).unwrap(), csv(&lines), "demo.csv: see the head of this file");
    assert_eq!(read_parquet(&parquet_path), batch(&lines), "demo.parquet: see the head of this file");
}

#[test]
fn the_fixtures_hold_what_the_demo_promises() {
    let lines = day();
    let bills: Vec<&String> = lines.iter().filter_map(|line| line.bill_no.as_ref()).collect();
    let known: BTreeSet<_> = bills.iter().collect();
    assert_eq!(lines.len(), ROWS);
    assert!(bills.iter().all(|bill| bill.len() == 27), "27-digit bill numbers");
    assert!(bills.len() - known.len() > 20, "exact duplicates");
    assert!(lines.iter().all(|line| line.pass_id.starts_with("00")), "leading zeros");
    let cards: BTreeSet<_> = lines.iter().map(|line| &line.pass_id).collect();
    assert!(lines.len() > 3 * cards.len(), "several updates a card");
    let count = |is: fn(&Line) -> bool| lines.iter().filter(|line| is(line)).count();
    assert!(count(|line| line.provider.is_some()) > 200 && count(|line| line.bill_no.is_none()) > 20);
    assert!((0..LEVELS.len()).all(|level| lines.iter().any(|line| line.level == level)));
    assert!(lines.windows(2).any(|pair| pair[0].occurred > pair[1].occurred), "some come late");
    for name in ["demo.csv", "demo.parquet"] {
        assert!(fs::metadata(fixture(name)).unwrap().len() < 1_000_000, "{name} stays small");
    }
}
