//! What each piece of a call costs, alone: `cargo bench --bench pieces [-- NAME ...]`.
//!
//! `-- --count` counts instructions in place of time, by callgrind, and compares them with the budgets of [`PIECES`]:
//! figures that do not depend on what else the machine does, and so a guard that CI can stand on.
#![expect(clippy::disallowed_methods, reason = "a benchmark has the clock, files and processes")]
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::borrow::Cow;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::time::Duration;

use passync::core::dispatcher::{Action, Config, Dispatcher, Event, PlanRow};
use passync::core::halt::ErrorLimit;
use passync::core::history::Past;
use passync::core::quota::{Permit, Quota};
use passync::core::retry::Policy;
use passync::io::cpu;
use passync::io::ledger::{BillChange, Ledger, Writer};
use passync::io::sort::Sorter;
use passync::model::{BillId, Delta, Digest, Intent, LocalTime, Outcome, Place, Record, Settled, Tick, Verdict};
use passync::wire::crypto::Signer;
use passync::wire::{self, Answer, Dialect, Request, RowReader, RowRules};

/// A piece: sets up, then does its work so many times.
type Piece = fn() -> Box<dyn FnMut(u64)>;

/// Names, pieces, and the instructions that one of each may take: what it takes now and a tenth. (Callgrind has no SHA
/// instructions: the digest counts four times what it takes.) Signing and verifying are not ours to save and differ
/// between processors, and how many records share a commit is chance: these have no budget.
const PIECES: &[(&str, Piece, Option<u64>)] = &[
    ("sign", sign, None),
    ("verify", verify, None),
    ("body", body, Some(23_500)),
    ("read a row", read_row, Some(5_400)),
    ("content digest", content_digest, Some(25_900)),
    ("dispatcher step", dispatcher_step, Some(8_000)),
    ("quota permit", quota_permit, Some(420)),
    ("sort a record", sort_record, Some(1_700)),
    ("merge a bill", merge_bill, Some(17_600)),
    ("ledger append", ledger_append, None),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--times", name, times] => {
            find(name)()(times.parse().expect("a number"));
            ExitCode::SUCCESS
        }
        ["--count"] => count(),
        names => {
            let chosen = PIECES.iter().filter(|(name, ..)| names.is_empty() || names.contains(name));
            for (name, piece, _) in chosen {
                println!("{name:<18}{:>12.3} us", median_us(*piece));
            }
            ExitCode::SUCCESS
        }
    }
}

fn find(name: &str) -> Piece {
    PIECES.iter().find(|(known, ..)| *known == name).expect("a piece").1
}

/// Microseconds of processor time: the median of seven measurements of a tenth of a second each.
fn median_us(piece: Piece) -> f64 {
    let mut work = piece();
    let mut timed = |times| {
        let before = cpu::of_process();
        work(times);
        cpu::of_process().saturating_sub(before)
    };
    let mut times = 1;
    while timed(times) < Duration::from_millis(100) {
        times *= 2;
    }
    let mut measured: Vec<f64> = (0..7).map(|_| timed(times).as_secs_f64() * 1e6 / times as f64).collect();
    measured.sort_by(f64::total_cmp);
    measured[3]
}

/// Instructions of work that are counted of each piece: two starts of the program differ by some hundred thousand.
const WORK: u64 = 40_000_000;

/// Instructions, piece by piece. A piece with three times the work less itself, by two: what it sets up cancels out.
fn count() -> ExitCode {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("instructions are not counted: valgrind is not installed");
        return ExitCode::SUCCESS;
    }
    let mut exit = ExitCode::SUCCESS;
    for (name, _, budget) in PIECES {
        let Some(budget) = *budget else { continue };
        let times = (WORK / budget).next_power_of_two();
        let found = (instructions(name, 3 * times) - instructions(name, times)) / (2 * times);
        let is_over = found > budget;
        println!("{name:<18}{found:>10} instructions of {budget}{}", if is_over { ": TOO MANY" } else { "" });
        if is_over {
            exit = ExitCode::FAILURE;
        }
    }
    exit
}

fn instructions(name: &str, times: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().expect("this program has a path"))
        .args(["--times", name, &times.to_string()])
        .output()
        .expect("valgrind runs");
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find_map(|line| line.split_once("Collected : "));
    line.unwrap_or_else(|| panic!("callgrind: {text}")).1.trim().parse().expect("a number")
}

// ---- the pieces

