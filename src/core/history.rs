//! When a bill comes again: what the ledger knows of it decides, in one table.

use crate::model::Outcome;

/// What the ledger knows of a bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Past {
    /// Confirmed.
    Applied,
    /// Open, and ever sent without proof.
    Doubtful,
    /// Open, and provably never applied (unsent, held).
    NeverSent,
    /// A verified no, and never in doubt.
    Refused,
    /// A verified no after an attempt in doubt: possibly applied, closed.
    RefusedAfterDoubt,
    /// Older than what the card was given.
    Superseded,
    /// Absorbed by a newer row that was applied.
    Coalesced,
}

/// An open end of a row that may have been applied before: doubt outlives whatever kept it from being asked again.
pub fn with_doubt(outcome: Outcome, doubted: bool) -> Outcome {
    if doubted && outcome.is_open() { Outcome::Unknown } else { outcome }
}

impl Past {
    /// Every state, in the order of their numbers in the ledger.
    pub const ALL: [Past; 7] = [
        Past::Applied,
        Past::Doubtful,
        Past::NeverSent,
        Past::Refused,
        Past::RefusedAfterDoubt,
        Past::Superseded,
        Past::Coalesced,
    ];

    /// What an outcome leaves in the ledger; `doubted`: an attempt of any run ended in doubt. `None`: nothing.
    pub fn of(outcome: Outcome, doubted: bool) -> Option<Past> {
        match (outcome, doubted) {
            (Outcome::Applied, _) => Some(Past::Applied),
            (Outcome::Refused, false) => Some(Past::Refused),
            (Outcome::Refused, true) => Some(Past::RefusedAfterDoubt),
            (Outcome::Unknown, _) | (Outcome::Held | Outcome::Unsent, true) => Some(Past::Doubtful),
            (Outcome::Held | Outcome::Unsent, false) => Some(Past::NeverSent),
            (Outcome::Superseded, _) => Some(Past::Superseded),
            (Outcome::Coalesced, _) => Some(Past::Coalesced),
            (Outcome::AlreadyApplied | Outcome::Duplicate | Outcome::Rejected | Outcome::Conflict, _) => None,
        }
    }

    /// Whether the row waits for a replay.
    pub fn is_open(self) -> bool {
        matches!(self, Past::Doubtful | Past::NeverSent)
    }

    /// Whether the update may stand on the card without our having a proof.
    pub fn is_possible(self) -> bool {
        matches!(self, Past::Doubtful | Past::RefusedAfterDoubt)
    }

    /// Whether a run that ends the bill as `newer` may put that in the place of this. A run that is closed late (abandoned,
    /// say) must not undo what another has proved since: an applied bill stays applied, and "never sent" is no news of a
    /// bill that was.
    pub fn gives_way_to(self, newer: Past) -> bool {
        match newer {
            Past::Applied => true,
            Past::NeverSent => matches!(self, Past::NeverSent | Past::Refused),
            _ => self != Past::Applied,
        }
    }

    /// Whether it may still matter what the row said: it is open, or possible.
    pub fn is_unproved(self) -> bool {
        self.is_open() || self.is_possible()
    }
}

/// What becomes of a row whose bill the ledger knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It ends like this, without a call; the code says why.
    End(Outcome, &'static str),
    /// Its stored revision is sent again, and the doubt is carried.
    Adopt,
    /// As if the bill were new.
    Afresh,
}

/// The table. `include_refused`: this is `replay --include refused`.
pub fn again(past: Past, same_content: bool, include_refused: bool) -> Again {
    const CLASH: Again = Again::End(Outcome::Conflict, "CONFLICT_LEDGER");
    match (past, same_content) {
        (Past::Applied, true) => Again::End(Outcome::AlreadyApplied, "ALREADY_APPLIED"),
        (Past::Doubtful, true) => Again::Adopt,
        (Past::NeverSent, _) | (Past::Refused, false) => Again::Afresh,
        (Past::Refused, true) if include_refused => Again::Afresh,
        (Past::RefusedAfterDoubt, true) if include_refused => Again::Adopt,
        (Past::Refused | Past::RefusedAfterDoubt, true) => Again::End(Outcome::Refused, "REFUSED_BEFORE"),
        (Past::Superseded, true) => Again::End(Outcome::Superseded, "SUPERSEDED_BEFORE"),
        (Past::Coalesced, true) => Again::End(Outcome::Coalesced, "COALESCED_BEFORE"),
        (Past::Applied | Past::Doubtful | Past::RefusedAfterDoubt | Past::Superseded | Past::Coalesced, false) => CLASH,
    }
}

/// The code of bills that another program applied, before this one took over.
pub const IMPORTED: &str = "IMPORTED";

/// The table of an import, whose rows are said to be applied: whatever the ledger has otherwise, it contradicts.
pub fn imported(past: Past, same_content: bool) -> Again {
    match (past, same_content) {
        (Past::Applied | Past::Superseded | Past::Coalesced, true) => again(past, true, false),
        _ => Again::End(Outcome::Conflict, "CONFLICT_LEDGER"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_contract_line_by_line() {
        use Again::{Adopt, Afresh, End};
        let conflict = End(Outcome::Conflict, "CONFLICT_LEDGER");
        let refused = End(Outcome::Refused, "REFUSED_BEFORE");
        for (past, same, different) in [
            (Past::Applied, End(Outcome::AlreadyApplied, "ALREADY_APPLIED"), conflict),
            (Past::Doubtful, Adopt, conflict),
            (Past::NeverSent, Afresh, Afresh),
            (Past::Refused, refused, Afresh),
            (Past::RefusedAfterDoubt, refused, conflict),
            (Past::Superseded, End(Outcome::Superseded, "SUPERSEDED_BEFORE"), conflict),
            (Past::Coalesced, End(Outcome::Coalesced, "COALESCED_BEFORE"), conflict),
        ] {
            assert_eq!(again(past, true, false), same, "{past:?}, same content");
            assert_eq!(again(past, false, false), different, "{past:?}, different content");
        }
        assert_eq!(again(Past::Refused, true, true), Afresh);
        assert_eq!(again(Past::RefusedAfterDoubt, true, true), Adopt, "its doubt is carried");
    }

    #[test]
    fn an_import_agrees_with_the_ledger_or_contradicts_it() {
        for past in Past::ALL {
            let conflict = Again::End(Outcome::Conflict, "CONFLICT_LEDGER");
            assert_eq!(imported(past, false), conflict, "{past:?}, different content");
            let is_final = matches!(past, Past::Applied | Past::Superseded | Past::Coalesced);
            assert_eq!(imported(past, true) == conflict, !is_final, "{past:?}, same content");
        }
    }

    #[test]
    fn what_is_proved_stays_and_what_was_sent_is_not_unsent() {
        for past in Past::ALL {
            let stays_before: Vec<Past> = Past::ALL.into_iter().filter(|newer| !past.gives_way_to(*newer)).collect();
            let expected = match past {
                Past::Applied => Past::ALL[1..].to_vec(),
                Past::NeverSent | Past::Refused => Vec::new(),
                _ => vec![Past::NeverSent],
            };
            assert_eq!(stays_before, expected, "{past:?}");
        }
    }

    #[test]
    fn doubt_outlives_every_open_outcome() {
        for outcome in [Outcome::Unknown, Outcome::Held, Outcome::Unsent] {
            assert_eq!(Past::of(outcome, true), Some(Past::Doubtful));
        }
        assert_eq!(Past::of(Outcome::Unsent, false), Some(Past::NeverSent));
        assert_eq!(Past::of(Outcome::Rejected, false), None);
    }
}
