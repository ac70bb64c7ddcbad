//! What the past of a card means for the rows of a run: which are sent, in which order, with which members.
//!
//! Calls carry absolute state, so a card moves forward only: nothing older than what the card was given, or
//! may have been given, is sent.

pub use super::candidate::Candidate;
use super::coalesce;
use super::dispatcher::Gate;
use crate::model::{BillId, Outcome, Place};

/// The code of rows that wait until it is known whether a newer one was applied.
pub const NEWER_IN_DOUBT: &str = "NEWER_IN_DOUBT";

/// What the ledger knows of a card, in the member bits of this run.
#[derive(Clone, Debug, Default)]
pub struct CardPast {
    /// Per member, the newest confirmed place.
    pub confirmed: Vec<(u64, Place)>,
    /// The place of the newest applied CLOSED or USED.
    pub closed: Option<Place>,
    /// What may stand on the card without proof.
    pub doubts: Vec<Doubt>,
}

impl CardPast {
    /// Whether rows up to `place` can be judged without those behind it: only updates in doubt decide about older rows.
    pub fn is_certain_behind(&self, place: Place) -> bool {
        self.doubts.iter().all(|doubt| doubt.place <= place)
    }
}

/// An update that may have been applied.
#[derive(Clone, Copy, Debug)]
pub struct Doubt {
    /// Its bill.
    pub bill: BillId,
    /// Its place.
    pub place: Place,
    /// The members that it carried.
    pub members: u64,
    /// Whether the card ended with it.
    pub closing: bool,
}

/// What the card's past makes of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Planned {
    /// It ends without a call.
    End {
        /// How.
        outcome: Outcome,
        /// The rule.
        code: &'static str,
        /// The row that made it so, where that is a row of this run.
        by: Option<u64>,
    },
    /// It may be sent.
    Send {
        /// What the plan is sorted by: a row's place, or that of the row it goes with.
        lead: Place,
        /// Orders rows of one lead.
        rank: u32,
        /// Members left out because newer ones are confirmed.
        drop: u64,
        /// How many rows directly before it it may absorb.
        cover: u32,
        /// Whether a later row absorbs it.
        absorbed: bool,
        /// Rows whose ends decide what is left of it.
        gates: Vec<Gate>,
        /// Whether it decides about another.
        watched: bool,
    },
}

/// How the rows of a card are judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct CardRules {
    /// `--allow-stale`: older rows are sent too.
    pub allow_stale: bool,
    /// Whether newer rows absorb older ones.
    pub coalesce: bool,
}

/// Judges rows of one card: all of them, or a stretch of them that begins behind the row `before` and ends where the past
/// [is certain behind it](CardPast::is_certain_behind). `rows` are in the order of their places; so are the answers.
pub fn plan(rows: &[Candidate], before: Option<&Candidate>, past: &CardPast, rules: CardRules) -> Vec<Planned> {
    let mut verdicts: Vec<Stand> = Vec::with_capacity(rows.len());
    // From the newest back: what is left of an older row depends on the doubtful newer ones.
    for at in (0..rows.len()).rev() {
        let stand = match neighbour_twin(rows[..at].last().or(before), &rows[at]) {
            Some(twin) => Stand::End(Outcome::Duplicate, "DUPLICATE", Some(twin)),
            None if rules.allow_stale => Stand::Send { drop: adopted_drop(&rows[at]), gates: Vec::new() },
            None => stand(&rows[at], past, &rows[at + 1..], &verdicts),
        };
        verdicts.push(stand);
    }
    verdicts.reverse();
    let turns = defer(rows, &mut verdicts);
    arrange(rows, verdicts, turns, rules)
}

