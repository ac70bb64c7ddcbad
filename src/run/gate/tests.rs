//! Files that were clean once, and what a row of them may be sent as: itself, or not at all.
#![expect(
    clippy::too_many_lines,
    clippy::needless_range_loop,
    clippy::explicit_auto_deref,
    clippy::range_plus_one,
    reason = "thirty ways to spoil a file, side by side"
)]

use std::collections::BTreeSet;
use std::path::Path;

use encoding_rs::{BIG5, Encoding, GBK, UTF_16LE, WINDOWS_1252};

use super::super::begin;
use super::super::context::Job;
use super::super::detail::Flags;
use super::super::store::rows_and_fates;
use super::super::stored::{Content, Fate};
use super::super::surveyed::Reading;
use super::super::{Signals, inputs};
use crate::io::job::{self, Overrides};
use crate::io::ledger::Ledger;

/// A table: the first row is the header.
type Table = Vec<Vec<String>>;

/// Numbers that look random, the same every time.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 ^ (self.0 >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }
}

/// How the ids of a clean file are made.
const STYLES: usize = 4;

fn clean(style: usize, rows: usize, dice: &mut Dice) -> Table {
    const LEVELS: [[&str; 2]; 4] =
        [["金卡", "Gold"], ["銀卡", "Silver"], ["普通會員", "Basic Member"], ["鑽石卡", "Diamond"]];
    let header = [
        "bill_no",
        "pass_id",
        "user_id",
        "points",
        "level.zh_HK",
        "level.en_US",
        "last_changed_points",
        "end_date",
        "occurred_at",
        "note",
    ];
    let mut table = vec![header.map(str::to_owned).to_vec()];
    for at in 0..rows {
        let (bill, card) = match style {
            0 => {
                (format!("20260102{}7{at:010}", dice.digits(8)), format!("{:020}", 20_260_000_000 + dice.below(9_999)))
            }
            1 => (dice.digits(27), dice.digits(16)),
            2 => (format!("B{}-{at}", dice.digits(6)), format!("HK{}", dice.digits(10))),
            _ => (format!("2026010200000000000{:08}", at + 1), format!("{:012}", at * 37 + 5)),
        };
        let level = dice.pick(&LEVELS);
        let minute = (at / 60 % 60, at % 60);
        table.push(vec![
            bill,
            card,
            format!("2088{}", dice.digits(12)),
            (1_000 + dice.below(20_000)).to_string(),
            level[0].to_owned(),
            level[1].to_owned(),
            format!("{}{}", if dice.below(3) == 0 { "-" } else { "" }, 1 + dice.below(2_000)),
            "2027-12-31 23:59:59".to_owned(),
            format!("2026-01-02 08:{:02}:{:02}", minute.0, minute.1),
            if dice.below(4) == 0 { "Causeway Bay, \"K11\"".to_owned() } else { "Central".to_owned() },
        ]);
    }
    // The last column decides what a cut file loses.
    let last = dice.below(header.len());
    table.iter_mut().for_each(|row| row.swap(last, header.len() - 1));
    table
}

fn csv(table: &Table) -> String {
    let quoted = |cell: &String| match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.clone(),
    };
    table.iter().map(|row| row.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n").collect()
}

/// Changes the cells of some columns in one row, in some, or in all; `change` returns `None` for cells that stay.
fn cells(table: &mut Table, dice: &mut Dice, columns: &[&str], change: impl Fn(&str, &mut Dice) -> Option<String>) {
    let column = *dice.pick(columns);
    let at = table[0].iter().position(|name| name == column).unwrap();
    let share = *dice.pick(&[1_usize, 2, 10, usize::MAX]);
    let one = 1 + dice.below(table.len() - 1);
    for row in 1..table.len() {
        let is_hit = if share == usize::MAX { row == one } else { dice.below(share) == 0 };
        if let Some(cell) = is_hit.then(|| change(&table[row][at], dice)).flatten() {
            table[row][at] = cell;
        }
    }
}

