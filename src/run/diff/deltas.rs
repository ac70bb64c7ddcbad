//! Writing deltas: a CSV that `run` reads with the job as it is.

use std::io::Write;

use super::Order;
use super::compare::Judged;
use crate::model::Digest;
use crate::model::moment::{format_in, rfc3339_ms};
use crate::run::Fault;

/// Columns of our own, for a person; `run` does not read them.
const OWN: [&str; 2] = ["_why", "_ledger"];

/// The deltas being written.
pub struct Deltas<W: Write> {
    writer: csv::Writer<W>,
    /// The file's columns: of the snapshot, and behind them those that it lacks.
    width: usize,
    bill_no: usize,
    occurred_at: usize,
    change: usize,
}

impl<W: Write> Deltas<W> {
    /// Begins with the header: the snapshot's columns, and every other that the job maps.
    pub fn begin(order: &Order<'_>, header: &[String], mut out: W) -> Result<Deltas<W>, Fault> {
        let input = &order.settings.input;
        if input.encoding != "utf-8" {
            out.write_all("\u{feff}".as_bytes()).map_err(unwritable)?; // a mark that is honoured, whatever the job says
        }
        let mut columns = header.to_vec();
        let mut place = |canonical: &str| {
            let mapped = input.columns.iter().find(|(known, _)| known == canonical).map(|(_, column)| column.as_str());
            let name = mapped.unwrap_or(canonical);
            columns.iter().position(|column| column == name).unwrap_or_else(|| {
                columns.push(name.to_owned());
                columns.len() - 1
            })
        };
        let (bill_no, occurred_at, change) = (place("bill_no"), place("occurred_at"), place("last_changed_points"));
        for (canonical, _) in &input.columns {
            place(canonical);
        }
        let mut writer = csv::WriterBuilder::new().delimiter(input.delimiter.unwrap_or(b',')).from_writer(out);
        writer.write_record(columns.iter().map(String::as_str).chain(OWN)).map_err(|error| unwritable(error.into()))?;
        Ok(Deltas { writer, width: columns.len(), bill_no, occurred_at, change })
    }

    /// Adds a delta.
    pub fn write(&mut self, judged: &Judged) -> Result<(), Fault> {
        let mut cells = judged.cells.clone();
        cells.resize(self.width, String::new());
        cells[self.bill_no] = bill_no(judged.taken_ms, judged.name);
        cells[self.occurred_at] = rfc3339_ms(judged.taken_ms);
        cells[self.change] = judged.change.clone().unwrap_or_default();
        let own = [judged.why.as_str(), &judged.ledger];
        let record = cells.iter().map(String::as_str).chain(own);
        self.writer.write_record(record).map_err(|error| unwritable(error.into()))
    }

    /// All is handed over.
    pub fn finish(mut self) -> Result<(), Fault> {
        self.writer.flush().map_err(unwritable)
    }
}

/// A number for a bill that nobody has: the same correction has the same, so that it is applied once. Of letters where a
/// digest has digits, since numbers that look alike are suspected of damage where they differ.
fn bill_no(taken_ms: i64, name: Digest) -> String {
    let letters = name.0[..8].iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|half| char::from(b'a' + half));
    let taken = format_in(taken_ms, &jiff::tz::TimeZone::UTC, "%Y%m%dT%H%M%SZ");
    format!("diff-{taken}-{}", letters.collect::<String>())
}

#[expect(clippy::needless_pass_by_value, reason = "errors are handed over, not lent")]
fn unwritable(error: std::io::Error) -> Fault {
    Fault::storage(format!("the deltas cannot be written: {error}")).help("make room, or name another file with --out")
}
