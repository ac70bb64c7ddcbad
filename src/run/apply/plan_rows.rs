//! The plan as the dispatcher reads it: once, or with a canary twice.

use std::path::PathBuf;

use crate::core::canary::{PlanEnd, Turns};
use crate::io::frames::FrameReader;
use crate::run::Fault;
use crate::run::store::RunFolder;
use crate::run::stored::PlanRecord;

/// Reads the plan.
pub struct PlanRows {
    path: PathBuf,
    records: FrameReader<PlanRecord>,
    turns: Turns,
}

impl PlanRows {
    /// Opens the plan of a run; `canary`: the cards that go first.
    pub fn open(folder: &RunFolder, canary: Option<usize>) -> Result<PlanRows, Fault> {
        let path = folder.plan();
        Ok(PlanRows { records: FrameReader::open(&path)?, path, turns: Turns::new(canary) })
    }

    /// Looks at `most` records, and returns those that have their turn: behind a long run of others that may be none,
    /// but no single reading holds up the exchanges that are under way. Also returns the end, once it is reached.
    pub fn next(&mut self, most: usize) -> Result<(Vec<PlanRecord>, Option<PlanEnd>), Fault> {
        let mut taken = Vec::with_capacity(most);
        for _ in 0..most {
            match self.records.next().transpose()? {
                Some(record) if self.turns.takes(record.card) => taken.push(record),
                Some(_) => {}
                None => return Ok((taken, Some(self.end()?))),
            }
        }
        Ok((taken, None))
    }

    fn end(&mut self) -> Result<PlanEnd, Fault> {
        let end = self.turns.end();
        if end == PlanEnd::OfCanary {
            self.records = FrameReader::open(&self.path)?;
        }
        Ok(end)
    }
}