const IDS: [&str; 3] = ["bill_no", "pass_id", "user_id"];
const NUMBERS: [&str; 2] = ["points", "last_changed_points"];
const TIMES: [&str; 2] = ["end_date", "occurred_at"];
const SENT: [&str; 9] = [
    "bill_no",
    "pass_id",
    "user_id",
    "points",
    "level.zh_HK",
    "level.en_US",
    "last_changed_points",
    "end_date",
    "occurred_at",
];

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Digits of a number in groups of three.
fn grouped(digits: &str, mark: &str) -> String {
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(mark)
}

/// One way to spoil a file: its name, and the bytes that are left.
fn spoil(kind: usize, table: &mut Table, dice: &mut Dice) -> Option<(&'static str, Vec<u8>)> {
    let floats = |text: &str| text.parse::<f64>().ok().filter(|_| is_digits(text));
    let whole = |table: &Table| csv(table).into_bytes();
    let insert = |table: &mut Table, dice: &mut Dice, row: Vec<String>| {
        let at = 1 + dice.below(table.len());
        table.insert(at, row);
    };
    let in_cells = |name, bytes| Some((name, bytes));
    match kind {
        0 => {
            cells(table, dice, &IDS, |text, _| floats(text).map(|float| format!("{float:.5E}").replace('E', "E+")));
            in_cells("scientific notation", whole(table))
        }
        1 => {
            cells(table, dice, &IDS[..1], |text, _| {
                (is_digits(text) && text.len() > 15).then(|| format!("{}{}", &text[..15], "0".repeat(text.len() - 15)))
            });
            in_cells("15 digits and zeros", whole(table))
        }
        2 => {
            cells(table, dice, &IDS[..1], |text, _| floats(text).map(|float| format!("{float:.0}")));
            in_cells("through a float", whole(table))
        }
        3 => {
            cells(table, dice, &["bill_no", "pass_id", "user_id", "points"], |text, _| {
                is_digits(text).then(|| format!("{text}.0"))
            });
            in_cells("`.0`", whole(table))
        }
        4 => {
            cells(table, dice, &["pass_id"], |text, _| {
                is_digits(text).then(|| text.trim_start_matches('0').to_owned())
            });
            let at = table[0].iter().position(|name| name == "pass_id")?;
            // Where no id of a padded column has kept its zeros, nothing within the file tells.
            let is_padded = table[1..].iter().any(|row| row[at].starts_with('0'));
            let is_random = table[1..].iter().all(|row| row[at].len() >= 12);
            (is_padded || is_random).then_some(())?;
            in_cells("leading zeros", whole(table))
        }
        5 => {
            let mark = *dice.pick(&[",", ".", "'", " ", "\u{a0}"]);
            cells(table, dice, &["points", "bill_no", "user_id"], |text, _| {
                is_digits(text).then(|| grouped(text, mark)).filter(|text| text.len() > 3)
            });
            in_cells("thousands", whole(table))
        }
        6 => {
            cells(table, dice, &NUMBERS, |text, dice| {
                let bare = text.trim_start_matches('-');
                Some(match dice.below(8) {
                    0 => format!("({bare})"),
                    1 => format!("¥{text}"),
                    2 => format!("{text} pts"),
                    3 => format!("{text}%"),
                    4 => format!("{text},00"),
                    5 => format!("\u{2212}{bare}"),
                    6 => format!("{:E}", text.parse::<f64>().unwrap()),
                    _ => text.chars().map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap()).collect(),
                })
            });
            in_cells("numbers for people", whole(table))
        }
        7 => {
            cells(table, dice, &SENT, |text, dice| {
                let odd = *dice.pick(&[
                    " ", "\u{a0}", "\u{200b}", "\u{feff}", "\t", "\u{3000}", "\u{7}", "\u{202e}", "\u{ad}", "\n",
                ]);
                Some(if dice.below(2) == 0 { format!("{text}{odd}") } else { format!("{odd}{text}") })
            });
            in_cells("blanks and invisible characters around a value", whole(table))
        }
        8 => {
            cells(table, dice, &SENT, |text, dice| {
                let odd = *dice.pick(&["\u{a0}", "\u{200b}", "\u{feff}", "\u{7}", "\u{200d}", "\u{ad}"]);
                let middle = text.char_indices().nth(text.chars().count() / 2).unwrap().0;
                Some(format!("{}{odd}{}", &text[..middle], &text[middle..]))
            });
            in_cells("invisible characters within a value", whole(table))
        }
        9 => {
            cells(table, dice, &["bill_no", "pass_id", "user_id", "points"], |text, _| {
                is_digits(text).then(|| text.chars().map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap()).collect())
            });
            in_cells("full-width digits", whole(table))
        }
        10 => {
            let wrong = *dice.pick(&[WINDOWS_1252, GBK]);
            cells(table, dice, &["level.zh_HK"], |text, _| {
                let even = &text.as_bytes()[..text.len() / 2 * 2];
                Some(wrong.decode_without_bom_handling(even).0.into_owned())
            });
            in_cells("a wrong decoding", whole(table))
        }
        11 => {
            cells(table, dice, &["level.zh_HK"], |text, _| Some("?".repeat(text.chars().count())));
            in_cells("characters that an encoding lacks", whole(table))
        }
        12 => {
            let encoding: &'static Encoding = *dice.pick(&[GBK, BIG5, UTF_16LE]);
            let text = csv(table);
            let bytes = match encoding == UTF_16LE {
                true => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                false => encoding.encode(&text).0.into_owned(),
            };
            in_cells("another encoding than the job says", bytes)
        }
        13 => {
            cells(table, dice, &SENT, |_, dice| {
                let words =
                    ["NULL", "null", "#N/A", "#REF!", "NaN", "None", "N/A", "#####", "(null)", "nan", "\\N", "#VALUE!"];
                Some((*dice.pick(&words)).to_owned())
            });
            in_cells("words for nothing", whole(table))
        }
        14 => {
            cells(table, dice, &["bill_no", "pass_id", "user_id", "points", "occurred_at"], |_, dice| {
                Some((*dice.pick(&["TRUE", "FALSE", "-", "=A1+1", "'", "2-Jan"])).to_owned())
                    .filter(|word| word != "2-Jan")
            });
            in_cells("other cells of spreadsheets", whole(table))
        }
        15 => {
            cells(table, dice, &TIMES, |text, dice| {
                let (date, time) = text.split_once(' ')?;
                let parts: Vec<&str> = date.split('-').collect();
                Some(match dice.below(7) {
                    0 => format!("{}/{}/{} {time}", parts[1], parts[2], parts[0]),
                    1 => format!("{}-{}-{} {time}", &parts[0][2..], parts[1], parts[2]),
                    2 => format!("{}/{}/{} {time}", parts[0], parts[1], parts[2]),
                    3 => format!("{date} {}", &time[..5]),
                    4 => "46024".to_owned(),
                    5 => "46024.33".to_owned(),
                    _ => format!("{}.{}.{}", parts[2], parts[1], parts[0]),
                })
            });
            in_cells("dates for people", whole(table))
        }
        16 => {
            let mut header = table[0].clone();
            if dice.below(2) == 0 {
                header[0].insert(0, '\u{feff}');
            }
            insert(table, dice, header);
            in_cells("the header again", whole(table))
        }
        17 => {
            let row = 1 + dice.below(table.len() - 1);
            let at = dice.below(table[0].len());
            if dice.below(2) == 0 {
                table[row].remove(at);
            } else {
                table[row].insert(at, "x".to_owned());
            }
            in_cells("a column too few or too many", whole(table))
        }
        18 | 19 => {
            // A quote is lost, or comes from nowhere.
            let text = csv(table);
            let start = text.find('\n').unwrap() + 1;
            let quotes: Vec<usize> = text.match_indices('"').map(|(at, _)| at).filter(|at| *at >= start).collect();
            let mut bytes = text.into_bytes();
            if kind == 18 {
                bytes.remove(*dice.pick(&Some(quotes).filter(|quotes| !quotes.is_empty())?));
            } else {
                let starts: Vec<usize> = (start..bytes.len()).filter(|at| b",\n".contains(&bytes[at - 1])).collect();
                let at = *dice.pick(&starts);
                bytes.insert(at, b'"');
            }
            in_cells("a lone quote", bytes)
        }
        20 => {
            let text = csv(table);
            let start = text.find('\n').unwrap() + 1;
            let at = start + dice.below(text.len() - start);
            in_cells("cut off", text.as_bytes()[..at].to_vec())
        }
        21 => {
            let row = table[1 + dice.below(table.len() - 1)].clone();
            insert(table, dice, row);
            let (one, other) = (1 + dice.below(table.len() - 1), 1 + dice.below(table.len() - 1));
            table.swap(one, other);
            in_cells("rows again, and in another order", whole(table))
        }
        22 => {
            let text = csv(table);
            let mixed: String = text
                .split_inclusive('\n')
                .map(|line| match dice.below(3) {
                    0 => line.replace('\n', "\r\n"),
                    1 => line.replace('\n', "\r"),
                    _ => line.to_owned(),
                })
                .collect();
            in_cells("mixed line ends", mixed.into_bytes())
        }
        23 => {
            let mut bytes = whole(table);
            for _ in 0..1 + dice.below(5) {
                let at = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
                let at = at + dice.below(bytes.len() - at);
                bytes.insert(at, *dice.pick(b"\0\x01\x1b\x7f\xff\xfe\x80"));
            }
            in_cells("bytes from nowhere", bytes)
        }
        24 => {
            cells(table, dice, &SENT, |text, dice| {
                Some(match dice.below(3) {
                    0 => format!("“{text}”"),
                    1 => format!("‘{text}’"),
                    _ => format!("=\"{text}\""),
                })
            });
            in_cells("smart quotes", whole(table))
        }
        25 => {
            let mut row = vec![String::new(); table[0].len()];
            if dice.below(2) == 0 {
                let points = table[0].iter().position(|name| name == "points").unwrap();
                row[points] = "123456".to_owned();
                row[0] = "Total".to_owned();
            }
            insert(table, dice, row);
            in_cells("a row of sums, or of nothing", whole(table))
        }
        26 => {
            let text = csv(table);
            let lines: String = text
                .split_inclusive('\n')
                .enumerate()
                .map(|(at, line)| match at > 0 && dice.below(5) == 0 {
                    true => line.replace('\n', ",\n"),
                    false => line.to_owned(),
                })
                .collect();
            in_cells("delimiters behind rows", lines.into_bytes())
        }
        27 => {
            let text = csv(table);
            in_cells("the file twice", format!("{text}\u{feff}{text}").into_bytes())
        }
        28 => {
            let text = csv(table);
            let at = *dice.pick(&text.match_indices('\n').map(|(at, _)| at).collect::<Vec<_>>());
            in_cells("a line end lost", [&text.as_bytes()[..at], &text.as_bytes()[at + 1..]].concat())
        }
        29 => {
            cells(table, dice, &["level.zh_HK", "level.en_US"], |text, _| Some(format!("{text}, VIP")));
            let lines: Vec<String> = table.iter().map(|row| row.join(",") + "\n").collect();
            in_cells("delimiters without quotes", lines.concat().into_bytes())
        }
        _ => None,
    }
}

