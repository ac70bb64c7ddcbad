//! `ledger export`: bills and what cards show, as the ledger has them at one moment, for other programs.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Fault;
use super::look::{Runs, state_word};
use crate::io::ledger::{BillRow, Ledger, StoredCard};
use crate::io::table::{Cell, Column, Kind, TableWriter};
use crate::wire::personal::is_code;

/// A part of the ledger that is a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// A row for each bill.
    Bills,
    /// A row for each member that a card shows.
    Cards,
}

/// A file that was written.
#[derive(Clone, Debug, Serialize)]
pub struct Exported {
    /// The file.
    pub file: PathBuf,
    /// Its rows, less the header.
    pub rows: u64,
}

/// Of `bills`.
const BILLS: [Column; 17] = [
    Column::new("bill_no", Kind::Text),
    Column::new("card", Kind::Text),
    Column::new("state", Kind::Text),
    Column::new("outcome", Kind::Text),
    Column::new("code", Kind::Text),
    Column::new("in_doubt", Kind::Number),
    Column::new("occurred_at", Kind::Time),
    Column::new("sequence", Kind::Number),
    Column::new("first_run", Kind::Text),
    Column::new("at", Kind::Text),
    Column::new("last_run", Kind::Text),
    Column::new("settled_at", Kind::Time),
    Column::new("closing", Kind::Text),
    Column::new("members", Kind::Text),
    Column::new("bill_key", Kind::Text),
    Column::new("card_key", Kind::Text),
    Column::new("content", Kind::Text),
];

/// Of `cards`.
const CARDS: [Column; 9] = [
    Column::new("card", Kind::Text),
    Column::new("member", Kind::Text),
    Column::new("value", Kind::Text),
    Column::new("occurred_at", Kind::Time),
    Column::new("sequence", Kind::Number),
    Column::new("run", Kind::Text),
    Column::new("at", Kind::Text),
    Column::new("closed_at", Kind::Time),
    Column::new("card_key", Kind::Text),
];

impl Table {
    /// Both.
    pub const ALL: [Table; 2] = [Table::Bills, Table::Cards];

    /// The word on the command line, and the name of its file.
    pub fn as_str(self) -> &'static str {
        match self {
            Table::Bills => "bills",
            Table::Cards => "cards",
        }
    }
}

/// Writes tables, all of the same moment; a run may be on meanwhile. `veil` hides what names a person.
pub fn export(
    ledger: &Ledger,
    files: &[(Table, PathBuf)],
    as_parquet: bool,
    veil: &dyn Fn(&mut String),
) -> Result<Vec<Exported>, Fault> {
    ledger.hold_still()?;
    let write = |(table, path): &(Table, PathBuf)| match table {
        Table::Bills => bills(ledger, path, as_parquet, veil),
        Table::Cards => cards(ledger, path, as_parquet, veil),
    };
    files.iter().map(write).collect()
}

fn bills(ledger: &Ledger, path: &Path, as_parquet: bool, veil: &dyn Fn(&mut String)) -> Result<Exported, Fault> {
    let mut table = TableWriter::create(path, &BILLS, as_parquet)?;
    let (mut runs, mut rows) = (Runs::new(ledger), 0);
    ledger.each_stored_bill(|stored| -> Result<(), Fault> {
        let mut bill = stored.map_err(|damage| Fault::damaged(ledger.path(), &damage))?;
        veil_bill(&mut bill, veil);
        let place = runs.place(bill.place)?;
        let last_run = runs.name(bill.last_run)?;
        let members = serde_json::to_string(&bill.members).expect("names and values are plain data");
        let (key, card, content) = (bill.key.to_string(), bill.card.to_string(), bill.content.to_string());
        rows += 1;
        Ok(table.write(&[
            bill.bill_no.as_deref().map_or(Cell::Absent, Cell::Text),
            Cell::Text(&bill.card_no),
            Cell::Text(state_word(bill.past)),
            Cell::Text(bill.outcome.as_str()),
            Cell::Text(&bill.code),
            Cell::Number(i64::from(bill.doubt)),
            Cell::Time(bill.place.occurred_ms),
            Cell::Number(bill.place.shown_sequence()),
            Cell::Text(&place.run),
            Cell::Text(&place.at),
            Cell::Text(&last_run),
            Cell::Time(bill.settled_ms),
            Cell::Text(if bill.closing { "true" } else { "false" }),
            if bill.members.is_empty() { Cell::Absent } else { Cell::Text(&members) },
            Cell::Text(&key),
            Cell::Text(&card),
            Cell::Text(&content),
        ])?)
    })?;
    Ok(Exported { file: table.finish()?, rows })
}

fn veil_bill(bill: &mut BillRow, veil: &dyn Fn(&mut String)) {
    veil(&mut bill.card_no);
    bill.members.iter_mut().filter(|(name, _)| is_code(name)).for_each(|(_, value)| veil(value));
}

/// A card that shows nothing, since all that is known of it is that it was closed, has a row without a member.
fn cards(ledger: &Ledger, path: &Path, as_parquet: bool, veil: &dyn Fn(&mut String)) -> Result<Exported, Fault> {
    let mut table = TableWriter::create(path, &CARDS, as_parquet)?;
    let (mut runs, mut rows) = (Runs::new(ledger), 0);
    ledger.each_card(|stored| -> Result<(), Fault> {
        let StoredCard { key, mut card_no, state } = stored.map_err(|damage| Fault::damaged(ledger.path(), &damage))?;
        veil(&mut card_no);
        let key = key.to_string();
        let closed = state.closed.map_or(Cell::Absent, |place| Cell::Time(place.occurred_ms));
        if state.members.is_empty() {
            let mut cells = [Cell::Absent; CARDS.len()];
            (cells[0], cells[7], cells[8]) = (Cell::Text(&card_no), closed, Cell::Text(&key));
            rows += 1;
            table.write(&cells)?;
        }
        for (name, mut confirmed) in state.members {
            if is_code(&name) {
                veil(&mut confirmed.value);
            }
            let place = runs.place(confirmed.place)?;
            rows += 1;
            table.write(&[
                Cell::Text(&card_no),
                Cell::Text(&name),
                Cell::Text(&confirmed.value),
                Cell::Time(confirmed.place.occurred_ms),
                Cell::Number(confirmed.place.shown_sequence()),
                Cell::Text(&place.run),
                Cell::Text(&place.at),
                closed,
                Cell::Text(&key),
            ])?;
        }
        Ok(())
    })?;
    Ok(Exported { file: table.finish()?, rows })
}