/// How one row stands before the order is known.
#[derive(Clone, Debug)]
enum Stand {
    End(Outcome, &'static str, Option<u64>),
    Send { drop: u64, gates: Vec<Gate> },
}

fn adopted_drop(row: &Candidate) -> u64 {
    row.adopted.map_or(0, |(drop, _)| drop)
}

/// The row directly before a bare one, if it says the same.
fn neighbour_twin(before: Option<&Candidate>, row: &Candidate) -> Option<u64> {
    before.filter(|before| row.bare && before.content == row.content).map(|before| before.id)
}

/// `newer` and `verdicts` are the rows behind this one; `verdicts` has the newest first.
fn stand(row: &Candidate, past: &CardPast, newer: &[Candidate], verdicts: &[Stand]) -> Stand {
    if past.closed.is_some_and(|closed| closed > row.place) {
        return Stand::End(Outcome::Superseded, "SUPERSEDED_CLOSED", None);
    }
    let drop = adopted_drop(row) | stale_members(row, past);
    if drop == row.members {
        return Stand::End(Outcome::Superseded, "SUPERSEDED", None);
    }
    let mut gates = Vec::new();
    for doubt in past.doubts.iter().filter(|doubt| doubt.place > row.place && doubt.bill != row.bill) {
        let shared = if doubt.closing { row.members & !drop } else { unconfirmed(doubt, past) & row.members & !drop };
        if shared == 0 {
            continue;
        }
        let held = Stand::End(Outcome::Held, NEWER_IN_DOUBT, None);
        let Some(at) = newer.iter().position(|other| other.bill == doubt.bill) else { return held };
        match &verdicts[newer.len() - 1 - at] {
            Stand::Send { .. } => gates.push(Gate { id: newer[at].id, shared }),
            Stand::End(Outcome::Superseded, ..) => {}
            Stand::End(..) => return held,
        }
    }
    Stand::Send { drop, gates }
}

/// Members of which the card has a newer confirmed value.
fn stale_members(row: &Candidate, past: &CardPast) -> u64 {
    let newer = past.confirmed.iter().filter(|(_, place)| *place > row.place);
    newer.fold(0, |mask, (member, _)| mask | member) & row.members
}

/// The members of a doubt that no newer confirmation covers.
fn unconfirmed(doubt: &Doubt, past: &CardPast) -> u64 {
    let covered = past.confirmed.iter().filter(|(_, place)| *place >= doubt.place);
    doubt.members & !covered.fold(0, |mask, (member, _)| mask | member)
}

/// When a row is sent among those of its card: at the place of the row `lead`, behind `depth` that wait for it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    lead: usize,
    depth: usize,
    at: usize,
}

/// A row that waits for newer ones goes behind the last of them, which may wait itself; so the newer rows that come to
/// stand before it decide about it too.
fn defer(rows: &[Candidate], verdicts: &mut [Stand]) -> Vec<Turn> {
    let mut turns: Vec<Turn> = (0..rows.len()).map(|at| Turn { lead: at, depth: 0, at }).collect();
    for at in (0..rows.len()).rev() {
        let Stand::Send { gates, drop } = &verdicts[at] else { continue };
        let awaited = |gate: &Gate| rows.iter().position(|row| row.id == gate.id).map(|newer| turns[newer]);
        let (drop, Some(last)) = (*drop, gates.iter().filter_map(awaited).max()) else { continue };
        let turn = Turn { lead: last.lead, depth: last.depth + 1, at };
        let before: Vec<Gate> = (at + 1..=last.lead)
            .filter(|other| turns[*other] < turn && !gates.iter().any(|gate| gate.id == rows[*other].id))
            .filter_map(|other| match &verdicts[other] {
                Stand::Send { drop: other_drop, .. } => {
                    let carried = rows[other].members & !other_drop;
                    let shared =
                        if rows[other].closing { rows[at].members & !drop } else { carried & rows[at].members };
                    (shared != 0).then_some(Gate { id: rows[other].id, shared })
                }
                Stand::End(..) => None,
            })
            .collect();
        turns[at] = turn;
        if let Stand::Send { gates, .. } = &mut verdicts[at] {
            gates.extend(before);
        }
    }
    turns
}

/// Puts the rows to be sent into their order and forms the groups.
fn arrange(rows: &[Candidate], verdicts: Vec<Stand>, mut turns: Vec<Turn>, rules: CardRules) -> Vec<Planned> {
    let watched: Vec<u64> = verdicts
        .iter()
        .flat_map(|stand| match stand {
            Stand::Send { gates, .. } => gates.as_slice(),
            Stand::End(..) => &[],
        })
        .map(|gate| gate.id)
        .collect();
    let covers_and_absorbed = groups(rows, &verdicts, &watched, rules);
    let mut carrier = 0;
    for at in (0..rows.len()).rev().filter(|at| matches!(verdicts[*at], Stand::Send { .. })) {
        if covers_and_absorbed[at].1 {
            turns[at].lead = carrier; // so that other cards' rows do not come between those of a group
        } else {
            carrier = turns[at].lead;
        }
    }
    let mut ranked = turns.clone();
    ranked.sort_unstable();
    let mut ranks = vec![0; rows.len()];
    for (rank, turn) in ranked.iter().enumerate() {
        ranks[turn.at] = rank as u32;
    }
    let each = verdicts.into_iter().enumerate().map(|(at, stand)| match stand {
        Stand::End(outcome, code, by) => Planned::End { outcome, code, by },
        Stand::Send { drop, gates } => {
            let (cover, absorbed) = covers_and_absorbed[at];
            let (lead, watched) = (rows[turns[at].lead].place, watched.contains(&rows[at].id));
            Planned::Send { lead, rank: ranks[at], drop, cover, absorbed, gates, watched }
        }
    });
    each.collect()
}

