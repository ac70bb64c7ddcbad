//! What a proof is made of: checks, each with what contradicts it.

use serde::Serialize;

use super::Fault;
use crate::io::StorageError;
use crate::io::ledger::LedgerError;
use crate::io::source::InputError;

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// A word for it.
    pub name: &'static str,
    /// What holds if it is sound.
    pub what: String,
    /// What contradicts it, the first of all.
    pub faults: Vec<String>,
    /// How many more contradict it.
    pub more_faults: u64,
    /// Why it, or a part of it, could not be looked at.
    pub skipped: Option<String>,
}

/// Faults kept of each check.
const SHOWN: usize = 20;

impl Check {
    /// A check that holds until something contradicts it.
    pub fn new(name: &'static str, what: impl Into<String>) -> Check {
        Check { name, what: what.into(), faults: Vec::new(), more_faults: 0, skipped: None }
    }

    /// Notes a contradiction.
    pub fn fault(&mut self, text: impl Into<String>) {
        if self.faults.len() < SHOWN {
            self.faults.push(text.into());
        } else {
            self.more_faults += 1;
        }
    }

    /// Notes a contradiction unless it holds.
    pub fn expect(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.fault(fault());
        }
    }

    /// What was read; what could not be is noted.
    pub fn read<T>(&mut self, stored: Result<T, String>) -> Option<T> {
        stored.map_err(|damage| self.fault(damage)).ok()
    }

    /// Whether nothing contradicts it.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    /// Looks, as far as what is looked at can be read.
    pub fn look(&mut self, work: impl FnOnce(&mut Check) -> Result<(), Broken>) -> Result<(), Fault> {
        match work(self) {
            Err(Broken::File(text)) => self.fault(text),
            Err(Broken::Fault(fault)) => return Err(fault),
            Ok(()) => {}
        }
        Ok(())
    }
}

/// Why a walk cannot go on.
#[derive(Debug)]
pub enum Broken {
    /// What is looked at cannot be read (on): this contradicts what was recorded of it.
    File(String),
    /// We could not look.
    Fault(Fault),
}

impl From<String> for Broken {
    fn from(text: String) -> Broken {
        Broken::File(text)
    }
}

impl From<InputError> for Broken {
    fn from(error: InputError) -> Broken {
        Broken::File(error.to_string())
    }
}

impl From<LedgerError> for Broken {
    fn from(error: LedgerError) -> Broken {
        Broken::File(error.to_string())
    }
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Broken {
        Broken::Fault(fault)
    }
}

impl From<StorageError> for Broken {
    fn from(error: StorageError) -> Broken {
        Broken::Fault(error.into())
    }
}
