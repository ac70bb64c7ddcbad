//! A ledger of many bills: what it takes on disk, and how long tonight's bills take to be looked up and merged.

use std::time::Instant;

use passync::core::history::Past;
use passync::io::cpu;
use passync::io::ledger::{BillChange, CardChange, Keys, Known, Ledger};
use passync::model::{BillId, Digest, Outcome, Place, Seat};

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
    let nights = size.rows.div_ceil(TONIGHT);
    told("built", || {
        for night in 0..nights {
            let rows = night * TONIGHT..size.rows.min((night + 1) * TONIGHT);
            // Every night has cards from all over.
            let cards = rows.end.div_ceil(BILLS_A_CARD) - rows.start.div_ceil(BILLS_A_CARD);
            fold(&mut ledger, night, rows, (0..cards).map(|card| card * nights + night));
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
    // Those that are known are of all nights, the others lie behind them.
    let again = TONIGHT / ONE_KNOWN_IN;
    let tonight = || (0..again).map(|nth| nth * (size.rows / again)).chain(size.rows..size.rows + TONIGHT - again);
    let all_cards = size.rows / BILLS_A_CARD;
    let cards = || (0..TONIGHT / 2).map(move |nth| nth * all_cards / (TONIGHT / 2));
    told("looked up: bills", || {
        let mut bills = Known::new(&ledger, Keys::Bills);
        let found = tonight().filter(|row| bills.has(&bill(*row).0).unwrap()).count() as u64;
        assert_eq!(found, again);
    });
    told("looked up: cards", || {
        let mut known = Known::new(&ledger, Keys::Cards);
        let found = cards().filter(|number| known.has(&card(*number).0).unwrap()).count() as u64;
        assert!(found > 0, "cards of tonight are known");
    });
    told("merged", || fold(&mut ledger, 1 << 20, tonight(), cards()));
}

fn told(name: &str, work: impl FnOnce()) {
    let (before, began) = (cpu::of_process(), Instant::now());
    work();
    let cpu_s = cpu::of_process().saturating_sub(before).as_secs_f64();
    println!("{name:<34}{:.1} s, {cpu_s:.1} s of processor", began.elapsed().as_secs_f64());
}

fn bill_no(row: u64) -> String {
    format!("{:08}{:011}", 20_260_000 + row / TONIGHT, row * 7)
}

fn bill(row: u64) -> BillId {
    let bill_no = bill_no(row);
    BillId::numbered(&bill_no, Digest::of("bill", &[&bill_no]))
}

/// Cards in the order of their keys, which is that of digests: none that says anything.
fn card(number: u64) -> Digest {
    Digest((u128::from(number) << 64).to_be_bytes())
}

fn fold(ledger: &mut Ledger, night: u64, bills: impl Iterator<Item = u64>, cards: impl Iterator<Item = u64>) {
    let place = |line: u64| Place {
        occurred_ms: 1_767_312_000_000 + night as i64,
        sequence: 0,
        run: night as u32 + 1,
        seat: Seat { source: 0, line },
    };
    let bills = bills.map(|row| {
        Ok(BillChange {
            key: bill(row),
            row,
            bill_no: Some(bill_no(row).into()),
            card: card(row / BILLS_A_CARD),
            card_no: format!("{:020}", row / BILLS_A_CARD).into(),
            content: Digest::of("content", &[&bill_no(row)]),
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
    let members = ["points", "level.en_US", "level.zh_HK"].map(|name| (name.into(), "12345".into())).to_vec();
    let cards = cards.map(|number| {
        let (card, card_no) = (card(number), format!("{number:020}").into());
        Ok(CardChange { card, place: place(number), card_no, members: members.clone(), closing: false, replace: false })
    });
    ledger.fold(night as u32 + 1, bills, cards).unwrap();
}
