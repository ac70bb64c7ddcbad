//! A ledger of many bills: what it takes on disk, and how long tonight's bills take to be looked up and merged.

use std::time::Instant;

use passync::core::history::Past;
use passync::io::cpu;
use passync::io::ledger::{BillChange, CardChange, Keys, Known, Ledger};
use passync::model::{Digest, Outcome, Place, Seat};

use crate::Size;

/// Bills of a night.
const TONIGHT: u64 = 1_000_000;
/// One of so many bills of tonight is known.
const ONE_KNOWN_IN: u64 = 10;
/// Bills a card has in the ledger.
const BILLS_A_CARD: u64 = 10;

/// Prints the table. `rows`: bills in the ledger before tonight.
pub fn measure(size: Size) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("ledger.db");
    let mut ledger = Ledger::open(&path).unwrap();
    println!("\na ledger of {} bills and {} cards; {TONIGHT} bills tonight", size.rows, size.rows / BILLS_A_CARD);
    let known = |row: u64| key(row, size.rows, 0);
    told("built", || {
        for night in 0..size.rows.div_ceil(TONIGHT) {
            let rows = night * TONIGHT..size.rows.min((night + 1) * TONIGHT);
            let cards = rows.start / BILLS_A_CARD..rows.end / BILLS_A_CARD;
            fold(&mut ledger, night, rows.map(known), cards.map(|card| known(card * BILLS_A_CARD)));
        }
    });
    drop(ledger);
    let bytes = std::fs::metadata(&path).unwrap().len();
    println!(
        "{:<34}{:.0} MiB, {:.0} bytes a bill",
        "on disk",
        bytes as f64 / 1_048_576.0,
        bytes as f64 / size.rows as f64
    );

    let mut ledger = Ledger::open(&path).unwrap();
    let bill = |row: u64| match row % ONE_KNOWN_IN {
        0 => known(row * size.rows / TONIGHT),
        _ => key(row, TONIGHT, 1),
    };
    told("looked up", || {
        let mut bills = Known::new(&ledger, Keys::Bills);
        let found = (0..TONIGHT).filter(|row| bills.has(bill(*row)).unwrap()).count() as u64;
        assert_eq!(found, TONIGHT / ONE_KNOWN_IN);
    });
    let cards = (0..TONIGHT / 2).map(|card| known(card * 2 * size.rows / TONIGHT));
    told("merged", || fold(&mut ledger, 1 << 20, (0..TONIGHT).map(bill), cards));
}

fn told(name: &str, work: impl FnOnce()) {
    let (before, began) = (cpu::of_process(), Instant::now());
    work();
    let cpu_s = cpu::of_process().saturating_sub(before).as_secs_f64();
    println!("{name:<34}{:.1} s, {cpu_s:.1} s of processor", began.elapsed().as_secs_f64());
}

/// A key of many that are as far apart as that many are on average, and `beside` it.
fn key(rank: u64, among: u64, beside: u128) -> Digest {
    Digest((u128::MAX / u128::from(among) * u128::from(rank) + beside).to_be_bytes())
}

fn fold(ledger: &mut Ledger, night: u64, bills: impl Iterator<Item = Digest>, cards: impl Iterator<Item = Digest>) {
    let place = |line: u64| Place {
        occurred_ms: 1_767_312_000_000 + night as i64,
        sequence: 0,
        run: night as u32 + 1,
        seat: Seat { source: 0, line },
    };
    let bills = (0..).zip(bills).map(|(row, key)| {
        Ok(BillChange {
            key,
            row,
            bill_no: Some(format!("202601{night:02}{row:019}")),
            card: key,
            card_no: format!("{row:020}"),
            content: key,
            place: place(row),
            past: Past::Applied,
            outcome: Outcome::Applied,
            closing: false,
            doubt: 0,
            settled_ms: 1_767_312_000_000,
            code: "SUCCESS".to_owned(),
            dropped: Vec::new(),
            members: Vec::new(),
        })
    });
    let members = ["points", "level.en_US", "level.zh_HK"].map(|name| (name.to_owned(), "12345".to_owned())).to_vec();
    let cards = (0..).zip(cards).map(|(row, card)| {
        let card_no = format!("{row:020}");
        Ok(CardChange { card, place: place(row), card_no, members: members.clone(), closing: false, replace: false })
    });
    ledger.fold(night as u32 + 1, bills, cards).unwrap();
}
