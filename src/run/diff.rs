//! `diff`: a full balance snapshot against what the ledger says each card shows.
//!
//! The snapshot is the truth: it says what each card should show, as of the moment when it was taken. What the ledger
//! has of a card is what the gateway confirmed. The deltas that make the one the other have that moment as their place in
//! history, so that nothing which happened since is rolled back by them, and nothing older overtakes them.
//!
//! ```text
//! snapshot -> sorted by card -> beside the ledger's cards: what is to be said of each
//!          -> sorted by line -> deltas, in the snapshot's order
//! ```

mod compare;
mod deltas;
mod snapshot;

use std::io::Write;
use std::path::Path;

use serde::Serialize;

pub use compare::Why;
pub(super) use snapshot::{as_snapshot, has_bills};

use self::compare::Judged;
use self::deltas::Deltas;
use self::snapshot::{Row, Snapshot};
use super::Fault;
use crate::io::job::Settings;
use crate::io::ledger::{Keys, Known, Ledger, StoredCard};
use crate::io::sort::Sorter;
use crate::wire::Dialect;

/// What is asked for.
pub struct Order<'a> {
    /// The job's settings.
    pub settings: &'a Settings,
    /// Its wire form.
    pub dialect: &'a dyn Dialect,
    /// The snapshot.
    pub file: &'a Path,
    /// When it was taken, for rows that do not say so; milliseconds since 1970.
    pub taken_ms: Option<i64>,
    /// Of which cards.
    pub of: Of,
}

/// The cards that deltas are written of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Those that differ, are in doubt or unknown.
    Differing,
    /// The same, less those that the ledger knows nothing of.
    Known,
    /// Those that agree, too: somebody may have changed them behind the ledger's back.
    All,
}

impl Of {
    fn wants(self, why: Why) -> bool {
        match why {
            Why::Differs | Why::InDoubt => true,
            Why::Unknown => self != Of::Known,
            Why::Agrees => self == Of::All,
            Why::Newer | Why::Closed => false,
        }
    }
}

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Difference {
    /// Rows of the snapshot, each a card.
    pub cards: u64,
    /// The members that were compared.
    pub members: Vec<String>,
    /// The ledger says the same; a delta was written only where all were wanted.
    pub agree: u64,
    /// It says otherwise; a delta was written.
    pub differ: u64,
    /// An update may have been applied without proof; a delta was written.
    pub in_doubt: u64,
    /// It knows nothing of the card; a delta was written, unless they were left out.
    pub unknown: u64,
    /// It says otherwise only where it was told later than the snapshot was taken.
    pub newer: u64,
    /// It says that the card was closed: no delta can make it show anything.
    pub closed: u64,
    /// Cards of the ledger, not closed, that the snapshot does not have: nobody says what they should show.
    pub missing: u64,
    /// Deltas written.
    pub deltas: u64,
    /// Where the first cards in doubt stand in the snapshot.
    pub first_in_doubt: Vec<String>,
}

/// Places that are named.
const SHOWN: usize = 20;

/// Compares, and writes the deltas into `out`.
pub fn diff(order: &Order<'_>, ledger: &Ledger, out: impl Write) -> Result<Difference, Fault> {
    ledger.hold_still()?;
    if let Some(run) = ledger.interrupted_all()?.first() {
        let what = format!(
            "run {} of job {} is on, or was cut off: the ledger does not know yet what it sent",
            run.id, run.job
        );
        return Err(Fault::input(what).help("let it end, or finish it: `passync resume` with its job file"));
    }
    let scratch = tempfile::tempdir().map_err(|error| Fault::storage(format!("no temporary folder: {error}")))?;
    let Snapshot { header, rows, cards, members } = Snapshot::read(order, scratch.path())?;
    let mut found = Difference { cards, members, ..Difference::default() };
    let mut deltas = Deltas::begin(order, &header, out)?;
    for item in meet(rows, ledger, scratch.path(), &mut found.missing)?.finish()? {
        let item = item?;
        found.take(&item, order);
        if order.of.wants(item.why) {
            deltas.write(&item)?;
            found.deltas += 1;
        }
    }
    deltas.finish()?;
    Ok(found)
}

/// Meets the snapshot's rows and the ledger's cards, both by card; `missing` counts the cards that have no row.
fn meet(rows: Sorter<Row>, ledger: &Ledger, scratch: &Path, missing: &mut u64) -> Result<Sorter<Judged>, Fault> {
    let mut rows = rows.finish()?.peekable();
    let (mut judged, mut unproved) = (Sorter::new(scratch), Known::new(ledger, Keys::Unproved));
    let mut say = |row: Row, card: Option<&StoredCard>| -> Result<(), Fault> {
        let doubts = if unproved.has(&row.card.0)? { ledger.possible(row.card)? } else { Vec::new() };
        Ok(judged.push(compare::judge(row, card.map(|card| &card.state), &doubts))?)
    };
    ledger.each_card(|stored| -> Result<(), Fault> {
        let card = stored.map_err(|damage| Fault::damaged(ledger.path(), &damage))?;
        while let Some(row) = rows.next_if(|next| next.as_ref().map_or(true, |next| next.card < card.key)) {
            say(row?, None)?;
        }
        if let Some(row) = rows.next_if(|next| next.as_ref().map_or(true, |next| next.card == card.key)) {
            return say(row?, Some(&card));
        }
        *missing += u64::from(card.state.closed.is_none());
        Ok(())
    })?;
    rows.try_for_each(|row| say(row?, None))?;
    Ok(judged)
}

impl Difference {
    fn take(&mut self, item: &Judged, order: &Order<'_>) {
        let count = match item.why {
            Why::Agrees => &mut self.agree,
            Why::Differs => &mut self.differ,
            Why::InDoubt => &mut self.in_doubt,
            Why::Unknown => &mut self.unknown,
            Why::Newer => &mut self.newer,
            Why::Closed => &mut self.closed,
        };
        *count += 1;
        if item.why == Why::InDoubt && self.first_in_doubt.len() < SHOWN {
            self.first_in_doubt.push(format!("{}:{}", order.file.display(), item.line));
        }
    }
}
