//! The rows that a page shows of those that did not end well.

use std::collections::BTreeMap;

use crate::model::Outcome;
use crate::model::reject::{shown, veiled};
use crate::run::fold::Ended;

/// So many rows are shown of each outcome: enough to see what they have in common. The failure file has them all.
const ROWS_SHOWN: usize = 10;
/// Characters of a number or a code.
const WORD_MAX: usize = 60;
/// Characters of what was said.
const TEXT_MAX: usize = 300;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingRow {
    /// `source:line`.
    pub place: String,
    /// Its bill, where it has one.
    pub bill: String,
    /// Its card, veiled.
    pub card: String,
    /// The code it ended with.
    pub code: String,
    /// What was said.
    pub message: String,
    /// HTTP requests.
    pub attempts: u32,
    /// Those in doubt.
    pub in_doubt: u32,
}

/// The first rows of each outcome that failed, in input order.
#[derive(Clone, Debug, Default)]
pub struct Failing {
    rows: BTreeMap<Outcome, Vec<FailingRow>>,
}

impl Failing {
    /// Keeps a row where it failed and there is room. `source`: its input's name.
    pub fn take(&mut self, ended: &Ended, source: &str) {
        let settled = &ended.settled;
        if !settled.outcome.is_failure() {
            return;
        }
        let rows = self.rows.entry(settled.outcome).or_default();
        if rows.len() < ROWS_SHOWN {
            rows.push(FailingRow {
                place: place(source, ended.row.seat.line),
                bill: bill(ended.row.bill_no.as_deref()),
                card: card(&ended.row.card_no),
                code: shown(&settled.code, WORD_MAX),
                message: shown(&settled.message, TEXT_MAX),
                attempts: settled.attempts,
                in_doubt: settled.in_doubt,
            });
        }
    }

    /// By outcome.
    pub fn iter(&self) -> impl Iterator<Item = (Outcome, &[FailingRow])> {
        self.rows.iter().map(|(outcome, rows)| (*outcome, rows.as_slice()))
    }
}

/// `source:line`.
pub fn place(source: &str, line: u64) -> String {
    format!("{}:{line}", shown(source, WORD_MAX))
}

/// A bill's number.
pub fn bill(number: Option<&str>) -> String {
    shown(number.unwrap_or_default(), WORD_MAX)
}

/// A card's number, veiled: a page is passed around.
pub fn card(number: &str) -> String {
    if number.is_empty() { String::new() } else { shown(&veiled(number), WORD_MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Reject, Rule, Seat, Settled};
    use crate::run::stored::{Content, StoredRow};

    fn ended(line: u64, outcome: Outcome, text: &str) -> Ended {
        let reject = Reject::new(Rule::Missing, "points", "", "a number");
        let row = StoredRow {
            seat: Seat { source: 0, line },
            origin: None,
            bill_no: Some(text.into()),
            card_no: text.into(),
            change: None,
            unsummed: false,
            content: Content::Reject(Box::new(reject)),
        };
        Ended {
            id: line,
            row,
            settled: Settled::local(outcome, text, text, 0),
            facts: None,
            is_news: false,
            is_found: false,
            told: 0,
        }
    }

    #[test]
    fn what_is_kept_is_little_whatever_the_rows_are() {
        let mut failing = Failing::default();
        let huge = "\u{202e}\0<b>".to_owned() + &"x".repeat(1 << 20);
        for line in 0..1_000 {
            failing.take(&ended(line, Outcome::Rejected, &huge), "in.csv");
            failing.take(&ended(line, Outcome::Applied, &huge), "in.csv");
        }
        let kept: Vec<_> = failing.iter().collect();
        assert_eq!((kept.len(), kept[0].0, kept[0].1.len()), (1, Outcome::Rejected, ROWS_SHOWN));
        let row = &kept[0].1[3];
        assert_eq!(row.place, "in.csv:3");
        assert!(row.bill.starts_with("\\u{202e}\\u{0}<b>xx") && row.bill.chars().count() < 80, "{}", row.bill);
        assert!(row.card.chars().count() < 40 && row.message.chars().count() < 400);
    }
}
