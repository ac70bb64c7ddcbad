//! What is to be said of one card.

use serde::{Deserialize, Serialize};

use super::snapshot::Row;
use crate::io::ledger::{CardState, Confirmed, Unproved};
use crate::model::{Amount, Digest};

/// How a card of the snapshot stands in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Why {
    /// The same.
    Agrees,
    /// Otherwise.
    Differs,
    /// Nobody knows: an update of it has no proof.
    InDoubt,
    /// Nothing was ever confirmed of it.
    Unknown,
    /// Otherwise, but told after the snapshot was taken.
    Newer,
    /// It was closed.
    Closed,
}

impl Why {
    /// The word in the column `_why`.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::Agrees => "agrees",
            Why::Differs => "differs",
            Why::InDoubt => "in_doubt",
            Why::Unknown => "unknown",
            Why::Newer => "newer",
            Why::Closed => "closed",
        }
    }
}

/// A card with what is to be said of it. The order of the fields is the order of the deltas.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Judged {
    /// Where it stands in the snapshot.
    pub line: u64,
    /// How it stands in the ledger.
    pub why: Why,
    /// When the snapshot was taken; milliseconds since 1970.
    pub taken_ms: i64,
    /// What the ledger has otherwise, as `points=19999`.
    pub ledger: String,
    /// By how much the points change, where both are known.
    pub change: Option<String>,
    /// A name for the delta: the same card, moment and content have the same.
    pub name: Digest,
    /// The snapshot's own cells.
    pub cells: Vec<String>,
}

/// Compares a row of the snapshot with what was confirmed of its card; `doubts`: what may stand on it without proof.
pub fn judge(row: Row, state: Option<&CardState>, doubts: &[Unproved]) -> Judged {
    let mut differences = Vec::new();
    let (mut is_newer, mut change) = (false, None);
    for (name, value) in &row.members {
        match state.and_then(|state| state.members.get(name)) {
            Some(known) if known.value == *value => {}
            Some(known) if known.place.occurred_ms > row.taken_ms => is_newer = true,
            Some(known) => {
                differences.push(format!("{name}={}", known.value));
                if name == "points" {
                    change = difference(value, &known.value);
                }
            }
            None => differences.push(format!("{name}=")),
        }
    }
    let is_closed = state.is_some_and(|state| state.closed.is_some());
    let why = match state {
        _ if doubts.iter().any(|doubt| !is_covered(doubt, state)) => Why::InDoubt,
        None => Why::Unknown,
        Some(_) if row.closing && is_closed => Why::Agrees,
        Some(_) if row.closing => Why::Differs,
        Some(_) if is_closed => Why::Closed,
        Some(_) if !differences.is_empty() => Why::Differs,
        Some(_) if is_newer => Why::Newer,
        Some(_) => Why::Agrees,
    };
    let name = Digest::of("diff", &[&row.card.to_string(), &row.taken_ms.to_string(), &row.content.to_string()]);
    let ledger = if state.is_some() { differences.join(" ") } else { String::new() };
    Judged { line: row.line, why, taken_ms: row.taken_ms, ledger, change, name, cells: row.cells }
}

/// Whether newer values were confirmed of all that an update in doubt may have changed.
fn is_covered(doubt: &Unproved, state: Option<&CardState>) -> bool {
    let Some(state) = state else { return false };
    let is_newer = |confirmed: &Confirmed| confirmed.place >= doubt.place;
    if doubt.closing {
        return state.members.values().any(is_newer);
    }
    doubt.members.iter().all(|member| state.members.get(member).is_some_and(is_newer))
}

fn difference(now: &str, before: &str) -> Option<String> {
    let (now, before) = (Amount::parse(now).ok()?, Amount::parse(before).ok()?);
    now.minus(before).map(|change| change.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::history::Past;
    use crate::model::{BillId, Place};

    fn row(members: &[(&str, &str)], taken_ms: i64) -> Row {
        let members = members.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let card = Digest::of("card", &["M1", "1"]);
        Row { card, line: 2, taken_ms, closing: false, content: card, members, cells: Vec::new() }
    }

    fn state(members: &[(&str, &str, i64)], closed: bool) -> CardState {
        let mut state = CardState { closed: closed.then(Place::default), ..CardState::default() };
        for (name, value, occurred_ms) in members {
            let place = Place { occurred_ms: *occurred_ms, ..Place::default() };
            state.take(name, Confirmed { place, value: (*value).to_owned() }, false);
        }
        state
    }

    fn doubt(occurred_ms: i64, closing: bool) -> Unproved {
        let place = Place { occurred_ms, ..Place::default() };
        Unproved { bill: BillId::default(), past: Past::Doubtful, place, closing, members: vec!["points".to_owned()] }
    }

    #[test]
    fn each_card_is_one_of_six() {
        let shows = state(&[("points", "100", 10), ("level.en", "Gold", 30)], false);
        let (older, newer, closing) = (doubt(9, false), doubt(11, false), doubt(31, true));
        for (members, known, doubt, why, ledger) in [
            (&[("points", "100")][..], Some(&shows), None, Why::Agrees, ""),
            (&[("points", "90")], Some(&shows), None, Why::Differs, "points=100"),
            (&[("points", "100"), ("level.en", "Silver")], Some(&shows), None, Why::Newer, ""),
            (&[("points", "90"), ("level.en", "Silver")], Some(&shows), None, Why::Differs, "points=100"),
            (&[("balance", "1")], Some(&shows), None, Why::Differs, "balance="),
            (&[("points", "100")], Some(&shows), Some(&newer), Why::InDoubt, ""),
            (&[("points", "100")], Some(&shows), Some(&older), Why::Agrees, ""),
            (&[("points", "100")], Some(&shows), Some(&closing), Why::InDoubt, ""),
            (&[("points", "100")], None, Some(&older), Why::InDoubt, ""),
            (&[("points", "100")], None, None, Why::Unknown, ""),
            (&[("points", "90")], Some(&state(&[], true)), None, Why::Closed, "points="),
        ] {
            let judged = judge(row(members, 20), known, doubt.map_or(&[], std::slice::from_ref));
            assert_eq!((judged.why, judged.ledger.as_str()), (why, ledger), "{members:?}");
        }
    }

    #[test]
    fn points_change_by_the_difference() {
        let shows = state(&[("points", "100.5", 10)], false);
        assert_eq!(judge(row(&[("points", "90")], 20), Some(&shows), &[]).change.as_deref(), Some("-10.5"));
        assert_eq!(judge(row(&[("points", "90")], 20), None, &[]).change, None);
    }

    #[test]
    fn the_same_correction_has_the_same_name() {
        let name = |taken_ms| judge(row(&[("points", "90")], taken_ms), None, &[]).name;
        assert_eq!(name(20), name(20));
        assert_ne!(name(20), name(21));
    }
}
