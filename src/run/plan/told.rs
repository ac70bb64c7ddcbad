//! The rows as the planner is told of them.

use crate::io::StorageError;
use crate::model::Reject;
use crate::run::brief::Brief;
use crate::run::gate::Suspects;
use crate::run::store::{Briefs, RunFolder};
use crate::run::stored::Content;

/// The rows in brief, and what is wrong with those that are not sent for what they are.
pub struct Told<'a> {
    rows: Briefs,
    suspects: &'a [Suspects],
}

impl<'a> Told<'a> {
    /// Opens the rows of a run. `suspects`: per input, what does not fit its columns.
    pub fn open(folder: &RunFolder, suspects: &'a [Suspects]) -> Result<Told<'a>, StorageError> {
        Ok(Told { rows: Briefs::open(folder)?, suspects })
    }

    fn read(&mut self) -> Result<Option<(Brief, Option<Reject>)>, StorageError> {
        let Some(brief) = self.rows.next()? else { return Ok(None) };
        let suspect = self.suspects[usize::from(brief.seat.source)].find(&brief.shapes);
        let reject = match (&brief.gist, suspect) {
            (None, _) => match self.rows.row()?.content {
                Content::Reject(reject) => Some(*reject),
                Content::Delta(_) => unreachable!("a valid row has a gist"),
            },
            (Some(_), Some(suspect)) => Some(suspect.reject(&self.rows.row()?)),
            (Some(_), None) => None,
        };
        Ok(Some((brief, reject)))
    }
}

impl Iterator for Told<'_> {
    type Item = Result<(Brief, Option<Reject>), StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
