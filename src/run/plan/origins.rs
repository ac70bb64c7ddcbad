//! Where rows of failure files come from.

use std::collections::HashMap;

use crate::io::ledger::Ledger;
use crate::model::Seat;
use crate::run::Fault;
use crate::run::detail::RunDetail;
use crate::run::stored::Origin;

/// Which seats other runs gave to the rows of a failure file.
#[derive(Default)]
pub struct Origins(HashMap<(String, String), Option<FirstSeen>>);

/// The ordinal of the run that first read a file, the file's ordinal there, and its place in time.
type FirstSeen = (u32, u16, i64);

impl Origins {
    /// The run, the seat and the stand-in for a time that a row was given when it was first read; `None` where the ledger
    /// has no such run.
    pub fn find(&mut self, ledger: &Ledger, origin: &Origin) -> Result<Option<(u32, Seat, i64)>, Fault> {
        let key = (origin.run.clone(), origin.source.clone());
        let found = if let Some(found) = self.0.get(&key) {
            *found
        } else {
            let found = ledger.run_by_id(&origin.run)?.and_then(|run| {
                let inputs = RunDetail::parse(&run.detail)?.inputs;
                let source = inputs.iter().position(|input| input.name == origin.source)?;
                Some((run.ordinal, source as u16, inputs[source].occurred_default_ms))
            });
            self.0.insert(key, found);
            found
        };
        Ok(found.map(|(run, source, default_ms)| (run, Seat { source, line: origin.line }, default_ms)))
    }
}
