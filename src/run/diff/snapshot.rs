//! Reading a snapshot: as the job reads its inputs, less what only a delta has.

use std::borrow::Cow;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Order;
use crate::io::job::settings::{self, FormatChoice};
use crate::io::sort::Sorter;
use crate::io::source::{Cells, Input, Layout, ReadRules, Reader};
use crate::model::moment::rfc3339_ms;
use crate::model::{Delta, Digest, LocalTime, Reject, Status};
use crate::run::Fault;
use crate::wire::{RowReader, RowRules};

/// What a card should show. The order of the fields is the order of the ledger's cards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Row {
    /// The card.
    pub card: Digest,
    /// Where it stands in the snapshot.
    pub line: u64,
    /// As of when; milliseconds since 1970.
    pub taken_ms: i64,
    /// Whether the card should be closed.
    pub closing: bool,
    /// What the row says.
    pub content: Digest,
    /// Members and values.
    pub members: Vec<(String, String)>,
    /// Its cells as they stand, as the header has them.
    pub cells: Vec<String>,
}

/// A snapshot that was read to its end, and is valid in every row.
pub struct Snapshot {
    /// The file's own columns.
    pub header: Vec<String>,
    /// By card.
    pub rows: Sorter<Row>,
    /// How many.
    pub cards: u64,
    /// Every member met.
    pub members: Vec<String>,
}

/// Bad rows that are named.
const SHOWN: usize = 5;

impl Snapshot {
    /// Reads the file. What is not valid, or says two things of a card, is refused as a whole: half a truth is none.
    pub fn read(order: &Order<'_>, scratch: &Path) -> Result<Snapshot, Fault> {
        let name = order.file.display().to_string();
        let input = Input::new(name.clone(), order.file.to_owned(), FormatChoice::Auto, None)?;
        let own = settings::Input { trailer: None, ..order.settings.input.clone() };
        let mut reader = Reader::open(&input, &ReadRules::new(&own).map_err(Fault::usage)?)?;
        let own = as_snapshot(own, reader.header(), order.taken_ms);
        // What a row of a transaction must have, and only a delta has.
        let own = with_stand_in(own, reader.header(), "bill_no", "snapshot".to_owned());
        let own = with_stand_in(own, reader.header(), "last_changed_points", "0".to_owned());
        let layout = Layout::new(reader.header(), &reader.kinds(), &own, order.dialect)
            .map_err(|fault| Fault::input(format!("{name}: {fault}")))?;
        let rules = RowRules {
            bill_key: own.bill_key.clone(),
            require_bill_no: false,
            negative_points: own.negative_points,
            times: LocalTime { zone: own.timezone.clone() },
        };
        let row_reader = order.dialect.reader(layout.columns(), &rules);
        let row_reader = row_reader.map_err(|fault| Fault::usage(format!("{name}: {fault}")))?;
        let mut snapshot =
            Snapshot { header: reader.header().to_vec(), rows: Sorter::new(scratch), cards: 0, members: Vec::new() };
        let (mut bad, mut bad_count) = (Vec::new(), 0_u64);
        let mut cards = Sorter::new(scratch);
        while let Some(row) = reader.next()? {
            match row.cells.map_err(Clone::clone).and_then(|cells| read_row(cells, &layout, row_reader.as_ref())) {
                Ok((delta, cells)) => {
                    let taken_ms = delta.occurred_ms.or(order.taken_ms).ok_or_else(|| untimed(&name))?;
                    cards.push((delta.card_digest(), row.line))?;
                    snapshot.take(&delta, Row::of(&delta, row.line, taken_ms, cells))?;
                }
                Err(reject) => {
                    bad_count += 1;
                    if bad.len() < SHOWN {
                        bad.push(format!("{name}:{}: {} {reject}", row.line, reject.rule.code()));
                    }
                }
            }
        }
        if bad_count > 0 {
            let text = format!("{bad_count} rows of the snapshot are not valid:\n  {}", bad.join("\n  "));
            return Err(Fault::input(text).help("mend the export: nothing was compared"));
        }
        each_card_once(&name, cards)?;
        Ok(snapshot)
    }

    fn take(&mut self, delta: &Delta, row: Row) -> Result<(), Fault> {
        for member in &delta.members {
            if !self.members.iter().any(|known| *known == member.name) {
                self.members.push(member.name.to_string());
            }
        }
        self.cards += 1;
        Ok(self.rows.push(row)?)
    }
}

impl Row {
    fn of(delta: &Delta, line: u64, taken_ms: i64, cells: Vec<String>) -> Row {
        Row {
            card: delta.card_digest(),
            line,
            taken_ms,
            closing: delta.status != Status::Update,
            content: delta.content_digest(),
            members: delta.members.iter().map(|member| (member.name.to_string(), member.value.text())).collect(),
            cells,
        }
    }
}

fn read_row(cells: Cells<'_>, layout: &Layout, reader: &dyn RowReader) -> Result<(Delta, Vec<String>), Reject> {
    let mut canonical: Vec<Option<Cow<'_, str>>> = Vec::new();
    layout.project(cells, &mut canonical);
    let delta = reader.read(&canonical)?;
    Ok((delta, cells.iter().map(|cell| cell.unwrap_or_default().to_owned()).collect()))
}

/// How a balance snapshot is read: of the columns that the job maps it has those that it has, none of its rows needs a
/// bill, and `taken_ms` is when all of them happened, unless they say so.
pub fn as_snapshot(own: settings::Input, header: &[String], taken_ms: Option<i64>) -> settings::Input {
    let mut columns = own.columns;
    columns.retain(|(_, column)| header.contains(column));
    let own = settings::Input { columns, require_bill_no: false, trailer: None, ..own };
    match taken_ms {
        Some(ms) => with_stand_in(own, header, "occurred_at", rfc3339_ms(ms)),
        None => own,
    }
}

/// Whether a file tells bills apart: a snapshot does not.
pub fn has_bills(own: &settings::Input, header: &[String]) -> bool {
    let mapped = own.columns.iter().find(|(canonical, _)| canonical == "bill_no").map(|(_, column)| column.as_str());
    header.iter().any(|column| column == mapped.unwrap_or("bill_no"))
}

/// A value for rows that lack the column.
fn with_stand_in(mut own: settings::Input, header: &[String], canonical: &str, value: String) -> settings::Input {
    let is_there = own.columns.iter().chain(&own.defaults).any(|(known, _)| known == canonical)
        || header.iter().any(|column| column == canonical);
    if !is_there {
        own.defaults.push((canonical.to_owned(), value));
    }
    own
}

fn untimed(name: &str) -> Fault {
    Fault::usage(format!("{name} does not say when it was taken"))
        .help("give --occurred-at TIME: what happened on a card since then is not rolled back")
}

/// Two rows of one card would be two truths.
fn each_card_once(name: &str, cards: Sorter<(Digest, u64)>) -> Result<(), Fault> {
    let mut last: Option<(Digest, u64)> = None;
    for card in cards.finish()? {
        let (card, line) = card?;
        if let Some((_, first)) = last.filter(|(known, _)| *known == card) {
            return Err(Fault::input(format!(
                "{name}:{line}: the card stands on line {first}, too: a snapshot has it once"
            )));
        }
        last = Some((card, line));
    }
    Ok(())
}
