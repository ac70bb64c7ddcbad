//! The right to write into a ledger, and the ledger behind it: proved before anything is written.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Fault;
use super::store::RunFolder;
use crate::io::ledger::Ledger;
use crate::io::lock::Lock;

/// The lease on a ledger; one process at a time has it.
pub struct Lease {
    lock: Lock,
    ledger: PathBuf,
    since: Instant,
}

impl Lease {
    /// Takes the lease, waiting as long as `wait` for another holder unless `stop` ends that, and proves the ledger that
    /// is there; one of an older program is brought up to date. `holder` tells others who has it.
    pub fn take(ledger: &Path, holder: &str, wait: Duration, stop: impl Fn() -> bool) -> Result<Lease, Fault> {
        let lock = Lock::take(ledger, holder, wait, stop)?;
        let since = Instant::now();
        if ledger.exists() {
            Ledger::prove(ledger)?;
            // The surveys that its runs left are in its program's form, and only looked at again; all are closed.
            Ledger::upgrade(ledger, || Ok::<_, Fault>(RunFolder::remove_all(ledger)?))?;
        }
        Ok(Lease { lock, ledger: ledger.to_owned(), since })
    }

    /// When it was taken: who had it before has ended, or sends no more.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// The ledger, for writing; it is made where there is none.
    pub fn open(&mut self) -> Result<Ledger, Fault> {
        let ledger = Ledger::open(&self.ledger)?;
        self.lock.hold(&self.ledger)?;
        Ok(ledger)
    }
}
