//! Why a run could not be done, and the exit that it means.

use std::io;
use std::path::Path;

use crate::io::StorageError;
use crate::io::atomic::OutputError;
use crate::io::failures::FailureError;
use crate::io::ledger::{AgreeError, DAMAGED, FoldError, LedgerError};
use crate::io::lock::LockFault;
use crate::io::source::InputError;
use crate::model::Exit;

/// Why a run could not be done.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Fault {
    exit: Exit,
    text: String,
    help: Option<String>,
    passing: bool,
    shortage: bool,
}

impl Fault {
    #[expect(clippy::needless_pass_by_value, reason = "errors are handed over, not lent")]
    fn new(exit: Exit, text: impl ToString) -> Fault {
        Fault { exit, text: text.to_string(), help: None, passing: false, shortage: false }
    }

    /// A fault of usage or configuration; nothing was sent.
    pub fn usage(text: impl ToString) -> Fault {
        Fault::new(Exit::Usage, text)
    }

    /// The input is refused; nothing was sent.
    pub fn input(text: impl ToString) -> Fault {
        Fault::new(Exit::Input, text)
    }

    /// A storage fault: the run goes on from disk.
    pub fn storage(text: impl ToString) -> Fault {
        Fault::new(Exit::Storage, text)
    }

    /// Something in a ledger cannot be read.
    pub fn damaged(ledger: &Path, damage: &str) -> Fault {
        Fault::storage(format!("ledger {}: {damage}", ledger.display())).help(DAMAGED)
    }

    /// The system starts no thread: a limit of processes or of memory.
    #[expect(clippy::needless_pass_by_value, reason = "errors are handed over, not lent")]
    pub fn no_thread(error: io::Error) -> Fault {
        Fault::storage(format!("no thread can be started: {error}"))
            .help("see what the job is permitted (`ulimit -u`, `ulimit -v`, the container's limits), then run it again: it goes on from disk")
    }

    /// A signal before anything was recorded.
    pub fn stopped() -> Fault {
        Fault::new(Exit::Stopped, "stopped by a signal before the first call; no run is recorded")
    }

    /// A law that the program cannot show to hold: it fails loudly, and closes nothing.
    pub fn broken(text: impl ToString) -> Fault {
        Fault::new(Exit::Storage, text)
    }

    /// The same, with what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Fault {
        self.help = Some(help.into());
        self
    }

    /// The same, of what may be otherwise a little later.
    #[must_use]
    pub fn passing(mut self) -> Fault {
        self.passing = true;
        self
    }

    /// Whether it may be otherwise a little later: a file that is not there yet, or that changes.
    pub fn is_passing(&self) -> bool {
        self.passing
    }

    /// The same, with a remark.
    #[must_use]
    pub fn within(mut self, remark: &str) -> Fault {
        self.text = format!("{} ({remark})", self.text);
        self
    }

    /// The same behind something that ended otherwise: the worse exit counts.
    #[must_use]
    pub fn not_better_than(mut self, exit: Exit) -> Fault {
        self.exit = self.exit.worse(exit);
        self
    }

    /// The exit that it means.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Whether the disk is full: what was looked at may be sound.
    pub fn is_shortage(&self) -> bool {
        self.shortage
    }

    /// What to do, where that is not in the text.
    pub fn advice(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl From<StorageError> for Fault {
    fn from(error: StorageError) -> Fault {
        let shortage = matches!(error.error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        Fault { shortage, ..Fault::storage(error) }
    }
}

impl From<OutputError> for Fault {
    fn from(error: OutputError) -> Fault {
        Fault::storage(error)
    }
}

impl From<LedgerError> for Fault {
    fn from(error: LedgerError) -> Fault {
        match error {
            LedgerError::Absent(_) => Fault::usage(error),
            _ => Fault { shortage: error.is_full(), ..Fault::storage(error) },
        }
    }
}

impl From<AgreeError> for Fault {
    fn from(error: AgreeError) -> Fault {
        match error {
            AgreeError::Ledger(error) => error.into(),
            differs @ AgreeError::Differs { .. } => Fault::usage(differs),
        }
    }
}

impl From<FoldError> for Fault {
    fn from(error: FoldError) -> Fault {
        Fault::storage(error)
    }
}

impl From<InputError> for Fault {
    fn from(error: InputError) -> Fault {
        let passing = matches!(error, InputError::Missing(_) | InputError::Changed { .. });
        Fault { passing, ..Fault::input(error) }
    }
}

impl From<FailureError<StorageError>> for Fault {
    fn from(error: FailureError<StorageError>) -> Fault {
        match error {
            FailureError::Input(error) => Fault::input(error),
            other => Fault::storage(other),
        }
    }
}

impl From<LockFault> for Fault {
    fn from(error: LockFault) -> Fault {
        match error {
            LockFault::Held { .. } => Fault::new(Exit::Busy, error),
            LockFault::Network { .. } => Fault::usage(error),
            LockFault::Stopped { .. } => Fault::new(Exit::Stopped, error),
            LockFault::Io { .. } => Fault::storage(error),
        }
    }
}
