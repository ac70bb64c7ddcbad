//! Each card with its applied bills: where its values come from.

use std::iter::Peekable;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::runs::Runs;
use crate::core::history::Past;
use crate::io::ledger::{Ledger, StoredCard};
use crate::io::sort::{Sorted, Sorter};
use crate::model::{Digest, Place};
use crate::run::Fault;
use crate::run::proof::{Broken, Check};

/// An applied bill, by its card.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Applied {
    card: Digest,
    place: Place,
    closing: bool,
}

/// Meets cards and bills.
pub fn check(ledger: &Ledger, runs: &Runs, scratch: &Path) -> Result<Check, Fault> {
    let what = "every confirmed value is that of an applied bill of its card, and the newest has left its mark";
    let mut check = Check::new("cards", what);
    // Whoever sends old rows on purpose replaces newer places.
    let replaces = runs.values().any(|run| run.detail.flags.allow_stale);
    let horizon_ms = ledger.horizon()?.unwrap_or(i64::MIN); // bills from before it are forgotten
    let Some(applied) = gather(ledger, scratch)? else {
        check.skipped = Some("not all bills can be read".to_owned());
        return Ok(check);
    };
    let mut applied = applied.finish()?.peekable();
    check.look(|check| {
        ledger.each_card(|stored| match check.read(stored) {
            Some(card) => meet(&card, &mut applied, replaces, horizon_ms, check),
            None => Ok(()),
        })?;
        for bill in applied {
            stray(&bill?, check);
        }
        Ok(())
    })?;
    Ok(check)
}

/// The applied bills; `None` where one cannot be read, which the check `bills` tells.
fn gather(ledger: &Ledger, scratch: &Path) -> Result<Option<Sorter<Applied>>, Fault> {
    let mut applied = Sorter::new(scratch);
    let gathered = ledger.each_stored_bill(|stored| {
        let bill = stored?;
        if bill.past == Past::Applied {
            applied.push(Applied { card: bill.card, place: bill.place, closing: bill.closing })?;
        }
        Ok(())
    });
    match gathered {
        Ok(()) => Ok(Some(applied)),
        Err(Broken::File(_)) => Ok(None),
        Err(Broken::Fault(fault)) => Err(fault),
    }
}

fn stray(bill: &Applied, check: &mut Check) {
    check.fault(format!("card {}: a bill is applied, but nothing is confirmed of it", bill.card));
}

/// One card; its bills are those that come next.
fn meet(
    card: &StoredCard,
    applied: &mut Peekable<Sorted<Applied>>,
    replaces: bool,
    horizon_ms: i64,
    check: &mut Check,
) -> Result<(), Broken> {
    while let Some(bill) = applied.next_if(|next| next.as_ref().map_or(true, |next| next.card < card.key)) {
        stray(&bill?, check);
    }
    let state = &card.state;
    let mut unfound: Vec<(&str, Place)> =
        state.members.iter().map(|(name, confirmed)| (name.as_str(), confirmed.place)).collect();
    let (mut newest, mut closed) = (None, None);
    while let Some(bill) = applied.next_if(|next| next.as_ref().map_or(true, |next| next.card == card.key)) {
        let bill = bill?;
        unfound.retain(|(_, place)| *place != bill.place);
        if bill.closing {
            closed = Some(bill.place);
        } else {
            newest = Some(bill.place);
        }
    }
    let name = &card.card_no;
    for (member, place) in unfound.into_iter().filter(|(_, place)| place.occurred_ms >= horizon_ms) {
        check.fault(format!("card {name}: {member} was confirmed at {}, where no bill of it is applied", text(place)));
    }
    let is_forgotten = closed.is_none() && state.closed.is_some_and(|place| place.occurred_ms < horizon_ms);
    check.expect(state.closed == closed || is_forgotten, || {
        let text = |place: Option<Place>| place.map_or_else(|| "never".to_owned(), text);
        format!(
            "card {name}: it was closed {}, its newest applied bill that closes it {}",
            text(state.closed),
            text(closed)
        )
    });
    if let Some(newest) = newest.filter(|_| !replaces) {
        check.expect(state.members.values().any(|confirmed| confirmed.place == newest), || {
            format!("card {name}: its newest applied bill, at {}, confirmed nothing", text(newest))
        });
    }
    Ok(())
}

fn text(place: Place) -> String {
    let Place { occurred_ms, sequence, run, seat } = place;
    format!("{occurred_ms} ms, sequence {sequence} (run {run}, input {}, line {})", seat.source, seat.line)
}
