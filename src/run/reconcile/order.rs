//! Whether the rows of a card were sent one behind the other, as far as the outcomes tell: each exchange begins when the
//! row before has settled. That older states never follow newer ones is for `ledger verify`: only the ledger knows places.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::lines::End;
use super::several_merchants;
use crate::io::StorageError;
use crate::io::job::Settings;
use crate::io::sort::Sorter;
use crate::run::Fault;
use crate::run::proof::Check;

/// The exchanges of one row, by its card.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Span {
    card: String,
    first_sent_ms: i64,
    settled_ms: i64,
    place: String,
}

/// Gathers the rows that were sent.
pub struct Sends(Sorter<Span>);

impl Sends {
    /// None yet; what does not fit in memory goes to `scratch`.
    pub fn new(scratch: &Path) -> Sends {
        Sends(Sorter::new(scratch))
    }

    /// Takes a row, if it was sent.
    pub fn take(&mut self, line: &End) -> Result<(), StorageError> {
        let ms = |text: &Option<String>| -> Option<i64> {
            let time: jiff::Timestamp = text.as_ref()?.parse().ok()?;
            Some(time.as_millisecond())
        };
        match (ms(&line.first_sent_at), ms(&line.settled_at)) {
            (Some(first_sent_ms), Some(settled_ms)) if line.attempts > 0 => {
                self.0.push(Span { card: line.card.clone(), first_sent_ms, settled_ms, place: line.place.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Meets the rows of each card in the order in which they were sent.
    pub fn check(self, settings: &Settings) -> Result<Check, Fault> {
        let mut check = Check::new("order", "the rows of a card were sent one behind the other");
        if several_merchants(settings) {
            check.skipped = Some("a card is more than its number in this job".to_owned());
            return Ok(check);
        }
        if !settings.run.hold_on_doubt {
            check.skipped =
                Some("rows may overtake those that wait for a retry (on_in_doubt = \"continue\")".to_owned());
            return Ok(check);
        }
        let mut last: Option<Span> = None;
        for span in self.0.finish()? {
            let span = span?;
            if let Some(last) = last.filter(|last| last.card == span.card) {
                check.expect(last.settled_ms <= span.first_sent_ms, || {
                    format!(
                        "{}: it was sent {} ms before {} of its card had settled (or the clock was set back between)",
                        span.place,
                        last.settled_ms - span.first_sent_ms,
                        last.place
                    )
                });
            }
            last = Some(span);
        }
        Ok(check)
    }
}