fn dialect() -> Box<dyn Dialect> {
    let table = "merchant_id = 'M1'\nclient_id = '2110200000000044'".parse().expect("TOML");
    wire::entry("alipayhk-card").expect("known").open(&table, &wire::setting::no_vault).expect("good settings")
}

const COLUMNS: [(&str, &str); 11] = [
    ("bill_no", "202601023109165510000000000"),
    ("occurred_at", "2026-01-02 08:00:03"),
    ("pass_id", "00000000020260003381"),
    ("user_id", "2088100031006279"),
    ("template_code", "T5228480402"),
    ("points", "11749"),
    ("level.zh_HK", "金卡"),
    ("level.en_US", "Gold"),
    ("last_changed_points", "400"),
    ("points_provider", "ALIPAYHK"),
    ("end_date", ""),
];

fn reader(dialect: &dyn Dialect) -> Box<dyn RowReader> {
    let columns = COLUMNS.map(|(name, _)| name.to_owned());
    let rules = RowRules {
        bill_key: vec!["bill_no".to_owned()],
        require_bill_no: false,
        negative_points: false,
        times: LocalTime { zone: jiff::tz::TimeZone::get("Asia/Hong_Kong").expect("bundled") },
    };
    dialect.reader(&columns, &rules).expect("its own columns")
}

fn cells() -> Vec<Option<Cow<'static, str>>> {
    COLUMNS.map(|(_, cell)| Some(cell).filter(|cell| !cell.is_empty()).map(Cow::Borrowed)).into()
}

fn delta() -> Delta {
    reader(&*dialect()).read(&cells()).expect("a good row")
}

fn sign() -> Box<dyn FnMut(u64)> {
    let (dialect, signer) = (dialect(), Signer::generate(2048).expect("a size that exists"));
    let body = dialect.body(&delta(), 0);
    Box::new(move |times| {
        for now_ms in 0..times {
            black_box(dialect.request(black_box(&body), now_ms as i64 * 1_000, &signer));
        }
    })
}

fn verify() -> Box<dyn FnMut(u64)> {
    let (dialect, platform) = (dialect(), Signer::generate(2048).expect("a size that exists"));
    let (code, status) = dialect.phrase(&wire::Said::Applied);
    let answer = Answer { code, status, message: "Success.".into(), trace_id: "0b26d5b9".into() };
    let asked = Request { target: dialect.path().to_owned(), headers: Vec::new(), body: Vec::new() };
    let reply = dialect.write_reply(&asked, &answer, 1_767_312_000_000, Some(&platform));
    let keys = [platform.public()];
    Box::new(move |times| {
        for _ in 0..times {
            assert_eq!(dialect.reply(black_box(&reply), &keys).verdict, Verdict::Applied);
        }
    })
}

fn body() -> Box<dyn FnMut(u64)> {
    let (dialect, delta) = (dialect(), delta());
    Box::new(move |times| {
        for _ in 0..times {
            black_box(dialect.body(black_box(&delta), 0));
        }
    })
}

fn read_row() -> Box<dyn FnMut(u64)> {
    let dialect = dialect();
    let (reader, cells) = (reader(&*dialect), cells());
    Box::new(move |times| {
        for _ in 0..times {
            black_box(reader.read(black_box(&cells)).expect("a good row"));
        }
    })
}

fn content_digest() -> Box<dyn FnMut(u64)> {
    let delta = delta();
    Box::new(move |times| {
        for _ in 0..times {
            black_box(black_box(&delta).content_digest());
        }
    })
}

fn quota() -> Quota {
    Quota::new(1_000_000, Duration::from_secs(1), true, Tick::ZERO)
}

fn quota_permit() -> Box<dyn FnMut(u64)> {
    let mut quota = quota();
    let mut now = Tick::ZERO;
    Box::new(move |times| {
        for _ in 0..times {
            now = now + Duration::from_micros(10);
            assert_eq!(quota.acquire(black_box(now)), Permit::Granted);
            quota.ended(now, true);
        }
    })
}

/// A row from plan to settlement, with 128 under way.
fn dispatcher_step() -> Box<dyn FnMut(u64)> {
    Box::new(dispatch)
}