struct Stage {
    folder: tempfile::TempDir,
    ledger: Ledger,
    job: Job,
}

impl Stage {
    fn new() -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("job.toml");
        let text = "name = 'gate'\ndialect = 'alipayhk-card'\n[input]\nfiles = ['in.csv']\nrejects_max = '100%'\n\
                    [gateway]\nurl = 'sandbox'\nmerchant_id = '1'\nclient_id = '2'\n";
        std::fs::write(&file, text).unwrap();
        let settings = job::load(&file, &Overrides::default()).unwrap();
        let job = Job::new(settings, &file, Signals::default()).unwrap();
        let ledger = Ledger::open(&folder.path().join("empty.db")).unwrap();
        Stage { folder, ledger, job }
    }

    fn input(&self) -> std::path::PathBuf {
        Path::new(self.folder.path()).join("in.csv")
    }

    /// What would be sent, row by row; or why the file is refused.
    fn sent(&self, bytes: &[u8]) -> Result<Vec<String>, String> {
        std::fs::write(self.input(), bytes).unwrap();
        let files = inputs::of_job(&self.job.settings, None, 0).map_err(|fault| fault.to_string())?;
        let reading = Reading {
            inputs: &files,
            include: None,
            occurred_at_ms: None,
            started_ms: 0,
            controls: &[],
            agreed: false,
        };
        let surveyed = begin::survey(&self.job, &reading).map_err(|fault| fault.to_string())?;
        begin::rehearse(&self.job, &surveyed, &Flags::default(), None, &self.ledger)
            .map_err(|fault| fault.to_string())?;
        let mut sent = Vec::new();
        for item in rows_and_fates(&surveyed.folder()).unwrap() {
            if let (_, row, Fate::Send(_)) = item.unwrap()
                && let Content::Delta(delta) = row.content
            {
                sent.push(format!("{delta:?}"));
            }
        }
        Ok(sent)
    }
}