fn groups(rows: &[Candidate], verdicts: &[Stand], watched: &[u64], rules: CardRules) -> Vec<(u32, bool)> {
    let mut groups = vec![(0, false); rows.len()];
    if !rules.coalesce {
        return groups;
    }
    // Rows that wait, or are waited for, break a run of absorbable rows.
    let is_free = |at: usize| match &verdicts[at] {
        Stand::Send { gates, .. } => gates.is_empty() && !watched.contains(&rows[at].id),
        Stand::End(..) => false,
    };
    let sent: Vec<usize> = (0..rows.len()).filter(|at| matches!(verdicts[*at], Stand::Send { .. })).collect();
    for stretch in sent.chunk_by(|left, right| is_free(*left) && is_free(*right)) {
        let lane: Vec<_> = stretch
            .iter()
            .map(|at| match &verdicts[*at] {
                Stand::Send { drop, .. } => (&rows[*at], *drop),
                Stand::End(..) => unreachable!("only rows to be sent are in a stretch"),
            })
            .collect();
        let covers = coalesce::covers(&lane);
        let absorbed = coalesce::absorbed(&covers);
        for ((at, cover), absorbed) in stretch.iter().zip(covers).zip(absorbed) {
            groups[*at] = (cover, absorbed);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Digest, Seat};

    const POINTS: u64 = 1;
    const LEVEL: u64 = 2;

    fn place(occurred_ms: i64) -> Place {
        Place { occurred_ms, sequence: 0, run: 1, seat: Seat::default() }
    }

    fn row(id: u64, at: i64, members: u64) -> Candidate {
        Candidate {
            card: Digest::default(),
            place: place(at),
            id,
            members,
            bill: BillId([id as u8; 24]),
            content: Digest([id as u8; 16]),
            shape: Digest::default(),
            closing: false,
            absorbable: true,
            bare: false,
            adopted: None,
        }
    }

    fn doubt(id: u64, at: i64, members: u64) -> Doubt {
        Doubt { bill: BillId([id as u8; 24]), place: place(at), members, closing: false }
    }

    fn words(planned: &[Planned]) -> Vec<String> {
        planned
            .iter()
            .map(|planned| match planned {
                Planned::End { outcome, code, .. } => format!("{outcome} {code}"),
                Planned::Send { drop, cover, absorbed, gates, .. } => {
                    let mut word = String::from("send");
                    if *drop != 0 {
                        word += &format!(" drop {drop}");
                    }
                    if *absorbed {
                        word += " absorbed";
                    } else if *cover > 0 {
                        word += &format!(" covers {cover}");
                    }
                    for gate in gates {
                        word += &format!(" after {}", gate.id);
                    }
                    word
                }
            })
            .collect()
    }

    /// The rows to be sent, in the order of sending.
    fn order(rows: &[Candidate], planned: &[Planned]) -> Vec<u64> {
        let turn = |(planned, row): (&Planned, &Candidate)| match planned {
            Planned::Send { lead, rank, .. } => Some((*lead, *rank, row.id)),
            Planned::End { .. } => None,
        };
        let mut turns: Vec<_> = planned.iter().zip(rows).filter_map(turn).collect();
        turns.sort_unstable();
        turns.into_iter().map(|(_, _, id)| id).collect()
    }

    #[track_caller]
    fn check(rows: &[Candidate], past: &CardPast, coalesce: bool, expected: &[&str]) {
        assert_eq!(words(&plan(rows, None, past, CardRules { allow_stale: false, coalesce })), expected);
    }

    #[test]
    fn stale_rows_line_by_line() {
        let confirmed = CardPast { confirmed: vec![(POINTS, place(50))], ..CardPast::default() };
        check(&[row(1, 40, POINTS)], &confirmed, false, &["superseded SUPERSEDED"]);
        check(&[row(1, 40, POINTS | LEVEL)], &confirmed, false, &["send drop 1"]);
        check(&[row(1, 40, LEVEL)], &confirmed, false, &["send"]);
        check(&[row(1, 60, POINTS)], &confirmed, false, &["send"]);
        let doubtful = CardPast { doubts: vec![doubt(9, 50, POINTS)], ..CardPast::default() };
        check(&[row(1, 40, POINTS)], &doubtful, false, &["held NEWER_IN_DOUBT"]);
        check(&[row(1, 40, LEVEL)], &doubtful, false, &["send"]);
        check(&[row(1, 60, POINTS)], &doubtful, false, &["send"]);
        let covered = CardPast { confirmed: vec![(POINTS, place(55))], ..doubtful };
        check(&[row(1, 40, POINTS | LEVEL)], &covered, false, &["send drop 1"]);
        let closed = CardPast { closed: Some(place(50)), ..CardPast::default() };
        check(&[row(1, 40, LEVEL), row(2, 60, LEVEL)], &closed, false, &["superseded SUPERSEDED_CLOSED", "send"]);
    }

    #[test]
    fn the_guard_can_be_switched_off() {
        let past = CardPast { confirmed: vec![(POINTS, place(50))], ..CardPast::default() };
        let rules = CardRules { allow_stale: true, coalesce: false };
        assert_eq!(words(&plan(&[row(1, 40, POINTS)], None, &past, rules)), ["send"]);
    }

    #[test]
    fn an_older_row_waits_for_the_doubtful_one_of_the_same_run() {
        let past = CardPast { doubts: vec![doubt(3, 50, POINTS)], ..CardPast::default() };
        let adopted = Candidate { adopted: Some((0, 1)), ..row(3, 50, POINTS) };
        let rows = [row(1, 30, POINTS | LEVEL), row(2, 40, LEVEL), adopted];
        let planned = plan(&rows, None, &past, CardRules::default());
        // Row 1 goes behind row 3, hence also behind row 2, which shares its level.
        assert_eq!(words(&planned), ["send after 3 after 2", "send", "send"]);
        assert_eq!(order(&rows, &planned), [2, 3, 1]);
    }

    #[test]
    fn newest_rows_absorb_what_they_cover() {
        let past = CardPast::default();
        let (a, b, c) = (row(1, 1, POINTS), row(2, 2, POINTS | LEVEL), row(3, 3, POINTS | LEVEL));
        check(&[a.clone(), b.clone(), c.clone()], &past, true, &["send absorbed", "send absorbed", "send covers 2"]);
        check(&[b.clone(), a.clone()].map(|row| row), &past, true, &["send", "send"]);
        let closing = Candidate { closing: true, absorbable: false, ..row(4, 4, 4) };
        check(&[a.clone(), closing, row(5, 5, 7)], &past, true, &["send", "send", "send"]);
        let other_user = Candidate { shape: Digest([9; 16]), ..c };
        check(&[a, other_user], &past, true, &["send", "send"]);
    }

    #[test]
    fn a_bare_row_is_the_duplicate_of_its_neighbour_only() {
        let twin = |id, at| Candidate { content: Digest([7; 16]), bare: true, ..row(id, at, POINTS) };
        let rows = [twin(1, 1), twin(2, 2), row(3, 3, POINTS), twin(4, 4)];
        check(&rows, &CardPast::default(), false, &["send", "duplicate DUPLICATE", "send", "send"]);
    }

    proptest! {
        #[test]
        fn a_stretch_at_a_time_is_the_same_plan(
            shapes in proptest::collection::vec((1_u64..4, any::<bool>(), any::<bool>()), 1..12),
            doubts in proptest::collection::vec((0_usize..14, 1_u64..4), 0..3),
            confirmed in proptest::option::of((0_i64..12, 1_u64..3)),
            length in 1_usize..4,
        ) {
            let rows: Vec<Candidate> = (0_u64..).zip(shapes).map(|(id, (members, bare, same))| {
                let content = Digest([if same { 0 } else { id as u8 }; 16]);
                Candidate { content, bare, ..row(id, id as i64, members) }
            }).collect();
            // Some are rows of this run, some are not.
            let doubts = doubts.into_iter().map(|(at, members)| match rows.get(at) {
                Some(row) => Doubt { bill: row.bill, place: row.place, members: row.members, closing: false },
                None => doubt(99, at as i64 - 6, members),
            });
            let confirmed = confirmed.into_iter().map(|(at, members)| (members, place(at)));
            let past = CardPast { doubts: doubts.collect(), confirmed: confirmed.collect(), closed: None };
            let (mut pieces, mut start) = (Vec::new(), 0);
            for end in 1..=rows.len() {
                if end == rows.len() || (end - start >= length && past.is_certain_behind(rows[end - 1].place)) {
                    let before = rows[..start].last();
                    pieces.extend(plan(&rows[start..end], before, &past, CardRules::default()));
                    start = end;
                }
            }
            let whole = plan(&rows, None, &past, CardRules::default());
            prop_assert_eq!(words(&pieces), words(&whole));
            prop_assert_eq!(order(&rows, &pieces), order(&rows, &whole));
        }
    }
}