fn dispatch(times: u64) {
    let config = Config {
        concurrency: 128,
        policy: Policy {
            attempts_max: 6,
            backoff_base: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            schedule: Vec::new(),
        },
        budget: 1_000,
        hold: true,
        error_limit: ErrorLimit::Off,
        held_max: usize::MAX,
        canary_continues: false,
        cut_off: 0,
        doubt_not_before: Tick::ZERO,
        deadline: Tick::NEVER,
    };
    let mut dispatcher = Dispatcher::new(config, quota());
    let (mut next, mut now) = (0, Tick::ZERO);
    let mut under_way = std::collections::VecDeque::new();
    loop {
        now = now + Duration::from_micros(10);
        match dispatcher.poll(now) {
            Action::Read(rows) => {
                let end = times.min(next + rows as u64);
                dispatcher.handle(Event::Rows((next..end).map(plan_row).collect()), now);
                next = end;
                if next == times {
                    dispatcher.handle(Event::EndOfPlan, now);
                }
            }
            Action::Intend { id, .. } => dispatcher.handle(Event::Durable(id), now),
            Action::Send { id } => under_way.push_back(id),
            Action::Settle(settlement) => {
                assert_eq!(settlement.outcome, Outcome::Applied);
                dispatcher.handle(Event::Committed(settlement.id), now);
            }
            Action::Attempted { .. } => unreachable!("every reply settles its row"),
            Action::Done => return,
            Action::Sleep(until) => now = until,
            Action::Park => {
                let id = under_way.pop_front().expect("something to wait for");
                dispatcher.handle(applied(id), now);
            }
        }
    }
}

fn plan_row(id: u64) -> PlanRow {
    let mut card = [0; 16];
    card[..8].copy_from_slice(&id.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    PlanRow {
        id,
        card: Digest(card),
        members: 0b111,
        drop: 0,
        cover: 0,
        absorbed: false,
        gates: Vec::new(),
        watched: false,
        doubt: 0,
        recovered: None,
    }
}

fn applied(id: u64) -> Event {
    Event::Reply {
        id,
        verdict: Verdict::Applied,
        answered: true,
        retry_after: None,
        verified: true,
        configuration: None,
        random: 0,
    }
}

fn sort_record() -> Box<dyn FnMut(u64)> {
    let folder = tempfile::tempdir().expect("a folder");
    Box::new(move |times| {
        let mut sorter = Sorter::new(folder.path());
        for id in 0..times {
            sorter.push((plan_row(id).card, id, id, id)).expect("room");
        }
        assert_eq!(sorter.finish().expect("room").count() as u64, times);
    })
}

/// A new bill in a ledger of a few thousand.
fn merge_bill() -> Box<dyn FnMut(u64)> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let mut ledger = Ledger::open(&folder.path().join("ledger.db")).expect("a ledger");
    let change = |row: u64| BillChange {
        key: BillId(std::array::from_fn(|at| row.to_be_bytes()[at % size_of::<u64>()])),
        row,
        bill_no: Some(format!("202601023109165510{row:09}").into()),
        card: Digest::default(),
        card_no: "00000000020260003381".into(),
        content: Digest::default(),
        place: Place::default(),
        past: Past::Applied,
        outcome: Outcome::Applied,
        closing: false,
        doubt: 0,
        settled_ms: 1_767_312_000_000,
        code: "SUCCESS".to_owned(),
        dropped: Vec::new(),
        members: Vec::new(),
    };
    let mut merged = 0;
    Box::new(move |times| {
        let _ = &folder; // as long as the ledger is in it
        let bills = (merged..merged + times).map(|row| Ok(change(row)));
        ledger.fold(1, bills, std::iter::empty()).expect("room");
        merged += times;
    })
}

/// An intent and an end, durable in commits as they come together.
fn ledger_append() -> Box<dyn FnMut(u64)> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let path = folder.path().join("ledger.db");
    drop(Ledger::open(&path).expect("a ledger"));
    let (told, acks) = std::sync::mpsc::channel();
    let writer = Writer::start(&path, 1, move |acks| told.send(acks.expect("room").len()).expect("heard"));
    let writer = writer.expect("a writer");
    let body = dialect().body(&delta(), 0);
    let settled = Settled::local(Outcome::Applied, "SUCCESS", "Success.", 1_767_312_000_000);
    Box::new(move |times| {
        let _ = &folder; // as long as the ledger is in it
        for row in 0..times {
            writer.append(Record::Intent(Intent { row, drop: 0, body: body.clone() }));
            writer.append(Record::Settled(row, Box::new(settled.clone())));
        }
        let mut left = 2 * times as usize;
        while left > 0 {
            left -= acks.recv().expect("the writer lives");
        }
    })
}