#[test]
fn a_row_of_a_spoilt_file_is_sent_as_it_was_or_not_at_all() {
    let cases: u64 = std::env::var("PASSYNC_SPOILT").map_or(120, |count| count.parse().unwrap());
    let stage = Stage::new();
    let (mut refused, mut kept, mut lost) = (0, 0, 0);
    let mut faults = Vec::new();
    for seed in 0..cases {
        let mut dice = Dice(seed);
        let rows = *dice.pick(&[1, 3, 12, 60]);
        let mut table = clean(seed as usize / 30 % STYLES, rows, &mut dice);
        let honest = stage.sent(csv(&table).as_bytes()).unwrap();
        assert_eq!(honest.len(), rows, "seed {seed}: an honest file is sent whole\n{}", csv(&table));
        let honest: BTreeSet<String> = honest.into_iter().collect();
        let Some((name, bytes)) = spoil(seed as usize % 30, &mut table, &mut dice) else { continue };
        match stage.sent(&bytes) {
            Err(_) => refused += 1,
            Ok(sent) => {
                let is_cut = name == "cut off" && !bytes.ends_with(b"\n");
                for (at, row) in sent.iter().enumerate() {
                    if honest.contains(row) {
                        kept += 1;
                    } else if is_cut && at + 1 == sent.len() {
                        lost += 1; // a number that lost its last digits is a number: core::damage::cut says what shows
                    } else {
                        faults.push(format!("seed {seed}: {name}, {rows} rows: sent {row}"));
                    }
                }
            }
        }
    }
    eprintln!("{refused} files refused, {kept} rows sent as they were, {lost} cut off within their last value");
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults[..faults.len().min(40)].join("\n"));
    assert!(refused > 0 && kept > 0 && lost * 60 <= cases, "{lost} cut rows of {cases} files");
}

#[test]
fn a_sound_text_is_looked_at_again_once_it_is_forgotten_and_a_flaw_every_time() {
    let (mut sound, looks) = (super::Sound::default(), std::cell::Cell::new(0));
    let mut is_odd = |text: &str| {
        let look = || {
            looks.set(looks.get() + 1);
            crate::core::damage::text::flaw(text)
        };
        sound.flaw(text, look).is_some()
    };
    assert!(!is_odd("金卡") && !is_odd("金卡"));
    assert_eq!(looks.get(), 1);
    assert!(is_odd("金卡 ") && is_odd("金卡 "));
    assert_eq!(looks.get(), 3);
    let others = super::Sound::TEXTS_MAX;
    assert!((0..others).all(|at| !is_odd(&format!("{at} 金卡"))));
    assert!(!is_odd("金卡"));
    assert_eq!(looks.get(), 3 + others + 1);
}
